"""A page in a browser, and what it asked and complained of."""

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page


@dataclass
class Tab:
    """An open page, the addresses that it asked for, and its complaints."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        """Open a file."""
        self.page.goto(path.as_uri())
