"""The process in which a configure script runs, and the names that the script finds there.

It gets a job as JSON and leaves a result as JSON; what the script prints is its log.
"""

from __future__ import annotations

import json
import linecache
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, cast

from edeploy.errors import EdeployError
from edeploy.node.detect.disks import all_disks
from edeploy.node.detect.tree import Tree
from edeploy.node.install import ipmi
from edeploy.node.install.disk import find_disk
from edeploy.node.install.layout import BadLayout, Wish
from edeploy.run import LAST_LINES, pasteable

FACTS = "/etc/facter/facts.d/edeploy.yaml"


class MissingVariable(EdeployError, KeyError):
    """The script asked for a variable that neither the hardware nor the CMDB gave."""


class CommandFailed(EdeployError):
    """A command of the script ended with another status than 0."""


class Variables(dict[str, str]):
    """`var`: what the match and the CMDB say of this machine."""

    def __missing__(self, name: str) -> str:
        raise MissingVariable(
            f"there is no variable {name!r}", f"There are: {', '.join(sorted(self)) or 'none'}."
        )


class Helpers:
    """The functions that a script calls, and what it decided by them."""

    def __init__(self, variables: Mapping[str, str], overlay: Path) -> None:
        self.var = Variables(variables)
        self.role: dict[str, str] | None = None
        self.wish: Wish | None = None
        self.grub: list[str] = []
        self._overlay = overlay
        self._open: list[IO[str] | IO[bytes]] = []

    def names(self) -> dict[str, object]:
        """What the script finds defined."""
        return {
            "var": self.var,
            "run": self.run,
            "config": self.config,
            "layout": self.layout,
            "set_role": self.set_role,
            "grub_options": self.grub_options,
            "inject_facts": self.inject_facts,
            "ipmi": ipmi,
        }

    def run(self, command: str | Sequence[str]) -> None:
        """Run a line of shell, or a list of a program and its arguments; raises CommandFailed."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        shown = command if isinstance(command, str) else pasteable(argv)
        print(f"+ {shown}", flush=True)
        last: list[str] = []
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise CommandFailed(f"{shown}: {error.strerror}") from error
        with child:
            for line in child.stdout or ():
                print(line, end="", flush=True)
                last = [*last[1 - LAST_LINES :], line.rstrip()]
        if child.returncode != 0:
            text = "".join(f"\n  | {line}" for line in last)
            raise CommandFailed(f"{shown}: exit status {child.returncode}{text}")

    def config(
        self,
        name: str,
        mode: str = "w",
        basedir: str | None = None,
        fmod: int = 0o644,
        uid: int = 0,
        gid: int = 0,
    ) -> IO[str] | IO[bytes]:
        """Open one of the machine's own files for writing; `name` is its path on the machine.

        It lies under `basedir`, by default what is laid over the role. Closed at the end.
        """
        parts = Path(name).parts
        if ".." in parts:
            raise EdeployError(f"config: {name!r} leads out of the machine's own files")
        path = (Path(basedir) if basedir else self._overlay) / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"+ config {name}", flush=True)
        # Nobody else may look into a file that is about to be closed to them.
        handle = os.open(path, _flags(mode), 0o600)
        os.fchown(handle, uid, gid)
        os.fchmod(handle, fmod)
        stream: IO[str] | IO[bytes] = open(handle, mode)
        self._open.append(stream)
        return stream

    def layout(
        self,
        disk: str,
        *,
        filesystem: str = "ext4",
        swap: str | None = None,
        root: str = "rest",
        label: str = "root",
    ) -> str:
        """Wish for a fresh GPT with a root on `disk`; returns the disk's path.

        It is checked now, and made once the script has ended without an error.
        """
        if self.wish is not None:
            raise BadLayout(
                f"layout was called twice, for {self.wish.disk} and {disk}",
                "One call lays the system's disk out; make other disks' file systems by run().",
            )
        found = find_disk(disk, all_disks(Tree()))
        self.wish = Wish(found.by_id, filesystem, swap, root, label)
        return found.by_id

    def set_role(self, role: str, version: str, disk: str | None = None) -> None:
        """Name the image to install, and the disk to boot; by default that of layout()."""
        self.role = {"role": role, "version": version, "disk": disk or ""}

    def grub_options(self, text: str) -> None:
        """Add to the installed system's kernel arguments."""
        self.grub.append(text)

    def inject_facts(
        self, variables: Mapping[str, object], prefix: str = "hw_", basedir: str | None = None
    ) -> None:
        """Leave variables as external facts of Facter."""
        # Every JSON text is YAML.
        lines = (f"{json.dumps(prefix + name)}: {json.dumps(str(variables[name]))}\n"
                 for name in sorted(variables))  # fmt: skip
        print("".join(lines), end="", file=cast("IO[str]", self.config(FACTS, "w", basedir)))

    def close(self) -> None:
        """Flush and close what the script opened."""
        for stream in self._open:
            if not stream.closed:
                stream.close()

    def result(self) -> dict[str, object]:
        """What the script decided, as JSON."""
        return {
            "role": self.role,
            "layout": asdict(self.wish) if self.wish else None,
            "grub": self.grub,
        }


def _flags(mode: str) -> int:
    kinds = {"w": os.O_TRUNC, "a": os.O_APPEND, "x": os.O_EXCL}
    kind = kinds.get(mode[:1])
    if kind is None:
        raise EdeployError(f"config: mode={mode!r}", "Files are written: w, a or x, with b or +.")
    access = os.O_RDWR if "+" in mode else os.O_WRONLY
    return access | os.O_CREAT | os.O_CLOEXEC | kind


def perform(job: Mapping[str, object]) -> dict[str, object]:
    """Run the script of a job; its decisions, or {"error", "hint"} with the script's line."""
    name, source = str(job["name"]), str(job["source"])
    variables = job["vars"]
    helpers = Helpers(variables if isinstance(variables, dict) else {}, Path(str(job["overlay"])))
    # For tracebacks: the script is in no file.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        code = compile(source, name, "exec")
        exec(code, {"__name__": "__main__", **helpers.names()})  # noqa: S102 - that is its purpose
        helpers.close()
        return helpers.result()
    except SystemExit as error:
        if error.code in (None, 0):
            helpers.close()
            return helpers.result()
        return {"error": f"{_place(error, name)}: the script ended with {error.code}", "hint": ""}
    except EdeployError as error:
        return {"error": f"{_place(error, name)}: {error.message}", "hint": error.hint}
    except SyntaxError as error:
        return {"error": f"{name}:{error.lineno}: {error.msg}", "hint": "Scripts are Python 3."}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{_place(error, name)}: {type(error).__name__}: {error}", "hint": ""}


def _place(error: BaseException, name: str) -> str:
    """`NAME:LINE` of the script's innermost line in an error's way."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == name
    ]
    return f"{name}:{lines[-1]}" if lines else name


def main(argv: Sequence[str]) -> int:
    """Do the job in the file argv[1], write the result to argv[2]; the status tells if all went
    well."""
    # `-c` put the current folder first: modules of nobody's choice.
    sys.path[:] = [path for path in sys.path if path]
    outcome = perform(json.loads(Path(argv[1]).read_text()))
    Path(argv[2]).write_text(json.dumps(outcome))
    return 1 if "error" in outcome else 0
