"""The one family of errors that an operator is meant to read."""

from __future__ import annotations


class EdeployError(Exception):
    """What went wrong and where (`message`), and what to do next (`hint`).

    Only `main` functions turn it into text and an exit status; the library never exits.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message
