"""Plans: exactly which packages a tree gets, as apt worked them out before anything is built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError

_FILENAME = re.compile(r"^Filename: .*$", re.MULTILINE)
_REMOVED = "Removed:"
RPM = ".rpm"
_NEEDED = ("Package", "Version", "Architecture", "Size", "SHA256", "Filename")


class BadPlan(EdeployError):
    """Text that is no plan."""


@dataclass(frozen=True)
class Package:
    """One package file: `size` in bytes, SHA-256 in hex, `stanza` as the archive's index has it."""

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    stanza: str

    @property
    def file_name(self) -> str:
        """The name under which apt looks for the file in its cache; an RPM's is its own."""
        if self.stanza.endswith(RPM):
            return self.stanza.rpartition("/")[2].rpartition(" ")[2]
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
        """As a file: what goes, then the packages' stanzas."""
        head = f"{_REMOVED} {' '.join(self.removed)}".rstrip()
        return "\n\n".join([head, *(package.stanza for package in self.packages)]) + "\n"

    def index(self) -> str:
        """As the index (`Packages`) of a flat repository with the files beside it."""
        return "".join(
            _FILENAME.sub(f"Filename: ./{package.file_name}", package.stanza, count=1) + "\n\n"
            for package in self.packages
        )


def parse_plan(text: str) -> Plan:
    """The plan that `Plan.text` wrote. Raises BadPlan."""
    head, _, rest = text.partition("\n\n")
    if not head.startswith(_REMOVED):
        raise BadPlan(f"a plan begins with {_REMOVED!r}", "Remove the file: it is made again.")
    return Plan(packages_of(rest), tuple(head.removeprefix(_REMOVED).split()))


def packages_of(stanzas: str) -> tuple[Package, ...]:
    """The packages of an index, by name. Raises BadPlan when one lacks a field."""
    found = [_package(stanza) for stanza in stanzas.strip().split("\n\n") if stanza.strip()]
    return tuple(sorted(found, key=lambda each: (each.name, each.architecture)))


def stanza(**fields: str) -> str:
    """Fields as an index has them; `Filename` is the last one."""
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


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


def _package(stanza: str) -> Package:
    fields = dict(_fields(stanza))
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        name = fields.get("Package", stanza[:40])
        raise BadPlan(f"{name}: the archive's index has no {missing[0]}", "Use another mirror.")
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        size=int(fields["Size"]),
        sha256=fields["SHA256"],
        stanza=stanza.strip("\n"),
    )


def _fields(stanza: str) -> Iterator[tuple[str, str]]:
    for line in stanza.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            yield name, value.strip()
