"""Profiles: what a folder gives, and how one broken profile leaves the others alone."""

from dataclasses import fields
from pathlib import Path

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.match.lint import Unusable, lint
from edeploy.match.profiles import ProfileSettings, load_profiles
from edeploy.match.solver import Match, match

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "specs"

SPECS = "[('disk', '$disk', 'size', 'gt(4)')]"
CONFIGURE = "set_role('web', '1.0.0', '/dev/' + var['disk'])\n"


def put(folder: Path, name: str, specs: str = SPECS, configure: str = CONFIGURE) -> None:
    (folder / f"{name}.specs").write_text(specs)
    (folder / f"{name}.configure").write_text(configure)


def told(folder: Path) -> list[str]:
    return [str(p).removeprefix(f"{folder}/") for p in load_profiles(folder).problems]


def findings(folder: Path) -> list[str]:
    return [str(p).removeprefix(f"{folder}/") for p in lint(folder, None)]


def test_a_whole_profile(tmp_path: Path) -> None:
    put(tmp_path, "web")
    (tmp_path / "web.cmdb").write_text("generate({'ip': '10.0.0.1-2'})")
    (tmp_path / "web.toml").write_text('fetch = "rsync"\ndeadline_minutes = 5\n')
    put(tmp_path, "any")
    (tmp_path / "state").write_text("[('web', 2), ('any', '*')]")
    loaded = load_profiles(tmp_path)
    assert loaded.problems == ()
    web, other = loaded.profiles
    assert (web.name, web.quota, other.quota) == ("web", 2, None)
    assert web.cmdb == ({"ip": "10.0.0.1"}, {"ip": "10.0.0.2"})
    assert other.cmdb is None
    assert web.settings == ProfileSettings(fetch="rsync", deadline_minutes=5)
    assert other.settings.on_success == "reboot"
    assert [(use.role, use.version) for use in web.uses] == [("web", "1.0.0")]
    assert (web.configure, web.configure_path) == (CONFIGURE, tmp_path / "web.configure")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("bad.specs", "[('a', 'b')\n ('c', 'd')]", "bad.specs:1:12: a comma is missing here"),
        ("bad.specs", "[('a', 'b', 'c', 'gt(x)')]", "bad.specs:1:18: 'x' is no number"),
        ("bad.configure", "if True\n", "bad.configure:1:8: expected ':'"),
        ("bad.configure", "return\n", "bad.configure:1:1: 'return' outside function"),
        ("bad.configure", "x = 1\nprint 'a'\n", "bad.configure:2:1: is Python 2 (1 × print"),
        ("bad.configure", "os.chmod('a', 0644)\n", "bad.configure:1:15: is Python 2 (1 × octal"),
        ("bad.configure", "set_role('a/b', '1', d)", "bad.configure:1:1: 'a/b' is no name for a"),
        ("bad.cmdb", "generate({'a': f()})", "bad.cmdb:1:16: only values are allowed here"),
        ("bad.toml", "fetch = 'ftp'", "bad.toml:1:1: fetch: must be one of http, rsync"),
        ("bad.toml", "\ndeadline_minutes = '5'", "bad.toml:2:1: deadline_minutes: must be a whole"),
        ("bad.toml", "deadline_minutes = true", "bad.toml:1:1: deadline_minutes: must be a whole"),
        ("bad.toml", "deadline_minutes = 0", "bad.toml:1:1: deadline_minutes: must be from 1 to"),
        ("bad.toml", "# x\n\ndeadline = 3", "bad.toml:3:1: deadline: is no setting (there are"),
        ("bad.toml", "x = [1, 2\n\n\ny", "bad.toml:4:1: Unclosed array"),
    ],
)
def test_a_broken_profile_is_left_out(tmp_path: Path, name: str, text: str, problem: str) -> None:
    put(tmp_path, "bad")
    put(tmp_path, "good")
    (tmp_path / name).write_text(text)
    (tmp_path / "state").write_text("[('bad', '*'), ('good', '*')]")
    assert [profile.name for profile in load_profiles(tmp_path).profiles] == ["good"]
    (line,) = told(tmp_path)
    assert line.startswith(problem)
    assert line in findings(tmp_path)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("('web', 'many')", "state:1:25: the quota 'many' is neither a number nor '*'"),
        ("('web', -1)", "state:1:25: the quota -1 is neither"),
        ("('web', True)", "state:1:25: the quota True is neither"),
        ("('web', None)", "state:1:25: the quota None is neither"),
        ("('../web', 1)", "state:1:17: '../web' is no name for a profile"),
        ("('web',)", "state:1:17: is no (name, quota)"),
        ("'web'", "state:1:17: is no (name, quota)"),
        ("('good', 1)", "state:1:17: good is there twice"),
        ("('gone', 1)", "state:1:17: gone: there is no gone.specs"),
    ],
)
def test_a_bad_row_of_state(tmp_path: Path, row: str, problem: str) -> None:
    put(tmp_path, "good")
    (tmp_path / "state").write_text(f"[('good', '7'), {row}]")
    loaded = load_profiles(tmp_path)
    assert [(p.name, p.quota) for p in loaded.profiles] == [("good", 7)]
    assert told(tmp_path)[0].startswith(problem)


def test_a_folder_without_state_is_unusable(tmp_path: Path) -> None:
    assert told(tmp_path) == ["state:1:1: No such file or directory"]
    with pytest.raises(Unusable):
        lint(tmp_path, None)
    with pytest.raises(Unusable):
        lint(tmp_path / "missing", None)
    (tmp_path / "state").write_text("{}")
    with pytest.raises(Unusable, match="is no list"):
        lint(tmp_path, None)


def test_images_that_the_store_lacks(tmp_path: Path) -> None:
    put(tmp_path, "a", configure="x = 1\nset_role(role='db', version='2', disk='/dev/x')\n")
    put(tmp_path, "b", configure="set_role(str(var), '2', '/dev/x')\n")
    (tmp_path / "state").write_text("[('a', 1), ('b', 1)]")
    assert lint(tmp_path, lambda role, version: True) == []
    (problem,) = lint(tmp_path, lambda role, version: (role, version) != ("db", "2"))
    assert str(problem) == f"{tmp_path}/a.configure:2:1: the store has no image db 2"


@pytest.mark.parametrize(
    ("product", "network", "name", "test"),
    [("Lab UEFI", "10.77.0", "lab-web", "none"), ("Health node", "10.78.0", "lab-ahc", "lab")],
)
def test_the_profiles_that_ship_are_clean_and_fit_the_racks_of_the_demos(
    product: str, network: str, name: str, test: str
) -> None:
    folder = ROOT / "hardware_specs"
    assert lint(folder, None) == []
    report = Report(
        (
            Item("disk", "vda", "size", "8"),
            Item("system", "product", "vendor", "edeploy"),
            Item("system", "product", "name", product),
            Item("system", "product", "serial", "EDLUEFI1"),
            Item("network", "enp0s2", "serial", "52:54:00:ed:00:02"),
            Item("network", "enp0s2", "ipv4", f"{network}.107"),
        )
    )
    fitting = [
        (profile, result)
        for profile in load_profiles(folder).profiles
        if isinstance(result := match(profile.specs, report), Match)
    ]
    ((profile, result),) = fitting
    assert (profile.name, profile.settings.health) == (name, test)
    assert (result.vars["disk"], result.vars["mac"]) == ("vda", "52:54:00:ed:00:02")
    assert profile.cmdb is not None
    assert len(profile.cmdb) == 10


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_real_profiles_of_others() -> None:
    assert [profile.name for profile in load_profiles(SHARED).profiles] == ["vm", "vm-centos"]
    lines = findings(SHARED)
    assert "hp-mlx.specs:21:53: a comma is missing here" in lines
    assert any(line.startswith("hp.configure:14:5: is Python 2 (12 × print") for line in lines)
    assert "vm-debian.specs:1:1: vm-debian is not in `state`: it is never used" in lines


def test_the_reference_page_has_every_setting() -> None:
    page = (ROOT / "docs" / "reference" / "profiles.md").read_text()
    for setting in fields(ProfileSettings):
        assert f"| `{setting.name}` | " in page


def test_settings_in_a_line_of_state(tmp_path: Path) -> None:
    (tmp_path / "state").write_text(
        "[('web', '*', {'health': 'full'}), ('db', 1, {'health': 'slow'}), ('x', 1, 'quick')]"
    )
    for name in ("web", "db", "x"):
        (tmp_path / f"{name}.specs").write_text("[('system', 'product', 'vendor', 'Makers')]")
        (tmp_path / f"{name}.configure").write_text("set_role('web', '1', disk='sda')\n")
    (tmp_path / "web.toml").write_text('health = "quick"\nfetch = "rsync"\n')
    found = load_profiles(tmp_path)
    [web] = found.profiles
    assert web.settings == ProfileSettings(fetch="rsync", health="full")
    told = [str(problem) for problem in found.problems]
    assert any("health: must be one of none, quick, full, burn, lab" in line for line in told)
    assert any("such as {'health': 'quick'}" in line for line in told)
