"""Imports point downwards, and what runs on machines needs nothing but Python."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "edeploy").rglob("*.py"))

# Each room, and the rooms that it may use beside itself; the order shows that there is no circle.
# `cli` may use all.
BASE = {"errors", "run", "atomic", "names", "timeouts", "yaml_nodes"}
ROOMS = {
    "inventory": set(),
    "match": {"inventory"},
    "images": {"inventory"},
    # The only room that uses what runs on machines: a disk is made as a machine makes its own.
    "disks": {"images", "inventory", "node"},
    "health": {"inventory"},
    "machines": {"match", "images", "inventory"},
    "boot": {"machines", "match", "images", "inventory"},
    "bmc": {"match", "images", "inventory"},
    "server": {"health", "boot", "bmc", "machines", "match", "images", "inventory"},
    "lab": {"server", "health", "boot", "bmc", "machines", "match", "images", "inventory"},
}
SHIPPED = (
    "errors.py",
    "names.py",
    "run.py",
    "atomic.py",
    "names.py",
    "__init__.py",
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
)
ON_MACHINES = [
    path
    for path in MODULES
    if path.relative_to(ROOT / "edeploy").parts[0] in ("inventory", "node")
    or str(path.relative_to(ROOT / "edeploy")) in SHIPPED
]
FOR_NODE = (
    "edeploy",
    "edeploy.node",
    "edeploy.inventory",
    "edeploy.images.manifest",
    "edeploy.images.trees",
    "edeploy.images.parallel",  # the check of trees stands on it
    "edeploy.images.pack",
    "edeploy.images.pairs",
    "edeploy.images.rules",
    "edeploy.images.signature",
    "edeploy.images.ways",
    "edeploy.images.zstd",
    "edeploy.errors",
    "edeploy.names",
    "edeploy.run",
    "edeploy.atomic",
    "edeploy.names",
)


def imports(path: Path) -> Iterator[str]:
    """The full names of all that a module imports, wherever in it, but for type checkers only."""
    tree = ast.parse(path.read_bytes())
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and _is_for_types(n.test)]
    skipped = {id(inner) for node in typing for inner in ast.walk(node)}
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def within(imported: str, allowed: tuple[str, ...]) -> bool:
    # `from edeploy import run` names edeploy.run; `edeploy` alone allows `__version__` only.
    return any(
        imported == one or (one != "edeploy" and imported.startswith(f"{one}.")) for one in allowed
    )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_downwards(path: Path) -> None:
    room = path.relative_to(ROOT / "edeploy").parts[0]
    if room in ("cli", "node", "__main__.py"):
        return
    used = {one.split(".")[1] for one in imports(path) if one.startswith("edeploy.")}
    allowed = BASE | ROOMS.get(room, set()) | {room, "__version__"}
    assert used - allowed == set()


@pytest.mark.parametrize("path", ON_MACHINES, ids=name)
def test_machines_need_nothing_but_python(path: Path) -> None:
    for imported in imports(path):
        if imported.split(".")[0] == "edeploy":
            assert within(imported, (*FOR_NODE, "edeploy.__version__")), imported
        else:
            assert imported.split(".")[0] in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", ON_MACHINES, ids=name)
def test_machines_may_have_python_3_9(path: Path) -> None:
    ast.parse(path.read_bytes(), feature_version=(3, 9))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 600
