"""Leases name the ESP of their install, so that iPXE finds the right disk."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("leases", sa.Column("boot_label", sa.Text(), nullable=True))
