"""The files that an analysis reads: folders of reports, the server's JSON, CSV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.health.documents import MAX_DOCUMENT_BYTES, BadDocument, take_document
from edeploy.health.evidence import Evidence, Gatherer, clean
from edeploy.health.reports import Reports
from edeploy.health.tables import BadTable, take_table
from edeploy.inventory.items import BadReport, read_report

_REPORTS = frozenset({".hw", ".hw_", ".json"})
_TABLES = frozenset({".csv"})


class NoSource(EdeployError):
    """A path that cannot be read at all."""


def read(paths: Iterable[Path]) -> Evidence:
    """The evidence in files and folders (with what is below them). Raises NoSource.

    A file of which nothing can be used becomes a machine without data: missing is never a pass.
    """
    gatherer = Gatherer()
    reports = Reports(gatherer)
    files = sorted({file for path in paths for file in _files(path, gatherer)})
    # Tables last: what they say of a machine that a report names belongs to that machine.
    for file in sorted(files, key=_is_table):
        try:
            _take(file, reports)
        except (BadReport, BadDocument, BadTable) as error:
            gatherer.unreadable(clean(file.name), error.message)
        except OSError as error:
            gatherer.unreadable(clean(file.name), error.strerror or "cannot be read")
    return gatherer.evidence()


def gather(documents: Iterable[tuple[str, bytes]]) -> Evidence:
    """The evidence in JSON documents (name, text) that are at hand: what the server keeps."""
    gatherer = Gatherer()
    reports = Reports(gatherer)
    for name, text in sorted(documents):
        try:
            take_document(name, text, reports)
        except BadDocument as error:
            gatherer.unreadable(clean(name), error.message)
    return gatherer.evidence()


def _files(path: Path, gatherer: Gatherer) -> Iterator[Path]:
    try:
        if not path.is_dir():
            if not path.exists():
                raise NoSource(f"{path}: no such file or folder")
            yield path
            return
        for folder, folders, names in os.walk(path, onerror=_refuse):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if file.suffix.lower() in _REPORTS | _TABLES:
                    yield file
                elif not name.startswith("."):
                    gatherer.problem(
                        path.name, "files that are no .hw, .hw_, .json or .csv: left out", name
                    )
    except OSError as error:
        raise NoSource(f"{error.filename}: {error.strerror}") from error


def _refuse(error: OSError) -> None:
    raise error


def _is_table(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix in _REPORTS | _TABLES:
        return suffix in _TABLES
    return _first_byte(file) not in (b"[", b"{")


def _take(file: Path, reports: Reports) -> None:
    if _is_table(file):
        take_table(file, reports.gatherer)
    elif _first_byte(file) == b"{":
        with file.open("rb") as stream:
            take_document(file.name, stream.read(MAX_DOCUMENT_BYTES + 1), reports)
    else:
        reports.take(file.name, read_report(file))


def _first_byte(file: Path) -> bytes:
    """The first byte that is no blank; empty for a file that cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    except OSError:
        return b""
