"""`edeploy specs`: try profiles on a report, and check a folder of them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edeploy.cli.options import json_option
from edeploy.cli.specs_answers import Answer, document, explanation, text, text_explained
from edeploy.cli.specs_lint import lint_folder
from edeploy.cli.specs_replay import replay_reports
from edeploy.cli.specs_upgrade import upgrade_file
from edeploy.inventory.items import read_report
from edeploy.match.acceptance import fit
from edeploy.match.profiles import Profile, Profiles, load_profiles, rules_at
from edeploy.match.solver import Match

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_HW = click.option(
    "--hw", required=True, type=_FILE, help="A machine's report: JSON, or an old .hw file."
)


@click.group("specs")
def command() -> None:
    """Profiles: which machine fits which, and why."""


command.add_command(lint_folder)
command.add_command(replay_reports)
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
@click.option(
    "--explain",
    is_flag=True,
    help="The line that each rule takes, or the smallest set of rules that cannot be met.",
)
@json_option
def match_one(specs_file: Path, hw: Path, explain: bool, as_json: bool) -> None:
    """Say whether a report meets specs: with which values, or why not."""
    specs, module = rules_at(specs_file)
    answer = fit(specs, module, read_report(hw))
    if as_json:
        why = explanation(specs, answer) if explain else {}
        click.echo(json.dumps({**document(answer), **why}, indent=1))
    else:
        click.echo(text_explained(specs, answer) if explain else text(answer))


@command.command()
@click.option("--dir", "folder", required=True, type=_FOLDER, help="The folder of profiles.")
@_HW
@json_option
def pick(folder: Path, hw: Path, as_json: bool) -> None:
    """Try all profiles on a report, in the order of `state`, and explain each."""
    profiles = load_profiles(folder)
    report = read_report(hw)
    answers = [(profile, profile.fit(report)) for profile in profiles.profiles]
    picked = next((p.name for p, a in answers if isinstance(a, Match) and p.quota != 0), None)
    if as_json:
        click.echo(json.dumps(_picked(profiles, answers, picked), indent=1))
        return
    for problem in profiles.problems:
        click.echo(f"left out: {problem}", err=True)
    for profile, answer in answers:
        spent = " (its quota is spent)" if profile.quota == 0 else ""
        click.echo(f"{profile.name}{spent}: {text_explained(profile.specs, answer)}")
    click.echo(f"picked: {picked or 'none'}")


def _picked(
    profiles: Profiles, answers: list[tuple[Profile, Answer]], picked: str | None
) -> dict[str, object]:
    return {
        "picked": picked,
        "profiles": [
            {
                "profile": profile.name,
                "quota": profile.quota,
                **document(answer),
                **explanation(profile.specs, answer),
            }
            for profile, answer in answers
        ],
        "problems": [str(problem) for problem in profiles.problems],
    }
