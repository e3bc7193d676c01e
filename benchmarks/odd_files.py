"""Seconds of CPU that the oddest files of profiles take: none should take one.

Each is as large as its kind may be, and made to be slow: deep, repeating, of the smallest values,
with the most names. `lint` reads all files of the folder, most of them twice; `load` is what the
server does when a file changes.

    .venv/bin/python benchmarks/odd_files.py [--all]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edeploy.inventory.items import MAX_LITERAL_BYTES, MAX_REPORT_BYTES, BadReport, read_report
from edeploy.match import cmdb, literals, profile_settings
from edeploy.match.lint import Unusable, lint
from edeploy.match.profiles import load_profiles

WHOLE = {
    "state": "[('p', 1)]",
    "p.specs": "[('disk', '$d', 'size', 'gt(1)')]",
    "p.configure": "x = var['d']\n",
}
REPEATED = {
    "p.configure": [
        "x=1\n", "print 'a'\n", "print ", "`", "f(", "x.", "1<>2\n", "x.has_key(1)\n", "a,",
        "exec 'x'\n", "10L\n", "0777 ", "class A:\n x=1\n", "try: x\nexcept: y\n", "if 1:\n ",
        "'%(x)s' % var\n", "var['a']\n", "not ", "lambda:", "f'{var}'\n", "raise E, x\n", "\\\n",
        "set_role('a','b','c')\n",
    ],
    "p.specs": ["(", "[", "-", "'a' ", "('a','b','c','d'),", "1+", "a.", "x\n"],
    "state": ["(", "('a',1),", "'a' ", "-"],
    "p.toml": ["a.", "[", "a=1\n", "[a]\n", "x='", "#"],
    "p.cmdb": ["{'a':1},", "[],", "(", "- a: 1\n", "- ", "- - ", "{a: ", "x\n", "'a' "],
    "report.hw": ["('a','b','c','d'),", "(", "-", "1+", "[", "'a' "],
}  # fmt: skip
WITHIN = {
    "p.specs": ("[", "('a','b','c','d'),", "]"),
    "state": ("[", "('p','x'),", "]"),
    "p.cmdb": ("[", "{'ip':'10.0.0.1'},", "]"),
    "p.configure": ("'", "%(x)s", "' % var"),
    "p.toml": ("a=", "[", ""),
    "report.hw": ("[", "('a','b','c','d'),", "]"),
}
MOST = {
    "p.configure": literals.MAX_CODE_BYTES,
    "p.specs": literals.MAX_FILE_BYTES,
    "state": literals.MAX_FILE_BYTES,
    "p.toml": profile_settings.MAX_BYTES,
    "p.cmdb": cmdb.MAX_BYTES,
    "report.hw": MAX_LITERAL_BYTES,
}


def cases() -> Iterator[tuple[str, str, str]]:
    """File, what it is made of, and its text."""
    for file, pieces in REPEATED.items():
        for piece in pieces:
            yield file, f"{piece!r} × …", piece * (MOST[file] // len(piece))
    for file, (begin, piece, end) in WITHIN.items():
        times = (MOST[file] - len(begin + end)) // len(piece)
        yield file, f"{begin} {piece} × {times} {end}", begin + piece * times + end
    for file, what, many, one in (
        ("p.cmdb", "different keys", 480, "'k{0}':'1-500'"),
        ("p.cmdb", "addresses of one machine", 480, "'ip{0}':'10.0.0-1.0-240'"),
        ("p.cmdb", "ranges that are too long together", 480, "'k{0}':'1-99999'"),
    ):
        text = ",".join(one.format(n) for n in range(many))
        yield file, f"{many} {what}", f"generate({{{text}}})"
    entry = "{{'ip':'10.{0}.{1}.9','netmask':'255.255.0.0','gateway':'10.{0}.0.1'}},"
    rows = "".join(entry.format(n >> 8, n & 255) for n in range(7500))
    yield "p.cmdb", "7500 machines", f"[{rows}]"
    names = ",".join(f"('p{n}',1)" for n in range(5000))
    yield "state", "5000 profiles without files", f"[{names}]"
    row = '["disk","sda","size","8"]'
    report = ",".join([row] * (MAX_REPORT_BYTES // (len(row) + 1) - 1))
    yield "report.hw", "JSON of 1 MiB", f"[{report}]"


def seconds(work: Callable[[], object]) -> float:
    """The CPU time of one call, whatever it says of the file."""
    begin = time.process_time()
    try:
        work()
    except (Unusable, BadReport):
        pass
    return time.process_time() - begin


def main() -> None:
    """Measure all, print the slowest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="not only the ten slowest")
    show_all = parser.parse_args().all
    found = []
    for file, what, text in cases():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for other, whole in WHOLE.items():
                (folder / other).write_text(whole)
            (folder / file).write_text(text)
            load = seconds(partial(load_profiles, folder))
            if file == "report.hw":
                load = seconds(partial(read_report, folder / "report.hw"))
            found.append((seconds(partial(lint, folder, None)), load, file, what))
    found.sort(reverse=True, key=lambda one: max(one[:2]))
    table = Table("file", "made of", "lint s", "load s")
    for check, load, file, what in found if show_all else found[:10]:
        table.add_row(file, what[:60], f"{check:.2f}", f"{load:.2f}")
    console = Console()
    console.print(table)
    console.print(f"{len(found)} files")


if __name__ == "__main__":
    main()
