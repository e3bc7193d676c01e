"""What differs between two reports: of one machine at two times, or of two machines."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Optional

from edeploy.inventory import junk
from edeploy.inventory.identity import disk_marks
from edeploy.inventory.items import Item, Report

# Types and keys of what comes and goes by itself: links, addresses, clocks, counters, results of
# benchmarks; and what is of the ramdisk, not of the machine. Keys of _BY_PART stand after the id.
_PASSING = tuple(
    (re.compile(rf"(?:{types})\Z"), re.compile(rf"(?:{keys})\Z", re.IGNORECASE))
    for types, keys in (
        ("network", r"link|link-.*|speed|size|duplex|partner_capacity|latency|ipv[46].*"),
        ("infiniband", r"state|physical_state|rate|.*lid|lmc"),
        ("lldp", r".*(?:ttl|time[ -]to[ -]live|age)"),
        ("system", r"(?:os|kernel)/.*"),
        ("areca", r"(?:hardware|power)/.*"),
        ("ipmi", r"value|unit"),
        ("cpu", r".*bogomips|.*loops_per_sec|.*bandwidth.*|.*current.*|cur_.*|clock"),
        ("disk", r".*_(?:KBps|IOps).*|nr_requests|scheduler|smart.*"),
        ("pdisk|ldisk|hpa|megaraid|areca", r".*error_?count.*|.*(?:current|up)_?time.*"),
        ("probe", r".*"),
        ("areca", r".*(?:[0-9]V|Fan)(?:/unit)?"),
        (r"sensors?|ipmi-sensors?|hwmon", r".*"),
        (r".*", r"pcie_speed|.*(?:temperature|_temp|hours|rpm|voltage|watts?|amps?)(?:_.*)?"),
    )
)
_BY_PART = ("system", "areca")
# What a kernel knows of a part: after another ramdisk was built it is no news of the machine.
_OF_KERNEL = {
    "cpu": re.compile(r"flags|microcode|governor|.*_driver"),
    "numa": re.compile(r"memory"),
    "network": re.compile(
        r"(?!(?:serial|vendor|product|businfo|firmware|numa_node|capacity|pcie_.*)\Z).*"
    ),
}
# Of the SMART items only these say something that lasts: the disk's own verdict. It is compared
# where both reports have one: whether it is asked for depends on the ramdisk.
_SMART_VERDICT = re.compile(r"smart.*(?:health|passed|when_failed|critical_warning)", re.IGNORECASE)

# Types of what is heard rather than found, and sometimes is not.
_HEARD = frozenset({"lldp"})

# What two machines of one kind never have in common.
_OWN = re.compile(
    r".*serial.*|uuid|id|.*wwn.*|scsi-id|by-id|mac|mac-address|ipv[46].*|ip-address|asset.*"
    r"|default-gateway.*|hostname|.*guid|eui.*|nguid|sasaddress.*|inquirydata",
    re.IGNORECASE,
)

LISTED = 6
"""Parts that the line of an event names; `edeploy machine diff` shows all."""

FACTS = 3
"""Facts that a line names of each part, these first."""

_TELLING = ("serial", "size", "product", "model", "version", "description")
_LONG = 60  # characters of a value, from which on only its words that differ are shown


@dataclass(frozen=True)
class Fact:
    """One key of a part, before and after; None: it was not there."""

    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        before, after = self.shown()
        return f"{self.key} {before or '-'} → {after or '-'}"

    def shown(self) -> tuple[str, str]:
        """Both values for a line; of long lists, such as a processor's flags, what differs."""
        before, after = self.before or "", self.after or ""
        if min(len(before), len(after)) <= _LONG:
            return before, after
        old, new = before.split(), after.split()
        return (
            " ".join(word for word in old if word not in set(new)),
            " ".join(word for word in new if word not in set(old)),
        )


@dataclass(frozen=True)
class Change:
    """A part that is `gone`, `new`, `changed`, or only `renamed`; its names in both reports."""

    change: str
    type: str
    before: str | None
    after: str | None
    facts: tuple[Fact, ...]

    def __str__(self) -> str:
        part = f"{self.type} {self.after or self.before}"
        if self.change in ("gone", "new"):
            known = {fact.key: fact.before or fact.after for fact in self.facts}
            serial = known.get("serial")
            shown = f"{part} ({serial})" if serial else part
            return f"{shown} {'gone' if self.change == 'gone' else 'is new'}"
        if self.change == "renamed":
            return f"{self.type} {self.before} is {self.after} now"
        facts = sorted(self.facts, key=lambda fact: fact.key not in _TELLING)
        said = [str(fact) for fact in facts[:FACTS]]
        return f"{part} {', '.join(said)}{' …' if len(facts) > FACTS else ''}"


@dataclass(frozen=True)
class _Part:
    """All items of one type and id. `mark`: that by which this very part is known again."""

    type: str
    id: str
    mark: str | None
    facts: tuple[tuple[str, str], ...]


_Key = Callable[[_Part], object]


def changes(before: Report, after: Report, *, everything: bool = False) -> tuple[Change, ...]:
    """What changed in one machine. Parts that got another name are the same parts.

    Without `everything` what comes and goes by itself is left out, and a type of which one
    report has nothing because a probe failed.
    """
    blind = set() if everything else _unseen(before, after)
    keep = _any if everything else _lasting_of(before, after)
    known: tuple[_Key, ...] = (
        lambda part: (part.type, part.mark) if part.mark else None,
        lambda part: (part.type, part.id, part.facts),
        lambda part: (part.type, part.facts),
        lambda part: (part.type, part.id),
    )
    pairs = _pairs(_parts(before, keep), _parts(after, keep), known)
    return _changes((pair for pair in pairs if _type(pair) not in blind), everything)


def differences(a: Report, b: Report, *, everything: bool = False) -> tuple[Change, ...]:
    """What differs between two machines; `gone`: only `a` has it, `new`: only `b` has it.

    Without `everything` what can not be alike is left out as well: serials, MACs, addresses.
    """
    blind = set() if everything else _unseen(a, b)
    keep = _any if everything else _comparable
    known: tuple[_Key, ...] = (
        lambda part: (part.type, part.id, part.facts),
        lambda part: (part.type, part.facts),
        lambda part: (part.type, part.id),
    )
    pairs = _pairs(_parts(a, keep), _parts(b, keep), known)
    return _changes((pair for pair in pairs if _type(pair) not in blind), everything)


def fingerprint(report: Report) -> str:
    """SHA-256 of what lasts, whatever the order of items and the names of disks and cards."""
    parts = sorted((p.type, p.mark or p.id, p.facts) for p in _parts(report, _lasting))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def summary(found: Sequence[Change]) -> str:
    """The changes in one line."""
    listed = [str(change) for change in found[:LISTED]]
    if len(found) > LISTED:
        listed.append(f"and {len(found) - LISTED} more")
    return "; ".join(listed)


def _any(_item: Item) -> bool:
    return True


def _lasting(item: Item) -> bool:
    key = f"{item.id}/{item.key}" if item.type in _BY_PART else item.key
    return _lasts(item.type, key)


@lru_cache(maxsize=8192)
def _lasts(type_: str, key: str) -> bool:
    if _SMART_VERDICT.fullmatch(key):
        return True
    return not any(types.match(type_) and keys.match(key) for types, keys in _PASSING)


def _lasting_of(before: Report, after: Report) -> Callable[[Item], bool]:
    kernels = {report.value("system", "kernel", "version") for report in (before, after)}
    if len(kernels) == 1:
        return _lasting
    return lambda item: _lasting(item) and not _of_kernel(item)


def _of_kernel(item: Item) -> bool:
    keys = _OF_KERNEL.get(item.type)
    return keys is not None and keys.fullmatch(item.key) is not None


def _comparable(item: Item) -> bool:
    return _lasting(item) and item.type not in _HEARD and not _OWN.fullmatch(item.key)


def _unseen(a: Report, b: Report) -> set[str]:
    """The types of which a report has nothing: a probe failed, or nobody was heard."""
    found: set[str] = set()
    types = [{item.type for item in report.items} for report in (a, b)]
    for own, other in (types, types[::-1]):
        found |= other - own if "probe" in own else _HEARD & (other - own)
    return found


def _parts(report: Report, keep: Callable[[Item], bool]) -> list[_Part]:
    marks = _marks(report)
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for item in report.items:
        if keep(item):
            found.setdefault((item.type, item.id), []).append((item.key, item.value))
    return [
        _Part(type_, id_, marks.get((type_, id_)), tuple(sorted(facts)))
        for (type_, id_), facts in found.items()
    ]


def _marks(report: Report) -> dict[tuple[str, str], str]:
    """Disks by WWN or serial, cards by MAC; not those that two of the parts have in common."""
    found = {("disk", name): mark for name, mark in disk_marks(report).items()}
    for item in report.all("network", key="serial"):
        mac = junk.mac(item.value)
        if mac:
            found["network", item.id] = mac
    marks = list(found.values())
    return {part: mark for part, mark in found.items() if marks.count(mark) == 1}


_Pair = tuple[Optional[_Part], Optional[_Part]]


def _pairs(a: Sequence[_Part], b: Sequence[_Part], known: Iterable[_Key]) -> list[_Pair]:
    """Each part with that of the other side which is the same by the first key that finds one."""
    rest_a, rest_b = list(a), list(b)
    pairs: list[_Pair] = []
    for key in known:
        waiting: dict[object, list[_Part]] = {}
        for part in rest_b:
            waiting.setdefault(key(part), []).append(part)
        unpaired = []
        for part in rest_a:
            same = waiting.get(key(part)) if key(part) is not None else None
            if same:
                pairs.append((part, same.pop(0)))
            else:
                unpaired.append(part)
        taken = {id(right) for _, right in pairs}
        rest_a, rest_b = unpaired, [part for part in rest_b if id(part) not in taken]
    pairs += [(part, None) for part in rest_a]
    pairs += [(None, part) for part in rest_b]
    return sorted(pairs, key=_place)


def _place(pair: _Pair) -> tuple[str, list[tuple[int, str]]]:
    part = pair[0] or pair[1]
    assert part is not None  # noqa: S101 - a pair has a side
    return part.type, _natural(part.id)


def _natural(text: str) -> list[tuple[int, str]]:
    """So that bank:2 comes before bank:10."""
    return [(int(run), "") if run.isdigit() else (-1, run) for run in re.findall(r"\d+|\D+", text)]


def _type(pair: _Pair) -> str:
    return _place(pair)[0]


def _changes(pairs: Iterable[_Pair], everything: bool) -> tuple[Change, ...]:
    return tuple(change for a, b in pairs for change in _change(a, b, everything))


def _change(a: _Part | None, b: _Part | None, everything: bool) -> Iterator[Change]:
    facts = tuple(
        fact
        for fact in _facts(a.facts if a else (), b.facts if b else ())
        if everything or not _verdict_of_one(fact)
    )
    if a is None or b is None:
        part = a or b
        if part is not None and facts:
            change = "gone" if b is None else "new"
            yield Change(change, part.type, a.id if a else None, b.id if b else None, facts)
    elif facts:
        yield Change("changed", a.type, a.id, b.id, facts)
    elif everything and a.id != b.id:
        yield Change("renamed", a.type, a.id, b.id, ())


def _verdict_of_one(fact: Fact) -> bool:
    return None in (fact.before, fact.after) and _SMART_VERDICT.fullmatch(fact.key) is not None


def _facts(a: Iterable[tuple[str, str]], b: Iterable[tuple[str, str]]) -> Iterator[Fact]:
    before, after = _by_key(a), _by_key(b)
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield Fact(key, before.get(key), after.get(key))


def _by_key(facts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Several values of a key as one text."""
    found: dict[str, str] = {}
    for key, value in facts:
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found
