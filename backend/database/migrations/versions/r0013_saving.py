"""Until when Label Studio may be saving what it was sent, apart from when a job is due."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("saving_until", sa.Float, nullable=False, server_default="0")
    op.add_column("jobs", column)


def downgrade() -> None:
    op.drop_column("jobs", "saving_until")
