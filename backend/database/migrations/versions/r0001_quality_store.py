"""The quality store's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("received_at", sa.String(32), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("processed_at", sa.String(32)),
        sa.Column("error", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("inbox_pending", "inbox", ["processed_at", "id"])
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("label_config", sa.Text, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("deleted_at", sa.String(32)),
    )
    op.create_index("ix_tasks_project_id", "tasks", ["project_id"])
    op.create_table(
        "annotations",
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
    op.create_index("ix_annotations_project_id", "annotations", ["project_id"])
    op.create_index("ix_annotations_task_id", "annotations", ["task_id"])
    op.create_table(
        "predictions",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("label_studio_id", sa.Integer),
        sa.Column("project_id", sa.Integer),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_predictions_label_studio_id", "predictions", ["label_studio_id"])
    op.create_index("ix_predictions_project_id", "predictions", ["project_id"])
    op.create_index("ix_predictions_task_id", "predictions", ["task_id"])
    op.create_table(
        "scores",
        sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("task_id", sa.Integer, nullable=False),
        sa.Column("project_id", sa.Integer),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("hit", sa.Boolean),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_index("ix_scores_task_id", "scores", ["task_id"])
    op.create_index("ix_scores_project_id", "scores", ["project_id"])
    op.create_table(
        "facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in "facts", "scores", "predictions", "annotations", "tasks", "projects", "inbox":
        op.drop_table(table)
