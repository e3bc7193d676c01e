"""Names and passwords for mirrors, from a file as apt_auth.conf(5) has it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from edeploy.errors import EdeployError


def password_for(file: str, url: str) -> tuple[str, str] | None:
    """Name and password for an address, of the first entry that fits. Raises EdeployError.

    An entry is `machine [SCHEME://]HOST[:PORT][/PATH] login NAME password WORD`. Without a scheme
    it is for https only, so that no password goes over the network in the clear unasked.
    """
    if not file:
        return None
    try:
        words = Path(file).read_text(encoding="utf-8").split()
    except OSError as error:
        raise EdeployError(f"{file}: not readable: {error.strerror}") from error
    entries: list[dict[str, str]] = []
    for key, value in zip(words[::2], words[1::2], strict=False):
        if key == "machine":
            entries.append({})
        if not entries or key not in ("machine", "login", "password"):
            # Not the word itself: it may be a password.
            raise EdeployError(f"{file}: not lines of `machine HOST login NAME password WORD`")
        entries[-1][key] = value
    for entry in entries:
        if _fits(entry["machine"], url):
            return entry.get("login", ""), entry.get("password", "")
    return None


def _fits(machine: str, url: str) -> bool:
    wanted = urlsplit(machine if "://" in machine else f"https://{machine}")
    found = urlsplit(url)
    return (
        wanted.scheme == found.scheme
        and wanted.hostname == found.hostname
        and wanted.port in (None, found.port)
        and found.path.startswith(wanted.path)
    )
