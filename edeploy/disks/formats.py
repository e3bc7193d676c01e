"""The kinds of file that a disk may be."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """How a disk is kept in a file."""

    RAW = "raw"
    QCOW2 = "qcow2"
