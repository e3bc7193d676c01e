"""Plans: exactly which packages a tree gets, as apt worked them out before anything is built."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edeploy import names
from edeploy.errors import EdeployError
from edeploy.images.manifest import quote, unquote

RPM = ".rpm"
PACKAGE, REMOVE = "package", "remove"

_NEEDED = ("Package", "Version", "Architecture", "Size", "SHA256", "Filename")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~^_-]*\Z")
_ARCHITECTURE = re.compile(r"[a-z0-9_-]+\Z")
_SIZE = re.compile(r"[0-9]{1,15}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_POCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+~-]*\Z")


class BadPlan(EdeployError):
    """Text that is no plan, or a package that cannot be in one."""


@dataclass(frozen=True)
class Package:
    """One package file: `size` in bytes, SHA-256 in hex. `pocket` is the name of the source that
    has it (`bookworm-security`), `file` its path there."""

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    pocket: str
    file: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def file_name(self) -> str:
        """The name under which apt looks for the file in its cache; an RPM's is its own."""
        if self.file.endswith(RPM):
            return self.file.rpartition("/")[2]
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def pool_name(self) -> str:
        """The name in the store's pool: two archives may give one version two contents."""
        stem, dot, kind = self.file_name.rpartition(".")
        return f"{stem}_{self.sha256[:16]}{dot}{kind}"

    @property
    def wanted(self) -> str:
        """As apt's commands name exactly this one."""
        return f"{self.name}:{self.architecture}={self.version}"


@dataclass(frozen=True)
class Plan:
    """Packages to install, in the order of their names, and names of those that go."""

    packages: tuple[Package, ...] = ()
    removed: tuple[str, ...] = ()

    def text(self) -> str:
        """A line for each: what goes, then the packages."""
        lines = [f"{REMOVE} {name}" for name in self.removed]
        lines += [_line(package) for package in self.packages]
        return "".join(f"{line}\n" for line in lines)


def parse_plan(text: str) -> Plan:
    """The plan that `Plan.text` wrote. Raises BadPlan."""
    return plan_of_lines(enumerate(text.splitlines(), start=1))


def plan_of_lines(lines: Iterable[tuple[int, str]]) -> Plan:
    """The plan of numbered lines. Raises BadPlan, which begins with the line's number."""
    packages: list[Package] = []
    removed: list[str] = []
    for number, line in lines:
        kind, *words = line.split(" ") if line.isascii() else [""]
        if kind == REMOVE and len(words) == 1 and names.PACKAGE.match(words[0]):
            removed.append(words[0])
        elif kind == PACKAGE:
            packages.append(_of_words(number, words))
        else:
            raise BadPlan(f"{number}: not a line of packages: {line[:60]!r}")
    return Plan(in_order(packages), tuple(removed))


def packages_of(stanzas: str, pocket_of: dict[tuple[str, str], str]) -> tuple[Package, ...]:
    """The packages of an index, by name; `pocket_of` knows by name and version who has them.

    Raises BadPlan when one lacks a field, or has one that no archive would give it.
    """
    found = [_of_stanza(each, pocket_of) for each in stanzas.strip().split("\n\n") if each.strip()]
    return in_order(found)


def in_order(packages: Iterable[Package]) -> tuple[Package, ...]:
    """As a plan has them."""
    return tuple(sorted(packages, key=lambda each: (each.name, each.architecture)))


def built_at(files: list[Path]) -> int:
    """When the newest of these package files was built, in Unix seconds; 0 for none.

    A .deb is an `ar` archive (deb(5)), and Debian's builds give its members the time of the
    changelog: the same for everybody who builds or downloads it.
    """
    times = [0]
    for path in files:
        with open(path, "rb") as stream:
            head = stream.read(36)
        if head[:8] != b"!<arch>\n" or not head[24:36].strip().isdigit():
            raise BadPlan(f"{path}: not a Debian package", "Remove the file: it is fetched again.")
        times.append(int(head[24:36]))
    return max(times)


def _line(package: Package) -> str:
    return (
        f"{PACKAGE} {package.name} {package.version} {package.architecture} {package.size}"
        f" {package.sha256} {package.pocket} {quote(package.file.encode())}"
    )


def _of_words(number: int, words: list[str]) -> Package:
    if len(words) != 7:
        raise BadPlan(f"{number}: a package has 7 words after `{PACKAGE}`, here are {len(words)}")
    name, version, architecture, size, sha256, pocket, file = words
    found = Package(
        name, version, architecture, int(size) if _SIZE.match(size) else -1, sha256, pocket,
        unquote(file).decode("utf-8", "replace"),
    )  # fmt: skip
    odd = _odd(found)
    if odd:
        raise BadPlan(f"{number}: {odd[0]}: {odd[1]!r}")
    return found


def _of_stanza(stanza: str, pocket_of: dict[tuple[str, str], str]) -> Package:
    lines = (line.partition(":") for line in stanza.splitlines() if not line[:1].isspace())
    fields = {name: value.strip() for name, colon, value in lines if colon}
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        name = fields.get("Package", stanza[:40])
        raise BadPlan(f"{name}: the archive's index has no {missing[0]}", "Use another mirror.")
    name, version = fields["Package"], fields["Version"]
    found = Package(
        name=name,
        version=version,
        architecture=fields["Architecture"],
        size=int(fields["Size"]) if _SIZE.match(fields["Size"]) else -1,
        sha256=fields["SHA256"],
        pocket=pocket_of.get((name, version), "unknown"),
        file=fields["Filename"].removeprefix("./"),
    )
    odd = _odd(found)
    if odd:
        raise BadPlan(
            f"{name[:60]}: the archive's index has {odd[0]}: {odd[1]!r}", "Use another mirror."
        )
    return found


def _odd(package: Package) -> tuple[str, str] | None:
    """What about it cannot be: it is used in paths and arguments."""
    parts = package.file.split("/")
    if not names.PACKAGE.match(package.name):
        return "no name of a package", package.name
    if not _VERSION.match(package.version):
        return "no version", package.version
    if not _ARCHITECTURE.match(package.architecture):
        return "no architecture", package.architecture
    if package.size < 0:
        return "no size", package.name
    if not _SHA256.match(package.sha256):
        return "no SHA-256", package.sha256
    if not _POCKET.match(package.pocket):
        return "no name of a source", package.pocket
    if not package.file.isprintable() or any(part in ("", ".", "..") for part in parts):
        return "no path in an archive", package.file
    return None
