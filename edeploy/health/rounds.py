"""Several rounds of one test as one document: what was measured, and what is still missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Document = Mapping[str, object]

_ADDED_UP = ("results", "counters", "commands")
_OF_THE_LAST = ("warnings", "traces")


def merged(rounds: Sequence[Document]) -> Document:
    """One document of all rounds, in the form of docs/reference/health.md.

    Of a stage that was done again only the last round says whether it is missing. A hard error
    stays one, whatever came after it.
    """
    if len(rounds) == 1:
        return rounds[0]
    found: dict[str, object] = {}
    for key in _ADDED_UP:
        found[key] = [one for document in rounds for one in _list(document, key)]
    for key in _OF_THE_LAST:
        found[key] = next((_list(one, key) for one in reversed(rounds) if _list(one, key)), [])
    errors = [error for document in rounds for error in _list(document, "errors")]
    found["errors"] = list(dict.fromkeys(map(str, errors)))
    found["stages"] = _stages(rounds)
    found["links"] = _links(rounds)
    return found


def _links(rounds: Sequence[Document]) -> list[object]:
    """Each link at its best: one may rest while other parts are measured again."""
    best: dict[str, Mapping[str, object]] = {}
    for link in (link for document in rounds for link in _list(document, "links")):
        if isinstance(link, Mapping):
            name = str(link.get("name"))
            known = best.get(name)
            if known is None or known.get("now") != known.get("can"):
                best[name] = link
    return list(best.values())


def _stages(rounds: Sequence[Document]) -> list[object]:
    stages: dict[str, list[object]] = {}
    for document in rounds:
        newest: dict[str, list[object]] = {}
        for stage in _list(document, "stages"):
            if isinstance(stage, dict):
                newest.setdefault(str(stage.get("name")), []).append(stage)
        stages.update(newest)
    return [stage for of_name in stages.values() for stage in of_name]


def _list(document: Document, key: str) -> list[object]:
    value = document.get(key)
    return value if isinstance(value, list) else []
