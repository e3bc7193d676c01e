"""JSON that a program printed, of whose form nothing is sure."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A value in a JSON document, or one that is not there: asking it for more never raises."""

    value: object = None

    def __getitem__(self, name: str) -> Node:
        return Node(self.value.get(name)) if isinstance(self.value, dict) else Node()

    @property
    def entries(self) -> list[tuple[str, Node]]:
        """The names and values of an object, in its order; [] of anything else."""
        if not isinstance(self.value, dict):
            return []
        return [(str(name), Node(value)) for name, value in self.value.items()]

    @property
    def members(self) -> list[Node]:
        """The members of a list; an object or a text stands for a list of one, null for none."""
        if isinstance(self.value, list):
            return [Node(value) for value in self.value]
        return [] if self.value is None else [self]

    @property
    def text(self) -> str:
        """A text or number as text, true and false as they are in JSON; "" of anything else."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, (int, float)):
            return f"{self.value}"
        return self.value.strip() if isinstance(self.value, str) else ""

    @property
    def whole(self) -> int | None:
        """A whole number; None of anything else."""
        good = isinstance(self.value, int) and not isinstance(self.value, bool)
        return self.value if good and isinstance(self.value, int) else None


def document(text: str) -> Node:
    """The document in a text, of which lines before the first bracket are left out."""
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not starts:
        return Node()
    try:
        return Node(json.loads(text[min(starts) :]))
    except (ValueError, RecursionError):
        return Node()
