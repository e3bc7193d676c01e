"""The boot service from its start to its end; `serve` reads as the recipe."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from edeploy import timeouts
from edeploy.boot.ipxe import BootSettings
from edeploy.errors import EdeployError
from edeploy.machines.database import Database
from edeploy.machines.policy import HealthPolicy, Peer, Policy
from edeploy.machines.records import note
from edeploy.server.checks import Site, checked_site
from edeploy.server.children import Supervisor, end_stale
from edeploy.server.deadlines import end_what_is_due
from edeploy.server.judging import Judging
from edeploy.server.keeper import Keeper
from edeploy.server.machines_api import machines_app
from edeploy.server.network import place
from edeploy.server.operators_api import operators_app
from edeploy.server.programs import children_of, tests_network, write_files
from edeploy.server.service import Service
from edeploy.server.settings import Settings, load_settings

log = logging.getLogger("edeploy.serve")

BACKLOG = 2048
"""Connections that wait: a rack that is powered on asks all at once."""


def serve(file: Path) -> None:
    """Run the service of this settings file until SIGTERM or Ctrl-C.

    Raises EdeployError before anything has started when it can not run.
    """
    set_up_logging()
    settings = load_settings(file)
    with _alone(settings.server.state_dir):
        _end_what_was_left(settings)
        site = checked_site(settings, ports=True)
        write_files(settings, site.place)
        with _service(site) as service:
            asyncio.run(_run(site, service))
    log.info("ended")


def check(file: Path) -> Site:
    """All checks of `serve`, nothing else; NotReady lists what is wrong."""
    settings = load_settings(file)
    return checked_site(settings, ports=not _runs(settings.server.state_dir))


def set_up_logging() -> None:
    """Lines `time level text` on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


async def _run(site: Site, service: Service) -> None:
    loop = asyncio.get_running_loop()
    deadlines = Keeper(
        "deadlines", lambda: end_what_is_due(service.database), again=timeouts.DEADLINE_CHECK
    )
    judge = Judging(service.database, service.policy, min_group=site.settings.health.min_group)
    judging = Keeper("judging", lambda: _judge(judge, service), again=timeouts.JUDGE_AGAIN)
    service.wake, service.judge = deadlines.wake, judging.wake
    supervisor = Supervisor(
        children_of(site.settings, site.place), lambda name, how: _child_died(service, name, how)
    )
    machines = _server(machines_app(service))
    operators = _server(operators_app(service))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _ask_to_end, (machines, operators), number)
    tcp = _listen(site.place.address, site.settings.server.port)
    with _unix(site.settings.server.socket) as unix:
        keepers = {
            asyncio.create_task(deadlines.run(), name="deadlines"),
            asyncio.create_task(judging.run(), name="judging"),
        }
        serving = asyncio.create_task(_both(machines.serve([tcp]), operators.serve([unix])))
        supervisor.start()
        log.info("ready: %s, operators: %s", service.boot.base, site.settings.server.socket)
        try:
            await asyncio.wait({serving, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await supervisor.stop()
            _ask_to_end((machines, operators))
            await serving
            for keeper in keepers:
                keeper.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeper


def _judge(judging: Judging, service: Service) -> float:
    judging.judge(now=service.now())
    service.wake()
    return timeouts.JUDGE_AGAIN


async def _both(first: Awaitable[None], second: Awaitable[None]) -> None:
    await asyncio.gather(first, second)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: two of them share one process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=int(timeouts.HTTP_DRAIN),
        )
    )


def _ask_to_end(servers: tuple[_Server, ...], number: int | None = None) -> None:
    if number is not None:
        log.info("%s: ending", signal.Signals(number).name)
    for server in servers:
        server.should_exit = True


def _child_died(service: Service, name: str, how: str) -> None:
    with service.database.write() as session:
        note(session, "child-died", f"{name}: {how}; it is started again", now=service.now())


@contextlib.contextmanager
def _service(site: Site) -> Iterator[Service]:
    settings = site.settings
    state = settings.server.state_dir
    logs = state / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    database = Database(state / "edeploy.db")
    service = Service(
        database=database,
        store=site.store,
        shelf=site.shelf,
        policy=Policy(
            reserve_minutes=settings.install.reserve_minutes,
            deadline_minutes=settings.install.deadline_minutes,
            first_boot_minutes=settings.install.first_boot_minutes,
            upgrade_minutes=settings.install.upgrade_minutes,
            health=_health_policy(site),
        ),
        boot=BootSettings(
            address=site.place.address,
            port=settings.server.port,
            kernel=settings.boot.kernel,
            console=settings.boot.console,
            kernel_arguments=settings.boot.kernel_arguments,
        ),
        rsync_port=settings.rsync.port if settings.rsync.enabled else None,
        allow_unsigned=settings.images.allow_unsigned,
        logs=logs,
        bmcs=site.bmcs,
    )
    try:
        with database.write() as session:
            note(session, "server-started", service.boot.base, now=service.now())
        yield service
    finally:
        database.close()


def _health_policy(site: Site) -> HealthPolicy:
    health = site.settings.health
    minutes = {
        "lab": health.quick_minutes,
        "quick": health.quick_minutes,
        "full": health.full_minutes,
        "burn": health.burn_minutes,
    }
    there = tests_network(site.settings)
    peer = Peer(site.place.address, health.network_port) if there else None
    return HealthPolicy(minutes, peer, health.at_once)


@contextlib.contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Hold the state folder; EdeployError when another server has it."""
    try:
        state_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        handle = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EdeployError(f"[server] state_dir: {state_dir}: {error.strerror}") from error
    try:
        if not _locked(handle):
            raise EdeployError(
                f"another edeploy serve works in {state_dir}", "End it, or set another state_dir."
            )
        yield
    finally:
        os.close(handle)


def _runs(state_dir: Path) -> bool:
    try:
        handle = os.open(state_dir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_what_was_left(settings: Settings) -> None:
    try:
        there = place(settings)
    except EdeployError:
        return  # the checks, which follow, say why nothing can run
    for child in children_of(settings, there):
        end_stale(child)


def _listen(address: str, port: int) -> socket.socket:
    # asyncio switches Nagle's delay off (40 ms an answer) only where the protocol is written out.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((address, port))
    found.listen(BACKLOG)
    return found


@contextlib.contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    """The operators' socket, for its owner alone; one that a killed server left is replaced."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise EdeployError(f"[server] socket: {path} is there and no socket", "Remove it.")
        path.unlink()
    with socket.socket(socket.AF_UNIX) as found:
        before = os.umask(0o177)
        try:
            found.bind(str(path))
            found.listen(BACKLOG)
        except OSError as error:
            raise EdeployError(f"[server] socket: {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)
        try:
            yield found
        finally:
            path.unlink(missing_ok=True)
