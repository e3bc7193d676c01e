"""Probes: what this machine is made of, as items."""

from edeploy.node.detect.probes import detect

__all__ = ["detect"]
