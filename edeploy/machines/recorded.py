"""What machines have, as JSON: a file beside the profiles, or what a server answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.inventory.identity import KINDS, Mark
from edeploy.machines.entries import Claim, label
from edeploy.machines.holdings import Origin
from edeploy.match.generate import MOST_ENTRIES
from edeploy.names import checked

MAX_BYTES = 64 << 20
_HINT = "It is what `edeploy specs replay --write` wrote; an older one is in git."

JsonObject = dict[str, object]


class BadRecord(EdeployError):
    """A record that cannot be read, or has another form."""


@dataclass(frozen=True)
class Held:
    """A CMDB entry in a machine's hands; `origin` says who gave it."""

    profile: str
    claim: Claim
    origin: Origin = Origin.MATCH

    def as_json(self) -> JsonObject:
        """The form in the file."""
        return {
            "profile": self.profile,
            "entry": dict(self.claim.entry),
            "copy": self.claim.copy,
            "origin": self.origin,
        }


@dataclass(frozen=True)
class Recorded:
    """What one machine has. `profile` None: none fitted; `hold`: it is in doubt, and why."""

    name: str
    marks: frozenset[Mark]
    profile: str | None
    vars: JsonObject
    holds: tuple[Held, ...] = ()
    hold: str | None = None

    def as_json(self) -> JsonObject:
        """The form in the file; part of what `edeploy machine show --json` prints."""
        return {
            "name": self.name,
            "marks": [{"kind": kind, "value": value} for kind, value in sorted(self.marks)],
            "lease": {"profile": self.profile, "vars": self.vars} if self.profile else None,
            "holds": [held.as_json() for held in self.holds],
        }


def read_recorded(path: Path) -> list[Recorded]:
    """The machines in a file; none when it is not there. Raises BadRecord."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadRecord(f"{path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise BadRecord(f"{path}: larger than {MAX_BYTES} bytes", _HINT)
    try:
        document: object = json.loads(data)
        rows = document.get("machines") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            raise BadRecord(f'{path}: no {{"machines": […]}}', _HINT)
        return from_json(rows, str(path))
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{path} is not JSON: {error}", _HINT) from error


def write_recorded(path: Path, machines: Iterable[Recorded]) -> None:
    """Write the file; the same machines give the same bytes. Raises BadRecord."""
    rows = [one.as_json() for one in sorted(machines, key=lambda one: one.name)]
    text = json.dumps({"machines": rows}, indent=1, sort_keys=True, ensure_ascii=False)
    try:
        atomic.write(path, text.encode(errors="replace") + b"\n")
    except OSError as error:
        raise BadRecord(f"{path}: {error.strerror}: not written") from error


def from_json(rows: Iterable[object], where: str) -> list[Recorded]:
    """The machines in a list of JSON objects; each name once. Raises BadRecord."""
    found: dict[str, Recorded] = {}
    holders: dict[tuple[str, str], str] = {}
    for number, row in enumerate(rows, 1):
        place = f"{where}, machine {number}"
        machine = _machine(_object(row, place), place)
        if machine.name in found:
            raise BadRecord(f"{place}: {machine.name} is there twice", _HINT)
        for held in machine.holds:
            mark = held.profile, held.claim.mark
            if mark in holders:
                what = f"{held.profile}'s entry {label(held.claim.entry)}"
                told = f"{place}: {machine.name} has {what}, and so has {holders[mark]}"
                raise BadRecord(told, _HINT)
            holders[mark] = machine.name
        found[machine.name] = machine
    return list(found.values())


def _machine(row: Mapping[str, object], place: str) -> Recorded:
    lease = _object(row.get("lease") or {}, f"{place}, lease")
    return Recorded(
        name=_name(row.get("name"), place, "machine"),
        marks=frozenset(_mark(one, place) for one in _list(row, "marks", place)),
        profile=_name(lease.get("profile"), f"{place}, lease", "profile") if lease else None,
        vars=_object(lease.get("vars") or {}, f"{place}, lease, vars"),
        holds=tuple(_held(one, place) for one in _list(row, "holds", place)),
        hold=str(row["hold"]) if row.get("hold") else None,
    )


def _mark(row: object, place: str) -> Mark:
    found = _object(row, f"{place}, marks")
    kind, value = found.get("kind"), found.get("value")
    if kind not in KINDS or not isinstance(kind, str):
        raise BadRecord(f"{place}: a mark is one of {', '.join(KINDS)}, not {kind!r}", _HINT)
    if not isinstance(value, str) or not value.isprintable():
        raise BadRecord(f"{place}: the mark {kind} has no text", _HINT)
    return Mark(kind, value)


def _held(row: object, place: str) -> Held:
    found = _object(row, f"{place}, holds")
    name = _name(found.get("profile"), f"{place}, holds", "profile")
    origin, copy = found.get("origin", Origin.MATCH), found.get("copy", 0)
    if type(copy) is not int or not 0 <= copy < MOST_ENTRIES:
        raise BadRecord(f"{place}: an entry's copy is a number", _HINT)
    if origin not in list(Origin):
        raise BadRecord(f"{place}: an entry's origin is one of {', '.join(Origin)}", _HINT)
    claim = Claim(_object(found.get("entry"), f"{place}, entry"), copy)
    return Held(name, claim, Origin(str(origin)))


def _object(value: object, place: str) -> JsonObject:
    if not isinstance(value, dict):
        raise BadRecord(f"{place}: no object", _HINT)
    return value


def _list(row: Mapping[str, object], key: str, place: str) -> list[object]:
    found = row.get(key, [])
    if not isinstance(found, list):
        raise BadRecord(f"{place}: {key} is no list", _HINT)
    return found


def _name(value: object, place: str, what: str) -> str:
    if not isinstance(value, str):
        raise BadRecord(f"{place}: no {what}", _HINT)
    try:
        return checked(value, what)
    except EdeployError as error:
        raise BadRecord(f"{place}: {error.message}", _HINT) from error
