"""Any entries survive the manifest's text; any bytes either parse or are a BadManifest."""

import contextlib
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.images import manifest, trees
from edeploy.images.manifest import BadManifest, Entry

NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)
XATTRS = st.dictionaries(
    st.binary(min_size=1, max_size=12).filter(lambda raw: b"\0" not in raw),
    st.binary(max_size=20),
    max_size=3,
).map(lambda pairs: tuple(sorted(pairs.items())))
TIMES = st.integers(min_value=-(10**18), max_value=10**19)
IDS = st.integers(min_value=0, max_value=2**32 - 1)
COMMON = st.tuples(st.integers(0, 0o7777), IDS, IDS, TIMES)


def bare(path: bytes, kind: str, common: tuple[int, int, int, int]) -> Entry:
    mode, uid, gid, time = common
    return Entry(path, kind, mode, uid, gid, 0, time)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    made = {b".": bare(b".", "dir", draw(COMMON))}
    folders = [b""]
    groups: list[bytes] = []
    for name in draw(st.lists(NAMES, max_size=8)):
        path = draw(st.sampled_from(folders)) + name
        if path in made:
            continue
        kind = draw(st.sampled_from(["file", "dir", "link", "char", "block", "fifo"]))
        entry = bare(path, kind, draw(COMMON))._replace(xattrs=draw(XATTRS))
        if kind == "dir":
            folders.append(path + b"/")
        if kind == "link":
            entry = entry._replace(target=draw(st.binary(min_size=1, max_size=30)))
        if kind in ("char", "block"):
            device = (draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1)))
            entry = entry._replace(device=device)
        if kind == "file":
            entry = entry._replace(
                size=draw(st.integers(0, 2**50)),
                sha256=draw(st.binary(min_size=32, max_size=32)).hex(),
                sparse=draw(st.booleans()),
            )
            if draw(st.booleans()):
                groups.append(path)
        made[path] = entry
    for path in groups:
        made[path] = made[path]._replace(links=min(groups))
    return sorted(made.values(), key=lambda entry: (entry.path != b".", entry.path))


@given(entries())
def test_text_round_trip(given_entries: list[Entry]) -> None:
    data = manifest.dump(given_entries)
    assert manifest.parse(data) == given_entries
    assert manifest.dump(manifest.parse(data)) == data


@given(entries(), st.data())
def test_damaged_text_is_told_or_harmless(given_entries: list[Entry], data: st.DataObject) -> None:
    text = bytearray(manifest.dump(given_entries))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadManifest):
        found = manifest.parse(bytes(text))
        assert manifest.dump(found) == bytes(text)


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(NAMES, st.binary(max_size=40), max_size=6))
def test_files_with_any_name(files: dict[bytes, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)
        found = trees.scan(folder, workers=1)
        assert {entry.path for entry in found} == {b".", *files}
        again = manifest.parse(manifest.dump(found))
        assert trees.check(folder, again, workers=1) == []
