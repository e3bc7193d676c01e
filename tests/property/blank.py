"""A database with all tables and no rows, made once: migrations take longer than what is tested."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from edeploy.machines.database import Database


@functools.cache
def empty_records() -> Path:
    """A file to copy; it goes when the tests end."""
    folder = tempfile.mkdtemp(prefix="edeploy-blank-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / "db"
    Database(path).close()
    return path
