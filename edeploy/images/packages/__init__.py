"""Packages of trees: where they come from, which are needed, and how they get there."""
