"""The network ends at any byte: an upgrade goes on, and hardly anything comes twice."""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cutting import Cuts, cuts
from test_upgrade_stage import VERSIONS, House, disk, house, publish

from edeploy.errors import EdeployError
from edeploy.images.edges.folder import edge_folder
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.node.http import Retry
from edeploy.node.http import Server as Http
from edeploy.node.upgrade import stage
from edeploy.node.upgrade.partial import Partial

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners, loop devices and mounts")
__all__ = ["disk", "house"]

SMALL = Retry(0.001, 0.01, 20.0)
MORE = 1.02
RANDOM = random.Random(5)  # noqa: S311 - the same cuts in every run


@pytest.fixture
def network(house: House) -> Iterator[Cuts]:
    """In front of the server, which has a 1.2 of some megabytes that no patch makes small."""
    noise = {f"usr/lib/noise{number}": RANDOM.randbytes(900_000) for number in range(5)}
    publish(house.store, "1.2", {**VERSIONS["1.1"], **noise})
    make_edge(house.store, "web", "1.0", "1.2", Wishes())
    with cuts(house.server.url) as made:
        house.http = Http(made.url, retry=SMALL)
        yield made


def test_cut_at_any_byte_it_goes_on_where_it_was(
    house: House, network: Cuts, tmp_path: Path
) -> None:
    path = "/metadata/1.0/web/1.2/pack"
    pack = (edge_folder(house.store.root, "web", "1.0", "1.2") / "pack").read_bytes()

    def fetched(name: str) -> bytes:
        with Partial(house.http, path, tmp_path / name) as file:
            file.fetch([(0, len(pack))])
            return file.read(0, len(pack))

    network.start()
    assert fetched("whole") == pack
    uncut = network.sent
    places = [1, 16, 17, 300, 1000, uncut - 1, uncut - 2, uncut // 2]
    places += [RANDOM.randrange(1, uncut) for _ in range(40)]
    for place in places:
        network.start([place])
        assert fetched(f"cut-{place}") == pack
        assert network.left == 0 and network.sent <= MORE * uncut, place
    network.start([RANDOM.randrange(1, uncut // 20) for _ in range(20)])
    assert fetched("twenty") == pack
    assert network.left == 0 and network.sent <= MORE * uncut


def test_an_upgrade_over_a_network_that_breaks_all_the_time(house: House, network: Cuts) -> None:
    network.start()
    house.stage("1.2")
    uncut = network.sent
    network.start([RANDOM.randrange(1, uncut // 12) for _ in range(15)])
    assert house.stage("1.2").name == "web-1.2.2"
    assert house.exact("web-1.2.2")
    assert network.left == 0 and network.sent <= MORE * uncut


def test_given_up_and_run_again_it_goes_on(house: House, network: Cuts) -> None:
    network.start()
    house.stage("1.2")
    uncut = network.sent
    job = replace(house.job("1.2"), server=Http(network.url, retry=replace(SMALL, give_up=0.0)))
    # The network stays away longer than the client waits.
    network.start([uncut // 2])
    with pytest.raises(EdeployError, match="gave up"):
        stage.stage(job, "web-1.2.2")
    assert "web-1.2.2" not in stage.versions(house.places)
    sent = network.sent
    network.start()
    assert house.stage("1.2").name == "web-1.2.2" and house.exact("web-1.2.2")
    assert sent + network.sent <= MORE * uncut
