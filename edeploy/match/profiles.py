"""Profiles: what to do with machines of one kind, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edeploy.inventory.items import Report
from edeploy.match.acceptance import Refused, fit
from edeploy.match.cmdb import Entry, read_cmdb
from edeploy.match.language import Specs, read_specs
from edeploy.match.literals import Literal, read_literal
from edeploy.match.problems import BadFile
from edeploy.match.problems import Problem as Problem
from edeploy.match.profile_settings import ProfileSettings as ProfileSettings
from edeploy.match.profile_settings import over, read_settings, wrong_setting
from edeploy.match.scripts import ImageUse, read_script
from edeploy.match.solver import Match, Mismatch
from edeploy.match.specs_module import ENDING, SpecsModule, read_module
from edeploy.names import BadName, checked

STATE = "state"
MOST_ROWS = 5000
_FORM = "`state` is a list of (name, quota), quota a number or '*'; settings may follow in {}."
_T = TypeVar("_T")


@dataclass(frozen=True)
class Profile:
    """One profile; `quota` None is `'*'`, `cmdb` None is no entry, `uses` are its images."""

    name: str
    specs: Specs
    cmdb: tuple[Entry, ...] | None
    configure: str
    configure_path: Path
    quota: int | None
    settings: ProfileSettings
    uses: tuple[ImageUse, ...]
    module: SpecsModule | None = None

    def fit(self, report: Report) -> Match | Mismatch | Refused:
        """Whether a report meets the rules, and the profile's own `accept` takes it."""
        return fit(self.specs, self.module, report)


@dataclass(frozen=True)
class Profiles:
    """The usable profiles, in the order of `state`, and what is wrong with the others."""

    profiles: tuple[Profile, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Row:
    """A line of `state`; its `settings` win over those of NAME.toml."""

    name: str
    quota: int | None
    place: Literal
    settings: Mapping[str, object] = field(default_factory=dict)


def load_profiles(folder: Path) -> Profiles:
    """All profiles that `state` names. Never raises for what is in the files: a broken profile is
    left out and told in `problems`, the others are there.
    """
    profiles: list[Profile] = []
    try:
        rows, problems = read_state(folder)
    except BadFile as error:
        return Profiles((), error.problems)
    for row in rows:
        try:
            profiles.append(load_profile(folder, row))
        except BadFile as error:
            problems += error.problems
    return Profiles(tuple(profiles), tuple(problems))


def read_state(folder: Path) -> tuple[list[Row], list[Problem]]:
    """The rows of `state` and what is wrong with other rows. Raises BadFile: it has no rows."""
    literal = read_literal(folder / STATE)
    if not literal.is_sequence:
        raise BadFile([literal.problem("is no list")], _FORM)
    rows: dict[str, Row] = {}
    problems: list[Problem] = []
    if len(literal.parts()) > MOST_ROWS:
        raise BadFile([literal.problem(f"has more than {MOST_ROWS} rows")], _FORM)
    for part in literal.parts():
        try:
            row = _row(part)
            if row.name in rows:
                raise BadFile([part.problem(f"{row.name} is there twice")])
            rows[row.name] = row
        except BadFile as error:
            problems += error.problems
    return list(rows.values()), problems


def load_profile(folder: Path, row: Row) -> Profile:
    """One profile from its files. Raises BadFile with all that is wrong in all of them."""
    problems: list[Problem] = []

    def part(read: Callable[[Path], _T], ending: str) -> _T | None:
        path = folder / f"{row.name}.{ending}"
        try:
            return read(path)
        except BadFile as error:
            missing = [row.place.problem(f"{row.name}: there is no {path.name}")]
            problems.extend(error.problems if path.exists() else missing)
            return None

    specs, module = None, None
    try:
        specs, module = read_rules(folder, row.name)
    except BadFile as error:
        there = any((folder / f"{row.name}{end}").exists() for end in (".specs", ENDING))
        missing = [row.place.problem(f"{row.name}: there is no {row.name}.specs")]
        problems.extend(error.problems if there else missing)
    script = part(read_script, "configure")
    cmdb = part(read_cmdb, "cmdb") if (folder / f"{row.name}.cmdb").exists() else None
    settings = part(read_settings, "toml")
    if problems or specs is None or script is None or settings is None:
        raise BadFile(problems)
    return Profile(
        name=row.name,
        specs=specs,
        cmdb=cmdb or None,
        configure=script.source,
        configure_path=script.path,
        quota=row.quota,
        settings=over(settings, row.settings),
        uses=script.uses,
        module=module,
    )


def read_rules(folder: Path, name: str) -> tuple[Specs, SpecsModule | None]:
    """The rules in NAME.specs or NAME.specs.py, and the module if there is one. Raises BadFile."""
    plain, path = folder / f"{name}.specs", folder / f"{name}{ENDING}"
    module = read_module(path) if path.exists() else None
    if module is None:
        return read_specs(plain), None
    if module.specs is not None and plain.exists():
        raise BadFile([Problem(path, 1, 1, f"has `specs`, and so has {plain.name}: keep one")])
    if module.specs is None and not plain.exists():
        message = f"has no `specs = […]`, and there is no {plain.name}"
        raise BadFile([Problem(path, 1, 1, message)])
    return module.specs or read_specs(plain), module


def rules_at(path: Path) -> tuple[Specs, SpecsModule | None]:
    """The rules of the profile that a .specs or .specs.py file is of. Raises BadFile.

    A file of another name has its own rules only.
    """
    for ending in (ENDING, ".specs"):
        if path.name.endswith(ending) and path.name != ending:
            return read_rules(path.parent, path.name.removesuffix(ending))
    return read_specs(path), None


def _row(literal: Literal) -> Row:
    value = literal.value
    if not isinstance(value, (list, tuple)) or len(value) not in (2, 3):
        raise BadFile([literal.problem("is no (name, quota)")])
    if not isinstance(value[0], str):
        raise BadFile([literal.problem("is no (name, quota)")])
    try:
        name = checked(value[0], "profile")
    except BadName as error:
        raise BadFile([literal.problem(error.message)]) from error
    parts = literal.parts()
    settings = _settings(value[2], parts[2]) if len(value) > 2 else {}
    return Row(name, _quota(value[1], parts[1]), literal, settings)


def _settings(value: object, place: Literal) -> dict[str, object]:
    """The settings in a line of `state`: `{'health': 'quick'}`."""
    if not isinstance(value, dict):
        raise BadFile([place.problem("is no {} with settings, such as {'health': 'quick'}")])
    for name, wanted in value.items():
        if wrong := wrong_setting(name, wanted):
            raise BadFile([place.problem(f"{name}: {wrong}")])
    return value


def _quota(value: object, place: Literal) -> int | None:
    if value == "*":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise BadFile([place.problem(f"the quota {value!r} is neither a number nor '*'")])
