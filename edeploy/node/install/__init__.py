"""The phases of an installation, one module each."""
