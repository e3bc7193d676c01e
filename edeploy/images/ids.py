"""The store's table of accounts: a name has the same numeric id in every version of every role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import locks

FIRST, LAST = 100, 999
"""System accounts that packages make as they come (login.defs, adduser.conf)."""

# Above: ids that Debian has given away for ever, and nobody's.
_GIVEN = range(60_000, 1 << 32)
_LINE = re.compile(r"(?P<kind>user|group)\t(?P<id>\d+)\t(?P<name>[^\t]+)\t(?P<role>[^\t]+)\Z")


class Kind(StrEnum):
    USER = "user"
    GROUP = "group"


class IdConflict(EdeployError):
    """Two names want one id, or one name two."""


@dataclass(frozen=True)
class Account:
    """A user or group of a tree. `place` is where a recipe says its id; "" when nobody said it."""

    kind: Kind
    name: str
    number: int
    place: str = ""

    @property
    def is_fixed(self) -> bool:
        """Whether its number is not for us to choose."""
        return bool(self.place) or self.is_given

    @property
    def is_given(self) -> bool:
        """Whether its number is the same everywhere, as Debian has given it away."""
        return self.number < FIRST or self.number in _GIVEN


@dataclass(frozen=True)
class _Known:
    number: int
    name: str
    role: str


class Ids:
    """The table in the file `path`: a line for each account with the role that first had it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def settle(self, accounts: Iterable[Account], role: str) -> dict[Account, int]:
        """The number that each account of a tree of `role` is to have; new names are recorded.

        `accounts` are all that the tree has. A number that nobody has yet is kept; else a name
        takes the next free one. Raises IdConflict.
        """
        accounts = list(accounts)
        with self._opened() as table:
            before = dict(table)
            found = {each: _number(table, each, accounts, role, self.path) for each in accounts}
            if table != before:
                atomic.write(self.path, _text(table))
        return found

    def expect(self, accounts: Iterable[Account], role: str) -> None:
        """Keep the numbers that a lock of `role` says for its names. Raises IdConflict."""
        with self._opened() as table:
            before = dict(table)
            for account in accounts:
                known = table.get((account.kind, account.name))
                known = known or _holder(table, account.kind, account.number)
                if known and (known.name, known.number) != (account.name, account.number):
                    raise _conflict(account, role, known, self.path)
                new = _Known(account.number, account.name, role)
                table.setdefault((account.kind, account.name), new)
            if table != before:
                atomic.write(self.path, _text(table))

    @contextmanager
    def _opened(self) -> Iterator[dict[tuple[Kind, str], _Known]]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(f".{self.path.name}.lock")
        with locks.alone(lock, "gives out ids", on_wait=lambda _: None):
            yield self._read()

    def _read(self) -> dict[tuple[Kind, str], _Known]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        table = {}
        for number, line in enumerate(lines, start=1):
            found = _LINE.match(line)
            if not found:
                raise EdeployError(
                    f"{self.path}:{number}: not `kind id name role` with tabs between",
                    "Take the line as it was from a backup of the store.",
                )
            known = _Known(int(found["id"]), found["name"], found["role"])
            table[Kind(found["kind"]), known.name] = known
        return table


def _number(
    table: dict[tuple[Kind, str], _Known],
    account: Account,
    all_of_tree: list[Account],
    role: str,
    path: Path,
) -> int:
    kind, name = account.kind, account.name
    known = table.get((kind, name))
    if known is None:
        holder = _holder(table, kind, account.number)
        if holder and account.is_fixed:
            raise _conflict(account, role, holder, path)
        number = account.number
        if holder:
            fixed = {each.number for each in all_of_tree if each.kind is kind and each.is_fixed}
            number = _free(table, kind, fixed)
        table[kind, name] = _Known(number, name, role)
        return number
    if known.number != account.number and account.is_fixed:
        raise _conflict(account, role, known, path)
    return known.number


def _conflict(account: Account, role: str, known: _Known, path: Path) -> IdConflict:
    who = "it" if known.name == account.name else known.name
    return IdConflict(
        f"{account.place or f'role {role}'}: {account.kind} {account.name} is to be"
        f" {account.number}, but {who} is {known.number} since role {known.role} ({path})",
        "Files of machines keep their owners only if ids stay: give the name another id, or the"
        " one that it has.",
    )


def _holder(table: Mapping[tuple[Kind, str], _Known], kind: Kind, number: int) -> _Known | None:
    same = (known for (its, _), known in table.items() if its is kind and known.number == number)
    return next(same, None)


def _free(table: Mapping[tuple[Kind, str], _Known], kind: Kind, also: set[int]) -> int:
    used = {known.number for (its, _), known in table.items() if its is kind} | also
    for number in range(FIRST, LAST + 1):
        if number not in used:
            return number
    raise EdeployError(
        f"no {kind} id between {FIRST} and {LAST} is free",
        "Names that no role has any more can be taken out of the store's file `ids`.",
    )


def _text(table: Mapping[tuple[Kind, str], _Known]) -> str:
    rows = sorted((kind, known.number, known.name, known.role)
                  for (kind, _), known in table.items())  # fmt: skip
    return "".join(f"{kind}\t{number}\t{name}\t{role}\n" for kind, number, name, role in rows)
