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
from edeploy.match.cmdb import entries_of, read_cmdb_literal
from edeploy.match.literals import MAX_CODE_BYTES, Literal, parse_python, read_bytes, read_literal
from edeploy.match.problems import BadFile, Problem
from edeploy.match.profiles import STATE, Row, load_profile, read_rules, read_state
from edeploy.match.specs_module import ENDING, module_specs

ENDINGS = (".specs", ENDING, ".configure", ".cmdb", ".toml")


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
    # A row with a bad quota names its profile all the same.
    named = {field.value for row in state.parts() for field in row.parts()[:1] if field.is_text}
    names = [path.name for path in folder.iterdir()]
    strays: dict[str, Row] = {}
    for ending in ENDINGS:
        for file in sorted(file for file in names if file.endswith(ending)):
            name = file.removesuffix(ending)
            if name and name not in known and name not in strays:
                message = f"{name} is not in `state`: it is never used"
                if name not in named:
                    found.add(Problem(folder / file, 1, 1, message))
                strays[name] = Row(name, None, state)
    return list(strays.values())


class _Files:
    """The files of one profile, each read once."""

    def __init__(self, folder: Path, row: Row) -> None:
        self.folder = folder
        self.row = row
        self.specs, self.module, self.cmdb, self.configure = (
            folder / f"{row.name}{ending}" for ending in (".specs", ENDING, ".cmdb", ".configure")
        )

    @cached_property
    def cmdb_literal(self) -> Literal:
        """The CMDB file as it is written. Raises BadFile."""
        return read_cmdb_literal(self.cmdb)

    @cached_property
    def columns(self) -> list[Column]:
        """The keys of the CMDB file; none when there is none, or it is broken."""
        try:
            if not self.cmdb.exists():
                return []
            return columns(self.cmdb, self.cmdb_literal, entries_of(self.cmdb_literal))
        except BadFile:
            return []

    @cached_property
    def bound(self) -> set[str] | None:
        """The variables that the script has; None when specs or CMDB are broken."""
        try:
            rules = read_rules(self.folder, self.row.name)[0].rules
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
        files.module: _check_module,
        files.cmdb: lambda _path: check_cmdb(files.cmdb_literal, files.columns),
        files.configure: lambda path: check_script(path, files.bound, has_image),
    }
    for path, check in checks.items():
        try:
            if path.exists():
                yield from check(path)
        except BadFile:
            pass  # load_profile has told it


def _check_module(path: Path) -> Iterator[Problem]:
    literal = module_specs(parse_python(read_bytes(path, MAX_CODE_BYTES), path), path)
    return check_specs(literal) if literal else iter(())
