"""The process in which a profile's `accept(report, var)` runs: JSON in, JSON out."""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path

from edeploy.inventory.items import Item, Report

MEMORY = 1 << 30
"""Bytes: an endless list in one profile must not take the server's machine with it."""


def main() -> None:
    """Answer the question on standard input; what the module prints goes nowhere."""
    question = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nowhere, handle)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    refusal = _asked(question["path"], question["source"], question["rows"], question["vars"])
    with answer:
        json.dump({"refusal": refusal}, answer)
    # Threads that the module left behind are not waited for.
    os._exit(0)


def _asked(path: str, source: str, rows: list[list[str]], variables: dict[str, str]) -> str:
    """Why the module refuses; empty text when it accepts."""
    name = Path(path).name
    try:
        names: dict[str, object] = {"__name__": Path(path).stem, "__file__": path}
        exec(compile(source, path, "exec"), names)  # noqa: S102 - that is its purpose
        accept = names.get("accept")
        if not callable(accept):
            return f"{name}: accept is no function any more"
        said: object = accept(Report(tuple(Item(*row) for row in rows)), variables)
    except BaseException as error:
        what = f"{type(error).__name__}: {error}".removesuffix(": ")
        return f"{_place(error, path, name)}: accept() failed: {what}"
    if said is True:
        return ""
    if said is False:
        return f"{name}: accept() says no"
    if isinstance(said, str):
        return f"{name}: {' '.join(said.split()) or 'accept() says no'}"
    return f"{name}: accept() gave {type(said).__name__}, not True, False or a reason"


def _place(error: BaseException, path: str, name: str) -> str:
    """`NAME:LINE` of the module's innermost line in an error's way."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{name}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    return f"{name}:{lines[-1]}" if lines else name
