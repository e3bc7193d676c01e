"""Makes one layer, in a process with mounts and children of its own: `python -m` runs this.

Whatever the process mounts or starts ends with it, and it ends with its parent, however that ends.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.images import apart, manifest, trees
from edeploy.images.build import role_setup
from edeploy.images.build.accounts import settle_ids
from edeploy.images.build.bench import Bench, Origins, bring_up_hard_links, opened
from edeploy.images.build.layers import Kind, Layer
from edeploy.images.build.seal import seal
from edeploy.images.build.shared_tree import make_tree
from edeploy.images.ids import Ids
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects
from edeploy.images.packages.debian import Mirrors, Repo
from edeploy.images.packages.family import family_of, packages_text
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import parse_plan
from edeploy.images.recipe import line_of, load_recipe

# What a builder's own user likes is not for an image.
_UMASK = 0o022

PLAN = "plan"
REPO = "repo"


@dataclass(frozen=True)
class Job:
    """Which layer: `kind` of `role`, in the line of `leaf`. Paths: `roles` has the recipes,
    `folder` gets tree, manifest, packages and log, `objects` has the store's files, `ids` its
    accounts, `parent` is the folder of the layer below ("": none). `sources` are where packages
    are, in the image too, `epoch` is in Unix seconds."""

    roles: str
    leaf: str
    role: str
    kind: Kind
    suite: str
    sources: list[dict[str, str | list[str]]]
    folder: str
    objects: str
    ids: str
    parent: str
    epoch: int


def make(job: Job, on_step: Callable[[str], None]) -> None:
    """Have the job done by another process. Raises what that raised: EdeployError, OSError."""
    what = f"the build of {job.role}"
    apart.done_apart(__name__, asdict(job), on_step, what=what, where=job.folder)


def main() -> int:
    """What the process does."""
    return apart.serve_job(_parsed, _make)


def _parsed(text: str) -> Job:
    data = json.loads(text)
    return Job(**{**data, "kind": Kind(data["kind"])})


def _make(job: Job, on_step: Callable[[str], None]) -> None:
    os.umask(_UMASK)
    folder = Path(job.folder)
    leaf = load_recipe(Path(job.roles), job.leaf)
    recipe = next(each for each in line_of(leaf) if each.name == job.role)
    parent = Layer("", Path(job.parent)) if job.parent else None
    below = parent.entries() if parent else {}
    bench_folder = folder / "bench"
    with opened(bench_folder, parent.tree if parent else None, job.epoch, on_step) as bench:
        try:
            if job.kind is Kind.PACKAGES:
                plan = parse_plan((folder / PLAN).read_text(encoding="utf-8"))
                family = family_of(recipe, job.suite, Mirrors(), folder)
                family.install(
                    bench, Repo(folder / REPO, plan), [_source(each) for each in job.sources]
                )
            else:
                role_setup.set_up(recipe, bench, on_step)
            settle_ids(recipe, bench, Ids(Path(job.ids)))
        finally:
            bench.log.replace(folder / "log")
        seal(bench.tree, job.epoch, own=bench.upper)
        entries = entries_of(bench, below)
        atomic.write(folder / "packages", packages_text(bench.tree))
    make_tree(
        entries, folder / "tree", find=Origins(bench).source, objects=Objects(Path(job.objects))
    )
    atomic.write(folder / "manifest", manifest.dump(entries))
    for rest in (bench_folder, folder / REPO):
        shutil.rmtree(rest, ignore_errors=True)


def _source(said: Mapping[str, str | list[str]]) -> Source:
    words = {name: str(value) for name, value in said.items() if name != "components"}
    return Source(**words, components=tuple(said["components"]))


def entries_of(bench: Bench, below: Mapping[bytes, Entry]) -> list[Entry]:
    """The tree's entries; of what is as in the parent's tree, those of `below`."""
    bring_up_hard_links(bench, {path for path, entry in below.items() if entry.links})
    origins = Origins(bench)
    return trees.scan(bench.tree, known=lambda path: _known(path, origins, below))


def _known(path: bytes, origins: Origins, below: Mapping[bytes, Entry]) -> Entry | None:
    """The entry of a path that the overlay shows as the parent's tree has it."""
    place = origins.below(path) if path != b"." else None
    return below.get(place) if place is not None else None


if __name__ == "__main__":
    sys.exit(main())
