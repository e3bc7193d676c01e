"""From one version to another over several edges: which ones, and which contents on the way."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.images.pack import BadPack, Blob, Pack


class NoWay(EdeployError):
    """No edges lead from the one version to the other."""


@dataclass(frozen=True)
class Edge:
    """One way between two versions of a role: the size of its pack in bytes, and texts that say
    why nobody may pass its end without running it, and why it needs a reboot ("": it does not)."""

    old: str
    new: str
    size: int
    barrier: str = ""
    reboot: str = ""


@dataclass(frozen=True)
class Step:
    """Restore `blob`, of pack number `pack`; `wanted`: a file of the last version has it."""

    pack: int
    blob: Blob
    wanted: bool


def way(edges: Iterable[Edge], start: str, goal: str) -> list[Edge]:
    """The edges from `start` to `goal` with the fewest bytes. Raises NoWay, naming the versions
    that can be reached."""
    leaving: dict[str, list[Edge]] = {}
    for edge in edges:
        leaving.setdefault(edge.old, []).append(edge)
    reached: dict[str, list[Edge]] = {}
    queue: list[tuple[int, int, str, list[Edge]]] = [(0, 0, start, [])]
    while queue:
        size, steps, version, path = heapq.heappop(queue)
        if version in reached:
            continue
        reached[version] = path
        if version == goal:
            return path
        for edge in sorted(leaving.get(version, []), key=lambda edge: edge.new):
            if edge.new not in reached:
                entry = (size + edge.size, steps + 1, edge.new, [*path, edge])
                heapq.heappush(queue, entry)
    others = ", ".join(sorted(set(reached) - {start})) or "no version"
    raise NoWay(
        f"no edge leads from {start} to {goal}; from {start}: {others}",
        f"On the server: edeploy edge make ROLE {start} {goal}",
    )


def leg(path: Sequence[Edge]) -> list[Edge]:
    """What can be done at once: all of it, or up to and with the first barrier."""
    for number, edge in enumerate(path, 1):
        if edge.barrier:
            return list(path[:number])
    return list(path)


def steps(packs: Sequence[Pack], have: Iterable[str]) -> list[Step]:
    """The contents to restore for the last version, each after the one it is told against.

    `packs` lead from version to version, `have` are the SHA-256 of contents that are there.
    Raises BadPack: a content is in none of them, or the packs do not follow one another.
    """
    for before, after in zip(packs, packs[1:]):
        if before.head.new_sha256 != after.head.old_sha256:
            raise BadPack(
                f"the pack to {before.head.new} and that from {after.head.old} have other"
                " manifests between them",
                "Run `edeploy edge make` again for the second.",
            )
    files = [entry.sha256 for entry in packs[-1].new_entries if entry.type == "file"]
    wanted, there = set(files), set(have)
    found: list[Step] = []
    for sha256 in files:
        for number, blob in reversed(list(_needed(packs, sha256, there))):
            there.add(blob.sha256)
            found.append(Step(number, blob, blob.sha256 in wanted))
    return found


def _needed(packs: Sequence[Pack], sha256: str, there: set[str]) -> Iterator[tuple[int, Blob]]:
    """The blob of this content, that of its source, and so on to one that is there."""
    last = len(packs)
    while sha256 and sha256 not in there:
        for number in range(last - 1, -1, -1):
            blob = packs[number].blobs.get(sha256)
            if blob is not None:
                break
        else:
            raise BadPack(
                f"content {sha256} is not there, and in no pack",
                "The old version is not what the pack was made for.",
            )
        yield number, blob
        # A source is of the version before: packs can not lead in a circle.
        sha256, last = blob.source, number
