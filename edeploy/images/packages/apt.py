"""Asks this machine's apt, for a tree that is not there yet: what sources offer, what a request
takes, and the files. Nothing of this machine's own packages and preferences counts."""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from urllib.parse import quote, unquote

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError
from edeploy.images.locks import alone
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Package, Plan, packages_of
from edeploy.images.packages.pool import Pool
from edeploy.run import Done, failure, run

FULL = "No space left on device"

_HELPER = "/usr/lib/apt/apt-helper"

_KEYRINGS = ("etc/apt/trusted.gpg.d/*", "usr/share/keyrings/*-archive-keyring.*")
# What this machine's apt needs to reach its mirrors, the build's apt needs as well.
_NETWORK_OPTION = re.compile(r"Acquire::(?:https?::|Check-|Retries|ForceIPv)\S* \"")
_FILE = re.compile(
    r"'[^']+' (?P<name>[^_\s]+)_(?P<version>[^_\s]+)_(?P<architecture>[a-z0-9-]+)\.deb \d+ "
)
_REMOVED = re.compile(r"^The following packages will be REMOVED:\n((?: .*\n)+)", re.MULTILINE)
_MISSING = re.compile(
    r"E: (?:Unable to locate package (?P<a>\S+)"
    r"|Package '(?P<b>[^']+)' has no installation candidate"
    r"|Couldn't find any package by (?:glob|regex) '(?P<c>[^']+)')"
)
# mmdebstrap installs a stand-in of this name before it asks apt: the tree's folders are merged
# from the start, and `usrmerge | usr-is-merged` is no question.
_MERGED = "usr-is-merged"
_STAND_IN = f"""\
Package: {_MERGED}
Status: install ok installed
Architecture: all
Version: 1
Maintainer: nobody
Description: stand-in
"""
_RELEASES_ONLY = tuple(
    f"--option=Acquire::IndexTargets::deb::{target}::DefaultEnabled=false"
    for target in ("Packages", "Translations")
)


class NoSuchPackage(EdeployError):
    """A package that the sources do not have: `name`."""

    def __init__(self, message: str, hint: str = "", *, name: str = "") -> None:
        super().__init__(message, hint)
        self.name = name


class NoAnswer(EdeployError):
    """A mirror that is not reached, stalls, or says what nobody has signed."""


class Apt:
    """What some sources offer; apt's files of it are in a folder of their own under `root`."""

    def __init__(self, root: Path, sources: Sequence[Source], auth: str = "") -> None:
        # Only where it is: names and passwords are apt's own business (apt_auth.conf(5)).
        self._auth = auth
        self._sources = tuple(sources)
        self._lines = "".join(f"{source.one_line()}\n" for source in sources)
        self._where = ", ".join(dict.fromkeys(source.url for source in sources))
        keys = b"".join(
            Path(source.keyring).read_bytes()
            for source in sources
            # Of a lock's sources, a key may be missing here: packages are known by their SHA-256.
            if source.keyring and Path(source.keyring).is_file()
        )
        named = hashlib.sha256(f"{self._lines}{architecture()}".encode() + keys)
        # apt takes a relative path for one below its own folders.
        self._folder = root.absolute() / named.hexdigest()[:16]
        self._releases = self._folder / "releases"
        self._lists = self._folder / "lists"

    def state(self, *, ask: bool = True) -> str:
        """What is offered, as a digest of the signed release files.

        With `ask` the mirrors are asked for these small files, and for nothing else; without,
        it is what they said last. Raises NoAnswer.
        """
        with self._opened():
            if ask:
                self._update(self._releases, *_RELEASES_ONLY)
            elif not any(self._releases.glob("*Release")):
                raise NoAnswer(
                    f"what {self._where} offers is not known here", "Build without --offline."
                )
            return _digest(self._releases)

    def plan(self, request: Sequence[str], etc: Path, parent: Path | None) -> Plan:
        """What `request` takes beside what the tree `parent` has.

        Without a parent, what is essential comes as well. `etc` is the tree's `etc/apt`: its
        preferences and settings count. Raises NoSuchPackage, NoAnswer, ProgramFailed.
        """
        with self._opened(), tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            self._have_lists()
            env = self._env(Path(scratch), _of_tree(etc, parent, Path(scratch)))
            words = list(request)
            if parent is None:
                merged = _offers(self._lists, _MERGED)
                words += ["?essential", "apt", *([_MERGED] if merged else [])]
                atomic.write(Path(scratch) / "status", _STAND_IN if merged else "")
            # A simulation would also try the order of each step, which takes much longer.
            asked = ["apt-get", "install", "--print-uris", "--yes", *words]
            done = run(asked, env=env, timeout=timeouts.APT, check=False)
            if done.code != 0:
                raise _no_plan(done)
            gone = _REMOVED.search(done.out)
            removed = tuple(sorted(gone[1].replace("*", "").split())) if gone else ()
            wanted = [
                f"{found['name']}:{found['architecture']}={unquote(found['version'])}"
                for found in map(_FILE.match, done.out.splitlines())
                if found
            ]
            if not wanted:
                return Plan((), removed)
            shown = run(["apt-cache", "show", *wanted], env=env, timeout=timeouts.APT)
            return Plan(packages_of(shown.out, self._pockets(wanted, env)), removed)

    def fetch(self, plan: Plan, pool: Pool) -> None:
        """Download what the pool does not have, whether an index still has it or not.

        Raises NoAnswer, Damaged, and EdeployError for a package of a source that is not here.
        """
        pool.folder.mkdir(parents=True, exist_ok=True)
        if all(pool.has(package) for package in plan.packages):
            return
        with self._opened(), tempfile.TemporaryDirectory(dir=pool.folder, prefix=".") as name:
            missing = [package for package in plan.packages if not pool.has(package)]
            if not missing:
                # Another build has brought them while this one waited.
                return
            downloads = Path(name)
            _give_to_apt(downloads)
            words = [_HELPER, "download-file"]
            for package in missing:
                words += [self._address(package), str(downloads / package.file_name)]
                words += [f"SHA256:{package.sha256}"]
            env = self._env(self._folder, {})
            limit = timeouts.DEBIAN_DOWNLOAD
            done = run(words, env=env, cwd=downloads, timeout=limit, check=False)
            self._answered(done)
            for package in missing:
                file = downloads / package.file_name
                if file.is_symlink():
                    # A mirror in a folder of this machine: that file is not ours to move.
                    source = file.resolve()
                    file.unlink()
                    shutil.copyfile(source, file)
                pool.add(file, package)

    def _pockets(self, wanted: Sequence[str], env: Mapping[str, str]) -> dict[tuple[str, str], str]:
        """By name and version, which source has it; the first one, when several do."""
        listed = run(
            ["apt-cache", "madison", *(each.partition(":")[0] for each in wanted)],
            env=env, timeout=timeouts.APT,
        ).out  # fmt: skip
        known = {
            (_plain(each.url), each.suite): number for number, each in enumerate(self._sources)
        }
        found: dict[tuple[str, str], int] = {}
        for line in listed.splitlines():
            name, version, where = (word.strip() for word in line.split("|"))
            url, suite = where.split(" ")[:2]
            number = known.get((_plain(url), suite.partition("/")[0]), len(known))
            found[name, version] = min(number, found.get((name, version), number))
        return {
            each: self._sources[number].pocket
            for each, number in found.items()
            if number < len(known)
        }

    def _address(self, package: Package) -> str:
        for source in self._sources:
            if source.pocket == package.pocket:
                return f"{source.url.rstrip('/')}/{quote(package.file, safe='/+~:%')}"
        known = ", ".join(source.pocket for source in self._sources)
        raise EdeployError(
            f"{package} is from {package.pocket}, and the sources are {known}",
            "Add its repository to the role, or lock the role again.",
        )

    @contextmanager
    def _opened(self) -> Iterator[None]:
        for name in ("lists", "releases", "cache", "none"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        with alone(self._folder / ".lock", "asks the mirrors", on_wait=lambda _: None):
            yield

    def _have_lists(self) -> None:
        if _digest(self._lists) == _digest(self._releases):
            return
        self._update(self._lists)
        for path in self._releases.glob("*Release*"):
            path.unlink()
        for path in self._lists.glob("*Release*"):
            shutil.copyfile(path, self._releases / path.name)

    def _update(self, lists: Path, *options: str) -> None:
        env = self._env(self._folder, {"Dir::State::lists": lists})
        words = ["apt-get", "update", "--error-on=any", *options]
        self._answered(run(words, env=env, timeout=timeouts.DEBIAN_DOWNLOAD, check=False))

    def _answered(self, done: Done) -> None:
        if done.code == 0:
            return
        lines = f"{done.out}\n{done.err}".splitlines()
        if any(FULL in line for line in lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
        said = [line for line in lines if line.startswith(("E:", "Err:"))] or lines[-3:]
        told = "".join(f"\n  | {line}" for line in dict.fromkeys(said[:6]))
        raise NoAnswer(
            f"{self._where}: no good answer{told}",
            "Try again later, or another mirror (--mirror). What is there already is built"
            " with --offline.",
        )

    def _env(self, folder: Path, more: Mapping[str, Path]) -> dict[str, str]:
        """The environment that makes apt's commands ours: `folder` gets the settings."""
        places = {
            "Dir::State": self._folder,
            "Dir::State::lists": self._lists,
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Dir::Cache::archives": self._folder / "none",
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": self._folder / "none",
            "Dir::Etc::main": self._folder / "none/apt.conf",
            "Dir::Etc::parts": self._folder / "none",
            "Dir::Etc::preferences": self._folder / "none/preferences",
            "Dir::Etc::preferencesparts": self._folder / "none",
            "Dir::Etc::trusted": self._folder / "none/trusted.gpg",
            "Dir::Etc::trustedparts": _keys(self._folder / "keys"),
            **({"Dir::Etc::netrc": Path(self._auth).resolve()} if self._auth else {}),
            **more,
        }
        atomic.write(self._folder / "sources.list", self._lines)
        atomic.write(self._folder / "status", "")
        settings = [f'{name} "{place}";' for name, place in places.items()]
        settings += [
            f'APT::Architecture "{architecture()}";',
            f'APT::Architectures {{ "{architecture()}"; }};',
            'APT::Install-Recommends "false";',
            'Acquire::Languages "none";',
            'Acquire::Retries "1";',
            f'Acquire::http::Timeout "{timeouts.MIRROR_STALL:.0f}";',
            f'Acquire::https::Timeout "{timeouts.MIRROR_STALL:.0f}";',
            *_network_options(),
        ]
        # Nobody else's to read: a proxy's address may have a password in it.
        atomic.write(folder / "apt.conf", "".join(f"{line}\n" for line in settings), mode=0o600)
        return {"APT_CONFIG": str(folder / "apt.conf")}


@cache
def architecture() -> str:
    """This machine's own, as Debian names it; images are for it."""
    return run(["dpkg", "--print-architecture"]).out.strip()


def _of_tree(etc: Path, parent: Path | None, scratch: Path) -> dict[str, Path]:
    database = parent / "var/lib" if parent else scratch
    return {
        "Dir::State::status": parent / "var/lib/dpkg/status" if parent else scratch / "status",
        "Dir::State::extended_states": database / "apt/extended_states",
        "Dir::Etc::main": etc / "apt.conf",
        "Dir::Etc::parts": etc / "apt.conf.d",
        "Dir::Etc::preferences": etc / "preferences",
        "Dir::Etc::preferencesparts": etc / "preferences.d",
    }


def _offers(lists: Path, name: str) -> bool:
    """Whether a package of this name is in the lists; quicker than to ask apt."""
    wanted = f"\nPackage: {name}\n".encode()
    for path in lists.glob("*_Packages"):
        if path.stat().st_size:
            with open(path, "rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as text:
                if text.find(wanted) >= 0:
                    return True
    return False


def _no_plan(done: Done) -> EdeployError:
    missing = _MISSING.search(done.err)
    if not missing:
        return failure(done)
    name = next(group for group in missing.groups() if group)
    return NoSuchPackage(
        f"no package {name!r}", f"Look for its name: apt-cache search {name}", name=name
    )


def _network_options() -> list[str]:
    return [line for line in _host_settings() if _NETWORK_OPTION.match(line)]


@cache
def _host_settings() -> tuple[str, ...]:
    return tuple(run(["apt-config", "dump"]).out.splitlines())


def _keys(folder: Path, root: Path = Path("/")) -> Path:
    """The keys that this machine trusts, for sources that name none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    found = [path for pattern in _KEYRINGS for path in sorted(root.glob(pattern))]
    for number, path in enumerate(found):
        if path.suffix in (".gpg", ".asc"):
            (folder / f"{number}-{path.name}").symlink_to(path)
    return folder


def _give_to_apt(folder: Path) -> None:
    """Let apt's own user write there: root's rights are not for what the network sends."""
    try:
        os.chown(folder, pwd.getpwnam("_apt").pw_uid, -1)
    except KeyError:
        return


def _plain(url: str) -> str:
    """An address as apt prints it."""
    return re.sub(r"^(file|copy):/+", r"\1:/", url).rstrip("/")


def _digest(releases: Path) -> str:
    found = [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in releases.glob("*Release")
        if path.is_file()
    ]
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest() if found else ""
