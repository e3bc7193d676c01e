"""The node's one file: runs with Python alone, and equal modules give equal bytes."""

import subprocess
import zipfile
from pathlib import Path

from edeploy.images.nodepack import node_bytes, pack_node


def test_it_is_one_executable_file(tmp_path: Path) -> None:
    node = tmp_path / "edeploy-node"
    pack_node(node)
    assert node.read_bytes().startswith(b"#!/usr/bin/python3\n")
    assert node.stat().st_mode & 0o777 == 0o755
    with zipfile.ZipFile(node) as archive:
        names = set(archive.namelist())
    assert {"__main__.py", "edeploy/run.py", "edeploy/images/manifest.py"} <= names
    assert not any("build" in name or "/cli/" in name for name in names)


def test_equal_modules_give_equal_bytes() -> None:
    assert node_bytes() == node_bytes()


def test_its_modules_need_python_alone(tmp_path: Path) -> None:
    node = tmp_path / "edeploy-node"
    pack_node(node)
    program = "import sys; sys.path.insert(0, sys.argv[1]); import edeploy.images.manifest as m; "
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", program + "print(m.__file__)", node],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{node}/edeploy/images/manifest.py"
