import ipaddress

import pytest

from edeploy.node.cmdline import LinkPlan, parse


def test_defaults() -> None:
    arguments = parse("BOOT_IMAGE=/vmlinuz ro quiet")
    assert arguments.server is None
    assert arguments.http_port == 8080
    assert (arguments.on_success, arguments.on_failure) == ("reboot", "halt")
    assert arguments.upload_log and not arguments.verbose and not arguments.debug
    assert arguments.link("eth0").method == "dhcp"
    assert arguments.problems == ()


def test_all_names() -> None:
    arguments = parse(
        "SERV=10.1.2.3 HTTP_PORT=81 ONSUCCESS=kexec ONFAILURE=console KEXEC_KERNEL=/boot/vmlinuz-6 "
        "VERBOSE=1 UPLOAD_LOG=0 OS=web OS_VER=D12-1.0 DEBUG=1 BOOTIF=01-52-54-00-AA-bb-0C\n"
    )
    assert arguments.problems == ()
    assert (arguments.server, arguments.http_port) == ("10.1.2.3", 81)
    assert (arguments.on_success, arguments.on_failure) == ("kexec", "console")
    assert arguments.kexec_kernel == "/boot/vmlinuz-6"
    assert arguments.verbose and arguments.debug and not arguments.upload_log
    assert (arguments.role, arguments.version) == ("web", "D12-1.0")
    assert arguments.boot_mac == "52:54:00:aa:bb:0c"


@pytest.mark.parametrize("text", ["fd00::1", "[fd00::1]", "deploy.example.org", "10.0.0.1"])
def test_servers(text: str) -> None:
    assert parse(f"SERV={text}").server == text.strip("[]")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("SERV=10.0.0.256", "an address or a host name"),
        ("SERV=a;reboot", "an address or a host name"),
        ("HTTP_PORT=0", "1 to 65535; using 8080"),
        ("HTTP_PORT=٣", "1 to 65535"),
        ("ONSUCCESS=explode", "one of reboot, kexec, halt, console; using reboot"),
        ("ONFAILURE=kexec", "one of halt, console, reboot; using halt"),
        ("VERBOSE=yes", "0 or 1; using 0"),
        ("KEXEC_KERNEL=../../x", "the name of a kernel"),
        ("OS=../etc", "a plain name"),
        ("OS_VER=$(reboot)", "a plain name"),
        ("BOOTIF=52:54", "a MAC address"),
        ("IP=eth0", "not device:configuration"),
        ("IP=eth0:10.0.0.1", "an address with its prefix"),
        ("IP=eth0:10.0.0.300/8", "no address with a prefix"),
        ("IP=eth0:dhcp@4095", "from 1 to 4094"),
        ("IP=eth0:dhcp@", "from 1 to 4094"),
        ("IP=other:dhcp,other:none", "`other` is given twice"),
        ("IP=", "not device:configuration"),
    ],
)
def test_a_bad_value_is_told_and_its_default_used(word: str, said: str) -> None:
    arguments = parse(f"quiet {word}")
    assert len(arguments.problems) == 1
    assert word.partition("=")[0] in arguments.problems[0]
    assert said in arguments.problems[0]
    assert arguments == parse("quiet")


def test_of_a_name_given_twice_the_last_counts_also_when_it_is_bad() -> None:
    assert parse("VERBOSE=1 VERBOSE=0").verbose is False
    arguments = parse("HTTP_PORT=81 HTTP_PORT=x")
    assert arguments.http_port == 81
    assert "using 81" in arguments.problems[0]


def test_links() -> None:
    arguments = parse("IP=eth1:none,eth0:10.0.0.2/24@10,other:dhcp@7,eth0:dhcp")
    assert arguments.link("eth0") == LinkPlan(
        "eth0", "static", ipaddress.ip_interface("10.0.0.2/24"), 10
    )
    assert arguments.link("eth1").method == "none"
    assert arguments.link("eth9") == LinkPlan("other", "dhcp", None, 7)


def test_all_before_a_name_wins_and_ipv6_has_colons() -> None:
    arguments = parse("IP=all:fd00::2/64,eth0:none")
    assert arguments.link("eth0").address == ipaddress.ip_interface("fd00::2/64")


def test_text_for_the_installed_system() -> None:
    arguments = parse('SERV=10.0.0.1 |console=ttyS1 VERBOSE=1 dyndbg="a b"| ONFAILURE=reboot')
    assert arguments.installed == 'console=ttyS1 VERBOSE=1 dyndbg="a b"'
    assert arguments.verbose is False
    assert arguments.on_failure == "reboot"


def test_a_single_bar_is_told() -> None:
    arguments = parse("VERBOSE=1 |console=ttyS1")
    assert arguments.installed == ""
    assert arguments.verbose
    assert "without a second one" in arguments.problems[0]
