"""`edeploy edge`: the ways from one version of a role to another."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edeploy.cli.options import json_option, key_option, store_option
from edeploy.images.edges.folder import HOOKS, Facts, edge_folder, edges, read_facts
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.edges.packing import LEVEL
from edeploy.images.store import Store
from edeploy.images.ways import leg, way

SHOWN = 30


@click.group()
def command() -> None:
    """Edges: what a machine needs to become another version of its role, and to go back."""


@command.command()
@click.argument("role")
@click.argument("old", metavar="FROM")
@click.argument("new", metavar="TO")
@store_option
@click.option("--exclude", type=click.Path(path_type=Path), help="rsync patterns to leave alone")
@click.option("--add-only", type=click.Path(path_type=Path), help="rsync filter of what is added")
@click.option("--pre", type=click.Path(path_type=Path), help="runs before; exit 100: reboot")
@click.option("--post", type=click.Path(path_type=Path), help="runs after; exit 100: reboot")
@click.option(
    "--barrier", default="", metavar="REASON", help="TO must have run before what follows"
)
@click.option(
    "--level", default=LEVEL, show_default=True, help="of zstd, up to 19: smaller, slower"
)
@key_option
@json_option
def make(
    role: str,
    old: str,
    new: str,
    store: Path,
    exclude: Path | None,
    add_only: Path | None,
    pre: Path | None,
    post: Path | None,
    barrier: str,
    level: int,
    key: Path | None,
    as_json: bool,
) -> None:
    """Make the edge of ROLE between two images of the store, either way round.

    Rules and hooks that the edge has already stay, unless others are given.
    """
    wishes = Wishes(exclude, add_only, pre, post, barrier, level, key)
    on_step = (lambda _: None) if as_json else click.echo
    facts = make_edge(Store(store), role, old, new, wishes, on_step=on_step)
    _show(facts, store, as_json)


@command.command()
@click.argument("role")
@click.argument("old", metavar="FROM")
@click.argument("new", metavar="TO")
@store_option
@json_option
def show(role: str, old: str, new: str, store: Path, as_json: bool) -> None:
    """What the edge changes: packages, files, bytes, what is left alone, whether it needs a boot.

    When there is none, the edges that lead from FROM to TO, if any.
    """
    folder = edge_folder(store, role, old, new)
    if (folder / "edge.json").is_file():
        _show(read_facts(folder), store, as_json)
        return
    path = way((facts.edge() for facts in edges(store, role)), old, new)
    if as_json:
        click.echo(json.dumps([asdict(edge) for edge in path], indent=1))
        return
    first = leg(path)
    click.echo(f"{role} {' → '.join([old, *(edge.new for edge in path)])}")
    click.echo(f"  {sum(edge.size for edge in path) / 1e6:.1f} MB over {len(path)} edges")
    if len(first) < len(path):
        click.echo(f"  stops at {first[-1].new}: {first[-1].barrier}")


@command.command()
@click.argument("role")
@store_option
@json_option
def ls(role: str, store: Path, as_json: bool) -> None:
    """List the edges of ROLE."""
    found = list(edges(store, role))
    if as_json:
        click.echo(json.dumps([asdict(facts.edge()) for facts in found], indent=1))
        return
    table = Table("from", "to", "MB", "packages", "reboot", "barrier", box=None)
    for facts in found:
        changes = facts.packages
        count = len(changes.added) + len(changes.removed) + len(changes.changed)
        size = f"{facts.pack_size / 1e6:.1f}"
        table.add_row(facts.old, facts.new, size, str(count), facts.reboot, facts.barrier)
    Console().print(table)


def _show(facts: Facts, store: Path, as_json: bool) -> None:
    folder = edge_folder(store, facts.role, facts.old, facts.new)
    hooks = [name for name in HOOKS if (folder / name).is_file()]
    exclude = (folder / "exclude").read_text().splitlines()
    if as_json:
        click.echo(json.dumps({**asdict(facts), "hooks": hooks, "exclude": exclude}, indent=1))
        return
    files, packages = facts.files, facts.packages
    click.echo(f"{facts.role} {facts.old} → {facts.new}")
    click.echo(
        f"  pack      {facts.pack_size / 1e6:.1f} MB for {files.new_bytes / 1e6:.1f} MB of new"
        f" content: {facts.patched} as patches, {facts.whole} whole"
    )
    click.echo(f"  files     {files.added} new, {files.removed} gone, {files.changed} changed")
    click.echo(f"  reboot    {facts.reboot or 'not needed: services that changed are restarted'}")
    if facts.barrier:
        click.echo(f"  barrier   {facts.barrier}")
    if hooks:
        click.echo(f"  hooks     {', '.join(hooks)}")
    click.echo(f"  left      {len(exclude)} patterns: {', '.join(exclude[:6])}, …")
    lines = [f"+ {name} {version}" for name, version in packages.added.items()]
    lines += [f"- {name} {version}" for name, version in packages.removed.items()]
    lines += [f"  {name} {was} → {now}" for name, (was, now) in packages.changed.items()]
    click.echo(f"  packages  {len(lines)}")
    for line in lines[:SHOWN]:
        click.echo(f"    {line}")
    if len(lines) > SHOWN:
        click.echo(f"    and {len(lines) - SHOWN} more: --json has all")
