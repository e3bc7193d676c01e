"""The last word of a profile's own `accept(report, var)`, had in a process of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import edeploy
from edeploy import timeouts
from edeploy.errors import EdeployError
from edeploy.inventory.items import Report
from edeploy.match.language import Specs
from edeploy.match.solver import Match, Mismatch, match
from edeploy.match.specs_module import SpecsModule
from edeploy.run import run

# -I: neither the folder nor the environment has a say in what is imported.
_CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); import edeploy.match.accept_child as c; c.main()"
)
_LONGEST = 500


@dataclass(frozen=True)
class Refused:
    """The rules are met, and `accept` said no, or failed."""

    match: Match
    reason: str


def fit(specs: Specs, module: SpecsModule | None, report: Report) -> Match | Mismatch | Refused:
    """Match a report against a profile's rules, and ask its `accept` if it has one.

    It is asked once, about the solution that the rules give: a refusal is no match, with its
    reason. Other solutions are not tried: there may be millions, and which devices are meant is
    for the rules to say. Never raises for what is in the module.
    """
    result = match(specs, report)
    if isinstance(result, Mismatch) or module is None or not module.asks:
        return result
    reason = _refusal(module, report, result)
    return Refused(result, reason) if reason else result


def _refusal(module: SpecsModule, report: Report, found: Match) -> str:
    """Why `accept` does not take it; empty text when it does."""
    question = {
        "path": str(module.path),
        "source": module.source,
        "rows": report.rows(),
        "vars": found.vars,
    }
    package = Path(edeploy.__file__).parent.parent
    name = module.path.name
    try:
        done = run(
            [sys.executable, "-I", "-c", _CHILD, package],
            stdin=json.dumps(question),
            timeout=timeouts.ACCEPT,
            check=False,
        )
        answer = json.loads(done.out)
    except EdeployError:
        return f"{name}: accept() was not done after {timeouts.ACCEPT:g} s, and was ended"
    except ValueError:
        return f"{name}: accept() ended its process (status {done.code}) without an answer"
    return str(answer["refusal"])[:_LONGEST]
