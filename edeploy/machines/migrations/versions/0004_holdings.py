"""Who holds which CMDB entry, with when and why, for longer than a lease."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and holdings of what leases said of entries."""
    op.create_table(
        "holdings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.Column("copy", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Integer(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("lasting", sa.Boolean(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("hardware", sa.JSON(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("end", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["machine_id"], ["machines.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_holdings_machine_id"), "holdings", ["machine_id"], unique=False)
    op.create_index(
        "one_holder_an_entry",
        "holdings",
        ["profile", "mark"],
        unique=True,
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.add_column("machines", sa.Column("exhausted", sa.Text(), nullable=True))
    # Written out: on SQLite Alembic adds a foreign key by making the table anew, which others name.
    op.execute("ALTER TABLE leases ADD COLUMN holding_id INTEGER REFERENCES holdings (id)")
    _carry_over()
    op.drop_column("leases", "entry")
    op.drop_column("leases", "entry_text")


def _carry_over() -> None:
    connection = op.get_bind()
    leases = connection.execute(
        sa.text(
            "SELECT id, machine_id, profile, state, created, ended, entry_text FROM leases"
            " WHERE entry_text IS NOT NULL ORDER BY id"
        )
    ).all()
    copies: dict[tuple[str, str], int] = {}
    for lease in leases:
        entry = json.loads(lease.entry_text)
        entry.pop("used", None)
        whole = json.dumps(entry, sort_keys=True, default=str)
        live = lease.state != "returned"
        copy = copies.get((lease.profile, whole), 0) if live else 0
        if live:
            copies[lease.profile, whole] = copy + 1
        holding = connection.execute(
            sa.text(
                "INSERT INTO holdings (profile, entry, copy, mark, machine_id, origin, lasting,"
                ' since, why, ended, "end") VALUES (:profile, :entry, :copy, :mark, :machine,'
                " 'match', :lasting, :since, 'matched', :ended, :end) RETURNING id"
            ),
            {
                "profile": lease.profile,
                "entry": json.dumps(entry),
                "copy": copy,
                "mark": f"{hashlib.sha256(whole.encode()).hexdigest()[:24]}#{copy}",
                "machine": lease.machine_id,
                "lasting": lease.state in ("spent", "kept"),
                "since": lease.created,
                "ended": None if live else lease.ended or lease.created,
                "end": None if live else "the lease ended",
            },
        )
        connection.execute(
            sa.text("UPDATE leases SET holding_id = :holding WHERE id = :lease"),
            {"holding": holding.scalar_one(), "lease": lease.id},
        )
