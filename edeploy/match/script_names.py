"""Names in a configure script: what binds them, and which nothing defines on the machine."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence

HELPERS = frozenset(
    ["var", "run", "config", "layout", "set_role", "grub_options", "inject_facts", "ipmi"]
)
"""What a script finds defined (edeploy.node.install.prelude)."""

# Scripts run without the module `site`, which brings these; a script is in no file.
_KNOWN = (frozenset(dir(builtins)) | HELPERS | {"__name__"}) - frozenset(
    ["exit", "quit", "copyright", "credits", "license", "help"]
)
_INSTEAD = {
    "hpacucli": "run('ssacli …') in a ramdisk that has it",
    "exit": "raise SystemExit(…)",
    "quit": "raise SystemExit(…)",
    "reduce": "functools.reduce",
    "execfile": "exec(open(…).read())",
    "cmp": "a comparison of its own",
    "apply": "f(*arguments)",
    "reload": "importlib.reload",
    "intern": "sys.intern",
    "file": "open",
}
_OPEN_ENDED = frozenset(["exec", "globals", "locals", "vars"])


def bound_names(nodes: Sequence[ast.AST]) -> set[str] | None:
    """All names that a source's nodes bind, anywhere; None when it can not be known."""
    bound: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return None
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
    return bound


def undefined(nodes: Sequence[ast.AST]) -> Iterator[tuple[ast.Name, str]]:
    """The first use of each name that nothing defines, and what to say of it."""
    bound = bound_names(nodes)
    if bound is None:
        return
    used = [node for node in nodes if isinstance(node, ast.Name)]
    if any(node.id in _OPEN_ENDED for node in used):
        return
    told: set[str] = set()
    for node in sorted(used, key=lambda one: (one.lineno, one.col_offset)):
        name = node.id
        if name not in _KNOWN and name not in bound and name not in told:
            told.add(name)
            instead = f"; use {_INSTEAD[name]}" if name in _INSTEAD else ""
            yield node, f"nothing defines {name} on the machine{instead}"
