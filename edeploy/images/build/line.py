"""The layers of a role and of all that it is built on: found in the store, or made."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images.build import ingredients, layer_process
from edeploy.images.build.accounts import chosen_accounts
from edeploy.images.build.layer_process import PLAN, REPO, Job
from edeploy.images.build.layers import About, Kind, Layer, Layers, ingredients_text, key_of
from edeploy.images.build.role_files import early_files, file_digest
from edeploy.images.ids import Ids
from edeploy.images.packages import debian
from edeploy.images.packages.apt import NoAnswer, architecture
from edeploy.images.packages.debian import Mirrors
from edeploy.images.packages.family import Family, family_of
from edeploy.images.packages.lock import BadLock, Lock, LockedRole, check_fits
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Package, Plan, parse_plan
from edeploy.images.packages.pool import Damaged, Pool
from edeploy.images.recipe import Recipe, line_of, load_recipe
from edeploy.images.store import Store

# How many packages an error names.
_NAMED = 4
# Of the files with plans.
_FORM = "2"


@dataclass(frozen=True)
class Settings:
    """How images are built: `offline` asks no mirror, `force` makes every layer again; `locks`
    has by role what its packages and accounts are to be, instead of what mirrors offer."""

    mirrors: Mirrors = Mirrors()
    offline: bool = False
    force: bool = False
    locks: Mapping[str, Lock] = field(default_factory=dict)


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
        self._locked = settings.locks.get(leaf.name)
        self._parts: list[LockedRole] = []
        self._sources: tuple[Source, ...] = ()
        self._layers = Layers(store.layers, store.trash)
        self._pool = Pool(store.pool)
        self._failed_log = failed_log
        self._on_step = on_step
        self._states: dict[str, str] = {}

    def finished(self) -> list[Layer]:
        """All layers. Raises EdeployError, ProgramFailed, OSError; what is finished stays."""
        self._layers.clear_leftovers()
        if self._locked:
            self._take_over(self._locked)
        found: list[Layer] = []
        for recipe in line_of(self._leaf):
            if debian.has_packages(recipe):
                found.append(self._packages(recipe, found[-1] if found else None))
            found.append(self._setup(recipe, found[-1]))
        return found

    def lock(self, leaf: Layer) -> Lock:
        """What the finished line, up to the layer `leaf`, was made of."""
        accounts = tuple(chosen_accounts(leaf.tree))
        return Lock(self._leaf.name, self._leaf.family, self._suite, architecture(),
                    self._sources, accounts, tuple(self._parts))  # fmt: skip

    def _take_over(self, lock: Lock) -> None:
        """Go by a lock from here on. Raises BadLock, IdConflict."""
        line = [each for each in line_of(self._leaf) if debian.has_packages(each)]
        check_fits(lock, self._leaf, [(each.name, debian.request_of(each)) for each in line])
        if lock.architecture != architecture():
            raise BadLock(
                f"{lock.place}: is for {lock.architecture}, and this machine is {architecture()}",
                "Images are built on a machine of their own architecture.",
            )
        Ids(self._store.ids).expect(lock.accounts, self._leaf.name)

    def _packages(self, recipe: Recipe, below: Layer | None) -> Layer:
        family = family_of(
            recipe, self._suite, self._settings.mirrors, self._store.apt,
            self._locked.sources if self._locked else (),
        )  # fmt: skip
        sources = family.sources
        self._sources = tuple(source for source in sources if not source.name)
        plan = self._plan(recipe, family, below)
        self._parts.append(LockedRole(recipe.name, tuple(debian.request_of(recipe)), plan))

        def inputs(now: Recipe) -> dict[str, str]:
            key = below.key if below else ""
            return ingredients.of_packages(now, self._suite, sources, plan, key)

        def prepare(folder: Path) -> int:
            self._fetch(recipe, family, plan)
            self._on_step(f"{recipe.name}: installing {len(plan.packages)} packages")
            repo = folder / REPO
            repo.mkdir()
            built = family.lay_out(plan, self._pool, repo)
            atomic.write(folder / PLAN, plan.text())
            return max(built, below.about().epoch if below else 0)

        return self._layer(recipe, Kind.PACKAGES, below, inputs, prepare, sources)

    def _fetch(self, recipe: Recipe, family: Family, plan: Plan) -> None:
        missing = [each for each in plan.packages if not self._pool.has(each)]
        if not missing:
            return
        size = sum(each.size for each in missing)
        if self._locked and self._settings.offline:
            raise NoAnswer(
                f"{self._pool.folder} lacks what {self._locked.place} names:"
                f" {_some_of(missing)} ({size / 1e6:.1f} MB)",
                "Build without --offline, or copy the pool of a store that has them.",
            )
        self._on_step(f"{recipe.name}: downloading {size / 1e6:.1f} MB of packages")
        try:
            family.fetch(plan, self._pool)
        except (NoAnswer, Damaged) as error:
            if not self._locked:
                raise
            raise type(error)(
                f"{self._locked.place} names {_some_of(missing)}, not in the pool and not to be"
                f" had: {_reason(error)}",
                "Copy the pool of a store that has them, name a mirror that keeps old versions"
                f" (--mirror), or lock again: edeploy image lock {self._leaf.name}",
            ) from error

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
        sources: Sequence[Source] = (),
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
                    self._job(recipe, kind, below, folder, epoch, sources),
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
        self,
        recipe: Recipe,
        kind: Kind,
        below: Layer | None,
        folder: Path,
        epoch: int,
        sources: Sequence[Source],
    ) -> Job:
        return Job(
            roles=str(self._leaf.parts[-1].folder.parent.resolve()),
            leaf=self._leaf.name,
            role=recipe.name,
            kind=kind,
            suite=self._suite,
            sources=[asdict(source) for source in sources],
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
        """What apt worked out, once for each state of what it goes by; or what the lock says."""
        if self._locked:
            return self._locked.part(recipe.name).plan
        request = debian.request_of(recipe)
        if below and not request:
            return Plan()
        goes_by = {
            "form": _FORM,
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


def _some_of(packages: Sequence[Package]) -> str:
    named = ", ".join(map(str, packages[:_NAMED]))
    more = len(packages) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def _reason(error: EdeployError) -> str:
    """The line that says most of a failed download."""
    lines = [line.removeprefix("  | ") for line in error.message.splitlines()]
    return next((line for line in lines if line.startswith("E: ")), lines[0])
