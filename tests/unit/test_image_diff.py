"""What an operator reads between two versions of a role."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored import put_image

from edeploy.cli.image import command
from edeploy.images.diff import Files, compare
from edeploy.images.store import Store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of a store belong to root")

INFO = "var/lib/dpkg/info"
OLD = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nold:x:7:7::/:/bin/sh\n",
    "etc/motd": "one\n",
    f"{INFO}/tool.list": "/.\n/usr\n/bin/tool\n",
    f"{INFO}/gone.list": "/usr/share/gone\n",
    "usr/bin/tool": "1",
    "usr/share/gone": "gone",
}
NEW = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nweb:x:8:8::/:/bin/sh\n",
    "etc/motd": "two\n",
    f"{INFO}/tool.list": "/.\n/usr\n/bin/tool\n/usr/bin/helper\n",
    "usr/bin/tool": "1234",
    "usr/bin/helper": "x",
    "usr/lib/systemd/system/api.socket": "[Socket]\nListenStream=8080\nListenStream=/run/a\n",
    "etc/systemd/system/sockets.target.wants/api.socket": "",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    put_image(store, "web", "1", OLD, packages={"tool": "1.0", "gone": "3", "same": "1"})
    put_image(store, "web", "2", NEW, packages={"tool": "2.0", "new": "1", "same": "1"})
    return store


def test_packages_files_accounts_and_units(store: Store) -> None:
    found = compare(store.image("web", "1"), store.image("web", "2"))
    assert (found.added, found.removed) == ({"new": "1"}, {"gone": "3"})
    assert found.changed == {"tool": ("1.0", "2.0")}
    assert found.files["tool"] == Files(1, 0, 2, 3 + 1 + len("/usr/bin/helper\n"))
    assert found.files["gone"].removed == 2
    assert "etc/motd" in found.loose and "usr/bin/tool" not in found.loose
    assert found.accounts == [
        "old is gone from passwd: old:x:7:7::/:/bin/sh",
        "web is new in passwd: web:x:8:8::/:/bin/sh",
    ]
    assert found.units == ["api.socket listens on 8080, /run/a"]
    assert found.privileged == []
    assert compare(store.image("web", "1"), store.image("web", "1")).is_empty


def test_new_rights_are_told(store: Store) -> None:
    put_image(store, "web", "3", NEW)
    image = store.image("web", "3")
    text = image.manifest.read_text().splitlines()
    changed = [
        line.replace("mode=0644", "mode=4755") if line.startswith("usr/bin/helper ") else
        f"{line} xattr.security.capability=01" if line.startswith("usr/bin/tool ") else line
        for line in text
    ]  # fmt: skip
    image.manifest.write_text("\n".join(changed) + "\n")
    found = compare(store.image("web", "2"), image)
    assert found.privileged == ["/usr/bin/helper setuid 0", "/usr/bin/tool capabilities"]


def test_the_command(store: Store) -> None:
    words = ["diff", "web-1", "web-2", "--store", str(store.root)]
    shown = CliRunner().invoke(command, words).output
    assert "package tool 1.0 → 2.0\n" in shown
    assert "files of tool: 1 new, 2 changed (+20 bytes)\n" in shown
    facts = json.loads(CliRunner().invoke(command, [*words, "--json"]).output)
    assert facts["changed"] == {"tool": ["1.0", "2.0"]}
