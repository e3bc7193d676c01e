"""One sentence a machine, for a ticket: who, where, what, how much, why, what next."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edeploy.health.causes import Cause
from edeploy.health.comparison import Comparison
from edeploy.health.evidence import Machine
from edeploy.health.findings import Finding
from edeploy.health.measurements import Component
from edeploy.health.rules import Verdict

_MAX_RUNS = 9
_MAX_MORE = 3


def subject(machine: Machine) -> str:
    """Which machine, and where it is."""
    facts = machine.facts
    who = f"serial {facts.serial}" if facts.serial else machine.node
    if facts.serial and facts.serial != machine.node:
        who = f"{machine.node}, {who}"
    if facts.system:
        who = f"{facts.system}, {who}"
    switch, port = facts.location
    if switch or port:
        who += f", at{f' switch {switch}' if switch else ''}{f' port {port}' if port else ''}"
    return who


def sentence(machine: Machine, finding: Finding, findings: Sequence[Finding], cause: Cause) -> str:
    """The sentence on a machine that did not pass. `findings` are all of its own, gravest first."""
    parts = [f"{subject(machine)}: {_component(finding)}{_what(finding)}"]
    more = _more(finding, findings)
    if more:
        parts.append(f"also {more}")
    parts += [f"likely cause: {cause.likely}", f"next: {cause.step}", *machine.remarks]
    return "; ".join(parts) + "."


def passed(machine: Machine, nearest: Comparison | None, metrics: int) -> str:
    """The sentence on a machine that passed: how near it came to a limit."""
    parts = [f"{subject(machine)}: as its peers in {metrics} metric{'' if metrics == 1 else 's'}"]
    if nearest is not None and nearest.loss > 0:
        parts.append(f"nearest to a limit: {nearest.metric}, {_loss(nearest)}")
    return "; ".join([*parts, *machine.remarks]) + "."


def number(value: float) -> str:
    """A figure as people read it: 4 digits, thousands with commas."""
    if value >= 999.95:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A loss as a change: 0.1 is −10.0 %."""
    text = f"{abs(100 * share):.1f} %"
    return text if text == "0.0 %" else f"{'−' if share > 0 else '+'}{text}"


def _component(finding: Finding) -> str:
    """The part, where the metric's name, or what is said, does not begin with it."""
    part = finding.component
    begins = finding.comparison.metric if finding.comparison else finding.said
    if part is Component.OTHER or re.match(rf"{part.value}\b", begins):
        return ""
    return f"{part.value}: "


def _what(finding: Finding) -> str:
    told = finding.comparison
    if told is None:
        return finding.said or (finding.difference.text() if finding.difference else "")
    if finding.verdict is Verdict.GROUP_SUSPECT and finding.mode is not None:
        slow, fast = len(finding.mode.slow), len(finding.mode.fast)
        return (
            f"{told.metric} has two modes in its group: {slow} at one speed, {fast} at another, "
            f"and no majority"
        )
    return f"{_how_much(finding, told)} ({_figures(told)})"


def _how_much(finding: Finding, told: Comparison) -> str:
    if told.members == 2:
        return (
            f"{told.metric} differs between the only 2 of their kind, and nothing tells "
            "which one is right"
        )
    slow_runs = told.loss < told.limit and finding.verdict is Verdict.RETEST
    if slow_runs and told.odd:
        worst = max(told.run_losses)
        return (
            f"{told.metric} is up to {100 * worst:.1f} % below the median of {_peers(told)} "
            f"in {told.odd} of {told.runs} runs"
        )
    return f"{told.metric} is {100 * told.loss:.1f} % below the median of {_peers(told)}"


def _figures(told: Comparison) -> str:
    runs = ", ".join(percent(loss) for loss in told.run_losses[:_MAX_RUNS])
    more = ", …" if told.runs > _MAX_RUNS else ""
    noun = "run" if told.runs == 1 else "runs"
    count = noun if told.members == 2 else f"{told.odd} of {told.runs} {noun} beyond noise"
    value = f"{number(told.value)} against {number(told.median)} {told.unit}".rstrip()
    return f"{value}; {count}: {runs}{more}"


def _peers(told: Comparison) -> str:
    return f"{told.members} {'disks' if told.disk else 'machines'}"


def _loss(told: Comparison) -> str:
    where = "below" if told.loss > 0 else "above"
    return f"{abs(100 * told.loss):.1f} % {where} the median of {_peers(told)}"


def _more(finding: Finding, findings: Sequence[Finding]) -> str:
    others = [
        other.comparison.metric + " " + percent(other.comparison.loss)
        if other.comparison is not None
        else other.said or (other.difference.text() if other.difference else "")
        for other in findings
        if other is not finding
    ]
    rest = len(others) - _MAX_MORE
    return ", ".join(others[:_MAX_MORE]) + (f" and {rest} more" if rest > 0 else "")
