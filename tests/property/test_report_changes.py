"""What differs between any two reports."""

from hypothesis import given
from hypothesis import strategies as st

from edeploy.inventory.changes import changes, differences, fingerprint, summary
from edeploy.inventory.items import Item, Report

ITEMS = st.builds(
    Item,
    st.sampled_from(["disk", "network", "memory", "cpu", "system", "probe", "smart"]),
    st.sampled_from(["sda", "sdb", "eth0", "eth1", "bank:0", "product", "kernel"]),
    st.sampled_from(["serial", "size", "link", "wwn-id", "ipv4", "flags", "version", "error"]),
    st.sampled_from(["WD1A", "WD2B", "d8:9d:67:00:00:01", "52:54:00:00:00:02", "yes", "600", ""]),
)
REPORTS = st.builds(lambda items: Report(tuple(items)), st.lists(ITEMS, max_size=25))


@given(REPORTS)
def test_nothing_changes_by_itself(report: Report) -> None:
    assert changes(report, report) == differences(report, report) == ()
    assert changes(report, report, everything=True) == ()


@given(REPORTS, REPORTS)
def test_equal_prints_have_no_changes(a: Report, b: Report) -> None:
    if fingerprint(a) == fingerprint(b):
        assert changes(a, b) == ()


@given(REPORTS, REPORTS)
def test_both_ways_alike(a: Report, b: Report) -> None:
    """What is gone one way is new the other way, and every change has a line."""
    for compare in (changes, differences):
        there, back = compare(a, b), compare(b, a)
        assert len(there) == len(back)
        kinds = [sorted(change.change for change in found) for found in (there, back)]
        turned = {"gone": "new", "new": "gone"}
        assert kinds[0] == sorted(turned.get(kind, kind) for kind in kinds[1])
        assert bool(there) == bool(summary(there))


@given(REPORTS, REPORTS)
def test_everything_is_more(a: Report, b: Report) -> None:
    assert bool(differences(a, b, everything=True)) >= bool(differences(a, b))
    for change in changes(a, b):
        assert change.change in ("gone", "new", "changed")
        assert change.facts
