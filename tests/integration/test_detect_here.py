"""Detection on this machine, with the programs that are here, as an agent runs it."""

import json
import os
import sys
from pathlib import Path

import pytest

from edeploy.images.nodepack import pack_node
from edeploy.inventory.identity import identify
from edeploy.inventory.items import MAX_REPORT_BYTES, Report, parse_report
from edeploy.run import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="firmware tables and disks need root")


def report_of(node: Path) -> Report:
    out = run([sys.executable, node, "detect"]).out
    assert len(out) <= MAX_REPORT_BYTES
    return parse_report(out.encode())


def test_a_report_can_be_uploaded_and_comes_in_the_same_order(tmp_path: Path) -> None:
    node = tmp_path / "edeploy-node"
    pack_node(node)
    first, second = report_of(node), report_of(node)
    # Values such as temperatures change, and what there is does not.
    assert [item[:3] for item in first.items] == [item[:3] for item in second.items]
    assert parse_report(json.dumps(first.rows()).encode()) == first
    assert int(first.value("cpu", "logical", "number") or 0) == os.cpu_count()
    assert first.value("system", "kernel", "version") == os.uname().release
    assert first.all("disk", key="size")
    assert all(all(item) for item in first.items)
    assert identify(first) == identify(second)


def test_no_probe_fails_here(tmp_path: Path) -> None:
    node = tmp_path / "edeploy-node"
    pack_node(node)
    assert report_of(node).all("probe") == []
