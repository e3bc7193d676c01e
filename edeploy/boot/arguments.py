"""Kernel arguments: made from names and values, checked, never pasted."""

import re
from collections.abc import Iterable, Mapping

from edeploy.errors import EdeployError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_MAX_LINE = 1800
"""The kernel's line ends at 2048 bytes on x86; iPXE and the console words need some of it."""


class BadArgument(EdeployError):
    """A kernel argument that firmware or kernel would read as something else."""


def line(values: Mapping[str, str], extra: Iterable[str] = ()) -> str:
    """`NAME=value` for every pair, then `extra` as it is; BadArgument when any is unsafe."""
    words = [argument(name, value) for name, value in values.items()]
    words += [checked(text) for text in extra if text]
    text = " ".join(words)
    if len(text) > _MAX_LINE:
        raise BadArgument(
            f"the kernel arguments are {len(text)} bytes long, {_MAX_LINE} is the limit"
        )
    return text


def argument(name: str, value: str) -> str:
    """One argument; a value with blanks is quoted as the kernel does it: `name="a b"`."""
    if not _NAME.match(name):
        raise BadArgument(f"{name!r} is no name for a kernel argument")
    if '"' in value:
        raise BadArgument(f"{name}: the kernel has no way to write a quote inside {value!r}")
    return checked(f'{name}="{value}"' if " " in value else f"{name}={value}")


def checked(text: str) -> str:
    """`text` when it is one line that iPXE hands on as it is; else BadArgument.

    iPXE expands ${…}, splits commands at the words || && ; and drops what follows a word
    that begins with #. It has no way to quote any of them.
    """
    if not text.isascii() or not text.isprintable():
        raise BadArgument(f"kernel arguments {text!r}: only printable ASCII on one line")
    if "${" in text:
        raise BadArgument(f"kernel arguments {text!r}: iPXE would expand ${{…}}")
    for word in text.split(" "):
        if word in ("||", "&&", ";") or word.startswith("#"):
            raise BadArgument(f"kernel arguments {text!r}: iPXE would end the command at {word}")
    return text
