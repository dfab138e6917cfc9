"""All routes as an OpenAPI 3.1 document, for programs that speak to the backend: `/openapi.json`.

Written by hand, and kept true by its tests: each route of the app is in it and the other way round,
and real answers are of the forms that it promises.
"""

from backend.web.openapi.forms import Schema
from backend.web.openapi.paths import paths
from backend.web.openapi.schemas import schemas
from videogem import __version__

DESCRIPTION = (
    "The backend speaks Label Studio's protocol for machine-learning backends (health, setup, "
    "predict, webhook, versions), and shows its jobs and the quality of its predictions. Without a "
    "password it answers on this machine only. Every refusal says in `error` (or, of the door, in "
    "one line of text) what was expected, what came, and what to do."
)


def document() -> Schema:
    """The whole, as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VideoGEM for Label Studio",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"password": []}],
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }
