"""The cases that profiles written years ago rely on, read from beside the repository."""

import json
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from edeploy.inventory.items import parse_report
from edeploy.match.cmdb import NoEntry, choose
from edeploy.match.generate import expand
from edeploy.match.language import parse_specs
from edeploy.match.solver import Match, match

FILE = Path(__file__).parents[3] / "shared" / "reference" / "conformance.json"
CASES = json.loads(FILE.read_text()) if FILE.exists() else []


class MatchCase(TypedDict):
    specs: list[list[object]]
    hw: list[list[object]]
    matched: bool
    vars: dict[str, str]
    keys: dict[str, str]


class GenerateCase(TypedDict):
    model: dict[str, object]
    entries: list[dict[str, object]]


class CmdbCase(TypedDict):
    """With `entry` or with `error`."""

    cmdb: list[dict[str, object]]
    vars: dict[str, str]
    keys: dict[str, str]
    entry: NotRequired[dict[str, object]]
    error: NotRequired[str]


def of(kind: str) -> list[object]:
    missing = pytest.param(None, marks=pytest.mark.skip(reason=f"{FILE} is not there"))
    return [pytest.param(c, id=c["id"]) for c in CASES if c["kind"] == kind] or [missing]


@pytest.mark.parametrize("case", of("match"))
def test_match(case: MatchCase) -> None:
    result = match(parse_specs(case["specs"]), parse_report(json.dumps(case["hw"]).encode()))
    assert isinstance(result, Match) == case["matched"]
    if isinstance(result, Match):
        assert (result.vars, result.keys) == (case["vars"], case["keys"])


def tuples(value: object) -> object:
    if isinstance(value, dict):
        return (
            tuple(value["tuple"]) if "tuple" in value else {k: tuples(v) for k, v in value.items()}
        )
    return value


@pytest.mark.parametrize("case", of("generate"))
def test_generate(case: GenerateCase) -> None:
    entries = expand(tuples(case["model"]))
    assert json.loads(json.dumps(entries)) == case["entries"]


@pytest.mark.parametrize("case", of("cmdb"))
def test_cmdb(case: CmdbCase) -> None:
    variables = case["vars"]
    # What the records would say: the machine with this MAC already holds that entry.
    held = [
        index
        for index, entry in enumerate(case["cmdb"])
        if "used" in entry and "mac" in variables and entry.get("mac") == variables["mac"]
    ]
    owned = held[0] if held else None

    def chosen() -> dict[str, object]:
        return choose(case["cmdb"], variables, case["keys"], taken=(), owned=owned)[1]

    if "error" in case:
        with pytest.raises(NoEntry, match=case["error"]):
            chosen()
    else:
        assert chosen() == case["entry"]
