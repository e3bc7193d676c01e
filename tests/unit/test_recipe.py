"""Recipes: inheritance, and every mistake told with its file and line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edeploy.cli.role import command
from edeploy.errors import EdeployError
from edeploy.images.owners import TOP, Owner, paths_text
from edeploy.images.recipe import NoSuchRole, Recipe, load_recipe, role_names

SHIPPED = Path(__file__).parents[2] / "roles"


def write_role(roles: Path, name: str, text: str, **files: str) -> Path:
    folder = roles / name
    folder.mkdir(parents=True)
    (folder / "role.yaml").write_text(text)
    for file, content in files.items():
        (folder / file).write_text(content)
        (folder / file).chmod(0o755)
    return folder


def mistake(roles: Path, name: str) -> str:
    with pytest.raises(EdeployError) as error:
        load_recipe(roles, name)
    return str(error.value)


def test_shipped_roles_load() -> None:
    assert {"base", "web"} < set(role_names(SHIPPED))
    for name in role_names(SHIPPED):
        load_recipe(SHIPPED, name)
    web = load_recipe(SHIPPED, "web")
    assert [part.role for part in web.parts] == ["base", "web"]
    assert "nginx" in web.packages and "openssh-server" in web.packages
    assert {"nginx.service", "ssh.service"} <= set(web.enable)


def test_parents_first_then_mixins_and_later_ones_win(tmp_path: Path) -> None:
    write_role(
        tmp_path,
        "base",
        "suite: bookworm\npackages: [a1, b1]\nkernel: linux-image-amd64\n"
        "variables: {COLOR: red, SIZE: 1.10}\nservices: {enable: [x.service, y.service]}\n",
        script="#!/bin/sh\n",
    )
    write_role(tmp_path, "mixin", "packages: [m1]\nfrom: base\n")
    write_role(
        tmp_path,
        "leaf",
        "with: [mixin]\nfrom: base\nkernel: none\npackages:\n  - b1\n  - c1\n"
        "variables: {COLOR: no}\nservices: {disable: [x.service]}\nexclude: [/srv/]\n",
    )
    leaf = load_recipe(tmp_path, "leaf")
    assert [part.role for part in leaf.parts] == ["base", "mixin", "leaf"]
    assert leaf.packages == ("a1", "b1", "m1", "c1")
    assert leaf.kernel is None
    assert leaf.suite == "bookworm"
    # YAML would read these as false and 1.1.
    assert leaf.variables == {"COLOR": "no", "SIZE": "1.10"}
    assert (leaf.enable, leaf.disable) == (("y.service",), ("x.service",))
    assert leaf.origins["packages.c1"] == f"{tmp_path}/leaf/role.yaml:6:5"
    assert leaf.origins["packages.b1"] == f"{tmp_path}/base/role.yaml:2:16"
    assert leaf.parts[0].script == tmp_path / "base/script"


def test_an_empty_recipe_is_a_recipe(tmp_path: Path) -> None:
    write_role(tmp_path, "empty", "# nothing yet\n")
    assert load_recipe(tmp_path, "empty") == Recipe("empty", load_recipe(tmp_path, "empty").parts)


def test_users_and_repositories(tmp_path: Path) -> None:
    write_role(
        tmp_path,
        "app",
        "users:\n- {name: app, uid: 800}\n- name: db\n  uid: 801\n  group: data\n  gid: 900\n"
        "  home: /srv/db\n  groups: [app]\n"
        "repositories:\n- url: https://packages.example/debian\n  key: key.asc\n  suite: stable\n",
        **{"key.asc": "KEY"},
    )
    app, db = load_recipe(tmp_path, "app").users
    assert (app.uid, app.gid, app.group, app.home) == (800, 800, "app", "/nonexistent")
    assert (db.gid, db.group, db.home, db.groups) == (900, "data", "/srv/db", ("app",))
    (repository,) = load_recipe(tmp_path, "app").repositories
    assert repository.name == "app-1" and repository.components == ("main",)
    assert repository.key == tmp_path / "app/key.asc"


def test_a_role_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    write_role(tmp_path, "base", "")
    write_role(tmp_path, "web", "packages: [nginx]\nfrom: basis\n")
    with pytest.raises(NoSuchRole) as error:
        load_recipe(tmp_path, "wbe")
    assert str(error.value) == "there is no role 'wbe'\n  Roles: base, web."
    assert mistake(tmp_path, "web").startswith(f"{tmp_path}/web/role.yaml:2:7: there is no role")
    assert "there is no role" in mistake(tmp_path, "../base") or "no name for a role" in mistake(
        tmp_path, "../base"
    )


def test_a_package_of_one_letter(tmp_path: Path) -> None:
    write_role(tmp_path, "stats", "family: rpm\nsuite: '9'\npackages: [R]\n")
    assert load_recipe(tmp_path, "stats").packages == ("R",)


def test_loops(tmp_path: Path) -> None:
    write_role(tmp_path, "one", "from: two\n")
    write_role(tmp_path, "two", "with:\n- one\n")
    assert "two/role.yaml:2:3: roles in a loop: one → two → one" in mistake(tmp_path, "one")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("packages: [a1]\npakages: [b1]\n", 2, "unknown key 'pakages'"),
        ("services:\n  start: [a.service]\n", 2, "unknown key 'start'"),
        ("packages: [a1]\npackages: [b1]\n", 2, "given twice"),
        ("packages: nginx\n", 1, "here belongs a list"),
        ("packages:\n- a1\n- {b: c}\n", 3, "here belongs one plain value"),
        ("packages:\n- a1\n- A B\n", 3, "'A B' is no package name"),
        ("packages:\n- --include=x\n", 2, "is no package name"),
        ("services: {enable: [nginx]}\n", 1, "'nginx' is no unit name"),
        ("- a\n", 1, "here belong keys with values"),
        ("suite: 'bookworm main'\n", 1, "is no suite"),
        ("a: [b\n", 2, "expected ',' or ']'"),
        ("users:\n- name: app\n", 2, "the key 'uid' is missing"),
        ("users:\n- {name: app, uid: -1}\n", 2, "'-1' is no user id"),
        ("users:\n- {name: a, uid: 5}\n- {name: b, uid: 5}\n", 3, "both have the user id 5"),
        ("variables: {A-B: c}\n", 1, "'A-B' is no variable name"),
        ("script: missing\n", 1, "does not exist"),
        ("files: ../base\n", 1, "leads out of"),
        ("paths:\n  picture: [/usr]\n", 2, "unknown key 'picture'"),
        ("paths:\n  image: [usr]\n", 2, "'usr' is no absolute path"),
        ("paths:\n  image: [/usr/../etc]\n", 2, "is no absolute path"),
        ("paths:\n  image: ['/a, b']\n", 2, "is no absolute path"),
        ("paths:\n  image: [/usr]\n  state: [/usr]\n", 3, "/usr is here twice"),
        ("paths:\n  merged: [/srv]\n", 2, "only /etc"),
        ("paths:\n  state: [/var]\n  image:\n  - /var/lib/a\n", 4, "can not be the image's"),
        ("repositories:\n- {url: https://u:p@h.example/, key: role.yaml}\n", 2, "credentials"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    write_role(tmp_path, "role", text)
    told = mistake(tmp_path, "role")
    assert told.startswith(f"{tmp_path}/role/role.yaml:{line}:")
    assert what in told


def test_a_script_must_be_executable(tmp_path: Path) -> None:
    folder = write_role(tmp_path, "role", "", script="#!/bin/sh\n")
    (folder / "script").chmod(0o644)
    assert "script:1: not executable" in mistake(tmp_path, "role")


def test_a_mistake_has_its_column(tmp_path: Path) -> None:
    write_role(tmp_path, "role", "services: {enable: [], start: [a.service]}\n")
    assert mistake(tmp_path, "role").startswith(f"{tmp_path}/role/role.yaml:1:24: unknown key")


def test_paths_are_inherited_and_later_roles_win(tmp_path: Path) -> None:
    write_role(tmp_path, "base", "paths: {image: [/usr, /opt], merged: [/etc], state: [/var]}\n")
    write_role(tmp_path, "leaf", "from: base\npaths: {state: [/opt, /usr/local]}\nexclude: [/x]\n")
    leaf = load_recipe(tmp_path, "leaf")
    assert leaf.paths["/opt"] is Owner.STATE and leaf.paths["/usr"] is Owner.IMAGE
    assert leaf.origins["paths./opt"] == f"{tmp_path}/leaf/role.yaml:2:17"
    said = json.loads(paths_text(leaf.paths, leaf.exclude))
    assert said["image"] == ["usr"] and said["merged"] == ["etc"]
    assert said["state"] == ["opt", "usr/local", "var"]
    assert {"/etc/", "/opt/", "/usr/local/", "/var/", "/x", "/proc/"} <= set(said["exclude"])
    assert "/usr/" not in said["exclude"]
    # The initramfs has no parser: each list is on a line of its own.
    assert '  "state": ["opt", "usr/local", "var"],' in paths_text(leaf.paths, ()).splitlines()


def test_lint_names_every_top_level_path_without_an_owner(tmp_path: Path) -> None:
    write_role(tmp_path, "mixin", "packages: [a1]\n")
    tops = ", ".join(top for top in TOP if top not in ("/srv", "/etc"))
    write_role(tmp_path, "base", f"paths: {{image: [{tops}], merged: [/etc]}}\nwith: [mixin]\n")
    (tmp_path / "base/files/site").mkdir(parents=True)
    said = CliRunner().invoke(command, ["lint", "--roles", str(tmp_path)])
    assert [line for line in said.output.splitlines() if "owner" in line] == [
        f"{tmp_path}/base/role.yaml:1:1: {top} has no owner" for top in ("/site", "/srv")
    ]
    assert said.exit_code != 0
