"""Names and calls of Python 2 that Python 3 reads and then misses when the script runs."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edeploy.match.python2.syntax import STRING_RAISED, Change, Rewritten
from edeploy.match.python2.tokens import Lines
from edeploy.match.script_names import bound_names, undefined

MOST_ROUNDS = 8
"""Calls within calls are rewritten from the inside, a level a round."""

NAMES = {
    "xrange": "range",
    "raw_input": "input",
    "unicode": "str",
    "basestring": "str",
    "unichr": "chr",
    "long": "int",
}
METHODS = {"iteritems": "items", "iterkeys": "keys", "itervalues": "values"}
ATTRIBUTES = {
    ("sys", "maxint"): "maxsize",
    ("os", "getcwdu"): "getcwd",
    ("string", "letters"): "ascii_letters",
    ("string", "lowercase"): "ascii_lowercase",
    ("string", "uppercase"): "ascii_uppercase",
}
MODULES = {
    "commands": "subprocess",
    "ConfigParser": "configparser",
    "Queue": "queue",
    "SocketServer": "socketserver",
    "cPickle": "pickle",
    "__builtin__": "builtins",
}
_MOVED = {
    "urllib2": "urllib.request",
    "httplib": "http.client",
    "urlparse": "urllib.parse",
    "StringIO": "io.StringIO",
    "cStringIO": "io.StringIO",
    "HTMLParser": "html.parser",
    "sets": "set()",
    "md5": "hashlib",
    "sha": "hashlib",
    "popen2": "subprocess",
}
_OLD_STRING = frozenset(
    "join joinfields split splitfields replace strip lstrip rstrip upper lower atoi atof find "
    "count zfill ljust rjust maketrans".split()
)
_IN_SUBPROCESS = frozenset(["getoutput", "getstatusoutput"])
_AS_TEXT = frozenset(["text", "universal_newlines", "encoding", "errors", None])
_PIPED = frozenset(["stdout", "stderr", "capture_output"])


@dataclass(frozen=True)
class _Edit:
    """Text for a part of the source, by offsets, and what to say of it."""

    start: int
    end: int
    text: str
    what: str


def rewrite_names(source: str, *, ported: bool) -> Rewritten:
    """Built-in names, dict methods, the module `commands` and others that were renamed.

    `ported`: the script was Python 2, so that what only changed its meaning counts as well.
    Raises SyntaxError, ValueError, RecursionError, MemoryError: the source does not parse.
    """
    changes: list[Change] = []
    nodes = _nodes(source)
    for _ in range(MOST_ROUNDS):
        found = list(_Finder(source, nodes, ported or bool(changes)).edits())
        edits = _innermost(found)
        if not edits:
            break
        lines = Lines(source)
        changes += [Change(*lines.place(edit.start), edit.what) for edit in edits if edit.what]
        source = _applied(source, edits)
        nodes = _nodes(source)
    left = _Left(source, nodes).found() if ported or changes else []
    return Rewritten(source, tuple(sorted(changes)), tuple(sorted(left)))


def _nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def _innermost(edits: list[_Edit]) -> list[_Edit]:
    """The edits in order that contain no other: the rest waits for the next round."""
    edits = sorted(set(edits), key=lambda edit: (edit.end, -edit.start))
    kept: list[_Edit] = []
    for edit in edits:
        if not kept or edit.start >= kept[-1].end:
            kept.append(edit)
    return kept


def _applied(source: str, edits: list[_Edit]) -> str:
    parts, at = [], 0
    for edit in edits:
        parts += [source[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, source[at:]])


class _Finder:
    """Finds the edits of one round."""

    def __init__(self, source: str, nodes: Sequence[ast.AST], ported: bool) -> None:
        self._source = source
        self._nodes = nodes
        self._ported = ported
        self._lines = Lines(source)
        bound = bound_names(nodes)
        self._bound = bound if bound is not None else set(NAMES) | set(MODULES) | {"file"}
        self._imported = {
            alias.name
            for node in nodes
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.asname is None
        }

    def edits(self) -> Iterator[_Edit]:
        for node in self._nodes:
            if isinstance(node, ast.Name):
                yield from self._name(node)
            elif isinstance(node, ast.Attribute):
                yield from self._attribute(node)
            elif isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Import):
                yield from self._import(node)
            elif isinstance(node, ast.ImportFrom):
                yield from self._import_from(node)

    def _name(self, node: ast.Name) -> Iterator[_Edit]:
        if not isinstance(node.ctx, ast.Load):
            return
        if node.id in NAMES and node.id not in self._bound:
            yield self._edit(node, NAMES[node.id], f"{node.id}()")
        elif node.id in MODULES and node.id in self._imported:
            yield self._edit(node, MODULES[node.id], "")

    def _attribute(self, node: ast.Attribute) -> Iterator[_Edit]:
        if isinstance(node.value, ast.Name) and node.value.id in self._imported:
            name = ATTRIBUTES.get((node.value.id, node.attr))
            if name:
                yield self._tail(node, name, f"{node.value.id}.{node.attr}")

    def _call(self, node: ast.Call) -> Iterator[_Edit]:
        function = node.func
        plain = not node.keywords and not any(isinstance(a, ast.Starred) for a in node.args)
        if isinstance(function, ast.Name):
            if function.id == "file" and "file" not in self._bound and node.args:
                yield self._edit(function, "open", "file()")
        elif isinstance(function, ast.Attribute) and plain:
            if function.attr in METHODS and not node.args:
                yield self._tail(function, METHODS[function.attr], f"{function.attr}()")
            elif function.attr == "has_key" and len(node.args) == 1:
                yield self._has_key(node, function, node.args[0])
        if self._ported and pipes_bytes(node):
            yield from self._as_text(node)

    def _has_key(self, node: ast.Call, function: ast.Attribute, key: ast.expr) -> _Edit:
        of, wanted = self._text(function.value), self._text(key)
        if not isinstance(key, (ast.Constant, ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            wanted = f"({wanted})"
        return self._edit(node, f"({wanted} in {of})", "has_key()")

    def _as_text(self, node: ast.Call) -> Iterator[_Edit]:
        start, end = self._span(node)
        inside = self._source[start : end - 1].rstrip()
        if "#" in inside.rpartition("\n")[2]:
            return  # it may be a comment: left to a person
        comma = "" if inside.endswith(",") else ","
        at = start + len(inside)
        yield _Edit(at, at, f"{comma} text=True", "output of programs as text")

    def _import(self, node: ast.Import) -> Iterator[_Edit]:
        for alias in node.names:
            if alias.name in MODULES:
                yield self._first(alias, alias.name, MODULES[alias.name])

    def _import_from(self, node: ast.ImportFrom) -> Iterator[_Edit]:
        names = {alias.name for alias in node.names}
        if node.module in MODULES and not node.level:
            if node.module != "commands" or names <= _IN_SUBPROCESS:
                yield self._first(node, node.module, MODULES[node.module])

    def _first(self, node: ast.alias | ast.ImportFrom, old: str, new: str) -> _Edit:
        """The first `old` from the node's start on."""
        start, end = self._span(node)
        start = self._source.index(old, start, end)
        return _Edit(start, start + len(old), new, f"module {old}")

    def _tail(self, node: ast.Attribute, name: str, what: str) -> _Edit:
        end = self._span(node)[1]
        return _Edit(end - len(node.attr), end, name, what)

    def _edit(self, node: ast.expr, text: str, what: str) -> _Edit:
        return _Edit(*self._span(node), text, what)

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end]

    def _span(self, node: ast.expr | ast.alias | ast.ImportFrom) -> tuple[int, int]:
        return (
            self._lines.offset(node.lineno, node.col_offset),
            self._lines.offset(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )


def pipes_bytes(node: ast.Call) -> bool:
    """Whether a call of subprocess gives bytes, where Python 2 gave text."""
    function = node.func
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return False
    if function.value.id != "subprocess" or not node.args:
        return False
    given = {keyword.arg for keyword in node.keywords}
    if given & _AS_TEXT:
        return False
    return function.attr == "check_output" or (
        function.attr in ("Popen", "run") and bool(given & _PIPED)
    )


class _Left:
    """What a person must look at in a script that was Python 2."""

    def __init__(self, source: str, nodes: Sequence[ast.AST]) -> None:
        self._lines = Lines(source)
        self._nodes = nodes
        self._divides = "division" not in {
            alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module == "__future__"
            for alias in node.names
        }

    def found(self) -> list[Change]:
        checks: dict[type[ast.AST], Callable[..., str]] = {
            ast.BinOp: self._division,
            ast.Subscript: self._indexed,
            ast.Call: self._call,
            ast.Attribute: self._attribute,
            ast.alias: lambda node: self._module(node.name),
            ast.ImportFrom: lambda node: self._module(node.module or ""),
            ast.Raise: self._raised,
        }
        found: list[Change] = []
        for node in self._nodes:
            check = checks.get(type(node))
            if check is not None and (what := check(node)):
                found.append(self._told(node, what))
        return found + [self._told(*one) for one in undefined(self._nodes)]

    def _told(self, node: ast.AST, what: str) -> Change:
        line, byte = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return Change(*self._lines.place(self._lines.offset(line, byte)), what)

    def _division(self, node: ast.BinOp) -> str:
        if not isinstance(node.op, ast.Div) or not self._divides:
            return ""
        if any(isinstance(one, ast.Constant) and isinstance(one.value, float)
               for one in (node.left, node.right)):  # fmt: skip
            return ""
        return "/ of whole numbers gives a fraction now: write // where a whole one is meant"

    def _indexed(self, node: ast.Subscript) -> str:
        call = node.value
        if not isinstance(call, ast.Call):
            return ""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name in ("keys", "values", "items") and not call.args:
            return f".{name}() is no list now: write list(….{name}())"
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        if name in ("map", "filter", "zip"):
            return f"{name}() gives no list now: write list({name}(…))"
        return ""

    def _call(self, node: ast.Call) -> str:
        if pipes_bytes(node):
            return "the program's output is bytes now: add text=True"
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "next" and not node.args:
                return ".next() of an iterator is next(…) now"
            if node.func.attr == "getstatusoutput":
                return "the status is the exit status now, not 256 times it"
            if node.func.attr == "sort" and (node.args or _has(node, "cmp")):
                return ".sort() takes no comparison now: use key=…"
        if isinstance(node.func, ast.Name) and node.func.id == "sorted":
            if len(node.args) > 1 or _has(node, "cmp"):
                return "sorted() takes no comparison now: use key=…"
        return ""

    def _attribute(self, node: ast.Attribute) -> str:
        if not isinstance(node.value, ast.Name):
            return ""
        if node.value.id == "string" and node.attr in _OLD_STRING:
            return f"string.{node.attr} is gone: texts have it as a method"
        if node.value.id == "subprocess" and node.attr in ("getstatus", "mkarg", "mk2arg"):
            return f"commands.{node.attr} is gone: shlex.quote and subprocess.run stand in"
        return ""

    def _module(self, name: str) -> str:
        if name == "commands":
            return "the module commands is gone: subprocess has getoutput"
        return f"the module {name} is {_MOVED[name]} now" if name in _MOVED else ""

    def _raised(self, node: ast.Raise) -> str:
        text = isinstance(node.exc, ast.Constant) and isinstance(node.exc.value, str)
        return STRING_RAISED if text else ""


def _has(node: ast.Call, name: str) -> bool:
    return any(keyword.arg == name for keyword in node.keywords)
