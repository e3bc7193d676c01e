"""The records on PostgreSQL: all migrations, and what is unique in part as on SQLite."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from edeploy.machines.database import MIGRATIONS
from edeploy.machines.schema import Base, Holding, Lease, Machine

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
# Debian's: the driver is nothing that edeploy itself needs yet.
DRIVER = Path("/usr/lib/python3/dist-packages/psycopg2/__init__.py")
pytestmark = [
    pytest.mark.skipif(not PROGRAMS, reason="needs the package postgresql"),
    pytest.mark.skipif(not DRIVER.exists(), reason="needs the package python3-psycopg2"),
    pytest.mark.skipif(os.geteuid() != 0, reason="becomes the user postgres"),
]


def driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("psycopg2", DRIVER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["psycopg2"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A server of its own, by its socket in this folder."""
    folder = Path(tempfile.mkdtemp(prefix="edeploy-pg-"))
    shutil.chown(folder, "postgres", "postgres")

    def run(program: str, *words: str) -> None:
        argv: list[str | Path] = [
            "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            PROGRAMS[-1] / program, "-D", folder / "data", *words,
        ]  # fmt: skip
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    try:
        run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield folder
        run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    """With the tables that the migrations make."""
    url = f"postgresql+psycopg2://postgres@/postgres?host={folder}"
    engine = create_engine(url, module=driver())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    yield engine
    engine.dispose()


def test_migrations_make_what_the_classes_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def lease(machine: Machine, state: str) -> Lease:
    return Lease(machine_id=machine.id, profile="p", state=state, created=0.0, vars={},
                 configure="", settings={})  # fmt: skip


def holding(ended: float | None) -> Holding:
    return Holding(profile="p", entry={}, copy=0, mark="e", origin="match", lasting=True,
                   since=0.0, why="", ended=ended)  # fmt: skip


def test_what_is_unique_in_part(engine: Engine) -> None:
    with Session(engine, expire_on_commit=False) as session:
        machine = Machine(name="m", state="active", since=0.0, created=0.0, last_seen=0.0)
        session.add(machine)
        session.commit()
        session.add_all(lease(machine, state) for state in ("returned", "returned", "spent"))
        session.add_all(holding(ended) for ended in (1.0, 2.0, None))
        session.commit()
        for second, name in (
            (lease(machine, "held"), "one_live_lease_a_machine"),
            (holding(None), "one_holder_an_entry"),
        ):
            session.add(second)
            with pytest.raises(IntegrityError, match=name):
                session.commit()
            session.rollback()
