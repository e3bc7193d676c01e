"""Five machines are tested before they are installed; the two with a slow part are not."""

import io
from pathlib import Path

import pytest
from racks import CHECKOUT
from rich.console import Console

from edeploy.images.store import Store
from edeploy.lab.demo import DemoPlaces
from edeploy.lab.demo_ahc import HEALTH_RACK, SHEEP, demo_ahc
from edeploy.lab.rack_file import load_rack


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_slow_disk_and_a_slow_card_are_rejected_and_the_others_installed(
    store: Store, place: Path
) -> None:
    said = io.StringIO()
    demo_ahc(
        DemoPlaces(CHECKOUT, store.root, place / "serve", HEALTH_RACK),
        Console(file=said, soft_wrap=True, width=400),
    )
    text = said.getvalue()
    assert text.count(" rejected ") >= len(SHEEP)
    assert "No byte was written to the disks of slow-disk and slow-card" in text
    for machine in load_rack(HEALTH_RACK).machines:
        assert (f"{machine.name} answers HTTP" in text) is (machine.name not in SHEEP)
