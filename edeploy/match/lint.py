"""What is wrong, or surely not meant, in a folder of profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.match.checks.cmdb import check_cmdb
from edeploy.match.checks.columns import Column, columns
from edeploy.match.checks.duplicates import check_duplicates
from edeploy.match.checks.scripts import HasImage, check_script
from edeploy.match.checks.specs import check_specs
from edeploy.match.cmdb import read_cmdb
from edeploy.match.language import read_specs
from edeploy.match.literals import read_literal
from edeploy.match.problems import BadFile, Problem
from edeploy.match.profiles import STATE, Row, load_profile, read_state

ENDINGS = (".specs", ".configure", ".cmdb", ".toml")


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
    used = [_Files(folder, row) for row in rows]
    strays = [_Files(folder, row) for row in _strays(folder, rows, found)]
    for files in [*used, *strays]:
        found |= set(_profile(files, has_image))
    # A profile that is never used gives nothing twice.
    found |= set(check_duplicates([files.columns for files in used]))
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


class _Files:
    """The files of one profile, each read once."""

    def __init__(self, folder: Path, row: Row) -> None:
        self.folder = folder
        self.row = row
        self.specs, self.cmdb, self.configure = (
            folder / f"{row.name}.{ending}" for ending in ("specs", "cmdb", "configure")
        )

    @cached_property
    def columns(self) -> list[Column]:
        """The keys of the CMDB file; none when there is none, or it is broken."""
        try:
            if not self.cmdb.exists():
                return []
            return columns(self.cmdb, read_literal(self.cmdb), read_cmdb(self.cmdb))
        except BadFile:
            return []

    @cached_property
    def bound(self) -> set[str] | None:
        """The variables that the script has; None when specs or CMDB are broken."""
        try:
            rules = read_specs(self.specs).rules
        except BadFile:
            return None
        if self.cmdb.exists() and not self.columns:
            return None
        names = {name for rule in rules for _, name in rule.variables}
        keys = {column.key for column in self.columns}
        return names | keys | {key.partition(".")[0] for key in keys}


def _profile(files: _Files, has_image: HasImage | None) -> Iterator[Problem]:
    try:
        load_profile(files.folder, files.row)
    except BadFile as error:
        yield from error.problems
    checks: dict[Path, Callable[[Path], Iterator[Problem]]] = {
        files.specs: lambda path: check_specs(read_literal(path)),
        files.cmdb: lambda path: check_cmdb(read_literal(path), files.columns),
        files.configure: lambda path: check_script(path, files.bound, has_image),
    }
    for path, check in checks.items():
        try:
            if path.exists():
                yield from check(path)
        except BadFile:
            pass  # load_profile has told it
