"""Results as JSON: what the server keeps of a machine, one or many in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from edeploy.errors import EdeployError
from edeploy.health.evidence import (
    MAX_NAME,
    CounterChange,
    Gatherer,
    Link,
    Record,
    Trace,
    clean,
)
from edeploy.health.measurements import Better, Component
from edeploy.health.reports import Reports
from edeploy.inventory.items import BadReport, parse_report

MAX_DOCUMENT_BYTES = 64 << 20
_MAX_TEXT = 500
_MAX_LINES = 200
_MAX_STAGES = 20_000
_MAX_POINTS = 10_000
_PARTS = {part.value: part for part in Component}

Object = Mapping[str, object]


class BadDocument(EdeployError):
    """JSON that holds no results."""


def take_document(name: str, data: bytes, reports: Reports) -> None:
    """Take in a JSON object: a machine, or `{"machines": [machine, …]}`. Raises BadDocument.

    A machine has `report` (rows of items) or `node`, and may have `group`, `results`, `stages`,
    `errors`, `warnings`, `links`, `counters`, `traces`, `commands`: see docs/reference/health.md.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise BadDocument(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadDocument(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadDocument(f"a {type(document).__name__}, not an object")
    if {"groups", "verdicts", "detectable"} <= document.keys():
        reports.gatherer.problem(name, "the result of an earlier analysis: left out")
        return
    machines = document.get("machines", [document])
    if not isinstance(machines, list):
        raise BadDocument("`machines` is not a list")
    for place, machine in enumerate(machines, 1):
        _take_machine(name if len(machines) == 1 else f"{name}, machine {place}", machine, reports)


def _take_machine(name: str, machine: object, reports: Reports) -> None:
    gatherer = reports.gatherer
    if not isinstance(machine, dict):
        gatherer.unreadable(name, f"a {type(machine).__name__}, not a machine")
        return
    number = _number(name, machine, reports)
    if number is not None:
        take_measured(number, machine, gatherer)


def take_measured(number: int, machine: Object, gatherer: Gatherer) -> None:
    """Take in what the test of a known machine says: results, and all that came with them."""
    stages = _objects(machine.get("stages"), _MAX_STAGES)
    gatherer.record(
        number,
        Record(
            errors=_texts(machine.get("errors")),
            missing=_missing(stages),
            skipped=_skipped(stages),
            tools=_each_once(_text(stage.get("tool")) for stage in stages),
            links=tuple(map(_link, _objects(machine.get("links")))),
            counters=tuple(map(_counter, _objects(machine.get("counters")))),
            traces=tuple(map(_trace, _objects(machine.get("traces")))),
            commands=_each_once(
                [
                    *_texts(machine.get("commands")),
                    *(line for stage in stages for line in _texts(stage.get("commands"))),
                ]
            ),
        ),
    )
    for warning in _texts(machine.get("warnings")):
        gatherer.remark(number, warning)
    results = machine.get("results", [])
    if not isinstance(results, list):
        gatherer.remark(number, "`results` is not a list: left out")
        return
    for result in results:
        _take_result(number, result, gatherer)


def _number(name: str, machine: Object, reports: Reports) -> int | None:
    gatherer = reports.gatherer
    rows = machine.get("report")
    if rows:
        try:
            return reports.take(name, parse_report(json.dumps(rows).encode()))
        except BadReport as error:
            gatherer.unreadable(name, error.message)
            return None
    node = _text(machine.get("node") or machine.get("name"))
    if not node or len(node) > MAX_NAME:
        gatherer.unreadable(name, "neither a `report` nor a `node` says which machine this is")
        return None
    return gatherer.machine(node, _text(machine.get("group")))


def _take_result(number: int, result: object, gatherer: Gatherer) -> None:
    if not isinstance(result, dict):
        gatherer.remark(number, "a result is no object: left out")
        return
    label, value = _text(result.get("metric")), result.get("value")
    if not label or len(label) > MAX_NAME:
        gatherer.remark(number, "a result without a metric: left out")
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        gatherer.remark(number, f"{label} is a {type(value).__name__}, not a number: left out")
        return
    metric = gatherer.metric(label, _text(result.get("unit")), better(result.get("better")))
    if not gatherer.add(number, metric, gatherer.run(_text(result.get("run"))), _float(value)):
        gatherer.remark(number, f"{label} is {_text(value)}: left out")


def better(text: object) -> Better | None:
    """The direction that a file names; None when it names none."""
    word = str(text).strip().lower()
    return Better(word) if word in ("higher", "lower") else None


def _float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _text(value: object) -> str:
    if value is None:
        return ""
    try:
        return clean(str(value))[:_MAX_TEXT]
    except ValueError:  # an integer of more digits than Python prints
        return "too long a number"


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value[:_MAX_LINES])) if isinstance(value, list) else ()


def _objects(value: object, most: int = _MAX_LINES) -> list[Object]:
    if not isinstance(value, list):
        return []
    return [one for one in value[:most] if isinstance(one, dict)]


def _skipped(stages: list[Object]) -> tuple[str, ...]:
    """The stages that do not apply to the machine or were not wanted, with their reasons."""
    return _each_once(
        f"{_text(stage.get('name'))}: {_text(stage.get('reason'))}"
        for stage in stages
        if stage.get("state") == "skipped"
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))[:_MAX_LINES]


def _missing(stages: list[Object]) -> tuple[str, ...]:
    """The stages that should have a result and have none, each once, with the first reason."""
    found: dict[str, str] = {}
    for stage in stages:
        if stage.get("state") == "missing":
            found.setdefault(_text(stage.get("name")), _text(stage.get("reason")))
    return tuple(f"{name}: {reason}" if reason else name for name, reason in found.items())


def _link(about: Object) -> Link:
    name, word = _text(about.get("name")), _text(about.get("component"))
    return Link(
        name=name,
        now=_text(about.get("now")),
        can=_text(about.get("can")),
        component=_PARTS.get(word, Component.OTHER),
        both_ends=about.get("both_ends") is not False,
    )


def _counter(about: Object) -> CounterChange:
    return CounterChange(
        _text(about.get("name")), _whole(about.get("before")), _whole(about.get("after"))
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and abs(value) < 1 << 64 else 0


def _trace(about: Object) -> Trace:
    points = about.get("points")
    numbers = points[:_MAX_POINTS] if isinstance(points, list) else []
    return Trace(
        _text(about.get("name")),
        _text(about.get("unit")),
        tuple(
            float(point)
            for point in numbers
            if isinstance(point, (int, float)) and -1e15 < point < 1e15
        ),
        _seconds(about.get("every")),
    )


def _seconds(value: object) -> float:
    """Seconds from point to point; 1 when it is not told."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6
    return float(value) if good and isinstance(value, (int, float)) else 1.0
