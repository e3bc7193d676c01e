"""Locks of roles (`role.lock`): exactly which packages and accounts an image of them has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.ids import Account, Kind
from edeploy.images.manifest import quote, unquote
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import BadPlan, Package, Plan, plan_of_lines
from edeploy.images.recipe import Recipe
from edeploy.images.recipe_file import Family

HEADER = "#edeploy-lock 1"
AGAIN = "Lock it again: edeploy image lock {role}"

_NOTHING = "-"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+:-]*\Z")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?\Z")
_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_HEAD = ("role", "family", "suite", "architecture")


class BadLock(EdeployError):
    """A file that is no lock, with the line; or a lock of something else."""


@dataclass(frozen=True)
class LockedRole:
    """What a role of the line asked for (`requests`), and what that took beside its parents'."""

    role: str
    requests: tuple[str, ...]
    plan: Plan


@dataclass(frozen=True)
class Lock:
    """All that mirrors, the day and the store decide otherwise about an image of `role`.

    `sources` are the distribution's, `parts` the roles of its line that have packages, the lowest
    first. `place` is the file that it was read from.
    """

    role: str
    family: Family
    suite: str
    architecture: str
    sources: tuple[Source, ...]
    accounts: tuple[Account, ...]
    parts: tuple[LockedRole, ...]
    place: str = field(default="", compare=False)

    def part(self, role: str) -> LockedRole:
        """What the lock says of a role of the line. Raises BadLock."""
        for part in self.parts:
            if part.role == role:
                return part
        raise BadLock(f"{self.place}: has no packages of {role}", AGAIN.format(role=self.role))

    @property
    def packages(self) -> list[Package]:
        """Every package file that the image is built of."""
        return [package for part in self.parts for package in part.plan.packages]

    @property
    def installed(self) -> dict[tuple[str, str], Package]:
        """What is installed in the end, by name and architecture."""
        found: dict[tuple[str, str], Package] = {}
        for part in self.parts:
            gone = {name.partition(":")[0] for name in part.plan.removed}
            found = {key: package for key, package in found.items() if key[0] not in gone}
            found |= {(each.name, each.architecture): each for each in part.plan.packages}
        return found

    def text(self) -> str:
        """The file: made to be read as a difference between two commits."""
        lines = [HEADER, f"role {self.role}", f"family {self.family}", f"suite {self.suite}"]
        lines.append(f"architecture {self.architecture}")
        lines += [
            f"source {source.suite} {_quoted(source.url)} {','.join(source.components)}"
            f" {_quoted(source.keyring)}"
            for source in self.sources
        ]
        lines += [f"{each.kind} {each.number} {each.name}" for each in self.accounts]
        for part in self.parts:
            lines.append(f"part {part.role}")
            lines += [f"request {name}" for name in part.requests]
            lines += part.plan.text().splitlines()
        return "".join(f"{line}\n" for line in lines)


def read_lock(path: Path) -> Lock:
    """The lock in a file. Raises BadLock."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        hint = AGAIN.format(role=path.parent.name).replace("it again", "the role")
        raise BadLock(f"{path}: there is no such lock", hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadLock(f"{path}: not readable as a lock: {error}") from error
    return parse_lock(text, str(path))


def parse_lock(text: str, place: str) -> Lock:
    """The lock that `Lock.text` wrote; `place` is its file. Raises BadLock."""
    if not text.isascii():
        raise BadLock(f"{place}: has characters that no lock has")
    lines = list(enumerate(text.split("\n"), start=1))
    if not lines or lines[0][1] != HEADER:
        raise BadLock(f"{place}:1: no lock: its first line is not {HEADER!r}")
    if lines[-1][1]:
        raise _bad(place, lines[-1][0], "the file ends in the middle of a line")
    head: dict[str, str] = {}
    sources: list[Source] = []
    accounts: list[Account] = []
    parts: list[tuple[str, list[str], list[tuple[int, str]]]] = []
    for number, line in lines[1:-1]:
        word, *rest = line.split(" ")
        if parts and word == "request" and len(rest) == 1 and _WORD.match(rest[0]):
            parts[-1][1].append(rest[0])
        elif parts and word != "part":
            parts[-1][2].append((number, line))
        elif word == "part" and len(rest) == 1 and _WORD.match(rest[0]):
            parts.append((rest[0], [], []))
        elif word in _HEAD and word not in head and len(rest) == 1 and _WORD.match(rest[0]):
            head[word] = rest[0]
        elif word == "source" and len(rest) == 4:
            sources.append(_source(rest))
        elif word in tuple(Kind) and len(rest) == 2 and _is_account(rest):
            accounts.append(Account(Kind(word), rest[1], int(rest[0])))
        else:
            raise _bad(place, number, f"not a line of a lock: {line[:60]!r}")
    missing = [word for word in _HEAD if word not in head]
    if missing or head["family"] not in tuple(Family):
        raise BadLock(f"{place}: does not say its {missing[0] if missing else 'family'}")
    return Lock(
        head["role"], Family(head["family"]), head["suite"], head["architecture"],
        tuple(sources), tuple(accounts), tuple(_part(place, *part) for part in parts), place,
    )  # fmt: skip


def check_fits(lock: Lock, recipe: Recipe, wanted: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Whether it is a lock of this recipe as it is now, for a machine like this one.

    `wanted` are the roles of its line that have packages, with what each asks for. Raises BadLock.
    """
    again = AGAIN.format(role=recipe.name)
    if lock.role != recipe.name:
        raise BadLock(f"{lock.place}: is the lock of role {lock.role}, not of {recipe.name}", again)
    if lock.family != recipe.family:
        raise BadLock(f"{lock.place}: is for the family {lock.family}", again)
    if recipe.suite and recipe.suite != lock.suite:
        raise BadLock(
            f"{lock.place}: is for {lock.suite}, and the role for {recipe.suite}"
            f" ({recipe.origins.get('suite', recipe.name)})",
            again,
        )
    locked = {part.role: set(part.requests) for part in lock.parts}
    for role, requests in wanted:
        for name in sorted(set(requests) - locked.get(role, set())):
            place = recipe.origins.get(f"packages.{name}") or recipe.origins.get("kernel", role)
            raise BadLock(f"{place}: {name} is not in the lock {lock.place}", again)
    asked = {role: set(requests) for role, requests in wanted}
    for role, names in locked.items():
        odd = sorted(names - asked.get(role, set()))
        if odd or role not in asked:
            what = f"{odd[0]}, which {role} does not ask for" if odd else f"a role {role} below"
            raise BadLock(f"{lock.place}: has {what} any more", again)


def changes(old: Lock | None, new: Lock) -> Iterator[str]:
    """What is another way in a new lock, a line for each package."""
    before, after = old.installed if old else {}, new.installed
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if one is None and other is not None:
            yield f"{other} is new ({other.pocket})"
        elif one is not None and other is None:
            yield f"{one} is gone"
        elif one is not None and other is not None and one.sha256 != other.sha256:
            yield f"{one} → {other.version} ({other.pocket})"


def _part(
    place: str, role: str, requests: Sequence[str], lines: Sequence[tuple[int, str]]
) -> LockedRole:
    try:
        return LockedRole(role, tuple(requests), plan_of_lines(lines))
    except BadPlan as error:
        raise BadLock(f"{place}:{error.message}") from error


def _source(words: Sequence[str]) -> Source:
    suite, url, components, keyring = words
    return Source(_unquoted(url), suite, tuple(components.split(",")), _unquoted(keyring))


def _is_account(words: Sequence[str]) -> bool:
    return bool(_NUMBER.match(words[0]) and _ACCOUNT.match(words[1]))


def _quoted(text: str) -> str:
    return quote(text.encode()) if text else _NOTHING


def _unquoted(text: str) -> str:
    return unquote(text).decode("utf-8", "replace") if text != _NOTHING else ""


def _bad(place: str, number: int, what: str) -> BadLock:
    return BadLock(f"{place}:{number}: {what}", "Take the file from git, or lock the role again.")
