"""Whether the system that runs does its job, by what its role declares."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.node import timeouts
from edeploy.run import ProgramFailed, failure, run

FOLDER = Path("usr/lib/edeploy")
DECLARED, SCRIPTS = "health.json", "health.d"
_LOCAL = "127.0.0.1"


class BadHealth(EdeployError):
    """A role's health.json is not readable."""


@dataclass(frozen=True)
class Checks:
    """What must be so: units that run, ports that answer (`80` or `HOST:80`), pages that come,
    scripts that end well, and no unit that failed but those of `may_fail`; `seconds` until then."""

    units: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    may_fail: tuple[str, ...] = ()
    scripts: tuple[Path, ...] = ()
    seconds: float = timeouts.HEALTH


def declared(root: Path = Path("/")) -> Checks:
    """The checks of the role in `root`. Raises BadHealth."""
    folder = root / FOLDER
    scripts = folder / SCRIPTS
    there = sorted(scripts.iterdir()) if scripts.is_dir() else []
    found = tuple(path for path in there if path.is_file() and os.access(path, os.X_OK))
    path = folder / DECLARED
    if not path.is_file():
        return Checks(scripts=found)
    try:
        data = json.loads(path.read_bytes())
        lists = {name: _texts(data, name) for name in ("units", "ports", "http", "may_fail")}
        seconds = float(data.get("seconds", timeouts.HEALTH))
    except (ValueError, TypeError, AttributeError) as error:
        raise BadHealth(
            f"{path}: {error}", "docs/reference/upgrades.md shows what can be declared."
        ) from error
    return Checks(**lists, scripts=found, seconds=seconds)


def problem_of(checks: Checks) -> str:
    """Why the system does not do its job, "" as soon as it does.

    Services may need their time: all is tried again until `checks.seconds` have passed.
    """
    deadline = time.monotonic() + checks.seconds
    while True:
        problem = next(_problems(checks), "")
        if not problem or time.monotonic() > deadline:
            return problem
        time.sleep(timeouts.HEALTH_AGAIN)


def _problems(checks: Checks) -> Iterator[str]:
    for unit in checks.units:
        state = run(["systemctl", "is-active", unit], timeout=timeouts.PROGRAM, check=False)
        if state.out.strip() != "active":
            yield f"{unit} is {state.out.strip() or 'unknown'}"
    yield from _failed_units(checks.may_fail)
    for port in checks.ports:
        yield from _port(port)
    for url in checks.http:
        yield from _page(url)
    for script in checks.scripts:
        yield from _script(script)


def _failed_units(may_fail: tuple[str, ...]) -> Iterator[str]:
    words = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"]
    listed = run(words, timeout=timeouts.PROGRAM, check=False).out
    names = [line.split()[0] for line in listed.splitlines() if line.split()]
    failed = [name for name in names if name not in may_fail]
    if failed:
        yield f"failed: {', '.join(failed)}"


def _port(port: str) -> Iterator[str]:
    host, _, number = port.rpartition(":")
    try:
        with socket.create_connection((host or _LOCAL, int(number)), timeouts.HEALTH_ANSWER):
            pass
    except OSError as error:
        yield f"port {port}: {error}"


def _page(url: str) -> Iterator[str]:
    try:
        with urllib.request.urlopen(url, timeout=timeouts.HEALTH_ANSWER) as answer:  # noqa: S310
            answer.read(1)
    except urllib.error.HTTPError as error:
        yield f"{url}: status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        yield f"{url}: {error}"


def _script(script: Path) -> Iterator[str]:
    try:
        done = run([script], timeout=timeouts.HEALTH_SCRIPT, check=False)
    except (ProgramFailed, EdeployError) as error:
        yield str(error)
        return
    if done.code != 0:
        yield str(failure(done))


def _texts(data: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = data.get(name, [])
    if not isinstance(value, list) or any(not isinstance(item, (str, int)) for item in value):
        raise ValueError(f"`{name}` is no list of texts")
    texts = tuple(str(item) for item in value)
    for text in texts:
        if name == "ports" and not text.rpartition(":")[2].isdigit():
            raise ValueError(f"`ports`: {text!r} is no port")
        if name == "http" and not text.startswith(("http://", "https://")):
            raise ValueError(f"`http`: {text!r} is no address of a page")
    return texts
