"""Lint: every finding true, in its place, and none where a profile is as it was meant."""

from pathlib import Path

import pytest

from edeploy.match.checks.specs import never_holds
from edeploy.match.language import parse_field
from edeploy.match.lint import lint
from edeploy.match.script_names import HELPERS
from edeploy.node.install.prelude import Helpers

SHARED = Path(__file__).parents[3] / "shared" / "data" / "specs"
SPECS = "[('disk', '$disk', 'size', 'gt(4)'), ('network', '$eth', 'serial', '$mac')]"


def findings(folder: Path) -> list[str]:
    return [str(p).removeprefix(f"{folder}/") for p in lint(folder, None)]


def profile(
    folder: Path, name: str = "a", *, specs: str = SPECS, configure: str = "", cmdb: str = ""
) -> None:
    (folder / f"{name}.specs").write_text(specs)
    (folder / f"{name}.configure").write_text(configure)
    if cmdb:
        (folder / f"{name}.cmdb").write_text(cmdb)
    names = sorted(path.stem for path in folder.glob("*.specs"))
    (folder / "state").write_text(repr([(one, "*") for one in names]))


def test_the_order_of_findings_and_strays(tmp_path: Path) -> None:
    profile(
        tmp_path,
        specs="[('disk', '$d', 'size', 'gtx(4)'),\n ('disk', '$d', 'n', '$n=between(1, 2)'),\n"
        " ('cpu', 'x', 'GT(4)', 'Intel(R)')]",
        cmdb="generate({\n 'ip': '10.0.0.250-260',\n 'h': 'h1-3'})",
    )
    for ending in ("specs", "configure"):
        (tmp_path / f"stray.{ending}").write_text("[]")
    (tmp_path / "stray.cmdb").write_text("[{'ip': ['10.0.999.1']}]")
    assert findings(tmp_path) == [
        "a.cmdb:1:10: ranges of different lengths (h 3, ip 11): only 3 entries",
        "a.cmdb:2:8: 10.0.0.250-260: the octet 260 is over 255",
        "a.specs:1:25: gtx() is no function, perhaps gt; it is taken as text",
        "a.specs:2:22: between() is no function; it is taken as text",
        "a.specs:3:15: GT() is no function, perhaps gt; it is taken as text",
        "stray.cmdb:1:10: 10.0.999.1: the octet 999 is over 255",
        "stray.specs:1:1: stray is not in `state`: it is never used",
    ]


def test_a_row_of_state_that_cannot_be_used_names_its_profile(tmp_path: Path) -> None:
    profile(tmp_path)
    profile(tmp_path, "b", configure="x = 1\nprint 'a'\n")
    (tmp_path / "state").write_text("[('a', '*'),\n ('b', 'many'), (3, 4), 5]")
    told = findings(tmp_path)
    assert "state:2:8: the quota 'many' is neither a number nor '*'" in told
    assert any(one.startswith("b.configure:2:1: is Python 2") for one in told)
    assert not any("never used" in one for one in told)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("range(9, 3)", "range(9, 3) fits no number: the first is the greater"),
        ("$s=or(range(9, 3), 4)", "range(9, 3) fits no number"),
        ("and(gt(5), lt(3))", "and(gt(5), lt(3)) fits no value"),
        ("$s=and(in(a, b), c)", "and(in(a, b), c) fits no value"),
        ("and(network(10.0.0.0/8), gt(3))", "and(network(10.0.0.0/8), gt(3)) fits no value"),
        ("and(network(::/0), network(0.0.0.0/0))", "and(network(::/0), network(0.0.0.0/0)) fits"),
        (" gt(4)", "blanks around gt(…) make it a text; write it without"),
        ("gt (4)", "blanks around gt(…) make it a text"),
        ("$s= gt(4)", "blanks around gt(…) make it a text"),
        ("gt(4) ", "blanks around gt(…) make it a text"),
        ("gt(abc)", "'abc' is no number"),
        ("gt(1, 2)", "gt() takes 1 argument(s), not 2"),
        ("network(lan)", "network(): 'lan' does not appear to be an IPv4 or IPv6 network"),
        ("regexp(a[)", "regexp(): 'a[' does not compile"),
    ],
)
def test_a_field_that_fits_nothing(tmp_path: Path, field: str, told: str) -> None:
    profile(tmp_path, specs=f"[('disk', 'sda', 'size',\n {field!r})]")
    (found,) = findings(tmp_path)
    assert found.startswith(f"a.specs:2:2: {told}")


@pytest.mark.parametrize(
    "text",
    [
        "and(gt(5), lt(6))",
        "and(network(10.0.0.0/8), not(network(10.0.0.0/9)))",
        "and(network(fe80::1/128), not(in(fe80::1)))",
        "and(not(network(0.0.0.0/1)), not(network(128.0.0.0/2)), network(0.0.0.0/0))",
        "and(ge(5), le(5), not(in(5)))",
        "not(or(gt(1), le(1)))",
        "gt(1e307)",
        "and(gt(9), in(10, 20))",
        "and(gt(0.1), lt(0.2))",
        "and(gt(9), regexp(x))",
        "or(and(a, b), c)",
        "and(gt(-1), lt(1), not(0))",
        "and(lt(-5), not(in(-6)))",
        "and(not(a), not(b))",
    ],
)
def test_what_some_value_fits_is_no_finding(text: str) -> None:
    condition = parse_field(text).condition
    assert condition is not None
    assert not never_holds(condition)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "x = var['dsk']\n",
            "1:5: the variable 'dsk' is bound by nothing: neither specs nor CMDB give it; "
            "perhaps disk",
        ),
        ("\nx = var.get('vlan')\n", "2:5: the variable 'vlan' is never there"),
        ("x = f'a {var[\"vlan\"]}'\n", "1:5: the variable 'vlan' is bound by nothing"),
        ("x = '''\n%(eth)s\n  %(vlan)s %%(no)s''' % var", "3:3: the variable 'vlan' is bound"),
        ("x = ('%(vlan)s' + '{a}'.format(a=1)) % var", "1:7: the variable 'vlan' is bound"),
        ("t = '%(vlan)s'\nx = t % var", "1:6: the variable 'vlan' is bound"),
        ("x = '{eth} {vlan[0]}'.format(**var)", "1:12: the variable 'vlan' is bound"),
        ("x = '{vlan}'.format_map(var)", "1:6: the variable 'vlan' is bound"),
        ("print '%(vlan)s' % var", "1:8: the variable 'vlan' is bound"),
        ("hpacucli.Cli()", "1:1: nothing defines hpacucli on the machine; use run('ssacli"),
        ("def f():\n    exit(1)", "2:5: nothing defines exit on the machine; use raise SystemExit"),
        ("if var.has_key('eth'): pass", "1:4: is Python 2 (1 × has_key()); rewrite it: edeploy "),
        ("import commands", "1:8: is Python 2 (1 × module commands)"),
        ("print ('%s') % 1", "1:1: is Python 2 (1 × print statement)"),
    ],
)
def test_a_script_that_will_fail_on_the_machine(tmp_path: Path, script: str, told: str) -> None:
    profile(tmp_path, configure=script)
    found = [line for line in findings(tmp_path) if line.startswith(f"a.configure:{told}")]
    assert len(found) == 1, findings(tmp_path)


@pytest.mark.parametrize(
    "script",
    [
        "x = var['disk'], var['ip'], var['net']['vlan'], var['edeploy-profile'], '%(mac)s' % var",
        "if 'vlan' in var:\n    x = var['vlan']",
        "try:\n    x = var['vlan']\nexcept KeyError:\n    x = 1",
        "var['vlan'] = 1\nx = '%(vlan)s' % var",
        "var.setdefault('vlan', 1)\nx = var['vlan']",
        "var.update(vlan=1)\nx = var['vlan']",
        "var.update({'vlan': 1})\nx = var['vlan']",
        "for i in (1, 2):\n    var['d%d' % i] = 1\nx = var['d1']",
        "var = {}\nx = var['vlan']",
        "x = '%(vlan)s' % {'vlan': 1}",
        "x = '{vlan}'.format(vlan=1, **var)",
        "x = '100%% %(disk)s' % var",
        "from os.path import *\njoin('a', 'b')",
        "import os as o, os.path\no.getcwd()\nos.getcwd()",
        "def f(a, *b, c=1, **d):\n    global g\n    g = [a for a in b]\n    return c, d\nf(1)\ng",
        "layout(disk=run)\nconfig\nset_role\ngrub_options\ninject_facts(var)\nipmi",
        "print('a', file=open('b'))\nx = {1: 2}\nx.items()\nprint(1 / 2)",
    ],
)
def test_a_script_as_it_was_meant(tmp_path: Path, script: str) -> None:
    profile(tmp_path, configure=script, cmdb="[{'ip': '10.0.0.1', 'net': {'vlan': 3}}]")
    assert findings(tmp_path) == []


def test_variables_are_left_alone_when_the_specs_are_broken(tmp_path: Path) -> None:
    profile(tmp_path, specs="[('a', 'b')]", configure="x = var['vlan']")
    (found,) = findings(tmp_path)
    assert found.startswith("a.specs:1:2: 2 items")


def test_scripts_find_the_names_that_lint_knows(tmp_path: Path) -> None:
    assert set(Helpers({}, tmp_path).names()) == HELPERS


@pytest.mark.parametrize(
    ("cmdb", "told"),
    [
        (
            "[{'ip': '10.0.0.1'},\n {'ip': '10.0.0.1'}]",
            "2:9: ip: 10.0.0.1 (entry 2) is given twice: entry 1 has it too",
        ),
        (
            "generate({'ip': '10.0.0.1-3',\n 'ipmi-ip': '10.0.0.3-5'})",
            "2:13: ipmi-ip: 10.0.0.3 (entry 1) is given twice: ip of entry 3 has it too",
        ),
        (
            "[{'mac0': '52:54:00:00:00:0A'}, {'mac0': '52-54-00-00-00-0a'}]",
            "1:42: mac0: 52-54-00-00-00-0a (entry 2) is given twice: entry 1 has it too",
        ),
        (
            "generate({'hostname': ['a', 'b', 'a']})",
            "1:23: hostname: a (entry 3) is given twice: entry 1",
        ),
        (
            "generate({'ip': '10.0.0-1.1', 'netmask': '255.255.255.0', 'gateway': '10.0.0.254'})",
            "1:17: ip: 10.0.1.1/24 and its gateway 10.0.0.254 are in different networks (entry 2)",
        ),
        (
            "generate({'ib0': '10.0.0-2.1', 'netmaskib0': 24, 'gatewayib0': '10.0.0.254'})",
            "1:18: ib0: 10.0.1.1/24 and its gatewayib0 10.0.0.254 are in different networks "
            "(entry 2, and 1 more entries)",
        ),
        (
            "[{'ip': '10.0.0.1/24', 'gateway': '10.0.0.1'}]",
            "1:9: ip: 10.0.0.1 is its own gateway (entry 1)",
        ),
        (
            "[{'ip': '10.0.9.1', 'network': '10.0.0.0/24'}]",
            "1:9: ip: 10.0.9.1 is outside its network 10.0.0.0/24 (entry 1)",
        ),
        (
            "generate({'ip': '10.0.0.254-255', 'netmask': '255.255.255.0'})",
            "1:17: ip: 10.0.0.255 is no machine's address: it is the broadcast address of "
            "10.0.0.0/24 (entry 2)",
        ),
        (
            "[{'ip': '10.0.0.1', 'netmask': '255.0.255.0'}]",
            "1:32: netmask: 255.0.255.0 is no netmask (entry 1)",
        ),
        (
            "[{'net': {'ip': 'fe80::1', 'prefix': 64, 'gateway': 'fd00::1'}}]",
            "1:17: net.ip: fe80::1/64 and its net.gateway fd00::1 are in different networks",
        ),
    ],
)
def test_addresses_that_do_not_go_together(tmp_path: Path, cmdb: str, told: str) -> None:
    profile(tmp_path, cmdb=cmdb)
    (found,) = findings(tmp_path)
    assert found.startswith(f"a.cmdb:{told}")


@pytest.mark.parametrize(
    "cmdb",
    [
        "generate({'ip': '10.0.0.1-9', 'gateway': '10.0.0.254', 'dns': '10.0.0.253', 'ntp_ip': "
        "'10.0.0.252', 'netmask': '255.255.255.0', 'ip-ipmi': '10.0.0.11-19'})",
        "[{'ip': '10.0.0.1', 'address': '10.0.0.1'}, {'ip': '10.0.0.2', 'address': '10.0.0.2'}]",
        "[{'ip': '10.0.0.0', 'netmask': '255.255.255.254'}, {'ip': '10.0.0.1', 'netmask': 31}]",
        "generate({'ip': '10.0.0-1.1', 'gateway': ['10.0.0.9', '10.0.1.9'], 'netmask': '/24'})",
        "[{'driver-version': '5.8.0.1012', 'rack': 'r1'}, {'driver-version': 'x', 'rack': 'r1'}]",
        "[{'ip': 'dhcp'}, {'ip': 3}, {}, {'ip': None}]",
    ],
)
def test_addresses_that_do(tmp_path: Path, cmdb: str) -> None:
    profile(tmp_path, cmdb=cmdb)
    assert findings(tmp_path) == []


def test_two_profiles_that_give_the_same_addresses(tmp_path: Path) -> None:
    one = "generate({'ip': '10.0.0.1-5', 'gateway': '10.0.0.9'})"
    profile(tmp_path, "a", cmdb=one)
    profile(tmp_path, "b", cmdb="\n[{'ip': '10.0.0.4'}, {'ip': '10.0.0.5'}, {'ip': '10.0.0.6'}]")
    (found,) = findings(tmp_path)
    assert found == (
        "b.cmdb:2:9: ip: 10.0.0.4 (entry 1) is given by a.cmdb (ip, entry 4) too; so is 1 more"
    )
    profile(tmp_path, "b", cmdb=one.replace("0.9", "0.8"))  # another gateway: another network
    assert findings(tmp_path) == []
    profile(tmp_path, "b", cmdb=one)
    assert len(findings(tmp_path)) == 1
    (tmp_path / "state").write_text("[('a', 1)]")  # what is never used gives nothing
    assert findings(tmp_path) == ["b.specs:1:1: b is not in `state`: it is never used"]


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_a_real_mistake_behind_another(tmp_path: Path) -> None:
    for path in SHARED.glob("hp-mlx.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "state").write_text("[('hp-mlx', 1)]")
    assert "hp-mlx.specs:21:53: a comma is missing here" in findings(tmp_path)
    specs = tmp_path / "hp-mlx.specs"
    specs.write_text(specs.read_text().replace("'sm_lid', '1')", "'sm_lid', '1'),"))
    (found,) = [line for line in findings(tmp_path) if "bound" in line]
    assert found.startswith("hp-mlx.configure:91:6: the variable 'eth-ib0' is bound by nothing")
