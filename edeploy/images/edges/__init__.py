"""Edges: the ways from one version of a role to another."""
