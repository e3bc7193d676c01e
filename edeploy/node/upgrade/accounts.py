"""Users and groups of two origins in one file: the image's, and those made on the machine."""

from __future__ import annotations

ACCOUNTS = frozenset((b"passwd", b"group", b"shadow", b"gshadow", b"subuid", b"subgid"))
# In `group` and `gshadow` the last field lists members.
_LISTS = 4


def merged_accounts(base: bytes, mine: bytes, new: bytes) -> bytes:
    """`new` with every line, by its name, that the machine added, changed or removed since `base`.

    A group that both changed keeps the machine's line and gets the members that the image added.
    """
    was, is_now, comes = _lines(base), _lines(mine), _lines(new)
    result = {
        name: _line(was.get(name), is_now.get(name), line) if name in is_now or name not in was
        else b""
        for name, line in comes.items()
    }  # fmt: skip
    for name, line in is_now.items():
        if name not in comes and line != was.get(name):
            result[name] = line
    return b"".join(line + b"\n" for line in result.values() if line)


def _line(was: bytes | None, is_now: bytes | None, comes: bytes) -> bytes:
    if is_now is None or is_now == was:
        return comes
    if was is None or comes == was:
        return is_now
    fields, added = is_now.split(b":"), comes.split(b":")
    if len(fields) == _LISTS == len(added):
        fields[-1] = _members(fields[-1], added[-1])
    return b":".join(fields)


def _members(mine: bytes, new: bytes) -> bytes:
    names = [name for name in mine.split(b",") if name]
    names += [name for name in new.split(b",") if name and name not in names]
    return b",".join(names)


def _lines(data: bytes) -> dict[bytes, bytes]:
    return {line.partition(b":")[0]: line for line in data.splitlines() if line}
