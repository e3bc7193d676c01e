"""A configure script of Python 2 as Python 3: what changes, and what is left to a person."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from edeploy.match.python2.meaning import rewrite_names
from edeploy.match.python2.syntax import Change, Rewritten, expand_tabs, rewrite_syntax

TABS = "tabs mixed with blanks"
MOST_CHARACTERS = 1 << 17
"""Real scripts have some thousands; this many take a second."""


@dataclass(frozen=True)
class Upgrade:
    """`changes` were made in `source`; `left` needs a person; `error` is why it is no Python 3."""

    source: str
    changes: tuple[Change, ...]
    left: tuple[Change, ...]
    error: Change | None = None


def upgrade(source: str) -> Upgrade:
    """Rewrite what is mechanical and safe; nothing is run, no line is added or taken away.

    What is Python 3 already comes back as it is. Places in `changes` are of lines that stay; a
    column may be off where something before it in the line was rewritten too.
    """
    if len(source) > MOST_CHARACTERS:
        told = Change(1, 1, f"longer than {MOST_CHARACTERS} characters: not looked at")
        return Upgrade(source, (), (told,), compile_error(source))
    syntax = rewrite_syntax(source)
    text, changes = syntax.source, list(syntax.changes)
    error = compile_error(text)
    if error is not None and error.what.startswith("inconsistent use of tabs"):
        text = expand_tabs(text)
        changes.append(Change(error.line, 1, TABS))
        error = compile_error(text)
    if error is not None and changes and compile_error(source) is None:
        return Upgrade(source, (), ())  # `print:0` is Python 3, odd as it is
    if error is not None:
        return Upgrade(text, tuple(sorted(changes)), syntax.left, error)
    names = _names(text, bool(changes))
    changes += names.changes
    left = tuple(dict.fromkeys(sorted([*syntax.left, *names.left])))
    return Upgrade(names.source, tuple(sorted(changes)), left)


def compile_error(source: str) -> Change | None:
    """Why Python 3 does not compile a source; None when it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(ast.parse(source), "script", "exec", dont_inherit=True)
    except SyntaxError as error:
        return Change(max(error.lineno or 1, 1), max(error.offset or 1, 1), error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return Change(1, 1, str(error) or "nested too deeply")
    return None


def _names(source: str, ported: bool) -> Rewritten:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = rewrite_names(source, ported=ported)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Rewritten(source, ())
    return found if compile_error(found.source) is None else Rewritten(source, ())
