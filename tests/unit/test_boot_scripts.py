"""What firmware is told: iPXE scripts, dnsmasq's and rsync's configuration."""

from pathlib import Path

import pytest

from edeploy.boot import dnsmasq, ipxe, rsyncd
from edeploy.machines.states import Standing, State

SETTINGS = ipxe.BootSettings("10.0.0.1", 8080, "cloud", ("tty0", "ttyS0,115200"), "quiet")
ENDINGS = ipxe.Endings("kexec", "halt")
MAC = "52:54:00:12:34:56"


def script(standing: Standing, **more: str) -> str:
    values = {"platform": "pcbios", "mac": MAC, "name": "web-1", **more}
    return ipxe.script(standing, SETTINGS, endings=ENDINGS, **values)


@pytest.mark.parametrize("state", [State.DISCOVERED, State.RESERVED, State.INSTALLING])
def test_ramdisk(state: State) -> None:
    text = script(Standing(state))
    assert text.startswith("#!ipxe\n")
    assert (
        "kernel http://10.0.0.1:8080/ramdisk/cloud/vmlinuz initrd=initrd SERV=10.0.0.1 "
        f"HTTP_PORT=8080 ONSUCCESS=kexec ONFAILURE=halt BOOTIF={MAC} "
        "console=tty0 console=ttyS0,115200 quiet ||" in text
    )
    assert "initrd --name initrd http://10.0.0.1:8080/ramdisk/cloud/initrd" in text


@pytest.mark.parametrize("state", [State.ACTIVE, State.UPGRADING])
def test_own_disk(state: State) -> None:
    bios = script(Standing(state))
    assert "sanboot --no-describe --drive 0x80 || exit" in bios
    efi = script(Standing(state), platform="efi")
    assert "exit 1" in efi and "sanboot" not in efi and "chain" not in efi
    labelled = script(Standing(state), platform="efi", boot_label="ED0123ABCD")
    assert labelled.index("chain file://ED0123ABCD/EFI/BOOT/BOOTX64.EFI ||") < labelled.index(
        "\nexit 1"
    )
    assert "kernel " not in bios + efi


@pytest.mark.parametrize("state", [State.REJECTED, State.FAILED])
def test_hold_is_the_ramdisk(state: State) -> None:
    assert "/ramdisk/cloud/vmlinuz" in script(Standing(state))


@pytest.mark.parametrize("name", ["a\nshell", "a ${mac}", "a || shell", "a; shell"])
def test_names_can_not_add_commands(name: str) -> None:
    text = script(Standing(State.DISCOVERED), name=name)
    assert [line for line in text.splitlines() if line.startswith("shell")] == []
    title = text.splitlines()[1]
    assert not set("${}|;&\n") & set(title)


def test_a_mac_that_is_none_is_left_out() -> None:
    assert "BOOTIF" not in script(Standing(State.DISCOVERED), mac="x\nshell")


def test_entry_asks_with_all_that_is_known() -> None:
    text = ipxe.entry(SETTINGS)
    assert (
        "chain --replace --autofree http://10.0.0.1:8080/boot/script?mac=${netX/mac}&uuid=${uuid}"
        "&serial=${serial:uristring}&platform=${platform}" in text
    )


def test_ipv6_server() -> None:
    assert ipxe.BootSettings("fd00::1", 80, "cloud").base == "http://[fd00::1]:80"


def dhcp(**more: object) -> str:
    values = {
        "mode": "dhcp",
        "interface": "br0",
        "address": "10.0.0.1",
        "port": 8080,
        "netmask": "255.255.255.0",
        "range_start": "10.0.0.100",
        "range_end": "10.0.0.150",
        **more,
    }
    return dnsmasq.config(dnsmasq.Dhcp(**values), dnsmasq.Folder(Path("/state/dnsmasq")))  # type: ignore[arg-type]


def test_dhcp_has_no_dns_and_one_address_a_machine() -> None:
    lines = dhcp().splitlines()
    for line in ("port=0", "dhcp-ignore-clid", "no-ping", "dhcp-authoritative", "interface=br0"):
        assert line in lines
    assert "dhcp-range=10.0.0.100,10.0.0.150,255.255.255.0,60m" in lines
    assert "dhcp-option=option:router" in lines  # none, and not this server
    assert not any("enable-ra" in line for line in lines)


def test_router_advertisement_is_no_way_out() -> None:
    lines = dhcp(router_advertisement="fd77::/64").splitlines()
    assert {"enable-ra", "dhcp-range=fd77::,ra-only,64", "ra-param=br0,60,0"} <= set(lines)


def test_proxy_gives_no_address() -> None:
    lines = dhcp(mode="proxy").splitlines()
    assert "dhcp-range=10.0.0.0,proxy,255.255.255.0" in lines
    assert not any(line.startswith("dhcp-option=") for line in lines)


def test_rsync_reads_only() -> None:
    text = rsyncd.config(
        store=Path("/store"), network="10.0.0.0/24", log_file=Path("/l"), bind="10.0.0.1", port=873
    )
    for line in (
        "[install]",
        "path = /store/install",
        "read only = yes",
        "use chroot = yes",
        "hosts allow = 10.0.0.0/24",
        "hosts deny = *",
    ):
        assert line in text.splitlines()
