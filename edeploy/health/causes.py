"""What is probably behind a finding, and what to do next: words, out of the finding alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edeploy.health.evidence import Evidence, Link
from edeploy.health.findings import Finding
from edeploy.health.groups import Difference
from edeploy.health.measurements import Component
from edeploy.health.rules import RUNS_TO_FAIL, Verdict
from edeploy.health.soft import Oddity

_MAX_SLOTS = 8
_AGAIN = f"test it again, {RUNS_TO_FAIL} runs"
_SLOW = {
    Component.CPU: (
        "a lower clock: power profile, turbo or a frequency limit in the BIOS, heat",
        "compare BIOS power settings, temperatures and throttle counters with a good machine",
    ),
    Component.MEMORY: (
        "a lower memory clock, a channel without its module, or BIOS memory settings",
        "compare configured memory speed, population and BIOS settings with a good machine",
    ),
    Component.DISK: (
        "the disk, its cable or its controller",
        "read its SMART data and the controller's log",
    ),
    Component.NETWORK: (
        "a link at a lower speed, a bad cable or transceiver, or errors on the switch port",
        "compare link speed and error counters at both ends, then change the cable",
    ),
    Component.OTHER: (
        "not told by the facts",
        "compare settings and counters with a good machine",
    ),
}


@dataclass(frozen=True)
class Cause:
    """`likely`: what is probably wrong; `step`: what to do next."""

    likely: str
    step: str


def cause(
    finding: Finding, findings: Sequence[Finding], oddities: Sequence[Oddity], evidence: Evidence
) -> Cause:
    """The cause of a machine's finding. `findings` are all of the machine's, `oddities` its soft
    facts that differ."""
    if finding.difference is not None:
        return _of_parts(finding.difference, finding, evidence)
    if finding.link is not None:
        return _of_link(finding.link, finding.verdict)
    if finding.verdict is Verdict.NO_DATA:
        return Cause("the test did not run, was ended, or its result was lost", _AGAIN)
    if finding.comparison is None:
        return Cause("a failing part", "take it out of use and have the part replaced")
    if finding.verdict is Verdict.WATCH:
        return Cause(
            "less than matters so far", "nothing now; look at it again after its next test"
        )
    if finding.verdict is Verdict.RETEST and 2 * finding.comparison.odd < finding.comparison.runs:
        return Cause("a disturbance while it was tested, or a fault that comes and goes", _AGAIN)
    likely, step = _of_speed(finding, findings, oddities)
    if finding.verdict is Verdict.RETEST:
        return Cause(likely, f"{_AGAIN}; if it stays, {step}")
    return Cause(likely, step)


def _of_parts(difference: Difference, finding: Finding, evidence: Evidence) -> Cause:
    likely = difference.text()
    if not difference.only_missing:
        step = "see whether these parts are meant to be there; if so accept it, else change them"
        return Cause(likely, step)
    if finding.comparison is None:
        # The sentence begins with the difference then.
        likely = "missing, badly seated or broken parts"
    if difference.component is Component.MEMORY:
        slots = _empty_slots(difference, finding.machine, evidence)
        where = f" (empty here and filled in its peers: {slots})" if slots else ""
        return Cause(likely + where, "fit or reseat the missing memory modules, then test again")
    return Cause(likely, "find out what is missing or not seen, then test again")


def _of_link(link: Link, verdict: Verdict) -> Cause:
    if verdict is Verdict.WATCH:
        return Cause(
            "a slot or port that is made so, or a setting", "see once whether it is meant to be so"
        )
    if link.component is Component.NETWORK and not link.name.startswith("pcie"):
        return Cause(
            "a bad cable or transceiver, or a setting of the switch port",
            "compare the settings of both ends, change the cable, then test again",
        )
    return Cause(
        "a card or riser that sits badly, a slot with fewer lanes, or a BIOS setting of that slot",
        "reseat the card, compare its slot and the BIOS with a good machine, then test again",
    )


def _empty_slots(difference: Difference, machine: int, evidence: Evidence) -> str:
    own = evidence.machines[machine].facts.slots
    peers = [evidence.machines[number].facts.slots for number in difference.holders]
    slots = [
        slot
        for slot, filled in own.items()
        if not filled and 2 * sum(peer.get(slot, False) for peer in peers) > len(peers)
    ]
    more = f" and {len(slots) - _MAX_SLOTS} more" if len(slots) > _MAX_SLOTS else ""
    return ", ".join(slots[:_MAX_SLOTS]) + more


def _of_speed(
    finding: Finding, findings: Sequence[Finding], oddities: Sequence[Oddity]
) -> tuple[str, str]:
    mode = finding.mode
    if mode is not None and mode.fact is not None:
        return mode.text(), f"bring {mode.fact.name} to {mode.fact.fast}, then test again"
    if mode is not None and mode.undecided:
        return (
            "a setting or part in which the two halves of the group differ and no fact tells",
            "compare one machine of each half",
        )
    likely, step = (
        _of_disk(finding, findings)
        if finding.component is Component.DISK
        else _slow(finding.component)
    )
    firmware = next((one for one in oddities if one.name.startswith("firmware.")), None)
    if firmware is not None:
        return f"{firmware.text()}; or {likely}", f"bring it to the same firmware; {step}"
    return likely, step


def _slow(component: Component) -> tuple[str, str]:
    return _SLOW[component]


def _of_disk(finding: Finding, findings: Sequence[Finding]) -> tuple[str, str]:
    """One disk, or what all disks of the machine share: the siblings tell."""
    siblings = finding.siblings
    if siblings is None or finding.comparison is None:
        return _SLOW[Component.DISK]
    if siblings.flagged == 0 and siblings.loss > finding.comparison.limit / 2:
        return (
            f"the disk itself: it is {100 * siblings.loss:.0f} % below its {siblings.count} "
            f"sibling{'' if siblings.count == 1 else 's'} in the machine too",
            "read its SMART data and replace it",
        )
    if siblings.flagged < siblings.count:
        return _SLOW[Component.DISK]
    if _writes_only(findings):
        return (
            "what its disks share, as all of them are slow and only in writing: the controller's "
            "write cache is off or its battery is dead",
            "look at the controller's cache and battery",
        )
    return (
        "what its disks share, as all of them are slow: controller, backplane or cable",
        "look at the controller's log and the backplane",
    )


def _writes_only(findings: Sequence[Finding]) -> bool:
    slow = [
        finding.comparison.metric
        for finding in findings
        if finding.component is Component.DISK
        and finding.comparison is not None
        and finding.verdict >= Verdict.GROUP_SUSPECT
    ]
    return all("write" in metric for metric in slow)
