"""The initramfs of dracut starts versions as that of initramfs-tools does."""

import shutil
from collections.abc import Iterator

import pytest
from plain import NAME
from racks import CHECKOUT
from trials import LAME, Trials, machine_of

from edeploy.images.store import Store

pytestmark = pytest.mark.long
ROLE = "dracut"


@pytest.fixture(scope="module")
def trials(images: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """A machine of `base` with dracut in place of initramfs-tools."""
    folder = tmp_path_factory.mktemp("dracut")
    shutil.copytree(CHECKOUT / "roles/base", folder / ROLE)
    recipe = folder / ROLE / "role.yaml"
    recipe.write_text(recipe.read_text().replace("- initramfs-tools\n", "- dracut\n"))
    with machine_of(ROLE, folder, images, folder, firmware="bios") as machine:
        yield Trials(machine, ROLE, "counts the tries")


def test_a_version_is_the_root(trials: Trials) -> None:
    ask = trials.machine.ask
    assert f"edeploy={trials.good}" in ask(NAME, ["cat", "/proc/cmdline"]).split()
    state = ask(NAME, ["systemctl", "is-system-running", "--wait"], check=False).strip()
    assert state == "running", ask(NAME, ["systemctl", "--failed"])
    assert "/usr ro," in ask(NAME, ["findmnt", "-rno", "TARGET,OPTIONS", "/usr"])
    assert ask(NAME, ["ls", "/sysroot/edeploy/deploy"]).split() == [trials.good]
    ask(NAME, ["sh", "-c", "touch /var/tmp/x && test -e /sysroot/var/tmp/x"])
    assert "dracut" in ask(NAME, ["dpkg-query", "-W", "dracut"])
    # It did its work outside of the version's own files.
    ask(NAME, ["edeploy-node", "verify"])


def test_a_disk_that_is_not_found(trials: Trials) -> None:
    trials.refuse({"arguments": "root=LABEL=nowhere rd.retry=5", "tries": 1}, "did not come up")


def test_a_check_that_fails(trials: Trials) -> None:
    trials.refuse({**LAME, "tries": 1}, "the replica is behind")


def test_a_good_one_is_confirmed_and_stays(trials: Trials) -> None:
    trials.confirm()
