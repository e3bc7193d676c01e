"""How far a machine's upgrade is."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("machines", sa.Column("upgrade", sa.JSON(), nullable=True))
