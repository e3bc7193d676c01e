"""Edges between images of a store: made whole or not at all, told truly, found as a way."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images import manifest, pack, trees
from edeploy.images.edges.folder import edge_folder, edges, read_facts
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.pack import BadPack, Pack
from edeploy.images.store import Record, Store, record_text
from edeploy.images.ways import Edge, NoWay, leg, steps, way

VERSIONS = {
    "1.0": {"boot/vmlinuz-6.1.0-50-amd64": b"kernel 50", "usr/bin/x": b"x" * 999, "a": b"one"},
    "1.1": {"boot/vmlinuz-6.1.0-56-amd64": b"kernel 56", "usr/bin/x": b"x" * 998, "a": b"two"},
    "1.2": {"boot/vmlinuz-6.1.0-56-amd64": b"kernel 56", "usr/bin/x": b"x" * 997, "a": b"one"},
}
PACKAGES = {"1.0": "a\t1\tall\nb\t1\tall\n", "1.1": "a\t2\tall\nc\t1\tall\n"}


def put_image(store: Store, version: str, content: dict[str, bytes]) -> None:
    image = store.place("web", version)
    for name, data in content.items():
        path = image.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    text = manifest.dump(trees.scan(image.tree, workers=1), str(image))
    image.manifest.write_bytes(text)
    image.packages.write_text(PACKAGES.get(version, PACKAGES["1.1"]))
    digest = hashlib.sha256(text).hexdigest()
    record = Record("0" * 64, len(content), 1, 1, "0" * 64, digest, 1.0)
    image.record_file.write_text(record_text(record))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    for version, content in VERSIONS.items():
        put_image(made, version, content)
    return made


def read(store: Store, old: str, new: str) -> Pack:
    data = (edge_folder(store.root, "web", old, new) / "pack").read_bytes()
    return pack.read_pack(lambda offset, length: data[offset : offset + length])


def test_an_edge_says_what_it_changes(store: Store) -> None:
    facts = make_edge(store, "web", "1.0", "1.1", Wishes(barrier="new format of data"))
    assert facts.reboot == "the kernel 6.1.0-50-amd64 becomes 6.1.0-56-amd64"
    assert facts.packages.changed == {"a": ("1", "2")}
    assert (facts.packages.added, facts.packages.removed) == ({"c": "1"}, {"b": "1"})
    assert (facts.files.added, facts.files.removed) == (1, 1)
    assert facts.patched + facts.whole == 3
    folder = edge_folder(store.root, "web", "1.0", "1.1")
    assert read_facts(folder) == facts
    assert facts.pack_size == (folder / "pack").stat().st_size
    assert list(edges(store.root, "web")) == [facts]
    assert make_edge(store, "web", "1.1", "1.2", Wishes()).reboot == ""


def test_both_manifests_and_their_signatures_are_in_the_pack(store: Store) -> None:
    store.place("web", "1.1").signature.write_text("signature of 1.1")
    make_edge(store, "web", "1.0", "1.1", Wishes())
    found = read(store, "1.0", "1.1")
    assert found.new_manifest == store.place("web", "1.1").manifest.read_bytes()
    assert found.head.new_signature == "signature of 1.1" and found.head.old_signature == ""
    assert manifest.image_of(found.new_manifest) == "web 1.1"


def test_rules_of_an_existing_installation_stay(store: Store, tmp_path: Path) -> None:
    folder = edge_folder(store.root, "web", "1.0", "1.1")
    folder.mkdir(parents=True)
    (folder / "exclude").write_text("/etc/fstab\n")
    (folder / "add_only").write_text("- *\n")
    (folder / "post").write_text("#!/bin/sh\nexit 100\n")
    make_edge(store, "web", "1.0", "1.1", Wishes())
    assert (folder / "exclude").read_text() == "/etc/fstab\n"
    assert (folder / "add_only").read_text() == "- *\n"
    assert os.access(folder / "post", os.X_OK)
    mine = tmp_path / "exclude"
    mine.write_text("/srv\n")
    make_edge(store, "web", "1.0", "1.1", Wishes(exclude=mine))
    assert (folder / "exclude").read_text() == "/srv\n"
    assert (folder / "post").read_text() == "#!/bin/sh\nexit 100\n"
    make_edge(store, "web", "1.1", "1.0", Wishes())
    assert "/var/" in (edge_folder(store.root, "web", "1.1", "1.0") / "exclude").read_text()


def test_a_failed_or_killed_making_leaves_what_was_there(store: Store) -> None:
    facts = make_edge(store, "web", "1.0", "1.1", Wishes())
    folder = edge_folder(store.root, "web", "1.0", "1.1")
    (folder.parent / ".1.1.new.999999999").mkdir()
    (store.place("web", "1.1").tree / "a").write_bytes(b"damaged")
    with pytest.raises(EdeployError, match="a: not what the manifest says"):
        make_edge(store, "web", "1.0", "1.1", Wishes())
    assert read_facts(folder) == facts
    assert [path.name for path in folder.parent.iterdir()] == ["1.1"]
    with pytest.raises(EdeployError, match="no image web 9"):
        make_edge(store, "web", "1.0", "9", Wishes())
    with pytest.raises(EdeployError, match="no such file"):
        make_edge(store, "web", "1.0", "1.2", Wishes(pre=Path("/nowhere/pre")))


def within(data: bytes) -> pack.Read:
    return lambda offset, length: data[offset : offset + length]


def test_over_two_edges_in_one_go(store: Store) -> None:
    for old, new in (("1.0", "1.1"), ("1.1", "1.2")):
        make_edge(store, "web", old, new, Wishes())
    packs = [read(store, "1.0", "1.1"), read(store, "1.1", "1.2")]
    contents = {hashlib.sha256(data).hexdigest(): data for data in VERSIONS["1.0"].values()}
    todo = steps(packs, contents)
    for step in todo:
        path = edge_folder(store.root, "web", *(("1.0", "1.1"), ("1.1", "1.2"))[step.pack]) / "pack"
        frames = within(path.read_bytes())
        if step.blob.source:
            known = path.parent / "old"
            known.write_bytes(contents[step.blob.source])
            with open(known, "rb") as source:
                contents[step.blob.sha256] = b"".join(pack.restored(step.blob, frames, source))
        else:
            contents[step.blob.sha256] = b"".join(pack.restored(step.blob, frames, None))
    wanted = {hashlib.sha256(data).hexdigest() for data in VERSIONS["1.2"].values()}
    assert wanted <= set(contents)
    # `a` is as it was, and what 1.1 had of it is not asked for.
    assert hashlib.sha256(b"two").hexdigest() not in contents
    assert {step.blob.sha256 for step in todo if step.wanted} <= wanted
    with pytest.raises(BadPack, match="other manifests"):
        steps(list(reversed(packs)), contents)
    with pytest.raises(BadPack, match="in no pack"):
        steps(packs[1:], [])


def test_the_way_with_the_fewest_bytes() -> None:
    found = [Edge("1", "2", 10), Edge("2", "3", 10, barrier="run it"), Edge("1", "3", 30)]
    assert way(found, "1", "3") == found[:2]
    assert leg([*found[:2], Edge("3", "4", 1)]) == found[:2]
    assert way(found, "2", "2") == []
    with pytest.raises(NoWay, match="from 1 to 9; from 1: 2, 3"):
        way(found, "1", "9")
    with pytest.raises(NoWay, match="from 3: no version"):
        way(found, "3", "1")


def test_the_command_line(store: Store) -> None:
    def edeploy(*words: str) -> str:
        argv = [sys.executable, "-m", "edeploy", "edge", *words, "--store", str(store.root)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert "the kernel 6.1.0-50-amd64 becomes" in edeploy("make", "web", "1.0", "1.1")
    assert json.loads(edeploy("make", "web", "1.1", "1.2", "--json"))["new"] == "1.2"
    assert "a 1 → 2" in edeploy("show", "web", "1.0", "1.1")
    assert "web 1.0 → 1.1 → 1.2" in edeploy("show", "web", "1.0", "1.2")
    assert [edge["new"] for edge in json.loads(edeploy("ls", "web", "--json"))] == ["1.1", "1.2"]
    assert "no edge leads from 1.2 to 1.0" in edeploy("show", "web", "1.2", "1.0")
