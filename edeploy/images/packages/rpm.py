"""Packages of the RPM family: which ones a role needs, and how dnf gets them into its tree."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError
from edeploy.images.archive import sha256_of
from edeploy.images.build.bench import Bench
from edeploy.images.build.chroot import beside_chroot
from edeploy.images.build.logged import time_of, told
from edeploy.images.locks import alone
from edeploy.images.packages.apt import NoAnswer, NoSuchPackage
from edeploy.images.packages.debian import Mirrors, Repo, add_accounts, request_of
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.passwords import password_for
from edeploy.images.packages.plan import Package, Plan
from edeploy.images.packages.pool import Pool
from edeploy.images.recipe import Recipe
from edeploy.names import under
from edeploy.run import Done, failure, run

# As Fedora has it, and for the same reason as dpkg's: see `edeploy.images.packages.debian`.
DATABASE = "usr/lib/sysimage/rpm"
_LINK = "var/lib/rpm"
_ROW = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n"
SAID = {
    "name": "NAME", "epoch": "EPOCHNUM", "version": "VERSION", "release": "RELEASE", "arch": "ARCH",
    "license": "LICENSE", "source": "SOURCERPM", "vendor": "VENDOR", "url": "URL",
}  # fmt: skip
"""What `described` tells, and rpm's tags for it; `(none)` is rpm's own word for nothing."""

# Pseudo packages of keys.
_KEY = "gpg-pubkey"
_MISSING = re.compile(r"(?:No match for argument|Unable to find a match): (?P<name>\S+)")
_MAIN = """\
[main]
reposdir=/nonexistent
varsdir=/nonexistent
plugins=0
install_weak_deps=0
keepcache=0
retries=2
timeout=30
cachedir={run}/cache
persistdir={run}/persist
logdir={run}/log
"""


@dataclass(frozen=True)
class Dnf:
    """dnf and rpm of this machine, for a role's line up to `recipe`; `root` is for their caches."""

    recipe: Recipe
    suite: str
    mirrors: Mirrors
    root: Path

    @property
    def sources(self) -> list[Source]:
        """The repositories: those of the recipe, as this family has no archive of its own."""
        if not self.recipe.repositories:
            raise EdeployError(
                f"{self.recipe.origins.get('family', self.recipe.name)}: a role of the RPM family"
                " needs `repositories`",
                "Name at least the distribution's own, with its key.",
            )
        return [
            Source(each.url, each.suite or self.suite, (), str(each.key.resolve()), each.name)
            for each in self.recipe.repositories
        ]

    def state(self, *, ask: bool = True) -> str:
        """What is offered, as a digest of the repositories' indexes. Raises NoAnswer."""
        with self._opened() as settings:
            if ask:
                self._answered(self._dnf(settings, "makecache", "--refresh", check=False))
            found = sorted(self._folder.glob("root/run/cache/*/repodata/repomd.xml"))
            if not found:
                raise NoAnswer(
                    f"what {self._where} offers is not known here", "Build without --offline."
                )
            return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()

    def plan(self, parent: Path | None) -> Plan:
        """What the role's request takes beside what the tree `parent` has.

        Raises NoSuchPackage, NoAnswer, EdeployError for a package without a good signature.
        """
        request = request_of(self.recipe)
        if not request:
            return Plan()
        with self._opened() as settings:
            self._take_over(parent)
            self._downloads.mkdir(exist_ok=True)
            words = ("install", "--downloadonly", f"--downloaddir={self._downloads}", *request)
            done = self._dnf(settings, *words, check=False)
            if done.code != 0:
                raise self._no_plan(done)
            files = sorted(self._downloads.glob("*.rpm"))
            self._refuse_unsigned(files)
            wanted = self._wanted(done.out, files)
            return Plan(tuple(sorted(wanted, key=lambda each: (each.name, each.architecture))))

    def fetch(self, plan: Plan, pool: Pool) -> None:
        """Bring what the pool does not have. Raises NoAnswer, Damaged."""
        pool.folder.mkdir(parents=True, exist_ok=True)
        missing = [package for package in plan.packages if not pool.has(package)]
        with self._opened() as settings:
            gone = [each for each in missing if not (self._downloads / each.file_name).is_file()]
            if gone:
                # Not of this build's own planning: a lock names them.
                self._take_over(None)
                self._downloads.mkdir(exist_ok=True)
                names = [f"{each.name}-{each.version}.{each.architecture}" for each in gone]
                words = ("install", "--downloadonly", f"--downloaddir={self._downloads}", *names)
                self._answered(self._dnf(settings, *words, check=False))
            for package in missing:
                pool.add(self._downloads / package.file_name, package)

    def lay_out(self, plan: Plan, pool: Pool, folder: Path) -> int:
        """Put the plan's files into `folder`; when the newest was built, in Unix seconds."""
        files = [pool.lay_out(package, folder) for package in plan.packages]
        if not files:
            return 0
        said = run(["rpm", "-qp", "--nosignature", "--qf", "%{BUILDTIME}\\n", *files]).out
        return max(int(line) for line in said.split())

    def install(self, bench: Bench, repo: Repo, _: Sequence[Source]) -> None:
        """Bring the packages into the tree, and its accounts and sources. Raises EdeployError."""
        before = _rows(bench.tree)
        if bench.parent is None:
            _make_ground(bench.tree)
        files = sorted(repo.folder.glob("*.rpm"))
        if files:
            folder = bench.shared.parent / "dnf"
            settings = _write_settings(folder, _MAIN.format(run="/run"))
            argv = [
                *_words(bench.tree, settings, self.suite),
                "--disablerepo=*",
                "install",
                *map(str, files),
            ]
            env = {**time_of(bench), "HOME": str(folder)}
            with told(bench.log, f"dnf of role {self.recipe.name}") as log:
                beside_chroot(
                    bench.tree,
                    argv,
                    shared=bench.shared,
                    timeout=timeouts.DEBIAN_INSTALL,
                    env=env,
                    log=log,
                )
        _settle_database(bench.tree)
        _check(before, bench.tree, repo.plan)
        add_accounts(self.recipe, bench.tree)
        self._write_sources(bench.tree)

    @property
    def _where(self) -> str:
        return ", ".join(source.url for source in self.sources)

    @property
    def _folder(self) -> Path:
        keys = b"".join(Path(source.keyring).read_bytes() for source in self.sources)
        named = hashlib.sha256(f"{self._where} {self.suite}".encode() + keys)
        return self.root / f"rpm-{named.hexdigest()[:16]}"

    @property
    def _downloads(self) -> Path:
        return self._folder / "downloads"

    @contextmanager
    def _opened(self) -> Iterator[Path]:
        """The settings, outside the store: they may have passwords."""
        (self._folder / "root").mkdir(parents=True, exist_ok=True)
        with (
            alone(self._folder / ".lock", "asks the mirrors", on_wait=lambda _: None),
            tempfile.TemporaryDirectory() as name,
        ):
            repositories = "".join(self._stanza(number) for number in range(len(self.sources)))
            text = _MAIN.format(run="/run") + repositories
            yield _write_settings(Path(name), text)

    def _stanza(self, number: int) -> str:
        source = self.sources[number]
        name = self.recipe.repositories[number].name
        known = password_for(self.mirrors.auth, source.url)
        login = f"username={known[0]}\npassword={known[1]}\n" if known else ""
        return (
            f"\n[{name}]\nname={name}\nbaseurl={source.url}\ngpgcheck=1\n"
            f"gpgkey=file://{source.keyring}\n{login}"
        )

    def _dnf(self, settings: Path, *words: str, check: bool = True) -> Done:
        argv = [*_words(self._folder / "root", settings, self.suite), *words]
        env = {"HOME": str(settings.parent)}
        return run(argv, env=env, timeout=timeouts.DEBIAN_DOWNLOAD, check=check)

    def _take_over(self, parent: Path | None) -> None:
        """What the tree below has installed, for dnf to see; the tree itself is not touched."""
        database = self._folder / "root" / DATABASE
        shutil.rmtree(database, ignore_errors=True)
        if parent:
            shutil.copytree(parent / DATABASE, database)

    def _wanted(self, said: str, files: Sequence[Path]) -> Iterator[Package]:
        """Of the downloads those that this transaction has: earlier ones may lie there too."""
        for path in files:
            row = run(["rpm", "-qp", "--nosignature", "--qf", _ROW, path]).out.strip()
            name, version, architecture = row.split("\t")
            version = version.removeprefix("0:")
            shown = rf"^ *{re.escape(name)} +{re.escape(architecture)} +{re.escape(version)} +(\S+)"
            row_of = re.search(shown, said, re.MULTILINE)
            if row_of:
                size, sha256 = path.stat().st_size, sha256_of(path)
                yield Package(name, version, architecture, size, sha256, row_of[1], path.name)

    def _refuse_unsigned(self, files: Sequence[Path]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            keys = [source.keyring for source in self.sources]
            run(["rpmkeys", "--dbpath", folder, "--import", *keys])
            for path in files:
                done = run(["rpmkeys", "--dbpath", folder, "--checksig", path], check=False)
                if done.code != 0 or "signatures OK" not in done.out:
                    path.unlink()
                    raise EdeployError(
                        f"{path.name}: no good signature by a key of {self._where}",
                        "Sign it, or add the key that it is signed with.",
                    )

    def _answered(self, done: Done) -> None:
        if done.code != 0:
            lines = [line for line in f"{done.out}\n{done.err}".splitlines() if line.strip()][-4:]
            told_lines = "".join(f"\n  | {line}" for line in lines)
            raise NoAnswer(f"{self._where}: no good answer{told_lines}", "Try again later.")

    def _no_plan(self, done: Done) -> EdeployError:
        missing = _MISSING.search(f"{done.out}\n{done.err}")
        if not missing:
            return failure(done)
        name = missing["name"]
        place = self.recipe.origins.get(f"packages.{name}", self.recipe.name)
        return NoSuchPackage(f"{place}: {self._where}: no package {name!r}", name=name)

    def _write_sources(self, tree: Path) -> None:
        """The image's own repositories, without names and passwords, and their keys."""
        keys, repos = (under(tree, name) for name in ("etc/pki/rpm-gpg", "etc/yum.repos.d"))
        for folder in (keys, repos):
            folder.mkdir(parents=True, exist_ok=True)
        text = ""
        for repository in self.recipe.repositories:
            key = f"RPM-GPG-KEY-{repository.name}"
            atomic.write(keys / key, repository.key.read_bytes())
            text += (
                f"[{repository.name}]\nname={repository.name}\nbaseurl={repository.url}\n"
                f"gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/{key}\n\n"
            )
        atomic.write(repos / "edeploy.repo", text)


def packages_text(tree: Path) -> str:
    """The installed packages, a line each: name, version, architecture, separated by tabs."""
    return "".join(f"{name}\t{version}\t{arch}\n" for name, version, arch in sorted(_rows(tree)))


def files_of(tree: Path) -> list[bytes]:
    """The paths that packages have brought, with their first slash."""
    return os.fsencode(_rpm(tree, "-qal")).splitlines()


def owners_of(tree: Path) -> dict[bytes, str]:
    """By path (without its first slash) the package that has brought it."""
    listed = os.fsencode(_rpm(tree, "-qa", "--qf", "[%{=NAME}\\t%{FILENAMES}\\n]"))
    rows = (line.partition(b"\t/") for line in listed.splitlines())
    return {path: name.decode("utf-8", "replace") for name, slash, path in rows if slash}


def described(tree: Path) -> list[dict[str, str]]:
    """What is said of each installed package, by name: the fields of `SAID`."""
    form = "\\t".join(f"%{{{tag}}}" for tag in SAID.values()) + "\\n"
    rows = (line.split("\t") for line in _rpm(tree, "-qa", "--qf", form).splitlines())
    found = [dict(zip(SAID, row, strict=False)) for row in rows]
    return sorted(
        (each for each in found if each["name"] != _KEY),
        key=lambda each: (each["name"], each["arch"], each["version"]),
    )


def is_rpm(tree: Path) -> bool:
    """Whether a tree's packages are of this family."""
    return (tree / DATABASE).is_dir()


def _rows(tree: Path) -> set[tuple[str, str, str]]:
    if not is_rpm(tree):
        return set()
    rows = (line.split("\t") for line in _rpm(tree, "-qa", "--qf", _ROW).splitlines())
    return {
        (name, version.removeprefix("0:"), arch) for name, version, arch in rows if name != _KEY
    }


def _rpm(tree: Path, *words: str) -> str:
    """A question to rpm; even that writes beside the database, so it gets a copy."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree((tree / DATABASE).resolve(), folder, dirs_exist_ok=True)
        return run(["rpm", "--dbpath", folder, *words]).out


def _settle_database(tree: Path) -> None:
    """One file, without what SQLite keeps beside it for those who are about to write."""
    path = tree / DATABASE / "rpmdb.sqlite"
    if path.is_file():
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=DELETE")


def _check(before: set[tuple[str, str, str]], tree: Path, plan: Plan) -> None:
    wanted = {(each.name, each.version, each.architecture) for each in plan.packages}
    names = {(name, arch) for name, _, arch in wanted}
    found, kept = _rows(tree), {row for row in before if (row[0], row[2]) not in names}
    if found != wanted | kept:
        odd = sorted(" ".join(row) for row in found ^ (wanted | kept))
        raise EdeployError(f"the tree has other packages than dnf worked out: {', '.join(odd[:6])}")


def _make_ground(tree: Path) -> None:
    """Where a build mounts, and the link to the database, before any package is there."""
    for name in ("proc", "sys", "dev", "tmp", "run", "etc", DATABASE, str(Path(_LINK).parent)):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / _LINK).symlink_to(os.path.relpath(DATABASE, Path(_LINK).parent))


def _write_settings(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    # Debian's rpm has its database in the home of who calls it.
    atomic.write(folder / ".rpmmacros", f"%_dbpath /{DATABASE}\n")
    path = folder / "dnf.conf"
    atomic.write(path, text, mode=0o600)
    return path


def _words(root: Path, settings: Path, suite: str) -> list[str]:
    return ["dnf", f"--installroot={root}", f"--config={settings}", f"--releasever={suite}",
            "--assumeyes", "--setopt=best=1"]  # fmt: skip
