"""Python source cut into tokens, Python 2 or 3, right or wrong: nothing is ever refused.

The standard library's tokenizer refuses Python 2 (`0644`, backticks) from Python 3.12 on, and its
lib2to3 is gone from 3.13 on. Joined again, the tokens are the source, and the time is linear.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a token is."""

    BLANK = auto()  # blanks, continued lines, comments, line ends within brackets
    END = auto()  # the end of a logical line
    NAME = auto()
    NUMBER = auto()
    STRING = auto()
    MARK = auto()  # operators, brackets
    BAD = auto()  # a text that is never closed


@dataclass(frozen=True)
class Token:
    """A piece of source; `start` is its offset in the source it was read from."""

    kind: Kind
    text: str
    start: int
    depth: int  # how many brackets are open around it; an opening or closing one is outside


Tokens = Sequence[Token]

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_BLANK = re.compile(r"(?:[ \t\f]|\\\r?\n|#[^\r\n]*)+")
_END = re.compile(r"\r?\n|\r")
_QUOTE = re.compile(r"([A-Za-z]{0,2})('''|\"\"\"|'|\")")
_PREFIXES = frozenset(["", "u", "b", "r", "f", "ur", "br", "rb", "fr", "rf"])
_WHOLE = {
    quote: re.compile(rf"(?:[^{quote[0]}\\]++|\\.|{quote[0]}(?!{quote[1:]}))*+", re.DOTALL)
    for quote in ("'''", '"""')
}
_WHOLE |= {
    quote: re.compile(rf"(?:[^{quote}\\\r\n]++|\\(?:\r\n|.))*+", re.DOTALL) for quote in "'\""
}
_NAME = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(
    r"0[xXbBoO][0-9a-fA-F_]+[lL]?|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)"
    r"(?:[eE][+-]?[0-9_]+)?[jJlL]?"
)
_MARK = re.compile(r"\*\*=|//=|>>=|<<=|\.\.\.|<>|[-+*/%@&|^=<>!:]=|->|\*\*|//|>>|<<|.", re.DOTALL)


def tokens(source: str) -> list[Token]:
    """All of the source as tokens; their texts joined are the source."""
    found: list[Token] = []
    at = depth = 0
    while at < len(source):
        kind, end = _next(source, at, depth)
        text = source[at:end]
        if kind is Kind.MARK and text in _CLOSING:
            depth = max(depth - 1, 0)
        found.append(Token(kind, text, at, depth))
        if kind is Kind.MARK and text in _OPENING:
            depth += 1
        at = end
    return found


def statements(all_tokens: Tokens) -> Iterator[range]:
    """The places of each simple statement, and of each head of a compound one without its colon.

    `if x: print y; z` gives `if x`, `print y`, `z`. Blanks at both ends are left out.
    """
    begin, lambdas = 0, 0
    for place, token in enumerate(all_tokens):
        if token.depth > 0 and token.kind is not Kind.END:
            continue
        if token.kind is Kind.NAME and token.text == "lambda":
            lambdas += 1
        colon = token.text == ":" and token.kind is Kind.MARK
        if colon and lambdas:
            lambdas -= 1
        elif colon or token.kind is Kind.END or token.text == ";":
            yield from _stripped(all_tokens, begin, place)
            begin, lambdas = place + 1, 0
    yield from _stripped(all_tokens, begin, len(all_tokens))


class Lines:
    """Where the lines of a source begin: from offsets to lines and columns, and back."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._starts = [0, *(found.end() for found in _END.finditer(source))]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def offset(self, line: int, byte: int) -> int:
        """The offset of a byte of a line, as the syntax tree counts: UTF-8, from 0."""
        start = self._starts[min(line, len(self._starts)) - 1]
        head = self._source[start : start + byte].encode()[:byte]
        return start + len(head.decode(errors="ignore"))

    def text(self, line: int) -> str:
        """A line, with its end; empty when there is no such line."""
        if not 0 < line <= len(self._starts):
            return ""
        return self._source[self._starts[line - 1] : (*self._starts[line : line + 1], None)[0]]


def _stripped(all_tokens: Tokens, begin: int, end: int) -> Iterator[range]:
    while begin < end and all_tokens[begin].kind is Kind.BLANK:
        begin += 1
    while end > begin and all_tokens[end - 1].kind is Kind.BLANK:
        end -= 1
    if begin < end:
        yield range(begin, end)


def _next(source: str, at: int, depth: int) -> tuple[Kind, int]:
    """The kind and the end of the token at `at`."""
    if found := _END.match(source, at):
        return (Kind.BLANK if depth else Kind.END), found.end()
    if found := _BLANK.match(source, at):
        return Kind.BLANK, found.end()
    if (found := _QUOTE.match(source, at)) and found[1].lower() in _PREFIXES:
        quote = found[2]
        body = _WHOLE[quote].match(source, found.end())
        end = body.end() if body else found.end()
        if source.startswith(quote, end):
            return Kind.STRING, end + len(quote)
        return Kind.BAD, end
    if found := _NAME.match(source, at):
        return Kind.NAME, found.end()
    if found := _NUMBER.match(source, at):
        return Kind.NUMBER, found.end()
    found = _MARK.match(source, at)
    return Kind.MARK, found.end() if found else at + 1
