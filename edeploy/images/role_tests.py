"""Runs the tests of a role in a chroot of its image, which stays as it is.

As a program, in namespaces of its own: what the tests mount, start and write ends with it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import edeploy
from edeploy import timeouts
from edeploy.errors import EdeployError
from edeploy.images.build.bench import Bench, opened
from edeploy.images.build.chroot import beside_chroot, isolated
from edeploy.images.recipe import Recipe
from edeploy.images.store import Image
from edeploy.run import ProgramFailed, run

_FAILED = 1


def run_tests_of(recipe: Recipe, image: Image, on_line: Callable[[str], None]) -> None:
    """Run the tests of the role and of all that it comes from; `on_line` hears what they print.

    Raises EdeployError: a test fails, there are none, or pytest-testinfra is not here.
    """
    folders = [str(part.tests.resolve()) for part in recipe.parts if part.tests]
    if not folders:
        raise EdeployError(
            f"{recipe.parts[-1].folder}: no tests there, nor in a parent's",
            "Write some: tests/test_*.py, with the fixture `host` of pytest-testinfra.",
        )
    if importlib.util.find_spec("testinfra") is None:
        raise EdeployError(
            "pytest-testinfra is not installed", "Install it: pip install 'edeploy[test]'."
        )
    order = json.dumps({"tree": str(image.tree.resolve()), "folders": folders})
    env = {"PYTHONPATH": str(Path(edeploy.__file__).parents[1])}
    argv = isolated([sys.executable, "-m", __name__])
    limit = timeouts.ROLE_TESTS
    done = run(argv, stdin=order, env=env, timeout=limit, check=False, on_line=on_line)
    if done.code != 0:
        raise EdeployError(
            f"{image}: its tests fail" if done.code == _FAILED else f"{image}: no test ran",
            "What is above says why.",
        )


def main() -> int:
    """Reads from stdin which tree, and which folders of tests; prints what pytest prints."""
    order = json.loads(sys.stdin.read())
    with (
        tempfile.TemporaryDirectory(prefix="edeploy-test-", dir="/var/tmp") as name,
        opened(Path(name) / "bench", Path(order["tree"]), 0, print) as bench,
    ):
        code = _run_pytest(bench, order["folders"])
        print(bench.log.read_text(encoding="utf-8", errors="replace"))
    return code


def _run_pytest(bench: Bench, folders: Sequence[str]) -> int:
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with open(bench.log, "a", encoding="utf-8") as log:
        try:
            beside_chroot(
                bench.tree,
                _pytest(bench.tree, folders),
                shared=bench.shared,
                timeout=timeouts.ROLE_TESTS,
                env=env,
                log=log,
            )
        except ProgramFailed as error:
            return error.code or _FAILED
    return 0


def _pytest(tree: Path, folders: Sequence[str]) -> list[str]:
    # fmt: off
    return [
        sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "testinfra.plugin",
        "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir=/", "-c", "/dev/null",
        "--connection=chroot", f"--hosts={tree}", *folders,
    ]
    # fmt: on


if __name__ == "__main__":
    sys.exit(main())
