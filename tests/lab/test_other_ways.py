"""The ways that a profile may choose instead of the usual: rsync for the tree, kexec at the end."""

from functools import partial
from pathlib import Path

from racks import SERIALS, all_in, answers, wait_for

from edeploy.images.store import Store
from edeploy.lab.box import Box, Wishes, box
from edeploy.lab.demo import address_of, switch_on
from edeploy.lab.rack import DEMO_RACK
from edeploy.server.client import JsonObject


def serves(rack: Box, address: str, _: dict[str, JsonObject]) -> bool:
    return answers(rack, address)


def test_the_tree_comes_by_rsync_and_its_kernel_starts_without_the_firmware(
    store: Store, profiles: Path, place: Path
) -> None:
    (profiles / "lab-web.toml").write_text('fetch = "rsync"\non_success = "kexec"\n')
    with box(DEMO_RACK, Wishes(store.root, profiles, place / "other")) as rack:
        switch_on(rack)
        found = wait_for(rack, all_in("active"), but_not=("failed",))
        for item in found.values():
            wait_for(rack, partial(serves, rack, address_of(item)))
        for name in SERIALS:
            console = rack.lab.folder.machine(name).console_log.read_text(errors="replace")
            assert "kexec: " in console
            assert "rebooting instead" not in console
            # The firmware's loader would have shown itself once more.
            assert console.count("GNU GRUB") == console.count("Booting `") == 0
