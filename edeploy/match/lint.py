"""What is wrong, or surely not meant, in a folder of profiles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.match.functions import NAMES
from edeploy.match.generate import BadModel, lengths
from edeploy.match.language import FIELDS
from edeploy.match.literals import Literal, read_literal
from edeploy.match.problems import BadFile, Problem
from edeploy.match.profiles import STATE, Row, load_profile, read_state
from edeploy.match.scripts import read_script

HasImage = Callable[[str, str], bool]

ENDINGS = (".specs", ".configure", ".cmdb", ".toml")

_LIKE_A_CALL = re.compile(r"(\$[^=]*=)?([A-Za-z_]\w*)\((.+)\)\Z", re.DOTALL)
_DOTTED = re.compile(r"[0-9:-]+(?:\.[0-9:-]+){3}\Z")


class Unusable(EdeployError):
    """A folder without profiles: it is not there, or its `state` cannot be read."""


def lint(folder: Path, has_image: HasImage | None) -> list[Problem]:
    """All findings, in the order of files and lines; `has_image` None leaves images unchecked.

    Raises Unusable when there is nothing to check.
    """
    if not folder.is_dir():
        raise Unusable(f"{folder} is no folder")
    try:
        rows, problems = read_state(folder)
    except BadFile as error:
        raise Unusable(error.message, "Without `state` no profile is ever used.") from error
    found = set(problems)
    for row in [*rows, *_strays(folder, rows, found)]:
        found |= set(_profile(folder, row, has_image))
    return sorted(found)


def _strays(folder: Path, rows: list[Row], found: set[Problem]) -> list[Row]:
    """Profiles that have files and are not in `state`; they are checked like the others."""
    known = {row.name for row in rows}
    state = read_literal(folder / STATE)
    files = [path for path in folder.iterdir() if path.suffix in ENDINGS and path.stem]
    files.sort(key=lambda path: ENDINGS.index(path.suffix))
    strays: dict[str, Row] = {}
    for path in files:
        if path.stem not in known and path.stem not in strays:
            found.add(Problem(path, 1, 1, f"{path.stem} is not in `state`: it is never used"))
            strays[path.stem] = Row(path.stem, None, state)
    return list(strays.values())


def _profile(folder: Path, row: Row, has_image: HasImage | None) -> Iterator[Problem]:
    try:
        load_profile(folder, row)
    except BadFile as error:
        yield from error.problems
    checks: list[tuple[str, Callable[[Path], Iterator[Problem]]]] = [
        ("specs", _unknown_functions),
        ("cmdb", _cmdb),
    ]
    if has_image is not None:
        checks.append(("configure", lambda path: _missing_images(path, has_image)))
    for ending, check in checks:
        path = folder / f"{row.name}.{ending}"
        try:
            if path.exists():
                yield from check(path)
        except BadFile:
            pass  # load_profile has told it


def _unknown_functions(path: Path) -> Iterator[Problem]:
    """Fields that look like calls of no known function: they only match that very text."""
    for row in read_literal(path).parts():
        fields = row.parts()
        for part in fields if len(fields) == len(FIELDS) else ():
            call = _LIKE_A_CALL.match(str(part.value))
            if call and call[2] not in NAMES and _meant_as_call(call[2], bool(call[1])):
                near = get_close_matches(call[2].lower(), sorted(NAMES), 1)
                hint = f", perhaps {near[0]}" if near else ""
                yield part.problem(f"{call[2]}() is no function{hint}; it is taken as text")


def _meant_as_call(name: str, bound: bool) -> bool:
    # `Intel(R)` is a name of hardware, `between(1, 2)` and `GT(4)` are not.
    return bound or name.islower() or name.lower() in NAMES


def _missing_images(path: Path, has_image: HasImage) -> Iterator[Problem]:
    for use in read_script(path).uses:
        if not has_image(use.role, use.version):
            yield use.place.problem(f"the store has no image {use.role} {use.version}")


def _cmdb(path: Path) -> Iterator[Problem]:
    literal = read_literal(path)
    model = literal.argument("generate")
    for entry in [model] if model is not None else literal.parts():
        yield from _octets(entry)
    if model is not None:
        yield from _uneven(model)


def _octets(literal: Literal) -> Iterator[Problem]:
    """Numbers over 255 in what has the form of an IPv4 address or a range of them."""
    for _, value in literal.entries():
        yield from _octets(value)
    for part in literal.parts():
        yield from _octets(part)
    if literal.entries() or literal.is_sequence:
        return
    text = literal.value
    if isinstance(text, str) and _DOTTED.match(text):
        for number in re.findall("[0-9]+", text):
            if len(number) > 3 or int(number) > 255:
                yield literal.problem(f"{text}: the octet {number} is over 255")


def _uneven(model: Literal) -> Iterator[Problem]:
    try:
        found = lengths(model.value)
    except BadModel:
        return
    if len(set(found.values())) > 1:
        told = ", ".join(f"{key} {count}" for key, count in sorted(found.items()))
        shortest = min(found.values())
        yield model.problem(f"ranges of different lengths ({told}): only {shortest} entries")
