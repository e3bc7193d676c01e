"""Packages of Debian trees: which ones a role needs, and how they get into its tree."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError
from edeploy.images.build import initramfs
from edeploy.images.build.bench import Bench
from edeploy.images.build.chroot import SHARED, beside_chroot, isolated
from edeploy.images.build.logged import in_tree, time_of, told
from edeploy.images.build.role_files import EARLY, apt_settings, write_overlay
from edeploy.images.packages.apt import Apt, NoSuchPackage
from edeploy.images.packages.mirrors import Source, debian_sources
from edeploy.images.packages.plan import Plan
from edeploy.images.recipe import Recipe
from edeploy.images.recipe_file import User
from edeploy.names import under
from edeploy.run import run

_HOOKS = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
_ARCHIVES = "var/cache/apt/archives"
# The list of packages belongs to /usr: whichever version is booted tells the truth about itself,
# whatever /var has.
_DATABASE = "var/lib/dpkg"
_DATABASE_HOME = "usr/lib/sysimage/dpkg"


@dataclass(frozen=True)
class Mirrors:
    """What the operator says about mirrors; "" leaves it to this machine's own apt sources.

    `keyring` is the OpenPGP public key of these mirrors, for those that Debian has not signed;
    `auth` the file with names and passwords for mirrors and repositories (apt_auth.conf(5)), ""
    for this machine's own.
    """

    archive: str = ""
    security: str = ""
    keyring: str = ""
    auth: str = ""


@dataclass(frozen=True)
class Repo:
    """A plan's packages as a repository of this machine, with nothing else in it."""

    folder: Path
    plan: Plan

    @property
    def source(self) -> str:
        """As a line of apt's sources. Nobody signs it: its files were checked one by one."""
        return f"deb [trusted=yes] copy:{quote(str(self.folder))} ./"


# --- what is needed ----------------------------------------------------------------------------


def sources_of(recipe: Recipe, suite: str, mirrors: Mirrors) -> list[Source]:
    """Where the packages of a role and its parents are."""
    found = debian_sources(
        suite, mirror=mirrors.archive, security_mirror=mirrors.security, keyring=mirrors.keyring
    )
    return [*found, *extra_sources(recipe, suite)]


def extra_sources(recipe: Recipe, suite: str) -> Iterator[Source]:
    """The repositories of the recipe, beside the distribution's own."""
    for each in recipe.repositories:
        key = str(each.key.resolve())
        yield Source(each.url, each.suite or suite, each.components, key, each.name)


def reached_at(source: Source, mirrors: Mirrors) -> Source:
    """The source as it is asked: a mirror that the operator names stands in for Debian's own."""
    is_security = source.suite.endswith("-security")
    url = mirrors.security if is_security else mirrors.archive
    if source.name or not url:
        return source
    return replace(source, url=url, keyring=mirrors.keyring or source.keyring)


def request_of(recipe: Recipe) -> list[str]:
    """The packages that the role asks for beside its parents."""
    before = recipe.parent.packages if recipe.parent else ()
    found = [package for package in recipe.packages if package not in before]
    if recipe.kernel and not (recipe.parent and recipe.parent.kernel):
        found.append(recipe.kernel)
    return found


def users_of(recipe: Recipe) -> list[User]:
    """The accounts that the role brings beside its parents'."""
    before = recipe.parent.users if recipe.parent else ()
    return [user for user in recipe.users if user not in before]


def has_packages(recipe: Recipe) -> bool:
    """Whether the role changes anything before its files are laid over the tree."""
    if recipe.parent is None:
        return True
    more_repositories = recipe.repositories != recipe.parent.repositories
    return bool(request_of(recipe) or users_of(recipe) or more_repositories)


def plan_of(recipe: Recipe, suite: str, apt: Apt, parent: Path | None) -> Plan:
    """The packages that come to those of the tree `parent`. Raises NoSuchPackage, NoAnswer."""
    request = request_of(recipe)
    if parent and not request:
        return Plan()
    with tempfile.TemporaryDirectory() as folder:
        settings = apt_settings(recipe.parts[-1], parent, Path(folder))
        try:
            return apt.plan(request, settings, parent)
        except NoSuchPackage as error:
            place = recipe.origins.get(f"packages.{error.name}") or recipe.origins.get("kernel")
            raise NoSuchPackage(
                f"{place or recipe.name}: {suite} has no package {error.name!r}",
                error.hint,
                name=error.name,
            ) from error


# --- into the tree -----------------------------------------------------------------------------


def install(
    recipe: Recipe, suite: str, bench: Bench, repo: Repo, sources: Sequence[Source]
) -> None:
    """Bring the packages of `repo` into the tree, and its accounts and apt's sources.

    Raises EdeployError, ProgramFailed.
    """
    write_overlay(recipe.parts[-1], bench.shared)
    if bench.parent is None:
        _mmdebstrap(recipe, suite, bench, repo)
    else:
        before = installed(bench.tree)
        add_accounts(recipe, bench.tree)
        if request_of(recipe):
            _apt_get(recipe, bench, repo)
        _check(before, bench.tree, repo.plan)
    _write_sources(recipe, suite, sources, bench.tree)


def installed(tree: Path) -> set[tuple[str, str, str]]:
    """Name, version and architecture of each package that the tree has."""
    lines = packages_text(tree).splitlines()
    return {(name, version, arch) for name, version, arch in (line.split("\t") for line in lines)}


def packages_text(tree: Path) -> str:
    """The installed packages, a line each: name, version, architecture, separated by tabs."""
    form = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"
    listed = run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show", "--showformat", form]
    ).out  # fmt: skip
    lines = (line.partition("\t") for line in listed.splitlines(keepends=True))
    # Of what was removed, a tree may still have the settings.
    return "".join(sorted(rest for status, _, rest in lines if status == "installed"))


def _check(before: set[tuple[str, str, str]], tree: Path, plan: Plan) -> None:
    """What was worked out before is what came: the cache relies on it."""
    wanted = {(each.name, each.version, each.architecture) for each in plan.packages}
    gone = {name.partition(":")[0] for name in plan.removed}
    replaced = {(name, arch) for name, _, arch in wanted}
    kept = {
        (name, version, arch)
        for name, version, arch in before
        if (name, arch) not in replaced and name not in gone
    }
    found = installed(tree)
    if found != wanted | kept:
        odd = sorted(" ".join(package) for package in found ^ (wanted | kept))
        raise EdeployError(
            f"the tree has other packages than apt worked out: {', '.join(odd[:6])}",
            "A package or script installed or removed others: that belongs in the recipe.",
        )


def _mmdebstrap(recipe: Recipe, suite: str, bench: Bench, repo: Repo) -> None:
    options = _mmdebstrap_options(recipe, bench, repo)
    argv = isolated(["mmdebstrap", *options, suite, str(bench.tree), repo.source])
    with told(bench.log, f"mmdebstrap of role {recipe.name}") as log:
        run(argv, timeout=timeouts.DEBIAN_INSTALL, env=time_of(bench), log=log)
    _check(set(), bench.tree, repo.plan)
    _move_database(bench.tree)


def _move_database(tree: Path) -> None:
    home = under(tree, _DATABASE_HOME)
    home.parent.mkdir(parents=True, exist_ok=True)
    (tree / _DATABASE).rename(home)
    (tree / _DATABASE).symlink_to(os.path.relpath(_DATABASE_HOME, Path(_DATABASE).parent))


def _mmdebstrap_options(recipe: Recipe, bench: Bench, repo: Repo) -> Iterator[str]:
    yield from ("--mode=root", "--variant=apt", "--format=directory")
    if _HOOKS.is_dir():
        yield f"--hook-dir={_HOOKS}"
    yield f"--include={','.join(request_of(recipe))}"
    # A build that loses power is thrown away: nothing in it needs to be on the disk early.
    yield "--dpkgopt=force-unsafe-io"
    yield "--dpkgopt=force-confold"
    folder = recipe.parts[-1].files
    folder = folder / "etc/dpkg/dpkg.cfg.d" if folder else None
    for path in sorted(folder.iterdir()) if folder and folder.is_dir() else []:
        yield f"--dpkgopt={path}"
    archives = f'"$1"/{_ARCHIVES}'
    files = (
        f"find {shlex.quote(str(repo.folder))} -name '*.deb' -exec cp --link -t {archives} {{}} +"
    )
    yield f"--setup-hook=mkdir -p {archives} && {files}"
    yield f"--setup-hook=tar-in {shlex.quote(str(bench.shared / EARLY))} /"
    yield from _account_hooks(recipe, bench)
    yield f"--essential-hook={initramfs.LATER_HOOK}"
    yield "--skip=essential/unlink,cleanup/apt/cache"


def _account_hooks(recipe: Recipe, bench: Bench) -> Iterator[str]:
    """Accounts are there before the packages, which then take them instead of making their own."""
    users = users_of(recipe)
    if not users:
        return
    for name, text in (("passwd", _passwd(users)), ("group", _groups(users))):
        path = bench.shared / name
        atomic.write(path, text)
        yield f'--essential-hook=cat {shlex.quote(str(path))} >> "$1"/etc/{name}'


def _passwd(users: Sequence[User]) -> str:
    return "".join(f"{user.name}:*:{user.uid}:{user.gid}::{user.home}:{user.shell}\n"
                   for user in users)  # fmt: skip


def _groups(users: Sequence[User]) -> str:
    groups = {user.group: user.gid for user in users}
    return "".join(f"{name}:*:{gid}:\n" for name, gid in groups.items())


def add_accounts(recipe: Recipe, tree: Path) -> None:
    """Add the accounts that the role brings. Raises EdeployError: the tree has the id already."""
    users = users_of(recipe)
    for name, text in (("passwd", _passwd(users)), ("group", _groups(users))):
        path = under(tree, "etc") / name
        there = path.read_text(encoding="utf-8")
        known = {line.split(":")[0]: line.split(":")[2] for line in there.splitlines()}
        lines = []
        for line in text.splitlines(keepends=True):
            account, _, number = line.split(":")[:3]
            other = next((each for each, its in known.items() if its == number), account)
            if known.get(account, number) != number or other != account:
                raise EdeployError(
                    f"{recipe.origins.get(f'users.{account}', recipe.name)}: {account} is to be"
                    f" {number} in /etc/{name}, where {other} is {known[other]}",
                    "Packages of a parent made it: name the account in that role, or take its id.",
                )
            if account not in known:
                lines.append(line)
        if lines:
            atomic.write(path, there + "".join(lines))


def _apt_get(recipe: Recipe, bench: Bench, repo: Repo) -> None:
    """As mmdebstrap does it: apt works from outside, dpkg inside the tree."""
    what = f"apt-get of role {recipe.name}"
    in_tree(bench, ["tar", "-x", "--no-overwrite-dir", "-f", f"{SHARED}/{EARLY}"])
    initramfs.later(bench)
    env = {**time_of(bench), "APT_CONFIG": str(_apt_settings(bench, repo))}
    with told(bench.log, what) as log, _files_in_place(bench.tree, repo), _no_starts(bench.tree):
        for words in (["update"], ["--yes", "install", *request_of(recipe)]):
            beside_chroot(
                bench.tree,
                ["apt-get", *words],
                shared=bench.shared,
                timeout=timeouts.DEBIAN_INSTALL,
                env=env,
                log=log,
            )


@contextmanager
def _files_in_place(tree: Path, repo: Repo) -> Iterator[None]:
    """The files of `repo` where dpkg in the tree gets them; they are not copied there."""
    archives = under(tree, _ARCHIVES)
    archives.mkdir(parents=True, exist_ok=True)
    (repo.folder / "partial").mkdir()
    run(["mount", "--bind", repo.folder, archives])
    try:
        yield
    finally:
        run(["umount", archives])


@contextmanager
def _no_starts(tree: Path) -> Iterator[None]:
    """Packages ask `policy-rc.d` whether their services may start: never (invoke-rc.d(8))."""
    policy = under(tree, "usr/sbin") / "policy-rc.d"
    if policy.exists():
        yield
        return
    atomic.write(policy, "#!/bin/sh\nexit 101\n", mode=0o755)
    try:
        yield
    finally:
        policy.unlink()


def _apt_settings(bench: Bench, repo: Repo) -> Path:
    folder = bench.shared.parent / "apt"
    for name in ("lists", "cache", "none"):
        (folder / name).mkdir(parents=True)
    atomic.write(folder / "sources.list", f"{repo.source}\n")
    settings = {
        "Dir": f"{bench.tree}/",
        "Dir::State::lists": f"{folder}/lists/",
        "Dir::Cache": f"{folder}/cache/",
        "Dir::Cache::archives": f"{bench.tree}/{_ARCHIVES}/",
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": f"{folder}/none/",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Dir::Bin::dpkg": "env",
        "DPkg::Chroot-Directory": str(bench.tree),
        "DPkg::Use-Pty": "false",
    }
    lines = [f'{name} "{value}";\n' for name, value in settings.items()]
    words = ("--unset=APT_CONFIG", "dpkg", "--force-unsafe-io", "--force-confold")
    options = " ".join(f'"{word}";' for word in words)
    path = folder / "apt.conf"
    atomic.write(path, "".join([*lines, f"DPkg::Options {{ {options} }};\n"]))
    return path


def _write_sources(recipe: Recipe, suite: str, sources: Sequence[Source], tree: Path) -> None:
    """The image's own apt sources, with keys that the image has."""
    stanzas = [source for source in sources if not source.name]
    for repository, source in zip(recipe.repositories, extra_sources(recipe, suite), strict=True):
        key = Path("etc/apt/keyrings") / f"{repository.name}{repository.key.suffix}"
        under(tree, str(key.parent)).mkdir(parents=True, exist_ok=True)
        atomic.write(tree / key, repository.key.read_bytes())
        stanzas.append(Source(source.url, source.suite, source.components, f"/{key}"))
    for name in ("sources.list", "sources.list.d/0000sources.list"):
        (tree / "etc/apt" / name).unlink(missing_ok=True)
    target = under(tree, "etc/apt/sources.list.d") / "edeploy.sources"
    atomic.write(target, "\n".join(source.stanza() for source in stanzas))
