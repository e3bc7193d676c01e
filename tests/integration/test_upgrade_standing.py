"""The server's state of a machine follows its upgrade; the upgrade needs none of it."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Agent, Server
from test_upgrade_client import Machine
from test_upgrade_stage import VERSIONS, publish, serve

from edeploy.errors import EdeployError
from edeploy.images.edges.folder import edge_folder
from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.store import Store
from edeploy.node.boot.marker import Marker
from edeploy.node.callhome import call_home, read_node
from edeploy.node.upgrade.settle import confirmed, failed
from edeploy.node.upgrade.standing import Standing, tell_at_start, tell_check
from edeploy.node.upgrade.state import Phase, read_state, write_state
from edeploy.node.upgrade.upgrade import upgrade

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for version, content in VERSIONS.items():
        publish(store, version, content)
    make_edge(store, "web", "1.0", "1.1", Wishes())
    return store


@pytest.fixture
def server(tmp_path: Path, store: Store) -> Iterator[Server]:
    server = serve(store, tmp_path)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def machine(tmp_path: Path, store: Store, server: Server) -> Machine:
    """Installed by the server, whose secret for the first call home it has."""
    root = tmp_path / "machine"
    subprocess.run(["cp", "-a", store.image("web", "1.0").tree, root], check=True)
    made = Machine(root, store, server.url)
    made.write("proc/cmdline", "quiet")
    node = {"server": server.url, "machine": "r1", "role": "web", "version": "1.0"}
    node["call_home"] = Agent(server.url, 1).install()
    made.write("etc/edeploy/node.json", json.dumps(node))
    return made


def shown(server: Server) -> dict[str, object]:
    with server.operators() as client:
        row: dict[str, object] = client.get("/machines/EDL0001").raise_for_status().json()
        return row


def go(machine: Machine, version: str) -> None:
    """`edeploy-node upgrade`, with a boot loader that only notes."""
    said = Standing(machine.here())
    with said.upgrade(version) as on_phase:
        upgrade(machine.here(), version, machine.loader, machine, on_phase)
    said.tell_all()


def test_every_phase_is_shown_until_the_new_version_is_confirmed(
    machine: Machine, server: Server
) -> None:
    node = machine.root / "etc/edeploy/node.json"
    call_home(node)
    assert read_node(node).secret and not read_node(node).call_home
    seen: list[object] = []
    said = Standing(machine.here())
    with said.upgrade("1.1") as on_phase:

        def look(phase: str) -> None:
            on_phase(phase)
            row = shown(server)
            seen.append((row["state"], row["phase"], bool(row["deadline"])))

        upgrade(machine.here(), "1.1", machine.loader, machine, look)
    said.tell_all()
    assert seen == [("upgrading", "stage 1.1", True)]
    assert (shown(server)["state"], shown(server)["phase"]) == ("active", "armed 1.1")
    machine.boot("web-1.1.1")
    tell_check(machine.root)
    assert shown(server)["phase"] == "armed 1.1"
    Marker(machine.here().places).put("web-1.1.1")
    tell_check(machine.root)
    assert (shown(server)["state"], shown(server)["phase"]) == ("upgrading", "check 1.1")
    assert "check 1.1" in tell_at_start(machine.root)
    assert (shown(server)["state"], shown(server)["phase"]) == ("upgrading", "check 1.1")
    Marker(machine.here().places).take()
    confirmed(machine.here().places, "web-1.1.1")
    tell_at_start(machine.root)
    row = shown(server)
    assert (row["state"], row["version"], row["phase"]) == ("active", "1.1", None)
    assert "1.1" in server.edeploy("ls")


def test_a_machine_that_went_back_is_active_and_says_why(machine: Machine, server: Server) -> None:
    call_home(machine.root / "etc/edeploy/node.json")
    go(machine, "1.1")
    places = machine.here().places
    tried = replace(read_state(places.state), phase=Phase.TRIAL, why="nginx.service is failed")
    write_state(places.state, tried)
    failed(places, "web-1.1.1", "web-1.0.0")
    tell_at_start(machine.root)
    row = shown(server)
    assert (row["state"], row["version"]) == ("active", "1.0")
    assert "nginx.service is failed" in str(row["reason"])
    assert "nginx.service is failed" in server.edeploy("ls")
    assert "nginx.service is failed" in server.edeploy("show", "EDL0001")
    assert "nginx.service is failed" in server.edeploy("log", "EDL0001")


def test_an_upgrade_that_cannot_be_is_told_as_such(machine: Machine, server: Server) -> None:
    call_home(machine.root / "etc/edeploy/node.json")
    manifest = machine.store.image("web", "1.1").manifest
    manifest.write_bytes(manifest.read_bytes().replace(b"mode=0755", b"mode=0777"))
    (edge_folder(machine.store.root, "web", "1.0", "1.1") / "pack").unlink()
    with pytest.raises(EdeployError):
        go(machine, "1.1")
    row = shown(server)
    assert (row["state"], row["version"]) == ("active", "1.0")
    assert "still 1.0, not 1.1: " in str(row["reason"])


def test_a_server_that_refuses_or_is_away_stops_no_upgrade(
    machine: Machine, server: Server
) -> None:
    node = machine.root / "etc/edeploy/node.json"
    call_home(node)
    data = json.loads(node.read_bytes())
    node.write_text(json.dumps({**data, "secret": "of somebody else"}))
    go(machine, "1.1")
    assert machine.loader.trial == "web-1.1.1"
    assert "does not want to know" in tell_at_start(machine.root)
    node.write_text(json.dumps({**data, "server": "http://127.0.0.1:1"}))
    said = Standing(machine.here())
    said.tell("boot", "1.1")
    said.tell_all()
