"""The records' file as an older edeploy left it."""

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from edeploy.machines.database import MIGRATIONS


def records_at(path: Path, revision: str) -> sqlite3.Connection:
    """A file with the tables of `revision`, empty; the connection commits when it is left."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    return sqlite3.connect(path)


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """A row; what is not given and has no default is 0 or ''."""
    for _, name, kind, needed, default, key in connection.execute(f"PRAGMA table_info({table})"):
        if needed and default is None and not key:
            values.setdefault(name, "" if kind == "TEXT" else 0)
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" * len(values))
    words = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - the test's own names
    connection.execute(words, tuple(values.values()))
