"""Which tasks' scores changed, for figures that follow; counts of the inbox by indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "score_changes",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_score_changes_change", "score_changes", ["change"])
    failed = sa.text("error IS NOT NULL")
    op.create_index("inbox_failed", "inbox", ["id"], sqlite_where=failed, postgresql_where=failed)


def downgrade() -> None:
    op.drop_index("inbox_failed", "inbox")
    op.drop_table("score_changes")
