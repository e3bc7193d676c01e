"""`edeploy specs replay`: which machine would get which profile, and what changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import Console

from edeploy.cli.cells import new_table, text
from edeploy.cli.operators import SOCKET
from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.inventory.items import BadReport, Report, read_report, report_of
from edeploy.machines.recorded import Recorded, from_json, read_recorded, write_recorded
from edeploy.machines.replay import Change, Outcome, replay
from edeploy.match.profiles import load_profiles, read_state
from edeploy.server.client import OperatorsClient

RECORD = "recorded.json"
ENDINGS = (".json", ".hw")
AS_RECORDED = (Change.SAME, Change.NO_REPORT)
WRITTEN = (*AS_RECORDED, Change.NEW, Change.CHANGED)

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_Reports = list[tuple[str, Report]]


@click.command("replay")
@click.argument("reports", nargs=-1, metavar="[REPORT]...", type=click.Path(path_type=Path))
@click.option("--dir", "folder", required=True, type=_FOLDER, help="The folder of profiles.")
@click.option("--recorded", type=_FILE, help=f"The record; default: {RECORD} in that folder.")
@click.option("--server", is_flag=True, help="Against what machines have by the server's records.")
@SOCKET
@click.option("--write", "do_write", is_flag=True, help="Record what machines would get now.")
@json_option
def replay_reports(
    reports: tuple[Path, ...],
    folder: Path,
    recorded: Path | None,
    server: bool,
    socket: Path,
    do_write: bool,
    as_json: bool,
) -> None:
    """Say which machine would get which profile, and what changed against what is recorded.

    REPORT is a file as --hw takes it, or a folder of them; with --server and none, the last
    reports that the server has. Exit status: 0 all as recorded, 1 something differs or cannot be
    used, 2 unusable.
    """
    record = recorded or folder / RECORD
    try:
        known, found, problems = _inputs(
            record, reports, OperatorsClient(socket) if server else None
        )
        read_state(folder)
        profiles = load_profiles(folder)
        outcomes = replay(profiles.profiles, known, found)
        problems += [f"left out: {problem}" for problem in profiles.problems]
        if do_write:
            write_recorded(record, [one.kept for one in outcomes if one.kept is not None])
    except EdeployError as error:
        click.echo(f"edeploy: {error}", err=True)
        raise SystemExit(2) from error
    if as_json:
        click.echo(json.dumps(_document(outcomes, problems), indent=1, default=str))
    else:
        _tell(outcomes, problems, record, do_write)
    fine = WRITTEN if do_write else AS_RECORDED
    if problems or any(one.change not in fine for one in outcomes):
        raise SystemExit(1)


def _inputs(
    record: Path, paths: Sequence[Path], client: OperatorsClient | None
) -> tuple[list[Recorded], _Reports, list[str]]:
    """What is recorded, the reports by name, and what is wrong with some of them."""
    reports, problems = _read(paths, record)
    if client is None:
        if not paths:
            raise click.UsageError("Give REPORT files or folders, or --server.")
        return read_recorded(record), reports, problems
    machines = [client.one("machines", str(row["name"])) for row in client.many("machines")]
    if not paths:
        reports = [
            (str(row["name"]), report_of(row["report"], str(row["name"])))
            for row in machines
            if row["report"]
        ]
    return from_json(machines, "the server"), reports, problems


def _read(paths: Sequence[Path], record: Path) -> tuple[_Reports, list[str]]:
    reports: _Reports = []
    problems: list[str] = []
    for path in _files(paths, record):
        try:
            reports.append((str(path), read_report(path)))
        except BadReport as error:
            told = error.message if str(path) in error.message else f"{path}: {error.message}"
            problems.append(f"left out: {told}")
    return reports, problems


def _files(paths: Sequence[Path], record: Path) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            files = sorted(one for one in path.iterdir() if one.suffix in ENDINGS)
            yield from (one for one in files if one.resolve() != record.resolve())
        else:
            yield path


def _tell(
    outcomes: Sequence[Outcome], problems: Sequence[str], record: Path, do_write: bool
) -> None:
    for problem in problems:
        click.echo(problem, err=True)
    console = Console()
    table = new_table("machine", "recorded", "would get", "")
    for one in outcomes:
        table.add_row(*map(text, (one.machine, _profile(one.recorded), _now(one), _what(one))))
    console.print(table)
    for one in outcomes:
        if one.change not in AS_RECORDED and (one.why or one.doubt):
            of = f" ({one.report})" if one.report not in (None, one.machine) else ""
            click.echo(f"\n{one.machine}{of}:")
            for line in one.why or (one.doubt,):
                click.echo(f"  {line}")
    counts = Counter(one.change for one in outcomes)
    told = ", ".join(f"{counts[change]} {change}" for change in Change if counts[change])
    click.echo(f"\n{len(outcomes)} machines: {told or 'none'}")
    if do_write:
        click.echo(f"{record}: written", err=True)
    elif counts[Change.NEW] + counts[Change.CHANGED]:
        click.echo(f"If that is meant, --write records it in {record}.", err=True)


def _profile(recorded: Recorded | None) -> str:
    if recorded is None or recorded.profile is None:
        return "-"
    name = recorded.vars.get("hostname")
    return f"{recorded.profile} {name}" if isinstance(name, str) else recorded.profile


def _now(one: Outcome) -> str:
    return "?" if one.now is None else _profile(one.now)


def _what(one: Outcome) -> str:
    """The change; of a machine that stays in its profile, the values that differ."""
    same = one.recorded and one.now and one.recorded.profile == one.now.profile
    if one.change is not Change.CHANGED or not same:
        return str(one.change)
    shown = (f"{key} {_value(before)} → {_value(after)}" for key, before, after in one.values)
    return ", ".join(shown)


def _value(value: object) -> str:
    return "-" if value is None else str(value)


def _document(outcomes: Sequence[Outcome], problems: Sequence[str]) -> dict[str, object]:
    return {
        "machines": [
            {
                "machine": one.machine,
                "report": one.report,
                "change": one.change,
                "recorded": _has(one.recorded),
                "now": _has(one.now),
                "changes": [
                    {"key": key, "before": before, "after": after}
                    for key, before, after in one.values
                ],
                "why": list(one.why) or ([one.doubt] if one.doubt else []),
            }
            for one in outcomes
        ],
        "problems": list(problems),
    }


def _has(recorded: Recorded | None) -> dict[str, object] | None:
    return {"profile": recorded.profile, "vars": recorded.vars} if recorded else None
