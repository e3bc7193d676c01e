"""Which version of a machine boots: entries for all of them, one on trial, and the way back."""

from __future__ import annotations

from edeploy.node.boot.choice import loader_of
from edeploy.node.boot.loader import TRIES, Loader

__all__ = ["TRIES", "Loader", "loader_of"]
