"""`edeploy health`: are the machines as good as their peers, and which one is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from edeploy.cli import health_runs
from edeploy.errors import EdeployError
from edeploy.health.analysis import Analysis, analyze
from edeploy.health.groups import DEFAULT_GROUP_BY, Choice
from edeploy.health.report.as_csv import COLUMNS, as_csv
from edeploy.health.report.as_json import as_json
from edeploy.health.report.as_junit import as_junit
from edeploy.health.report.as_text import as_text
from edeploy.health.report.files import STDOUT, check_target, write_target
from edeploy.health.report.headline import has_sheep, is_judged
from edeploy.health.report.page import as_html
from edeploy.health.sources import read

# Each kind of result, and how every one of them begins.
_RESULTS: dict[str, tuple[Callable[[Analysis], str], str]] = {
    "json": (as_json, '{\n "groups": ['),
    "csv": (as_csv, ",".join(COLUMNS)),
    "html": (as_html, "<!doctype html>\n<html"),
    "junit": (as_junit, '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites'),
}


def _target(kind: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        f"--{kind}",
        metavar="[FILE]",
        is_flag=False,
        flag_value=STDOUT,
        help=f"{what} in FILE; - or no FILE is standard output.",
    )


def _names(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.group("health")
def command() -> None:
    """Health checks: which machines are not as good as their peers, and why."""


health_runs.add_to(command)


@command.command("analyze")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@_target("json", "Groups, verdicts and detectable losses")
@_target("csv", "Every machine and metric")
@_target("html", "The report for people, one file")
@_target("junit", "A test case for each machine")
@click.option(
    "--group-by",
    default=",".join(DEFAULT_GROUP_BY),
    show_default=True,
    callback=_names,
    metavar="FACTS",
    help="Machines are compared that share these FACTS: "
    "group, system, cpu, memory, disk, network; none.",
)
@click.option(
    "--ignore",
    default="",
    callback=_names,
    metavar="FACTS",
    help="FACTS that make no difference, as memory or firmware.bios.version.",
)
def analyze_paths(
    paths: tuple[Path, ...],
    group_by: tuple[str, ...],
    ignore: tuple[str, ...],
    **targets: str | None,
) -> None:
    """Compare measurements of machines offline.

    PATHS are folders and files: .hw and .hw_ reports, JSON of the server, CSV with the columns
    node, metric, value, and if you like group, unit, better, run.

    Exit status: 0 all well, 1 at least one machine should not be installed as it is, 2 nothing to
    judge.
    """
    wanted = {kind: target for kind, target in targets.items() if target is not None}
    if sum(target == STDOUT for target in wanted.values()) > 1:
        raise click.UsageError("Only one result fits into standard output: name files.")
    try:
        for kind, target in wanted.items():
            check_target(target, _RESULTS[kind][1])
        analysis = analyze(read(paths), Choice(group_by, ignore))
        for problem in analysis.evidence.problems:
            click.echo(f"edeploy: {problem}", err=True)
        for kind, target in wanted.items():
            write_target(target, _RESULTS[kind][0](analysis))
    except EdeployError as error:
        click.echo(f"edeploy: {error}", err=True)
        raise SystemExit(2) from error
    if STDOUT not in wanted.values():
        click.echo(as_text(analysis))
    if not is_judged(analysis):
        click.echo("edeploy: no usable data: nothing could be judged", err=True)
        raise SystemExit(2)
    raise SystemExit(1 if has_sheep(analysis) else 0)
