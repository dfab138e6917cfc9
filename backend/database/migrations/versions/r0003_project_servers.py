"""Which server each project is on."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_servers",
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("created", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("server", sa.String(400), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("project_servers")
