"""What is wrong in an operator's file, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edeploy.errors import EdeployError

_LONGEST = 120


def cut(text: str) -> str:
    """A text short enough for a message, in one line."""
    text = text.replace("\n", " ")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2] + " …"


@dataclass(frozen=True, order=True)
class Problem:
    """A finding; `line` and `column` count from 1."""

    path: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class BadFile(EdeployError):
    """A file that cannot be used; `problems` says why, one or more."""

    def __init__(self, problems: Iterable[Problem], hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint)
