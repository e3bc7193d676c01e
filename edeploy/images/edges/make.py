"""Makes the edge between two images of a role: its pack, its facts, and the old files' defaults."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import changes, manifest, rules
from edeploy.images.edges import facts
from edeploy.images.edges.folder import HOOKS, Facts, edge_folder, facts_text
from edeploy.images.edges.packing import LEVEL, End, write_pack
from edeploy.images.owners import read_exclude
from edeploy.images.signature import EDGE_NAMESPACE, sign
from edeploy.images.store import Image, Store

# A way that an edge without own rules has: leave alone what the machine has made, add what is new.
ADD_ONLY = "+ /var/\n+ /var/**\n- *\n"
EXCLUDE = """\
/boot/grub/
/dev/
/edeploy/
/etc/
/home/
/lost+found
/media/
/mnt/
/proc/
/root/
/run/
/srv/
/sys/
/tmp/
/var/
"""


@dataclass(frozen=True)
class Wishes:
    """What an operator may say: rules and hooks (files), a reason for a barrier, the level, and the
    key to sign rules and hooks with."""

    exclude: Path | None = None
    add_only: Path | None = None
    pre: Path | None = None
    post: Path | None = None
    barrier: str = ""
    level: int = LEVEL
    key: Path | None = None


def make_edge(
    store: Store,
    role: str,
    old: str,
    new: str,
    wishes: Wishes,
    on_step: Callable[[str], None] = lambda _: None,
) -> Facts:
    """Write `metadata/<old>/<role>/<new>/`, whole or not at all.

    Rules and hooks that an earlier edge there has, stay unless `wishes` has others. Raises
    EdeployError: no such image, a store that is not what it was.
    """
    ends = store.image(role, old), store.image(role, new)
    if old == new:
        raise EdeployError(f"{role} {old} is both ends", "Name two versions.")
    place = edge_folder(store.root, role, old, new)
    with _new_folder(place) as work:
        _rules(place, work, wishes, ends[1])
        _sign_rules(work, f"{role} {old} {new}", wishes.key)
        before, after = _end(ends[0]), _end(ends[1])
        on_step(f"packing what {role} {old} lacks of {new}")
        with open(work / "pack", "wb") as out:
            packed = write_pack(role, before, after, out, level=wishes.level)
            out.flush()
            os.fsync(out.fileno())
        entries = manifest.parse(before.manifest), manifest.parse(after.manifest)
        packages = changes.compare(ends[0].packages.read_text(), ends[1].packages.read_text())
        made = Facts(
            role=role,
            old=old,
            new=new,
            old_manifest=ends[0].record().manifest_sha256,
            new_manifest=ends[1].record().manifest_sha256,
            pack_size=packed.size,
            patched=packed.patched,
            whole=packed.whole,
            files=facts.files(*entries),
            packages=packages,
            barrier=wishes.barrier,
            reboot=facts.reboot(*entries, packages),
        )
        atomic.write(work / "edge.json", facts_text(made))
    return made


def _end(image: Image) -> End:
    signature = image.signature.read_text() if image.signature.is_file() else ""
    return End(image.version, image.tree, image.manifest.read_bytes(), signature)


def _rules(place: Path, work: Path, wishes: Wishes, new: Image) -> None:
    exclude = read_exclude(new.tree, EXCLUDE.splitlines())
    defaults = {"exclude": "".join(f"{line}\n" for line in exclude), "add_only": ADD_ONLY}
    for name in ("exclude", "add_only", *HOOKS):
        wish: Path | None = getattr(wishes, name)
        source = wish or place / name
        if source.is_file():
            shutil.copyfile(source, work / name)
        elif wish:
            raise EdeployError(f"{wish}: no such file", f"It should be the edge's {name}.")
        elif name in defaults:
            atomic.write(work / name, defaults[name])
        if name in HOOKS and source.is_file():
            (work / name).chmod(0o755)


def _sign_rules(work: Path, edge: str, key: Path | None) -> None:
    files = {name: work / name for name in rules.NAMES if (work / name).is_file()}
    text = rules.rules_text(edge, {name: file.read_bytes() for name, file in files.items()})
    atomic.write(work / "rules", text)
    if key:
        sign(work / "rules", work / "rules.sig", key, EDGE_NAMESPACE)


@contextmanager
def _new_folder(place: Path) -> Iterator[Path]:
    """A folder that takes the place of `place` at the end, or is gone; the old one is whole until
    then. What makers that were killed left is removed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f".{place.name}.*"):
        if not Path(f"/proc/{left.suffix[1:]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    work = place.with_name(f".{place.name}.new.{os.getpid()}")
    old = place.with_name(f".{place.name}.old.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
        atomic.sync_folder(work)
        if place.exists():
            place.rename(old)
        work.rename(place)
        atomic.sync_folder(place.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
