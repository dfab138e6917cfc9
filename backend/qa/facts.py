"""Named values of the store."""

import sqlalchemy as sa

from backend.database import schema


def put_fact(connection: sa.Connection, name: str, value: str) -> None:
    """Remember one named value."""
    connection.execute(schema.facts.delete().where(schema.facts.c.name == name))
    connection.execute(schema.facts.insert().values(name=name, value=value))


def get_fact(connection: sa.Connection, name: str) -> str | None:
    """A value remembered by ``put_fact``."""
    facts = schema.facts
    query = sa.select(facts.c.value).where(facts.c.name == name)
    found: str | None = connection.execute(query).scalar()
    return found
