"""A pack gives back every content of the new version, whatever it is; damage is never silent."""

import hashlib
import io
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.errors import EdeployError
from edeploy.images import manifest, pack, trees
from edeploy.images.edges.packing import End, write_pack
from edeploy.images.pack import Pack

NAMES = st.sampled_from(
    [
        "etc/hosts",
        "usr/lib/libx.so.1.2.3",
        "usr/lib/libx.so.1.2.4",
        "usr/lib/modules/6.1.0-50-amd64/kernel/net/a.ko",
        "usr/lib/modules/6.1.0-56-amd64/kernel/net/a.ko",
        "a",
        "b",
    ]
)
CONTENTS = st.one_of(
    st.binary(max_size=50),
    st.builds(lambda seed, size: bytes(range(seed)) * size, st.integers(1, 255), st.just(40)),
)
TREES = st.dictionaries(NAMES, CONTENTS, max_size=7)


def end(folder: Path, version: str, content: dict[str, bytes]) -> End:
    tree = folder / version
    tree.mkdir()
    for name, data in content.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (0, 0))
    text = manifest.dump(trees.scan(tree, workers=1), f"web {version}")
    return End(version, tree, text)


def packed(old: End, new: End) -> bytes:
    out = io.BytesIO()
    write_pack("web", old, new, out)
    return out.getvalue()


def reader(data: bytes) -> pack.Read:
    return lambda offset, length: data[offset : offset + length]


def contents(found: Pack, data: bytes, old: Path) -> dict[str, bytes]:
    """All blobs restored, by digest, from the files of the old tree."""
    paths = {entry.sha256: entry.path.decode() for entry in found.old_entries}
    result = {}
    for blob in found.blobs.values():
        source = (old / paths[blob.source]).open("rb") if blob.source else None
        try:
            result[blob.sha256] = b"".join(pack.restored(blob, reader(data), source))
        finally:
            if source:
                source.close()
    return result


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_every_new_content_comes_out(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old, new = end(Path(folder), "1.0", before), end(Path(folder), "1.1", after)
        data = packed(old, new)
        found = pack.read_pack(reader(data))
        assert (found.head.role, found.head.old, found.head.new) == ("web", "1.0", "1.1")
        assert found.new_manifest == new.manifest
        restored = contents(found, data, old.tree)
        have = {hashlib.sha256(content).hexdigest() for content in before.values()}
        for content in after.values():
            digest = hashlib.sha256(content).hexdigest()
            assert digest in have or restored[digest] == content
        assert not have & set(restored)
        assert packed(old, new) == data


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_never_silent(draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        old = end(Path(folder), "1.0", {"a": b"old content" * 30, "b": b"stays"})
        new = end(Path(folder), "1.1", {"a": b"new content" * 30, "b": b"stays", "c": b"c" * 99})
        data = bytearray(packed(old, new))
        place = draw.draw(st.integers(0, len(data) - 1))
        if draw.draw(st.booleans()):
            data[place] ^= draw.draw(st.integers(1, 255))
        else:
            del data[place:]
        try:
            found = pack.read_pack(reader(bytes(data)), old.manifest)
            restored = contents(found, bytes(data), old.tree)
        except (EdeployError, OSError, KeyError):
            return
        for digest, content in restored.items():
            assert hashlib.sha256(content).hexdigest() == digest
        # Names and versions are not covered by a digest: they are compared with the manifest's.
        assert found.new_manifest == new.manifest


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_junk_is_no_pack(junk: bytes) -> None:
    for data in (junk, pack.MAGIC + junk, pack.MAGIC + len(junk).to_bytes(4, "big") + junk):
        try:
            pack.read_pack(reader(data))
        except EdeployError:
            continue
        raise AssertionError(data)
