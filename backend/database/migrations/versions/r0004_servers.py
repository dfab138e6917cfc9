"""Everything kept says which server it is of; ids are unique on one server only.

Rows kept until now get an empty server, and the configured one when the backend starts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    "tasks": ("project_id",),
    "annotations": ("project_id", "task_id"),
    "predictions": ("label_studio_id", "project_id", "task_id"),
    "scores": ("task_id", "project_id"),
}


def upgrade() -> None:
    op.add_column("inbox", sa.Column("server", sa.String(400), nullable=False, server_default=""))
    _rebuild(
        "projects",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("label_config", sa.Text, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("deleted_at", sa.String(32)),
        sa.Column("sync_error", sa.Text),
    )
    _rebuild(
        "tasks",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("deleted_at", sa.String(32)),
    )
    _rebuild(
        "annotations",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("task_id", sa.Integer),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("was_cancelled", sa.Boolean, nullable=False),
        sa.Column("ground_truth", sa.Boolean, nullable=False),
        sa.Column("parent_prediction", sa.Integer),
        sa.Column("annotator", sa.Integer),
        sa.Column("lead_time", sa.Float),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("deleted_at", sa.String(32)),
    )
    _rebuild(
        "predictions",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("label_studio_id", sa.Integer),
        sa.Column("project_id", sa.Integer),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    _rebuild(
        "scores",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("hit", sa.Boolean),
        sa.Column("data", sa.JSON, nullable=False),
    )


def _rebuild(name: str, *columns: "sa.Column[object]") -> None:
    """A table with another primary key, with the rows of the old one: SQLite cannot alter it."""
    old = sa.Table(name, sa.MetaData(), autoload_with=op.get_bind())
    kept = [column.name for column in old.columns]
    for column in INDEXES.get(name, ()):
        op.drop_index(f"ix_{name}_{column}", name)
    op.rename_table(name, f"{name}_0003")
    op.create_table(name, *columns)
    listed = ", ".join(f'"{column}"' for column in kept)
    op.execute(f"INSERT INTO {name} (server, {listed}) SELECT '', {listed} FROM {name}_0003")
    op.drop_table(f"{name}_0003")
    for column in INDEXES.get(name, ()):
        op.create_index(f"ix_{name}_{column}", name, [column])


def downgrade() -> None:
    raise NotImplementedError("ids of two servers do not fit into tables without a server")
