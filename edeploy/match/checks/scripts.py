"""Configure scripts: Python 2 that compiles, names nothing defines, variables nothing binds."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

from edeploy.match.checks.variables import Use, unbound
from edeploy.match.problems import BadFile, Problem
from edeploy.match.python2.tokens import Lines
from edeploy.match.python2.upgrade import upgrade
from edeploy.match.script_names import undefined
from edeploy.match.scripts import python_2, read_script, read_source

HasImage = Callable[[str, str], bool]


def check_script(
    path: Path, bound: Collection[str] | None, has_image: HasImage | None
) -> Iterator[Problem]:
    """Findings in a script, also in one of Python 2; `bound` None: that is not known.

    Raises BadFile: it cannot be read.
    """
    source = read_source(path)
    new = upgrade(source)
    if new.error is not None:
        return  # load_profile tells it
    nodes = list(ast.walk(ast.parse(new.source)))
    lines = Lines(new.source)
    try:
        images = read_script(path).uses
    except BadFile:
        images = ()
    else:
        if new.changes:
            yield python_2(path, new.changes)
    for name, what in undefined(nodes):
        yield Problem(path, *lines.place(lines.offset(name.lineno, name.col_offset)), what)
    if bound is not None:
        for use in unbound(nodes, new.source, lines, bound):
            yield Problem(path, use.line, use.column, _told(use, bound))
    for image in images:
        if has_image is not None and not has_image(image.role, image.version):
            yield image.place.problem(f"the store has no image {image.role} {image.version}")


def _told(use: Use, bound: Collection[str]) -> str:
    near = get_close_matches(use.name, sorted(bound), 1, cutoff=0.75)
    hint = f"; perhaps {near[0]}" if near else ""
    what = "is never there" if use.gently else "is bound by nothing"
    return f"the variable {use.name!r} {what}: neither specs nor CMDB give it{hint}"
