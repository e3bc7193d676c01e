"""Machines are held when it is not clear which one reports; marks have a form and a date."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PARTS = sa.table(
    "identities",
    sa.column("id", sa.Integer),
    sa.column("kind", sa.Text),
    sa.column("value", sa.Text),
)


def upgrade() -> None:
    """Add the columns; serial numbers get the form in which marks are compared."""
    op.add_column("machines", sa.Column("hold", sa.Text(), nullable=True))
    op.add_column("machines", sa.Column("verdict", sa.JSON(), nullable=True))
    op.add_column("identities", sa.Column("since", sa.Double(), nullable=False, server_default="0"))
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE identities SET since = "
            "(SELECT created FROM machines WHERE machines.id = identities.machine_id)"
        )
    )
    rows = connection.execute(
        sa.select(PARTS.c.id, PARTS.c.value).where(PARTS.c.kind == "serial")
    ).all()
    for row in rows:
        form = re.sub(r"\s", "", row.value).lower()
        connection.execute(sa.update(PARTS).where(PARTS.c.id == row.id).values(value=form))
