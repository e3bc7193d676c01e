"""The folder of an edge, as existing installations have it: `metadata/<from>/<role>/<to>`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.changes import Packages
from edeploy.images.edges.facts import Files
from edeploy.images.ways import Edge
from edeploy.names import checked

METADATA = "metadata"
HOOKS = ("pre", "post")
# What a machine may ask for.
FILES = ("exclude", "add_only", *HOOKS, "rules", "rules.sig", "edge.json", "pack")


class NoSuchEdge(EdeployError):
    """The store has no such edge."""


@dataclass(frozen=True)
class Facts:
    """What `edge.json` says. `barrier` and `reboot` are reasons, "" for no."""

    role: str
    old: str
    new: str
    old_manifest: str
    new_manifest: str
    pack_size: int
    patched: int
    whole: int
    files: Files
    packages: Packages
    barrier: str
    reboot: str

    def edge(self) -> Edge:
        """What is needed to find a way."""
        return Edge(self.old, self.new, self.pack_size, self.barrier, self.reboot)


def edge_folder(store: Path, role: str, old: str, new: str) -> Path:
    """Where this edge is, or would be. Raises BadName."""
    return (
        store / METADATA / checked(old, "version") / checked(role, "role") / checked(new, "version")
    )


def read_facts(folder: Path) -> Facts:
    """Raises NoSuchEdge, and EdeployError when the file is damaged."""
    file = folder / "edge.json"
    try:
        data = json.loads(file.read_bytes())
        changed = {name: (was, now) for name, (was, now) in data["packages"]["changed"].items()}
        packages = Packages(**{**data.pop("packages"), "changed": changed})
        return Facts(files=Files(**data.pop("files")), packages=packages, **data)
    except FileNotFoundError as error:
        role, old, new = folder.parent.name, folder.parent.parent.name, folder.name
        raise NoSuchEdge(
            f"the store has no edge of {role} from {old} to {new}",
            f"Make it: edeploy edge make {role} {old} {new}",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EdeployError(
            f"{file}: not the facts of an edge: {error}", "Run `edeploy edge make` again."
        ) from error


def facts_text(facts: Facts) -> str:
    """The facts as the text of their file."""
    return json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n"


def edges(store: Path, role: str) -> Iterator[Facts]:
    """All edges of a role that have a pack, by their ends; damaged ones are left out."""
    for file in sorted((store / METADATA).glob(f"*/{checked(role, 'role')}/*/edge.json")):
        if not file.parent.name.startswith("."):
            try:
                yield read_facts(file.parent)
            except EdeployError:
                continue
