"""What must not be installed is not installed, and the operator is told why."""

import os
import shutil
from pathlib import Path

from racks import EXAMPLES, SERIALS, all_in, data_bytes, events, power, wait_for

from edeploy.images.store import Store
from edeploy.lab.box import Wishes, box
from edeploy.lab.demo import switch_on
from edeploy.lab.rack import DEMO_RACK


def copied_store(store: Store, folder: Path) -> Store:
    """The store in hard links, but for the archive of `web`, which is a copy of its own."""
    found = folder / "store"
    shutil.copytree(
        store.root,
        found,
        copy_function=os.link,
        symlinks=True,
        ignore=shutil.ignore_patterns("cache"),
    )
    archive = Store(found).image("web", "1.0.0").archive
    shutil.copyfile(archive, folder / "archive")
    os.replace(folder / "archive", archive)
    return Store(found)


def flip_a_byte(path: Path) -> None:
    """Change one byte in the middle."""
    with open(path, "r+b") as stream:
        stream.seek(path.stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))


def test_an_image_with_a_corrupted_byte_is_refused(
    store: Store, place: Path, same_disk: Path
) -> None:
    bad = copied_store(store, same_disk)
    flip_a_byte(bad.image("web", "1.0.0").archive)
    with box(DEMO_RACK, Wishes(bad.root, EXAMPLES, place / "corrupted")) as rack:
        switch_on(rack)
        for item in wait_for(rack, all_in("failed"), but_not=("active",)).values():
            assert item["phase"] in ("fetch", "verify")
            assert item["disk_touched"] is True
            assert item["reason"]
        # on_failure of the profile is halt: each machine switches itself off.
        wait_for(rack, lambda _: {power(rack, name, "status") for name in SERIALS} == {"off"})
        switch_on(rack)
        wait_for(
            rack,
            lambda _: all(
                "hold" in "".join(events(rack, name, "boot-script")[-1:]) for name in SERIALS
            ),
        )


def test_a_machine_that_no_profile_matches_is_told_why_and_writes_nothing(
    store: Store, profiles: Path, place: Path
) -> None:
    specs = profiles / "lab-web.specs"
    specs.write_text(specs.read_text().replace("gt(3)", "gt(3000)"))
    with box(DEMO_RACK, Wishes(store.root, profiles, place / "stranger")) as rack:
        switch_on(rack)
        for name, item in wait_for(rack, all_in("discovered"), but_not=("failed",)).items():
            assert "lab-web" in str(item["why"])
            assert "3000" in str(item["why"])
            assert item["lease"] is None
            assert data_bytes(rack.lab.folder.machine(name).disk(0)) == 0
