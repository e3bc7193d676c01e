"""Configure scripts written for Python 2: found, and rewritten to Python 3."""
