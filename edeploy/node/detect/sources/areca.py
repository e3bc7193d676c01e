"""`cli64`: RAID controllers of Areca."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edeploy.inventory.items import Item

_PAIR = re.compile(r"\s*:\s*")
_UNITS = ("RPM", "%", " V", " C", "Seconds", "Times", "MHz", "KB", "MB", "GB")


def parse_areca(text: str, part: str) -> Iterator[Item]:
    """Items of type `areca`, id `part` (`system`, `hardware`, `disk1`): each line by its name in
    one word, with `NAME/unit` where it has one.

    What stands above a title such as `[Enclosure#1 …]` has `Enclosure1/` before its name: so it is
    in all reports that there are.
    """
    found: list[Item] = []
    under = ""
    for line in reversed(text.splitlines()):
        title = re.match(r"\s*\[Enclosure#(\d+)", line)
        if title:
            under = f"Enclosure{title[1]}/"
        pieces = _PAIR.split(line.strip())
        if len(pieces) == 2 and pieces[1] and pieces[0][:1] != "[" and "GuiErrMsg" not in line:
            found.extend(reversed(list(_line(part, under + pieces[0], pieces[1]))))
    yield from reversed(found)


def _line(part: str, words: str, value: str) -> Iterator[Item]:
    name = words.title().replace(" ", "")
    value = value[:-1] if len(value) > 1 and value[-1] == "." else value
    unit = next((unit for unit in _UNITS if value.endswith(unit)), "")
    value = value[: -len(unit)].replace(" ", "") if unit else value
    if value:
        yield Item("areca", part, name, value)
        if unit:
            yield Item("areca", part, f"{name}/unit", unit.strip())


def has_controller(text: str) -> bool:
    """Whether `sys info` tells of a controller."""
    return re.search(r"(?m)^Controller Name\s*:\s*\S", text) is not None
