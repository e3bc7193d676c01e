"""Probes: what this machine is made of, as items."""
