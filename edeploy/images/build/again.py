"""Builds a role's layers again as if on another machine: `python -m` runs this."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.images import apart
from edeploy.images.build.image import layers_of
from edeploy.images.build.line import Settings
from edeploy.images.packages.lock import Lock, read_lock
from edeploy.images.recipe import LOCK, Recipe, load_recipe
from edeploy.images.store import Store

HOST = "another-builder"
UMASK = 0o077
# The other side of the world, another day for half of the time.
ENVIRONMENT = {
    "TZ": "Pacific/Kiritimati",
    "LANG": "tr_TR.UTF-8",
    "LANGUAGE": "tr",
    "HOME": "/nonexistent",
    "USER": "another",
    "LOGNAME": "another",
}
# Namespaces of its own: the name is nobody else's.
_NAMED = ("unshare", "--uts", "--", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", HOST)


@dataclass(frozen=True)
class Job:
    """Which role of which folder, and the folder that gets its store."""

    roles: str
    role: str
    store: str


def build_again(recipe: Recipe, lock: Lock, store: Store, on_step: Callable[[str], None]) -> None:
    """Make the layers of a locked recipe in `store`, with another host name, umask, time zone,
    language, user and place. Raises as `build_image`."""
    roles = recipe.parts[-1].folder.parent.resolve()
    atomic.write(store.root / LOCK, lock.text())
    job = Job(str(roles), recipe.name, str(store.root.resolve()))
    what = f"the second build of {recipe.name}"
    apart.done_apart(
        __name__, asdict(job), on_step, what=what, where=job.store, around=_NAMED, env=ENVIRONMENT
    )


def main() -> int:
    """What the process does."""
    return apart.serve_job(lambda text: Job(**json.loads(text)), _build)


def _build(job: Job, on_step: Callable[[str], None]) -> None:
    os.umask(UMASK)
    store = Store(Path(job.store))
    recipe = load_recipe(Path(job.roles), job.role)
    lock = read_lock(store.root / LOCK)
    settings = Settings(offline=True, locks={job.role: lock})
    layers_of(recipe, store, settings, store.root / "failed-log", on_step)


if __name__ == "__main__":
    sys.exit(main())
