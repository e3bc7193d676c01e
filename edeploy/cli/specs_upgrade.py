"""`edeploy specs upgrade`: configure scripts of Python 2 as Python 3."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edeploy.cli.options import json_option
from edeploy.errors import EdeployError
from edeploy.match.python2.file import ScriptUpgrade, difference, upgrade_script, write
from edeploy.match.python2.syntax import Change


@click.command("upgrade")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--write", "do_write", is_flag=True, help="Replace the file, if it is Python 3 then.")
@json_option
def upgrade_file(file: Path, do_write: bool, as_json: bool) -> None:
    """Rewrite a configure script of Python 2 to Python 3, and show the difference.

    Exit status: 0 it is Python 3 then, 1 something is left to do by hand.
    """
    script = upgrade_script(file)
    written = do_write and script.good and script.differs
    if written:
        try:
            write(script)
        except OSError as error:
            raise EdeployError(f"{file}: {error.strerror}: not written") from error
    if as_json:
        click.echo(json.dumps(_document(script, written), indent=1))
    else:
        _tell(script, written, do_write)
    if script.upgrade.left or not script.good:
        raise SystemExit(1)


def _tell(script: ScriptUpgrade, written: bool, do_write: bool) -> None:
    click.echo(difference(script), nl=False)
    for change in script.upgrade.left:
        click.echo(f"left to you: {_placed(script.path, change)}", err=True)
    if script.upgrade.error is not None:
        click.echo(f"no Python 3: {_placed(script.path, script.upgrade.error)}", err=True)
        click.echo("Correct that line by hand, then run this again; nothing was written.", err=True)
    elif not script.differs:
        click.echo(f"{script.path}: is Python 3 already", err=True)
    elif written:
        click.echo(f"{script.path}: written", err=True)
    elif not do_write:
        click.echo("Nothing was written: add --write.", err=True)


def _document(script: ScriptUpgrade, written: bool) -> dict[str, object]:
    def rows(changes: tuple[Change, ...]) -> list[dict[str, object]]:
        return [{"line": one.line, "column": one.column, "message": one.what} for one in changes]

    error = script.upgrade.error
    return {
        "file": str(script.path),
        "python3": script.good,
        "written": written,
        "changes": rows(script.upgrade.changes),
        "left": rows(script.upgrade.left) + (rows((error,)) if error else []),
        "diff": difference(script),
    }


def _placed(path: Path, change: Change) -> str:
    return f"{path}:{change.line}:{change.column}: {change.what}"
