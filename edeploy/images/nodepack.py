"""Packs what runs on machines into one executable file: the node."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import edeploy
from edeploy import atomic

INTERPRETER = b"#!/usr/bin/python3\n"
MAIN = "import sys\n\nfrom edeploy.node.main import main\n\nsys.exit(main())\n"
MODULES = (
    "__init__.py",
    "errors.py",
    "names.py",
    "run.py",
    "atomic.py",
    "inventory/**/*.py",
    "images/__init__.py",
    "images/manifest.py",
    "images/pack.py",
    "images/pairs.py",
    "images/parallel.py",
    "images/rules.py",
    "images/signature.py",
    "images/trees.py",
    "images/ways.py",
    "images/zstd.py",
    "node/**/*.py",
)
# The oldest time that a ZIP can tell: equal modules give equal bytes.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def pack_node(destination: Path) -> None:
    """Write the node to `destination`, mode 0755. Raises OSError."""
    atomic.write(destination, node_bytes(), mode=0o755)


def node_bytes() -> bytes:
    """The node's file: the same bytes for the same modules."""
    package = Path(edeploy.__file__).parent
    files = {path for pattern in MODULES for path in package.glob(pattern)}
    content = {f"edeploy/{path.relative_to(package)}": path.read_bytes() for path in files}
    content["__main__.py"] = MAIN.encode()
    buffer = io.BytesIO(INTERPRETER)
    buffer.seek(0, io.SEEK_END)
    # Stored: a slow machine starts it sooner, and the image's own compression is better.
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            about = zipfile.ZipInfo(name, _LONG_AGO)
            about.external_attr = 0o644 << 16
            archive.writestr(about, content[name])
    return buffer.getvalue()
