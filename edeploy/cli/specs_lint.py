"""`edeploy specs lint`: what is wrong in a folder of profiles."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edeploy.cli.options import json_option
from edeploy.images.store import Store
from edeploy.match.lint import Unusable, lint

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("lint")
@click.argument("folder", type=_FOLDER)
@click.option("--store", type=_FOLDER, help="Also look for the images in this store.")
@click.option(
    "--ignore", multiple=True, metavar="TEXT", help="Leave out findings with this text in them."
)
@json_option
def lint_folder(folder: Path, store: Path | None, ignore: tuple[str, ...], as_json: bool) -> None:
    """Check a folder of profiles. Exit status: 0 clean, 1 findings, 2 unusable."""
    try:
        problems = lint(folder, Store(store).has if store is not None else None)
    except Unusable as error:
        click.echo(f"edeploy: {error}", err=True)
        raise SystemExit(2) from error
    told = [one for one in problems if not any(text in str(one) for text in ignore)]
    if as_json:
        rows = [
            {"file": str(p.path), "line": p.line, "column": p.column, "message": p.message}
            for p in told
        ]
        click.echo(json.dumps({"findings": rows}, indent=1))
    else:
        for problem in told:
            click.echo(str(problem))
    if told:
        raise SystemExit(1)
