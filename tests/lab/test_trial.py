"""A version that does not start, or does not do its job, gives way to the good one by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import Keyed, Seen, keyed
from racks import SERIALS
from second import make_second, restart, settle

from edeploy.images.store import Store
from edeploy.server.client import JsonObject

GOOD, TRIAL = "web-1.0.0.1", "web-1.0.1.1"
NAMES = sorted(SERIALS)

RACKS = [
    pytest.param("ext4", id="bios-on-ext4"),
    pytest.param("xfs", id="bios-on-xfs", marks=pytest.mark.long),
]


@pytest.fixture(scope="module", params=RACKS)
def rack(request: pytest.FixtureRequest, store: Store, place: Path) -> Iterator[Keyed]:
    """Both machines installed: BIOS with the root on ext4 and UEFI on xfs, or the other way."""
    with keyed(store, place / request.param, request.param) as found:
        yield found


def try_second(rack: Keyed, about: JsonObject, phase: str) -> dict[str, Seen]:
    """Make, arm and start a second version on each machine; what they say in the end."""
    before = {name: rack.seen_when(name, "idle").boot for name in NAMES}
    for name in NAMES:
        assert "counts the tries" in make_second(rack, name, GOOD, TRIAL, about)
        restart(rack, name)
    return {name: rack.seen_when(name, phase, not_in=before[name]) for name in NAMES}


@pytest.fixture
def settled(rack: Keyed) -> Keyed:
    for name in NAMES:
        settle(rack, name, GOOD)
    return rack


def test_a_new_machine_is_the_first_version_of_itself(rack: Keyed) -> None:
    for name in NAMES:
        seen = rack.seen_when(name, "idle")
        assert f"edeploy={GOOD}" in seen.cmdline
        assert seen.state["good"] == GOOD
        assert rack.ask(name, ["sh", "-c", "touch /usr/x; echo $?"]).strip() == "1"
        manifest = rack.ask(name, ["cat", f"/sysroot/edeploy/manifests/{GOOD}"])
        assert manifest.splitlines()[1] == "#image web 1.0.0"
        assert not rack.ask(name, ["ls", f"/sysroot/edeploy/etc-base/{GOOD}/edeploy"], check=False)
        assert "nginx" in rack.ask(name, ["dpkg-query", "-W", "nginx"])


def test_update_grub_does_no_harm(settled: Keyed) -> None:
    # All trials below start from what it wrote.
    before = {name: settled.seen_when(name, "idle").boot for name in NAMES}
    for name in NAMES:
        settled.ask(name, ["update-grub"])
        settled.ask(name, ["systemctl", "reboot"], check=False)
    for name in NAMES:
        seen = settled.seen_when(name, "idle", not_in=before[name])
        assert f"edeploy={GOOD}" in seen.cmdline


def test_a_missing_initrd(settled: Keyed) -> None:
    panics = {name: settled.console(name).count(b"Kernel panic") for name in NAMES}
    for name, seen in try_second(settled, {"removed": ["initrd"]}, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        # Not even tried: GRUB looks first.
        assert settled.console(name).count(b"Kernel panic") == panics[name]


def test_a_kernel_that_panics(settled: Keyed) -> None:
    about = {"arguments": "rdinit=/nowhere panic=1", "tries": 2}
    panics = {name: settled.console(name).count(b"Kernel panic") for name in NAMES}
    for name, seen in try_second(settled, about, "rolled-back").items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "did not come up" in str(seen.state["why"])
        assert settled.console(name).count(b"Kernel panic") - panics[name] == 2


def test_a_check_that_fails(settled: Keyed) -> None:
    files = {
        "usr/lib/edeploy/health.d/replica": "#!/bin/sh\necho the replica is behind\nexit 1\n",
        "usr/lib/edeploy/health.json": '{"seconds": 5}',
    }
    found = try_second(settled, {"files": files, "tries": 1}, "rolled-back")
    for name, seen in found.items():
        assert f"edeploy={GOOD}" in seen.cmdline, name
        assert "the replica is behind" in str(seen.state["why"])


def test_a_good_one_is_confirmed_and_stays(settled: Keyed) -> None:
    found = try_second(settled, {}, "idle")
    for name, seen in found.items():
        assert f"edeploy={TRIAL}" in seen.cmdline
        assert (seen.state["good"], seen.state["before"]) == (TRIAL, GOOD)
        settled.ask(name, ["systemctl", "reboot"], check=False)
    for name in NAMES:
        again = settled.seen_when(name, "idle", not_in=found[name].boot)
        assert f"edeploy={TRIAL}" in again.cmdline
        assert "edeploy.trial" not in again.cmdline
