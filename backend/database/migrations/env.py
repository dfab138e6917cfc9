"""Alembic's entry: migrates the connection that ``store.migrate`` opened."""

from alembic import context

from backend.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
