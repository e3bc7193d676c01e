"""NAME.toml beside a profile: how its machines are installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path

from edeploy.match.literals import read_bytes
from edeploy.match.problems import BadFile, Problem

LONGEST_DEADLINE = 7 * 24 * 60
MAX_BYTES = 16 << 10
"""Python's reader takes minutes over a key of a million parts, `a.a.a.…`."""

TESTS = ("none", "quick", "full", "burn", "lab")
"""What a machine may have to pass before it is installed."""


@dataclass(frozen=True)
class ProfileSettings:
    """The settings of one profile. `choices` and `doc` of each field are its whole definition."""

    fetch: str = field(
        default="http",
        metadata={"choices": ("http", "rsync"), "doc": "how the image comes to the machine"},
    )
    on_success: str = field(
        default="reboot",
        metadata={
            "choices": ("reboot", "kexec", "halt", "console"),
            "doc": "what the machine does when it is installed",
        },
    )
    on_failure: str = field(
        default="halt",
        metadata={
            "choices": ("halt", "console", "reboot"),
            "doc": "what the machine does when the installation failed",
        },
    )
    deadline_minutes: int | None = field(
        default=None,
        metadata={
            "choices": range(1, LONGEST_DEADLINE + 1),
            "doc": "minutes from the redeemed credential until the disk is written; then `failed`"
            " (when not given: the server's `[install] deadline_minutes`)",
        },
    )
    kernel_arguments: str = field(
        default="", metadata={"doc": "kernel arguments of the installed system"}
    )
    health: str = field(
        default="none",
        metadata={
            "choices": TESTS,
            "doc": "the health test that a machine has to pass before it is installed"
            " (`lab`: short, for virtual machines)",
        },
    )


def read_settings(path: Path) -> ProfileSettings:
    """The settings in a file; all defaults when it is not there. Raises BadFile."""
    if not path.exists():
        return ProfileSettings()
    data = read_bytes(path, MAX_BYTES)
    try:
        given = tomllib.loads(data.decode())
    except tomllib.TOMLDecodeError as error:
        raise BadFile([_syntax(path, str(error))]) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadFile([Problem(path, 1, 1, "is not UTF-8 text, or nested too deeply")]) from error
    except ValueError as error:  # dates that are none, numbers of thousands of digits
        raise BadFile([Problem(path, 1, 1, f"holds a value that is none: {error}")]) from error
    problems = [
        Problem(path, _line(data, name), 1, f"{name}: {wrong}")
        for name, value in given.items()
        if (wrong := wrong_setting(name, value))
    ]
    if problems:
        raise BadFile(problems)
    return ProfileSettings(**given)


def wrong_setting(name: object, value: object) -> str:
    """What is wrong with a setting of that name and value; empty text when nothing is."""
    known = {one.name: one for one in fields(ProfileSettings)}
    if not isinstance(name, str) or name not in known:
        return _unknown(known)
    return _wrong(known[name], value)


def over(settings: ProfileSettings, more: Mapping[str, object]) -> ProfileSettings:
    """The settings with others in their place, which were found good."""
    values = asdict(settings)
    values.update(more)
    return ProfileSettings(**values)


def _wrong(setting: Field[object], value: object) -> str:
    """What is wrong with a value; empty text when nothing is."""
    choices = setting.metadata.get("choices")
    wanted = int if isinstance(choices, range) else str
    if type(value) is not wanted:
        return f"must be {'text' if wanted is str else 'a whole number'}"
    if isinstance(choices, range) and value not in choices:
        return f"must be from {choices.start} to {choices.stop - 1}"
    if isinstance(choices, tuple) and value not in choices:
        return f"must be one of {', '.join(choices)}"
    return ""


def _unknown(known: dict[str, Field[object]]) -> str:
    return f"is no setting (there are {', '.join(sorted(known))})"


def _line(data: bytes, name: str) -> int:
    found = re.search(rb"^[\s\"'\[]*" + re.escape(name.encode()), data, re.MULTILINE)
    return data[: found.end()].count(b"\n") + 1 if found else 1


def _syntax(path: Path, message: str) -> Problem:
    place = re.search(r" \(at line (\d+), column (\d+)\)\Z", message)
    if place is None:
        return Problem(path, 1, 1, message)
    return Problem(path, int(place[1]), int(place[2]), message[: place.start()])
