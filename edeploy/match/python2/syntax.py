"""Syntax of Python 2 that Python 3 refuses, rewritten statement by statement; no line moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edeploy.match.python2.tokens import Kind, Lines, Tokens, statements, tokens


@dataclass(frozen=True, order=True)
class Change:
    """Something at a place of the source, from 1: what was rewritten, or what could not be."""

    line: int
    column: int
    what: str


@dataclass(frozen=True)
class Rewritten:
    """Source after rewriting, what was done, and what is left to a person."""

    source: str
    changes: tuple[Change, ...]
    left: tuple[Change, ...] = ()


PRINT = "print statement"
STRING_RAISED = 'text can not be raised: raise RuntimeError("…")'

_OCTAL = re.compile(r"0[0-7]*[1-7][0-7]*[lL]?\Z")
_GOES_ON = frozenset(["%", "+", "-", "*", "/", "//", ",", ".", "["])
_NO_VALUE = frozenset(["in", "is", "and", "or", "if", "else", "for"])
_BEGINS = frozenset(["(", "[", "{", "-", "+", "~", "`", ">>"])


def rewrite_syntax(source: str) -> Rewritten:
    """Print and exec statements, `except E, e`, `raise E, x`, octal and long numbers, `<>`,
    backticks and `ur''`. Linear in the source; what is not Python 2 stays as it is.
    """
    rewriter = _Rewriter(source)
    rewriter.words()
    rewriter.statements()
    lines = Lines(source)

    def told(found: Sequence[tuple[int, str]]) -> tuple[Change, ...]:
        return tuple(sorted(Change(*lines.place(at), what) for at, what in found))

    return Rewritten("".join(rewriter.texts), told(rewriter.changes), told(rewriter.left))


def expand_tabs(source: str) -> str:
    """Indentation in blanks, as Python 2 counted it: a tab goes to the next multiple of 8."""
    texts, at_start = [], True
    for token in tokens(source):
        indent = token.text[: len(token.text) - len(token.text.lstrip(" \t\f"))]
        if at_start and token.kind is Kind.BLANK and indent:
            texts.append(indent.expandtabs(8) + token.text[len(indent) :])
        else:
            texts.append(token.text)
        at_start = token.kind is Kind.END
    return "".join(texts)


class _Rewriter:
    """The tokens of a source and what their texts become; `changes` and `left` are by offset."""

    def __init__(self, source: str) -> None:
        self._tokens: Tokens = tokens(source)
        self.texts = [token.text for token in self._tokens]
        self.changes: list[tuple[int, str]] = []
        self.left: list[tuple[int, str]] = []

    def words(self) -> None:
        """What can be rewritten token by token."""
        ticks: list[int] = []
        for place, token in enumerate(self._tokens):
            text = token.text
            if token.kind is Kind.NUMBER:
                self._number(place)
            elif token.kind is Kind.STRING and text[:2].lower() == "ur":
                self._raw_unicode(place)
            elif text == "<>":
                self._put(place, "!=", "<>")
            elif text == "`":
                ticks.append(place)
            if token.kind is Kind.END or place == len(self._tokens) - 1:
                self._backticks(ticks)
                ticks = []

    def statements(self) -> None:
        """What takes a whole statement to rewrite."""
        kinds: dict[str, Callable[[list[int]], None]] = {
            "exec": self._exec,
            "raise": self._raise,
            "except": self._except,
        }
        if not any(token.text == "print_function" for token in self._tokens):
            kinds["print"] = self._print
        for places in statements(self._tokens):
            rewrite = kinds.get(self._tokens[places.start].text)
            if rewrite is not None:
                rewrite([p for p in places if self._tokens[p].kind is not Kind.BLANK])

    def _number(self, place: int) -> None:
        text = self._tokens[place].text
        if _OCTAL.match(text):
            self._put(place, "0o" + text[1:].rstrip("lL"), "octal number")
        elif text[-1] in "lL":
            self._put(place, text[:-1], "long number")

    def _raw_unicode(self, place: int) -> None:
        if "\\u" in self._tokens[place].text.lower():
            self.left.append((self._tokens[place].start, "ur'…' with \\u: write it without r"))
        else:
            self._put(place, self._tokens[place].text[1:], "ur'…'")

    def _backticks(self, ticks: list[int]) -> None:
        if len(ticks) % 2:
            return  # the compiler tells of it
        for opening, closing in zip(ticks[::2], ticks[1::2], strict=True):
            word_before = opening and self._tokens[opening - 1].kind is Kind.NAME
            self._put(opening, " repr(" if word_before else "repr(", "backticks")
            self.texts[closing] = ")"

    def _print(self, used: list[int]) -> None:
        arguments = used[1:]
        if arguments and not self._prints(arguments):
            return
        start = used[0]
        self.changes.append((self._tokens[start].start, PRINT))
        self.texts[start] = "print("
        self._clear_blanks(start + 1)
        extra = ""
        if arguments and self._is(arguments[-1], ","):
            self.texts[arguments.pop()] = ""
            extra = ", end=' '"
        if arguments and self._is(arguments[0], ">>"):
            arguments, target = self._without_target(arguments)
            extra += f", file={target}"
        last = arguments[-1] if arguments else start
        self.texts[last] += (extra if arguments else extra.removeprefix(", ")) + ")"

    def _prints(self, arguments: list[int]) -> bool:
        """Whether this is a print statement, not a call of `print` nor another use of the name."""
        first = self._tokens[arguments[0]]
        if first.kind is Kind.NAME:
            return first.text not in _NO_VALUE
        if first.kind is Kind.MARK and first.text not in _BEGINS:
            return False
        if first.text != "(":
            return True
        after = self._after_bracket(arguments)
        again = any(self._tokens[place].text == "print" for place in arguments)
        return after is not None and self._tokens[after].text in _GOES_ON and not again

    def _without_target(self, arguments: list[int]) -> tuple[list[int], str]:
        """`>>f, a, b` to the places of `a, b` and the text `f`; these are cleared."""
        commas = self._commas(arguments)
        end = arguments.index(commas[0]) if commas else len(arguments)
        moved = range(arguments[1], arguments[end - 1] + 1) if end > 1 else range(0)
        target = "".join(self.texts[place] for place in moved)
        self.texts[arguments[0]] = ""
        self._clear_blanks(arguments[0] + 1)
        for place in moved:
            self.texts[place] = ""
        if commas:
            self.texts[commas[0]] = ""
            self._clear_blanks(commas[0] + 1)
        return arguments[end + 1 :], target

    def _exec(self, used: list[int]) -> None:
        arguments = used[1:]
        if not arguments:
            return
        first = self._tokens[arguments[0]]
        if first.kind is Kind.MARK and first.text not in _BEGINS:
            return
        after = self._after_bracket(arguments)
        if first.text == "(" and (after is None or self._tokens[after].text != "in"):
            return
        self.changes.append((self._tokens[used[0]].start, "exec statement"))
        self.texts[used[0]] = "exec("
        self._clear_blanks(used[0] + 1)
        within = [p for p in arguments if self._is(p, "in") and self._tokens[p].depth == 0]
        if within:
            self._clear_blanks(within[0] - 1)
            self.texts[within[0]] = ","
        self.texts[arguments[-1]] += ")"

    def _raise(self, used: list[int]) -> None:
        commas = self._commas(used)
        first = self._tokens[used[1]] if len(used) > 1 else None
        if first is not None and first.kind is Kind.STRING and commas:
            self.left.append((self._tokens[used[0]].start, STRING_RAISED))
            return
        if not 1 <= len(commas) <= 2 or first is None:
            return
        ends = [*commas, used[-1] + 1]
        value = [p for p in used if ends[0] < p < ends[1]]
        traceback = [p for p in used if p > ends[1]]
        if not value or not self._is_name(used[1 : used.index(commas[0])]):
            return
        self.changes.append((self._tokens[used[0]].start, "raise with a comma"))
        self.texts[commas[0]] = ""
        self._clear_blanks(commas[0] + 1)
        bracketed = self._is(value[0], "(") and self._after_bracket(value) is None
        if len(value) == 1 and self._is(value[0], "None"):
            self.texts[value[0]] = "()"
        elif not bracketed:
            self.texts[value[0]] = "(" + self.texts[value[0]]
            self.texts[value[-1]] += ")"
        if traceback:
            self.texts[commas[1]] = ".with_traceback("
            self._clear_blanks(commas[1] + 1)
            self.texts[traceback[-1]] += ")"

    def _except(self, used: list[int]) -> None:
        commas = self._commas(used)
        if len(commas) != 1 or used.index(commas[0]) < 2 or len(used) != used.index(commas[0]) + 2:
            return
        if self._tokens[used[-1]].kind is Kind.NAME:
            joined = used[-1] == commas[0] + 1
            self._put(commas[0], " as " if joined else " as", "except with a comma")

    def _commas(self, places: list[int]) -> list[int]:
        return [p for p in places if self._is(p, ",") and self._tokens[p].depth == 0]

    def _after_bracket(self, places: list[int]) -> int | None:
        """What follows the bracket that opens first; None when it closes last, or never."""
        outside = self._tokens[places[0]].depth
        for place, following in zip(places[1:], places[2:], strict=False):
            if self._tokens[place].depth == outside:
                return following
        return None

    def _is_name(self, places: list[int]) -> bool:
        """Whether it is `E` or `module.E`."""
        if not places or self._tokens[places[-1]].kind is not Kind.NAME:
            return False
        return all(self._is(place, ".") == bool(i % 2) for i, place in enumerate(places))

    def _is(self, place: int, text: str) -> bool:
        return self._tokens[place].text == text

    def _put(self, place: int, text: str, what: str) -> None:
        self.texts[place] = text
        self.changes.append((self._tokens[place].start, what))

    def _clear_blanks(self, place: int) -> None:
        """Take blanks away, but no line end."""
        if place < len(self._tokens) and self._tokens[place].kind is Kind.BLANK:
            if "\n" not in self.texts[place] and "\r" not in self.texts[place]:
                self.texts[place] = ""
