"""The database file: how it is opened, brought to this version, and written to."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from edeploy import timeouts
from edeploy.errors import EdeployError
from edeploy.machines.refusal import Refusal

MIGRATIONS = Path(__file__).with_name("migrations")


class DatabaseError(EdeployError):
    """The records can not be opened, or come from a newer version."""


class Database:
    """The records of one server. Threads may share it.

    Raises DatabaseError when `path` can not be opened or is from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            f"sqlite:///{path}", pool_size=8, max_overflow=56, pool_timeout=timeouts.DATABASE_BUSY
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._readers = _sessions(self._engine, "DEFERRED")
        self._durable = _sessions(self._engine, "FULL")
        self._passing = _sessions(self._engine, "NORMAL")
        self._one_writer = threading.Lock()
        try:
            path.touch(mode=0o600, exist_ok=True)
            self._migrate()
        except (OSError, DBAPIError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error.strerror
            raise DatabaseError(
                f"{path}: {reason}", "Set [server] state_dir to a folder of this server alone."
            ) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one moment and writes nothing."""
        with self._readers() as session:
            yield session

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Session]:
        """A transaction alone with the database from its first line; committed at the end.

        A Refusal commits as well (it comes with its event), any other error undoes all.
        What a machine is told after a durable one survives a power cut: a token that was
        redeemed must not come back. Progress needs no fsync: `durable=False`.
        """
        sessions = self._durable if durable else self._passing
        refusal: Refusal | None = None
        with self._one_writer, sessions() as session, session.begin():
            try:
                yield session
            except Refusal as error:
                refusal = error
        if refusal is not None:
            raise refusal

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        with self._engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            if found is not None and found not in known:
                raise DatabaseError(
                    f"{self.path} was written by a newer edeploy (its revision is {found})",
                    "Run that version, or restore the records from before the upgrade.",
                )
        with self._engine.execution_options(begin="FULL").begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _sessions(engine: Engine, begin: str) -> sessionmaker[Session]:
    return sessionmaker(engine.execution_options(begin=begin), expire_on_commit=False)


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # Transactions begin where `_begin` says, not where the driver thinks they should.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA busy_timeout={int(timeouts.DATABASE_BUSY * 1000)}")


def _begin(connection: Connection) -> None:
    kind = connection.get_execution_options().get("begin", "DEFERRED")
    if kind == "DEFERRED":
        connection.exec_driver_sql("BEGIN DEFERRED")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={kind}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
