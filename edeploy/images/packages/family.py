"""Families of distributions: one interface for how packages are chosen, fetched and installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from edeploy import atomic
from edeploy.images.build.bench import Bench
from edeploy.images.packages import debian, rpm
from edeploy.images.packages.apt import Apt
from edeploy.images.packages.debian import Mirrors, Repo
from edeploy.images.packages.index import index_of
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Plan, built_at
from edeploy.images.packages.pool import Pool
from edeploy.images.packages.rpm import Dnf
from edeploy.images.recipe import Recipe
from edeploy.images.recipe_file import Family as Name


class Family(Protocol):
    """The packages of a role, as its family of distributions does it."""

    @property
    def sources(self) -> list[Source]:
        """Where packages are. Raises EdeployError."""

    def state(self, *, ask: bool = True) -> str:
        """What is offered, as a digest; with `ask` the mirrors are asked. Raises NoAnswer."""

    def plan(self, parent: Path | None) -> Plan:
        """What the role takes beside what the tree `parent` has. Raises NoSuchPackage, NoAnswer."""

    def fetch(self, plan: Plan, pool: Pool) -> None:
        """Bring what the pool does not have, by its SHA-256. Raises NoAnswer, Damaged."""

    def lay_out(self, plan: Plan, pool: Pool, folder: Path) -> int:
        """Put the plan's files into `folder`; when the newest was built, in Unix seconds."""

    def install(self, bench: Bench, repo: Repo, sources: Sequence[Source]) -> None:
        """Bring packages, accounts and sources into the tree. Raises EdeployError."""


@dataclass(frozen=True)
class Debian:
    """apt, dpkg and mmdebstrap; `root` is for what mirrors said. `locked` are the distribution's
    sources when they are not to be looked for; with mirrors that were named, packages come from
    these, and the image has the locked ones all the same."""

    recipe: Recipe
    suite: str
    mirrors: Mirrors
    root: Path
    locked: tuple[Source, ...] = ()

    @cached_property
    def sources(self) -> list[Source]:
        if self.locked:
            return [*self.locked, *debian.extra_sources(self.recipe, self.suite)]
        return debian.sources_of(self.recipe, self.suite, self.mirrors)

    @cached_property
    def _apt(self) -> Apt:
        reached = [debian.reached_at(source, self.mirrors) for source in self.sources]
        return Apt(self.root, reached, self.mirrors.auth)

    def state(self, *, ask: bool = True) -> str:
        return self._apt.state(ask=ask)

    def plan(self, parent: Path | None) -> Plan:
        return debian.plan_of(self.recipe, self.suite, self._apt, parent)

    def fetch(self, plan: Plan, pool: Pool) -> None:
        self._apt.fetch(plan, pool)

    def lay_out(self, plan: Plan, pool: Pool, folder: Path) -> int:
        files = [pool.lay_out(package, folder) for package in plan.packages]
        listed = zip(plan.packages, files, (f"./{file.name}" for file in files), strict=True)
        atomic.write(folder / "Packages", index_of(list(listed)))
        return built_at(files)

    def install(self, bench: Bench, repo: Repo, sources: Sequence[Source]) -> None:
        debian.install(self.recipe, self.suite, bench, repo, sources)


def family_of(
    recipe: Recipe, suite: str, mirrors: Mirrors, root: Path, locked: Sequence[Source] = ()
) -> Family:
    """What handles the packages of a role; `root` is the store's folder for what mirrors said,
    `locked` the distribution's sources when a lock says them."""
    if recipe.family is Name.RPM:
        return Dnf(recipe, suite, mirrors, root)
    return Debian(recipe, suite, mirrors, root, tuple(locked))


def packages_text(tree: Path) -> str:
    """The installed packages, a line each: name, version, architecture, separated by tabs."""
    return rpm.packages_text(tree) if rpm.is_rpm(tree) else debian.packages_text(tree)
