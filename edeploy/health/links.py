"""Links that run below what they can do: a fact of the machine, or of how its kind is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edeploy.health.evidence import Evidence, Link
from edeploy.health.findings import Finding
from edeploy.health.groups import Groups
from edeploy.health.rules import USUAL_LINK_MACHINES, Verdict


def degraded(evidence: Evidence, groups: Groups) -> Iterator[Finding]:
    """A finding for each link below what it can do, unless most machines of the kind show that
    nothing is wrong with it."""
    usual = _Usual(evidence, groups)
    for number, machine in enumerate(evidence.machines):
        for link in machine.record.links:
            if link.now == link.can:
                continue
            verdict, beside = usual.weigh(groups.family[number], link)
            if verdict is not Verdict.PASS:
                who = "both ends" if link.both_ends else "its own end"
                said = f"{link.name} runs at {link.now}, {who} can do {link.can}{beside}"
                yield Finding(number, verdict, link.component, link=link, said=said)


class _Usual:
    """What each link of a family runs at in most of its machines."""

    def __init__(self, evidence: Evidence, groups: Groups) -> None:
        self._runs: dict[tuple[int, str], Counter[str]] = {}
        for number, machine in enumerate(evidence.machines):
            for name, now in {link.name: link.now for link in machine.record.links}.items():
                self._runs.setdefault((groups.family[number], name), Counter())[now] += 1

    def weigh(self, family: int, link: Link) -> tuple[Verdict, str]:
        """The verdict on a link that is below what it can do, and what its peers do, in words."""
        runs = self._runs[family, link.name]
        total = runs.total()
        usual, holders = min(runs.items(), key=lambda pair: (-pair[1], pair[0]))
        if total < USUAL_LINK_MACHINES or 2 * holders <= total:
            return (Verdict.FAIL if link.both_ends else Verdict.WATCH), ""
        if usual == link.now:
            # A slot of fewer lanes than its port tells of, or a setting that all of them have; a
            # slower switch than the cards are made for is everyday.
            told = f", as {holders} of {total} of its kind do"
            return (Verdict.WATCH if link.both_ends else Verdict.PASS), told
        told = f"; {holders} of {total} of its kind run at {usual}"
        return (Verdict.FAIL if link.both_ends or usual == link.can else Verdict.WATCH), told
