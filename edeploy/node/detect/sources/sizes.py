"""Sizes in the words of RAID controllers' programs."""

from __future__ import annotations

import re

_PER_GIGABYTE = {"KB": 1e-6, "MB": 1e-3, "GB": 1.0, "TB": 1e3, "PB": 1e6}


def gigabytes(text: str) -> str:
    """`300 GB` as "300", `1.8 TB` as "1800", `558.375 GB` as "558.375"; "" of anything else.

    The programs do not say if they count in tens or twos, and reports keep their number.
    """
    found = re.match(r"(\d{1,12}(?:\.\d{1,12})?) ?([KMGTP]B)\b", text.strip())
    if not found:
        return ""
    if found[2] == "GB":
        return found[1]
    return f"{float(found[1]) * _PER_GIGABYTE[found[2]]:.6f}".rstrip("0").rstrip(".")
