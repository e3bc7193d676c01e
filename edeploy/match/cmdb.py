"""CMDB files: the entries that a profile hands out, and which of them a machine gets."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.match.generate import BadModel, check_size, expand, flat_keys, lengths
from edeploy.match.literals import Literal, parse_literal, read_bytes
from edeploy.match.problems import BadFile, Problem
from edeploy.match.yaml_literals import is_yaml, parse_yaml_literal

Entry = dict[str, object]

MAX_BYTES = 512 << 10
"""The largest that is real: the list of an old installation with thousands of machines."""

_FORM = "A CMDB file is generate({…}) or a list of dicts, in Python or in YAML."


class NoEntry(EdeployError):
    """No entry for this machine: none matches its keys, or none is free.

    `keys` tells the machine's keys, if the specs have some; `full`, the entries that fit and are
    taken, by index.
    """

    def __init__(
        self, message: str, hint: str = "", *, keys: str = "", full: Sequence[int] = ()
    ) -> None:
        super().__init__(message, hint)
        self.keys = keys
        self.full = tuple(full)


def read_cmdb(path: Path) -> tuple[Entry, ...]:
    """The entries in a file, expanded. Raises BadFile; nothing in the file is evaluated."""
    return entries_of(read_cmdb_literal(path))


def entries_of(literal: Literal) -> tuple[Entry, ...]:
    """The entries that a file holds, expanded. Raises BadFile."""
    _check_keys(literal)
    model = literal.argument("generate")
    if model is not None:
        try:
            return tuple(expand(model.value))
        except BadModel as error:
            raise BadFile([model.problem(error.message)], _FORM) from error
    if not literal.is_sequence:
        raise BadFile([literal.problem("neither generate({…}) nor a list of dicts")], _FORM)
    entries = tuple(map(_entry, literal.parts()))
    try:
        check_size(len(entries), len({key for entry in entries for key in flat_keys(entry)}))
    except BadModel as error:
        raise BadFile([literal.problem(error.message)], error.hint) from error
    return entries


def read_cmdb_literal(path: Path) -> Literal:
    """What is in a CMDB file as it is written there, in Python or in YAML. Raises BadFile."""
    data = read_bytes(path, MAX_BYTES)
    return (parse_yaml_literal if is_yaml(data) else parse_literal)(data, path)


def uneven_ranges(literal: Literal) -> list[Problem]:
    """What to tell where ranges differ in length: the shortest ends all. Raises BadFile."""
    model = literal.argument("generate")
    try:
        found = lengths(model.value) if model is not None else {}
    except BadModel:
        return []
    if model is None or len(set(found.values())) <= 1:
        return []
    told = ", ".join(f"{key} {count}" for key, count in sorted(found.items()))
    least = min(found.values())
    return [model.problem(f"ranges of different lengths ({told}): only {least} entries")]


def choose(
    entries: Sequence[Mapping[str, object]],
    vars: Mapping[str, str],  # noqa: A002  (the format's own word)
    keys: Mapping[str, str],
    *,
    taken: Collection[int],
    owned: int | None,
) -> tuple[int, Entry]:
    """The index of the machine's entry, and the entry merged with what the hardware says.

    `taken`: entries that other machines hold; `owned`: the one that this machine holds already,
    which it keeps. Then the entry that has the keys; without keys, one prepared for the machine
    (it has variables of it, all with equal values), else the first free one. An entry with
    `used` in the file is used. What the hardware says wins. Raises NoEntry.
    """
    index = _index(entries, vars, keys, taken, owned)
    return index, merged(entries[index], vars)


def merged(
    entry: Mapping[str, object],
    vars: Mapping[str, str],  # noqa: A002
) -> Entry:
    """What a machine gets of its entry: what the hardware says wins."""
    return {**entry, **vars, "used": 1}


def _index(
    entries: Sequence[Mapping[str, object]],
    variables: Mapping[str, str],
    keys: Mapping[str, str],
    taken: Collection[int],
    owned: int | None,
) -> int:
    if owned is not None and 0 <= owned < len(entries):
        return owned
    if keys:
        return _by_keys(entries, keys, taken)
    free = [i for i, entry in enumerate(entries) if "used" not in entry and i not in taken]
    prepared = [i for i in free if _prepared(entries[i], variables)]
    if not free:
        raise NoEntry(
            f"no entry is free: all {len(entries)} are used",
            "Add entries to the profile's .cmdb file, or release some: `edeploy cmdb ls`.",
            full=range(len(entries)),
        )
    return (prepared or free)[0]


def _by_keys(
    entries: Sequence[Mapping[str, object]], keys: Mapping[str, str], taken: Collection[int]
) -> int:
    told = ", ".join(f"{name}={value}" for name, value in sorted(keys.items()))
    found = [i for i, entry in enumerate(entries) if all(_has(entry, *key) for key in keys.items())]
    if not found:
        hint = "Add an entry with it to the .cmdb file."
        raise NoEntry(f"no entry matches {told}", hint, keys=told)
    for index in found:
        if index not in taken:
            return index
    message = f"no entry is free: another machine holds the one with {told}"
    raise NoEntry(message, keys=told, full=found)


def _prepared(entry: Mapping[str, object], variables: Mapping[str, str]) -> bool:
    common = entry.keys() & variables.keys()
    return bool(common) and all(_has(entry, name, variables[name]) for name in common)


def _has(entry: Mapping[str, object], name: str, value: str) -> bool:
    return name in entry and str(entry[name]) == value


def _entry(literal: Literal) -> Entry:
    value = literal.value
    if not isinstance(value, dict):
        raise BadFile([literal.problem(f"a {type(value).__name__} where a dict belongs")], _FORM)
    return value


def _check_keys(literal: Literal) -> None:
    """Keys are text, also those of dicts in dicts: records and JSON have no others."""
    for node in ast.walk(literal.node):
        for key in node.keys if isinstance(node, ast.Dict) else ():
            found = Literal(literal.path, key) if key is not None else None
            if found is not None and isinstance(key, ast.Constant) and not found.is_text:
                raise BadFile([found.problem(f"the key {found.value!r} must be text")], _FORM)
