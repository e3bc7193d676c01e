"""`edeploy specs`: try profiles on a report, and check a folder of them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edeploy.cli.specs_lint import lint_folder
from edeploy.cli.specs_upgrade import upgrade_file
from edeploy.inventory.items import read_report
from edeploy.match.acceptance import Refused, fit
from edeploy.match.profiles import Profile, Profiles, load_profiles, rules_at
from edeploy.match.solver import Match, Mismatch

_Result = Match | Mismatch | Refused

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
_HW = click.option(
    "--hw", required=True, type=_FILE, help="A machine's report: JSON, or an old .hw file."
)


@click.group("specs")
def command() -> None:
    """Profiles: which machine fits which, and why."""


command.add_command(lint_folder)
command.add_command(upgrade_file)


@command.command("match")
@click.option(
    "--specs",
    "specs_file",
    required=True,
    type=_FILE,
    help="The profile's .specs or .specs.py file.",
)
@_HW
@_JSON
def match_one(specs_file: Path, hw: Path, as_json: bool) -> None:
    """Say whether a report meets specs: with which values, or why not."""
    specs, module = rules_at(specs_file)
    result = fit(specs, module, read_report(hw))
    click.echo(json.dumps(_answer(result), indent=1) if as_json else _text(result))


@command.command()
@click.option("--dir", "folder", required=True, type=_FOLDER, help="The folder of profiles.")
@_HW
@_JSON
def pick(folder: Path, hw: Path, as_json: bool) -> None:
    """Try all profiles on a report, in the order of `state`, and explain each."""
    profiles = load_profiles(folder)
    report = read_report(hw)
    results = [(profile, profile.fit(report)) for profile in profiles.profiles]
    picked = next((p.name for p, r in results if isinstance(r, Match) and p.quota != 0), None)
    if as_json:
        click.echo(json.dumps(_picked(profiles, results, picked), indent=1))
        return
    for problem in profiles.problems:
        click.echo(f"left out: {problem}", err=True)
    for profile, result in results:
        spent = " (its quota is spent)" if profile.quota == 0 else ""
        click.echo(f"{profile.name}: {_text(result)}{spent}")
    click.echo(f"picked: {picked or 'none'}")


def _answer(result: _Result) -> dict[str, object]:
    if isinstance(result, Match):
        return {"matched": True, "vars": result.vars, "keys": result.keys}
    return {"matched": False, "vars": {}, "keys": {}, "reason": result.reason}


def _text(result: _Result) -> str:
    if not isinstance(result, Match):
        return f"no match: {result.reason}"
    values = (f"  {name} = {value}" for name, value in sorted(result.vars.items()))
    return "\n".join(["match", *values])


def _picked(
    profiles: Profiles,
    results: list[tuple[Profile, Match | Mismatch | Refused]],
    picked: str | None,
) -> dict[str, object]:
    return {
        "picked": picked,
        "profiles": [
            {"profile": profile.name, "quota": profile.quota, **_answer(result)}
            for profile, result in results
        ],
        "problems": [str(problem) for problem in profiles.problems],
    }
