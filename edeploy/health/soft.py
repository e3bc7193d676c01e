"""Soft facts (firmware, slots, settings) in which a machine differs from most of its family."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edeploy.health.evidence import Evidence
from edeploy.health.groups import Choice, Groups

# A value is usual when this share of a family has it, and so many machines.
_USUAL_SHARE = 2 / 3
_USUAL_MACHINES = 3
# What a missing part would have had is told by the difference in parts.
_OF_PARTS = ("cpu.", "memory.", "disk.", "network.")
_FIRST = ("firmware.", "cpu.", "memory.", "disk.", "network.", "system.")


@dataclass(frozen=True)
class Oddity:
    """A fact of one machine that differs; `holders` of `total` machines have the usual value."""

    name: str
    own: str
    usual: str
    holders: int
    total: int

    def text(self) -> str:
        """In words: `firmware.bios.version is I30 where 17 of 18 have I31`."""
        return f"{self.name} is {self.own} where {self.holders} of {self.total} have {self.usual}"


@dataclass
class SoftFacts:
    """Finds oddities; counts a family's facts when it is first asked for."""

    evidence: Evidence
    groups: Groups
    choice: Choice
    _usual: dict[int, dict[str, tuple[str, int]]] = field(default_factory=dict)

    def oddities(self, machine: int) -> list[Oddity]:
        """Where a machine differs, firmware first. Empty for a machine without facts."""
        family, facts = self.groups.family[machine], self.evidence.machines[machine].facts.soft
        if family < 0 or not facts:
            return []
        total = sum(place == family for place in self.groups.family)
        found = [
            Oddity(name, facts.get(name, "none"), value, holders, total)
            for name, (value, holders) in self._counted(family).items()
            if facts.get(name) != value
            and not self.choice.ignores(name)
            and not (name not in facts and name.startswith(_OF_PARTS))
        ]
        return sorted(found, key=lambda one: (_rank(one.name), one.name))

    def _counted(self, family: int) -> dict[str, tuple[str, int]]:
        if family not in self._usual:
            members = [n for n, place in enumerate(self.groups.family) if place == family]
            counts: dict[str, Counter[str]] = {}
            for number in members:
                for name, value in self.evidence.machines[number].facts.soft.items():
                    counts.setdefault(name, Counter())[value] += 1
            needed = max(_USUAL_MACHINES, _USUAL_SHARE * len(members))
            best = {
                name: max(values.items(), key=lambda pair: (pair[1], pair[0]))
                for name, values in counts.items()
            }
            self._usual[family] = {
                name: pair for name, pair in sorted(best.items()) if pair[1] >= needed
            }
        return self._usual[family]


def _rank(name: str) -> int:
    return next((n for n, start in enumerate(_FIRST) if name.startswith(start)), len(_FIRST))
