"""The client on a system whose Python is the oldest that it works with: Debian 11 has 3.9."""

import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest
from power import unmount
from test_upgrade_stage import enter, serve

from edeploy.images.edges.make import Wishes, make_edge
from edeploy.images.nodepack import pack_node
from edeploy.images.packages.mirrors import debian_sources
from edeploy.images.store import Store

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="needs root and mmdebstrap"
)

SUITE = "bullseye"
PATHS = {
    "image": ["usr"],
    "merged": ["etc"],
    "state": ["var", "root"],
    "exclude": ["/dev/", "/edeploy/", "/etc/", "/proc/", "/root/", "/run/", "/sys/", "/var/"],
}
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, "/usr/sbin/edeploy-node")
import edeploy.node
names = [m.name for m in pkgutil.walk_packages(edeploy.node.__path__, "edeploy.node.")]
for name in names:
    importlib.import_module(name)
print(sys.version_info[:2], len(names))
"""


def mirror() -> str:
    """Where this host's apt gets Debian from, if that still has the old suite."""
    url = debian_sources("bookworm")[0].url
    try:
        with urllib.request.urlopen(f"{url}/dists/{SUITE}/InRelease", timeout=30):  # noqa: S310
            return url
    except (OSError, URLError):
        pytest.skip(f"the mirror of this host has no {SUITE} any more")


@dataclass(frozen=True)
class Old:
    """A machine that runs the image of Debian 11 with Python 3.9, in a folder."""

    root: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["chroot", self.root, *words], capture_output=True, text=True, check=False
        )

    def verb(self, *words: str) -> dict[str, object]:
        """The JSON of a verb that ends well."""
        done = self.run("/usr/sbin/edeploy-node", *words, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def tool(self) -> str:
        return self.run("/usr/bin/tool").stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    place = tmp_path_factory.mktemp("old")
    store = Store(place / "store")
    first = store.place("web", "1.0").tree
    first.parent.mkdir(parents=True)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=apt", "--include=python3,rsync,zstd",
         SUITE, first, f"deb {mirror()} {SUITE} main"],
        check=True,
    )  # fmt: skip
    pack_node(first / "usr/sbin/edeploy-node")
    (first / "usr/lib/edeploy").mkdir()
    (first / "usr/lib/edeploy/paths.json").write_text(json.dumps(PATHS))
    for version in ("1.0", "1.1"):
        image = store.place("web", version)
        if version != "1.0":
            image.tree.parent.mkdir(parents=True)
            subprocess.run(["cp", "-a", first, image.tree], check=True)
        tool = image.tree / "usr/bin/tool"
        tool.write_text(f"#!/bin/sh\necho {version}\n")
        tool.chmod(0o755)
        enter(store, version)
    make_edge(store, "web", "1.0", "1.1", Wishes())
    root = place / "root"
    subprocess.run(["cp", "-a", first, root], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    server = serve(store, place)
    try:
        node = {"server": server.url, "machine": "r1", "role": "web", "version": "1.0"}
        (root / "etc/edeploy").mkdir()
        (root / "etc/edeploy/node.json").write_text(json.dumps(node))
        yield Old(root)
    finally:
        server.stop()
        unmount(root / "proc")


def test_every_module_is_understood(machine: Old) -> None:
    done = machine.run("/usr/bin/python3", "-c", IMPORT_ALL)
    assert done.stdout.startswith("(3, 9) "), done.stderr


def test_it_upgrades_and_goes_back(machine: Old) -> None:
    listed = machine.verb("list")["versions"]
    assert isinstance(listed, list)
    assert [(item["version"], item["runs"]) for item in listed] == [("1.0", True), ("1.1", False)]
    assert machine.verb("test-upgrade", "1.1")["changed"] == ["usr/bin/tool"]
    machine.verb("upgrade", "1.1", "--live")
    assert machine.tool() == "1.1\n"
    assert machine.verb("verify")["drift"] == []
    machine.verb("rollback")
    assert machine.tool() == "1.0\n"
    assert machine.verb("verify")["drift"] == []
