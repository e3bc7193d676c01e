"""Recipes, builds, the store, manifests: files and processes, no network service."""
