"""The layers of a role and of all that it is built on: found in the store, or made."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images.build import ingredients, layer_process
from edeploy.images.build.layer_process import PLAN, REPO, Job
from edeploy.images.build.layers import About, Kind, Layer, Layers, ingredients_text, key_of
from edeploy.images.build.role_files import early_files, file_digest
from edeploy.images.packages import debian
from edeploy.images.packages.debian import Mirrors
from edeploy.images.packages.family import Family, family_of
from edeploy.images.packages.plan import Plan, parse_plan
from edeploy.images.packages.pool import Pool
from edeploy.images.recipe import Recipe, line_of, load_recipe
from edeploy.images.store import Store


@dataclass(frozen=True)
class Settings:
    """How images are built: `offline` asks no mirror, `force` makes every layer again."""

    mirrors: Mirrors = Mirrors()
    offline: bool = False
    force: bool = False


class Line:
    """Makes the layers of `leaf`, the lowest first, each over the one before."""

    def __init__(
        self,
        leaf: Recipe,
        suite: str,
        store: Store,
        settings: Settings,
        *,
        failed_log: Path,
        on_step: Callable[[str], None],
    ) -> None:
        self._leaf = leaf
        self._suite = suite
        self._store = store
        self._settings = settings
        self._layers = Layers(store.layers, store.trash)
        self._pool = Pool(store.pool)
        self._failed_log = failed_log
        self._on_step = on_step
        self._states: dict[str, str] = {}

    def finished(self) -> list[Layer]:
        """All layers. Raises EdeployError, ProgramFailed, OSError; what is finished by then stays."""
        self._layers.clear_leftovers()
        found: list[Layer] = []
        for recipe in line_of(self._leaf):
            if debian.has_packages(recipe):
                found.append(self._packages(recipe, found[-1] if found else None))
            found.append(self._setup(recipe, found[-1]))
        return found

    def _packages(self, recipe: Recipe, below: Layer | None) -> Layer:
        family = family_of(recipe, self._suite, self._settings.mirrors, self._store.apt)
        sources = family.sources
        plan = self._plan(recipe, family, below)

        def inputs(now: Recipe) -> dict[str, str]:
            key = below.key if below else ""
            return ingredients.of_packages(now, self._suite, sources, plan, key)

        def prepare(folder: Path) -> int:
            size = sum(each.size for each in plan.packages if not self._pool.has(each))
            if size:
                self._on_step(f"{recipe.name}: downloading {size / 1e6:.1f} MB of packages")
                family.fetch(plan, self._pool)
            self._on_step(f"{recipe.name}: installing {len(plan.packages)} packages")
            repo = folder / REPO
            repo.mkdir()
            built = family.lay_out(plan, self._pool, repo)
            atomic.write(folder / PLAN, plan.text())
            return max(built, below.about().epoch if below else 0)

        return self._layer(recipe, Kind.PACKAGES, below, inputs, prepare)

    def _setup(self, recipe: Recipe, below: Layer) -> Layer:
        def prepare(_: Path) -> int:
            self._on_step(f"{recipe.name}: setting up")
            return below.about().epoch

        def inputs(now: Recipe) -> dict[str, str]:
            return ingredients.of_setup(now, below.key)

        return self._layer(recipe, Kind.SETUP, below, inputs, prepare)

    def _layer(
        self,
        recipe: Recipe,
        kind: Kind,
        below: Layer | None,
        inputs: Callable[[Recipe], dict[str, str]],
        prepare: Callable[[Path], int],
    ) -> Layer:
        """The layer of these inputs; `prepare` fills its folder beforehand, and tells its epoch."""
        wanted = inputs(recipe)
        key = key_of(wanted)
        found = None if self._settings.force else self._layers.find(key)
        if found:
            return found
        with self._layers.making(key, self._on_step) as folder:
            # Another build may have made it while this one waited.
            found = None if self._settings.force else self._layers.find(key)
            if found:
                return found
            started = time.monotonic()
            epoch = prepare(folder)
            try:
                layer_process.make(
                    self._job(recipe, kind, below, folder, epoch),
                    lambda step: self._on_step(f"{recipe.name}: {step}"),
                )
            except BaseException:
                with suppress(OSError):
                    shutil.copyfile(folder / "log", self._failed_log)
                raise
            if inputs(self._read_again(recipe)) != wanted:
                raise EdeployError(
                    f"{recipe.parts[-1].folder}: the role was changed while it was built",
                    "Build again.",
                )
            seconds = round(time.monotonic() - started, 1)
            return self._layers.keep(folder, key, About(recipe.name, kind, epoch, seconds), wanted)

    def _job(
        self, recipe: Recipe, kind: Kind, below: Layer | None, folder: Path, epoch: int
    ) -> Job:
        return Job(
            roles=str(self._leaf.parts[-1].folder.parent.resolve()),
            leaf=self._leaf.name,
            role=recipe.name,
            kind=kind,
            suite=self._suite,
            mirrors=asdict(self._settings.mirrors),
            folder=str(folder.resolve()),
            objects=str(self._store.objects.resolve()),
            ids=str(self._store.ids.resolve()),
            parent=str(below.folder.resolve()) if below else "",
            epoch=epoch,
        )

    def _read_again(self, recipe: Recipe) -> Recipe:
        leaf = load_recipe(self._leaf.parts[-1].folder.parent, self._leaf.name)
        return next(each for each in line_of(leaf) if each.name == recipe.name)

    def _plan(self, recipe: Recipe, family: Family, below: Layer | None) -> Plan:
        """What apt worked out, once for each state of what it goes by."""
        request = debian.request_of(recipe)
        if below and not request:
            return Plan()
        goes_by = {
            "parent": below.key if below else "",
            "state": self._state(family),
            **{f"request {number}": name for number, name in enumerate(request)},
            **{path: file_digest(file) for path, file in early_files(recipe.parts[-1]).items()},
        }
        path = self._store.plans / hashlib.sha256(ingredients_text(goes_by).encode()).hexdigest()
        if path.is_file():
            return parse_plan(path.read_text(encoding="utf-8"))
        self._on_step(f"{recipe.name}: choosing packages")
        plan = family.plan(below.tree if below else None)
        self._store.plans.mkdir(parents=True, exist_ok=True)
        atomic.write(path, plan.text())
        return plan

    def _state(self, family: Family) -> str:
        """What the mirrors say, each asked once: all layers of a line go by the same answer."""
        key = "".join(source.stanza() for source in family.sources)
        if key not in self._states:
            self._states[key] = family.state(ask=not self._settings.offline)
        return self._states[key]
