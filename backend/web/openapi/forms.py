"""Words of JSON Schema, and the small forms that others are made of."""

from typing import Any

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"


def ref(name: str) -> Schema:
    """One of `schemas.schemas`."""
    return {"$ref": PREFIX + name}


def list_of(of: Schema) -> Schema:
    """An array of any length."""
    return {"type": "array", "items": of}


def maybe(schema: Schema) -> Schema:
    """This, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def object_of(
    _about: str = "", *, needs: str = "", is_open: bool = False, **fields: Schema
) -> Schema:
    """An object that has all these fields, or those it ``needs``; more only where it is open."""
    schema: Schema = {"type": "object", "properties": fields}
    if _about:
        schema["description"] = _about
    schema["required"] = needs.split() if needs else ([] if is_open else list(fields))
    if not is_open:
        schema["additionalProperties"] = False
    return schema


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
PROJECT: Schema = {
    "description": "A project's number; with its creation as Unix time in /setup and /predict "
    "(`20.1795393766`), as its object in webhooks.",
    "type": ["integer", "string", "object", "null"],
}
CONFIG: Schema = {"type": "string", "description": "The project's labeling config, XML."}
VERDICT: Schema = {"enum": ["fine", "fix", "open"]}
LEVELS: Schema = {"enum": ["ok", "warning", "failure"]}
