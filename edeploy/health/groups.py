"""Which machines are compared: families, hardware groups in them, and parts that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from edeploy.errors import EdeployError
from edeploy.health.evidence import Evidence, Machine, natural
from edeploy.health.facts import Bag, Facts
from edeploy.health.measurements import Component

PARTS = (Component.CPU, Component.MEMORY, Component.DISK, Component.NETWORK)
DEFAULT_GROUP_BY = ("group", "system")
_FAMILY_FACTS = ("group", "system", *(part.value for part in PARTS))
# A bag of parts is the norm of a family when this share of its machines has it, and so many.
_NORM_SHARE = 2 / 3
_NORM_MACHINES = 3
_NOUNS = {
    Component.CPU: ("CPU", "CPUs"),
    Component.MEMORY: ("memory module", "memory modules"),
    Component.DISK: ("disk", "disks"),
    Component.NETWORK: ("network port", "network ports"),
}


class UnknownFact(EdeployError):
    """A name for --group-by or --ignore that is no fact."""


@dataclass(frozen=True)
class Choice:
    """What the operator wants: the facts that keep machines apart, and those that do not count.

    `ignore` holds parts (`memory`) and beginnings of other facts (`firmware`,
    `firmware.bios.date`).
    """

    group_by: tuple[str, ...] = DEFAULT_GROUP_BY
    ignore: tuple[str, ...] = ()

    def ignores(self, fact: str) -> bool:
        """Whether a fact (`type.id.key`, or a part's name) does not count."""
        return any(fact == name or fact.startswith(f"{name}.") for name in self.ignore)


@dataclass(frozen=True)
class PartsGroup:
    """Machines of a family (indexes) with the same parts in all components."""

    label: str
    family: int
    machines: tuple[int, ...]
    parts: Mapping[Component, Bag]
    why: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """Machines whose parts of one component differ from what their family has.

    `missing` and `extra` are bags; `norm` is the family's usual bag, `holders` the machines with
    it, `total` the family's size.
    """

    component: Component
    family: int
    machines: tuple[int, ...]
    norm: Bag
    own: Bag
    holders: tuple[int, ...]
    total: int

    @property
    def missing(self) -> Bag:
        """What the family has and these machines have not."""
        return _minus(self.norm, self.own)

    @property
    def extra(self) -> Bag:
        """What these machines have and the family has not."""
        return _minus(self.own, self.norm)

    @property
    def only_missing(self) -> bool:
        """Whether nothing but absence makes the difference."""
        return bool(self.missing) and not self.extra

    def text(self) -> str:
        """In words: `2 memory modules where 15 of 19 have 8`."""
        among = f"{len(self.holders)} of {self.total}"
        one, many = _NOUNS[self.component]
        kinds_missing, kinds_extra = self.missing, self.extra
        if {kind for kind, _ in self.own} == {kind for kind, _ in self.norm}:
            have, usual = _count(self.own), _count(self.norm)
            return f"{have} {one if have == 1 else many} where {among} have {usual}"
        if not kinds_missing:
            return f"{_count(kinds_extra)} more {self._nouns(kinds_extra)} than {among}: " + told(
                kinds_extra
            )
        if not kinds_extra:
            return f"{_count(kinds_missing)} fewer {self._nouns(kinds_missing)} than {among}: " + (
                f"{told(kinds_missing)} missing"
            )
        return f"{many} {told(kinds_extra)} where {among} have {told(kinds_missing)}"

    def _nouns(self, bag: Bag) -> str:
        return _NOUNS[self.component][_count(bag) != 1]


@dataclass(frozen=True)
class Groups:
    """All that follows from facts alone. `family` gives each machine's family, -1 for none;
    `parts` each machine's parts that count."""

    families: tuple[str, ...]
    family: tuple[int, ...]
    parts: tuple[Mapping[Component, Bag], ...]
    groups: tuple[PartsGroup, ...]
    differences: tuple[Difference, ...]

    def label(self, machine: int) -> str:
        """The name of a machine's family; empty for one that has none."""
        place = self.family[machine]
        return self.families[place] if place >= 0 else ""


def group(evidence: Evidence, choice: Choice) -> Groups:
    """Sort the machines into families and groups, and find minorities with other parts.

    Raises UnknownFact.
    """
    _check(evidence, choice)
    machines = evidence.machines
    parts = tuple(_counting(machine.facts, choice) for machine in machines)
    keys = [_family_key(machine, parts[n], choice) for n, machine in enumerate(machines)]
    readable = [not machine.unreadable for machine in machines]
    names = sorted({key for key, usable in zip(keys, readable, strict=True) if usable}, key=_order)
    places = {key: place for place, key in enumerate(names)}
    family = tuple(
        places[key] if usable else -1 for key, usable in zip(keys, readable, strict=True)
    )
    families = tuple(" / ".join(part for part in key if part) or "all" for key in names)
    return Groups(
        families=families,
        family=family,
        parts=parts,
        groups=tuple(_groups(families, family, parts)),
        differences=tuple(_differences(family, parts, len(families))),
    )


@cache
def told(bag: Bag) -> str:
    """A bag in words: `2 × 16 GiB 1600 MHz, 1 × 32 GiB`."""
    return ", ".join(f"{count} × {kind}" for kind, count in bag) or "none"


def _check(evidence: Evidence, choice: Choice) -> None:
    for name in choice.group_by:
        if name not in _FAMILY_FACTS and name != "none":
            raise UnknownFact(
                f"--group-by {name}: no such fact", f"Facts are {', '.join(_FAMILY_FACTS)}, none."
            )
    for name in choice.ignore:
        if name not in _FAMILY_FACTS and not _is_soft(evidence.machines, name):
            raise UnknownFact(
                f"--ignore {name}: no machine has such a fact",
                f"Facts are {', '.join(_FAMILY_FACTS)}, and others such as firmware, "
                "firmware.bios.version.",
            )


def _is_soft(machines: Iterable[Machine], name: str) -> bool:
    return any(
        fact == name or fact.startswith(f"{name}.")
        for machine in machines
        for fact in machine.facts.soft
    )


def _counting(facts: Facts, choice: Choice) -> Mapping[Component, Bag]:
    return {part: () if choice.ignores(part.value) else facts.parts.get(part, ()) for part in PARTS}


def _family_key(
    machine: Machine, parts: Mapping[Component, Bag], choice: Choice
) -> tuple[str, ...]:
    values = {
        "none": "",
        "group": machine.group,
        "system": machine.facts.system,
        **{part.value: told(parts[part]) if parts[part] else "" for part in PARTS},
    }
    return tuple(values[name] for name in choice.group_by if not choice.ignores(name))


def _order(key: Sequence[str]) -> tuple[object, ...]:
    return tuple(natural(part) for part in key)


def _groups(
    families: Sequence[str], family: Sequence[int], parts: Sequence[Mapping[Component, Bag]]
) -> Iterable[PartsGroup]:
    found: dict[int, dict[tuple[Bag, ...], list[int]]] = {}
    for number, place in enumerate(family):
        if place >= 0:
            key = tuple(parts[number][part] for part in PARTS)
            found.setdefault(place, {}).setdefault(key, []).append(number)
    for place in sorted(found):
        ordered = sorted(found[place].values(), key=lambda numbers: (-len(numbers), numbers))
        for rank, numbers in enumerate(ordered, 1):
            label = families[place] if len(ordered) == 1 else f"{families[place]} #{rank}"
            why = _why(parts[numbers[0]], parts[ordered[0][0]]) if rank > 1 else ()
            yield PartsGroup(label, place, tuple(numbers), parts[numbers[0]], why)


def _why(own: Mapping[Component, Bag], largest: Mapping[Component, Bag]) -> tuple[str, ...]:
    """The lines of difference to the family's largest group: `- 6 × …`, `+ 8 × …`."""
    lines = []
    for part in PARTS:
        lines += [f"- {part.value}: {told((one,))}" for one in _minus(largest[part], own[part])]
        lines += [f"+ {part.value}: {told((one,))}" for one in _minus(own[part], largest[part])]
    return tuple(lines)


def _differences(
    family: Sequence[int], parts: Sequence[Mapping[Component, Bag]], families: int
) -> Iterable[Difference]:
    members: list[list[int]] = [[] for _ in range(families)]
    for number, place in enumerate(family):
        if place >= 0:
            members[place].append(number)
    for place, numbers in enumerate(members):
        for part in PARTS:
            yield from _differences_of(place, part, numbers, parts)


def _differences_of(
    place: int, part: Component, numbers: list[int], parts: Sequence[Mapping[Component, Bag]]
) -> Iterable[Difference]:
    # A machine of which a CSV tells only figures lacks no parts.
    known = [number for number in numbers if any(parts[number].values())]
    if not known:
        return
    by_bag: dict[Bag, list[int]] = {}
    for number in known:
        by_bag.setdefault(parts[number][part], []).append(number)
    norm, holders = max(by_bag.items(), key=lambda pair: (len(pair[1]), pair[0]))
    if not norm or len(holders) < max(_NORM_MACHINES, _NORM_SHARE * len(known)):
        return
    for bag, others in sorted(by_bag.items()):
        if bag != norm:
            yield Difference(part, place, tuple(others), norm, bag, tuple(holders), len(known))


def _minus(bag: Bag, other: Bag) -> Bag:
    left = Counter(dict(bag))
    left.subtract(dict(other))
    return tuple(sorted((kind, count) for kind, count in left.items() if count > 0))


def _count(bag: Bag) -> int:
    return sum(count for _, count in bag)
