"""Where a comma is missing, in source that the parser refuses."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from itertools import pairwise

from edeploy.match.python2.tokens import Kind, Lines, Token, tokens

_VALUES = (Kind.NAME, Kind.NUMBER, Kind.STRING)
_MOST = 10_000
"""Characters looked at; between two values that lack a comma there are fewer."""


def missing_comma(source: str, error: SyntaxError) -> tuple[int, int] | None:
    """Line and column, from 1, just behind the value that lacks one; None: it is another error.

    The parser names the whole of both values, which may be a page; and it reads
    `'a': 'x' 'b': 'y'` as one long text, and wonders about the colon.
    """
    if not error.lineno or not error.offset or error.lineno < 1 or error.offset < 1:
        return None
    lines = Lines(source)
    at = lines.offset(error.lineno, 0) + error.offset - 1
    if "forgot a comma" in error.msg:
        return lines.place(at + _behind_first(_meaning(source[at : at + _MOST])))
    if source[at : at + 1] == ":":
        above = lines.offset(max(error.lineno - 3, 1), 0)
        texts = _meaning(source[above : min(at, above + _MOST)])[-2:]
        if [one.kind for one in texts] == [Kind.STRING, Kind.STRING]:
            return lines.place(above + texts[0].start + len(texts[0].text))
    return None


def _meaning(source: str) -> list[Token]:
    """The tokens but for blanks, comments and line ends."""
    return [one for one in tokens(source) if one.kind not in (Kind.BLANK, Kind.END)]


def _behind_first(found: Sequence[Token]) -> int:
    """The offset behind the first value that is followed by another one."""
    for left, right in pairwise(found):
        apart = not left.kind is right.kind is Kind.STRING
        if left.depth == right.depth == 0 and apart and _ends(left) and _begins(right):
            return left.start + len(left.text)
    return 0


def _ends(token: Token) -> bool:
    if token.kind is Kind.NAME:
        return not keyword.iskeyword(token.text) or token.text in ("None", "True", "False")
    return token.kind in _VALUES or token.text in (")", "]", "}")


def _begins(token: Token) -> bool:
    return token.text == "{" or (token.kind in _VALUES and _ends(token))
