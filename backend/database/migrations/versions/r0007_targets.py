"""What accuracy each project has to reach."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quality_targets",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_least", sa.Float, nullable=False),
        sa.Column("measure", sa.String(16), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("quality_targets")
