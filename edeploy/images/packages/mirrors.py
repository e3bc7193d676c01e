"""Where Debian's packages come from: this machine's own apt sources, or what the operator says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edeploy.errors import EdeployError

ETC = Path("/etc")
MIRROR_VARIABLE = "EDEPLOY_MIRROR"
SECURITY_VARIABLE = "EDEPLOY_SECURITY_MIRROR"
AUTH_VARIABLE = "EDEPLOY_MIRROR_AUTH"
COMPONENTS = ("main", "non-free-firmware")

_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<url>\S+)\s+(?P<suite>\S+)\s*(?P<rest>.*)"
)
_SIGNED_BY = re.compile(r"signed-by=(\S+)")
_DEBIAN_KEYRING = "debian-archive"


class NoMirror(EdeployError):
    """No apt source of this machine, and no setting, says where the packages are."""


@dataclass(frozen=True)
class Source:
    """One line of apt sources; `keyring` "" means apt's own keyrings. `name` is that of a recipe's
    repository; a distribution's own has none, and is called as its suite."""

    url: str
    suite: str
    components: tuple[str, ...]
    keyring: str = ""
    name: str = ""

    @property
    def pocket(self) -> str:
        """What packages of it are said to be from."""
        return self.name or self.suite

    def one_line(self) -> str:
        """As a line of sources.list."""
        option = f"[signed-by={self.keyring}] " if self.keyring else ""
        return f"deb {option}{self.url} {self.suite} {' '.join(self.components)}"

    def stanza(self) -> str:
        """As a paragraph of a .sources file."""
        signed_by = f"Signed-By: {self.keyring}\n" if self.keyring else ""
        return (
            f"Types: deb\nURIs: {self.url}\nSuites: {self.suite}\n"
            f"Components: {' '.join(self.components)}\n{signed_by}"
        )


def host_suite(etc: Path = ETC) -> str:
    """The Debian suite that this machine runs. Raises NoMirror when it is not Debian."""
    release = (etc / "os-release").read_text(encoding="utf-8", errors="replace")
    values = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    suite = values.get("VERSION_CODENAME", "").strip('"')
    if values.get("ID", "").strip('"') != "debian" or not suite:
        raise NoMirror(
            f"{etc / 'os-release'}: this machine does not run a Debian release",
            "Write `suite: NAME` in the role.",
        )
    return suite


def debian_sources(
    suite: str,
    *,
    mirror: str = "",
    security_mirror: str = "",
    keyring: str = "",
    etc: Path = ETC,
) -> list[Source]:
    """The release, its updates and its security updates.

    `mirror` and `security_mirror` replace what this machine's apt sources say; `keyring` has
    their key when it is not Debian's. Raises NoMirror, and EdeployError for a mirror's address
    with credentials in it.
    """
    known = [source for source in _host_sources(etc) if _is_debian(source)]
    archive = Source(mirror, suite, COMPONENTS, keyring) if mirror else _archive(suite, known, etc)
    found = [archive, replace(archive, suite=f"{suite}-updates")]
    security = _security(known)
    if security_mirror:
        security = Source(security_mirror, "", COMPONENTS, keyring)
    if security:
        found.append(replace(security, suite=f"{suite}-security", components=COMPONENTS))
    for source in found:
        _refuse_credentials(source.url)
    return found


def _archive(suite: str, known: list[Source], etc: Path) -> Source:
    updated = {source.url for source in known if source.suite.endswith("-updates")}
    plain = [source for source in known if not re.search("[-/]", source.suite)]
    # A third party may name its suite like Debian's; Debian's own archive has updates as well.
    for source in sorted(plain, key=lambda each: (each.url not in updated, each.suite != suite)):
        return replace(source, suite=suite, components=COMPONENTS)
    raise NoMirror(
        f"{etc / 'apt'}: no source there is a Debian archive",
        f"Say which mirror: --mirror URL, or {MIRROR_VARIABLE}=URL.",
    )


def _security(known: list[Source]) -> Source | None:
    return next((source for source in known if source.suite.endswith("-security")), None)


def _is_debian(source: Source) -> bool:
    return "main" in source.components and (not source.keyring or _DEBIAN_KEYRING in source.keyring)


def _refuse_credentials(url: str) -> None:
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise EdeployError(
            "a mirror's address has a user name or password in it, and would be in the image",
            "Move them to /etc/apt/auth.conf.d/, or a file for --mirror-auth.",
        )


def _host_sources(etc: Path) -> Iterator[Source]:
    folder = etc / "apt/sources.list.d"
    for path in [etc / "apt/sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            yield from _of_list(path.read_text(encoding="utf-8", errors="replace"), etc)
    for path in sorted(folder.glob("*.sources")):
        yield from _of_stanzas(path.read_text(encoding="utf-8", errors="replace"), etc)


def _of_list(text: str, etc: Path) -> Iterator[Source]:
    for line in text.splitlines():
        found = _ONE_LINE.match(line.partition("#")[0].strip())
        if found:
            keyring = _SIGNED_BY.search(found["options"] or "")
            yield Source(
                _resolved(found["url"], etc),
                found["suite"],
                tuple(found["rest"].split()),
                keyring[1] if keyring else "",
            )


def _of_stanzas(text: str, etc: Path) -> Iterator[Source]:
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        # A key written into the stanza itself is the third parties' habit; it is no path.
        keyring = fields.get("signed-by", "").strip()
        for url in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(_resolved(url, etc), suite, components, keyring)


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for block in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        last = ""
        for line in block.splitlines():
            if line[:1].isspace():
                fields[last] = f"{fields.get(last, '')}\n{line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                last = name.strip().lower()
                fields[last] = value.strip()
        if fields:
            yield fields


def _resolved(url: str, etc: Path) -> str:
    """The address; of a list of mirrors (as in Debian's cloud images) the first one."""
    if not url.startswith("mirror+file:"):
        return url
    path = Path(url.removeprefix("mirror+file:"))
    if path.is_relative_to(ETC):
        path = etc / path.relative_to(ETC)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split()[0] for line in lines if line.strip() and line[0] != "#"), url)
