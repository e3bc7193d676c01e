"""The records' file: migrations, modes, transactions."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select

from edeploy.machines.database import Database, DatabaseError
from edeploy.machines.records import note
from edeploy.machines.refusal import Refusal
from edeploy.machines.schema import Base, Event


def kinds(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(Event.kind)))


def test_migrations_make_what_the_classes_say(tmp_path: Path) -> None:
    Database(tmp_path / "db").close()
    with create_engine(f"sqlite:///{tmp_path / 'db'}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_wal_and_private(tmp_path: Path) -> None:
    Database(tmp_path / "db").close()
    assert (tmp_path / "db").stat().st_mode & 0o777 == 0o600
    mode = sqlite3.connect(tmp_path / "db").execute("PRAGMA journal_mode").fetchone()
    assert mode == ("wal",)


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    Database(tmp_path / "db").close()
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer"):
        Database(tmp_path / "db")


def test_no_database(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database at all, " * 100)
    with pytest.raises(DatabaseError):
        Database(tmp_path / "db")
    with pytest.raises(DatabaseError):
        Database(tmp_path / "none" / "db")


def test_a_refusal_keeps_its_event_and_an_error_keeps_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    with pytest.raises(Refusal), database.write() as session:
        note(session, "refused", "", now=1.0)
        raise Refusal("no")
    with pytest.raises(ZeroDivisionError), database.write(durable=False) as session:
        note(session, "broken", "", now=1.0)
        session.flush()
        raise ZeroDivisionError
    assert kinds(database) == ["refused"]
