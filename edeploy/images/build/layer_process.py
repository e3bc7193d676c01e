"""Makes one layer, in a process with mounts and children of its own: `python -m` runs this.

Whatever the process mounts or starts ends with it, and it ends with its parent, however that ends.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import edeploy
from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import manifest, trees
from edeploy.images.build import role_setup
from edeploy.images.build.accounts import settle_ids
from edeploy.images.build.bench import Bench, Origins, bring_up_hard_links, opened
from edeploy.images.build.chroot import isolated
from edeploy.images.build.layers import Kind, Layer
from edeploy.images.build.seal import seal
from edeploy.images.build.shared_tree import make_tree
from edeploy.images.ids import Ids
from edeploy.images.manifest import Entry
from edeploy.images.objects import Objects
from edeploy.images.packages.debian import Mirrors, Repo
from edeploy.images.packages.family import family_of, packages_text
from edeploy.images.packages.plan import parse_plan
from edeploy.images.recipe import line_of, load_recipe
from edeploy.run import ProgramFailed, ProgramMissing, run

PLAN = "plan"
REPO = "repo"


@dataclass(frozen=True)
class Job:
    """Which layer: `kind` of `role`, in the line of `leaf`. Paths: `roles` has the recipes,
    `folder` gets tree, manifest, packages and log, `objects` has the store's files, `ids` its
    accounts, `parent` is the folder of the layer below ("": none). `epoch` is in Unix seconds."""

    roles: str
    leaf: str
    role: str
    kind: Kind
    suite: str
    mirrors: dict[str, str]
    folder: str
    objects: str
    ids: str
    parent: str
    epoch: int


def make(job: Job, on_step: Callable[[str], None]) -> None:
    """Have the job done by another process. Raises what that raised: EdeployError, OSError."""
    failures: list[dict[str, object]] = []
    others: list[str] = []

    def hear(line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            others.append(line)
        elif "step" in said:
            on_step(str(said["step"]))
        else:
            failures.append(said)

    # Ours, wherever Python would look for it.
    env = {"PYTHONPATH": str(Path(edeploy.__file__).parents[1])}
    argv = isolated([sys.executable, "-m", __name__])
    text = json.dumps(asdict(job))
    done = run(argv, stdin=text, env=env, timeout=None, check=False, on_line=hear)
    if failures:
        raise _error_of(failures[0])
    if done.code != 0:
        tail = "".join(f"\n  | {line}" for line in others[-12:])
        raise ProgramFailed(f"the build of {job.role} ended: {done.code}{tail}", code=done.code)


def main() -> int:
    """What the process does: reads the job from stdin, prints a line of JSON for each step."""
    data = json.load(sys.stdin)
    job = Job(**{**data, "kind": Kind(data["kind"])})
    try:
        _make(job, lambda step: _say({"step": step}))
    except EdeployError as error:
        code = error.code if isinstance(error, ProgramFailed) else None
        kind = type(error).__name__
        _say({"kind": kind, "message": error.message, "hint": error.hint, "code": code})
        return 1
    except OSError as error:
        where = str(error.filename or job.folder)
        _say({"errno": error.errno, "strerror": error.strerror, "filename": where})
        return 1
    return 0


def _make(job: Job, on_step: Callable[[str], None]) -> None:
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
                family = family_of(recipe, job.suite, Mirrors(**job.mirrors), folder)
                family.install(bench, Repo(folder / REPO, plan))
            else:
                role_setup.set_up(recipe, bench, on_step)
            settle_ids(recipe, bench, Ids(Path(job.ids)))
        finally:
            bench.log.replace(folder / "log")
        seal(bench.tree, job.epoch, own=bench.upper)
        entries = entries_of(bench, below)
        atomic.write(folder / "packages", packages_text(bench.tree))
    make_tree(entries, folder / "tree", find=Origins(bench).source, objects=Objects(Path(job.objects)))
    atomic.write(folder / "manifest", manifest.dump(entries))
    for rest in (bench_folder, folder / REPO):
        shutil.rmtree(rest, ignore_errors=True)


def entries_of(bench: Bench, below: Mapping[bytes, Entry]) -> list[Entry]:
    """The tree's entries; of what is as in the parent's tree, those of `below`."""
    bring_up_hard_links(bench, {path for path, entry in below.items() if entry.links})
    origins = Origins(bench)
    return trees.scan(bench.tree, known=lambda path: _known(path, origins, below))


def _known(path: bytes, origins: Origins, below: Mapping[bytes, Entry]) -> Entry | None:
    """The entry of a path that the overlay shows as the parent's tree has it."""
    place = origins.below(path) if path != b"." else None
    return below.get(place) if place is not None else None


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def _error_of(said: dict[str, object]) -> EdeployError | OSError:
    if "errno" in said:
        return OSError(said["errno"], said["strerror"], said["filename"])
    message, hint, code = str(said["message"]), str(said["hint"]), said["code"]
    if said["kind"] == ProgramFailed.__name__:
        return ProgramFailed(message, hint, code=code if isinstance(code, int) else None)
    if said["kind"] == ProgramMissing.__name__:
        return ProgramMissing(message, hint)
    return EdeployError(message, hint)


if __name__ == "__main__":
    sys.exit(main())
