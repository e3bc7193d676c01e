"""Whatever stands on a kernel command line: no exception, and only values of the right form."""

import ipaddress
import string

from hypothesis import given
from hypothesis import strategies as st

from edeploy.node.cmdline import ON_FAILURE, ON_SUCCESS, parse

NAMES = ["SERV", "HTTP_PORT", "ONSUCCESS", "ONFAILURE", "KEXEC_KERNEL", "VERBOSE", "UPLOAD_LOG",
         "OS", "OS_VER", "DEBUG", "BOOTIF", "IP", "quiet"]  # fmt: skip

words = st.builds("{}={}".format, st.sampled_from(NAMES), st.text(max_size=30))


@given(st.one_of(st.text(), st.lists(words).map(" ".join)))
def test_any_text_is_parsed(text: str) -> None:
    arguments = parse(text)
    assert arguments.on_success in ON_SUCCESS
    assert arguments.on_failure in ON_FAILURE
    assert 1 <= arguments.http_port <= 65535
    assert arguments.server is None or not set(arguments.server) & set(" ;&|$`\"'\n/")
    assert arguments.role is None or arguments.role.isascii()


devices = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
addresses = st.one_of(
    st.ip_addresses(v=4).flatmap(
        lambda a: st.integers(0, 32).map(lambda n: ipaddress.ip_interface(f"{a}/{n}"))
    ),
    st.ip_addresses(v=6).flatmap(
        lambda a: st.integers(0, 128).map(lambda n: ipaddress.ip_interface(f"{a}/{n}"))
    ),
)
Link = tuple[str, str | ipaddress.IPv4Interface | ipaddress.IPv6Interface, int | None]
entries: st.SearchStrategy[Link] = st.tuples(
    devices,
    st.one_of(st.sampled_from(["dhcp", "none"]), addresses),
    st.none() | st.integers(1, 4094),
)


@given(st.lists(entries, min_size=1, max_size=8))
def test_the_first_entry_that_matches_wins(found: list[Link]) -> None:
    text = ",".join(f"{device}:{how}" + (f"@{vlan}" if vlan else "") for device, how, vlan in found)
    arguments = parse(f"quiet IP={text} ro")
    assert not arguments.problems
    assert len(arguments.links) == len(found)
    for device, _, _ in found:
        _, how, vlan = next(
            entry
            for entry in [e for e in found if e[0] in (device, "all")]
            or [e for e in found if e[0] == "other"]
        )
        plan = arguments.link(device)
        assert plan.vlan == vlan
        assert how in (plan.method, plan.address)
