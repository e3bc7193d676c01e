"""Sets up a role in a tree that has its packages: files, accounts, scripts, services."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError
from edeploy.images.build import initramfs
from edeploy.images.build.bench import Bench
from edeploy.images.build.chroot import SHARED
from edeploy.images.build.logged import in_tree
from edeploy.images.build.role_files import OVERLAY, write_overlay
from edeploy.images.nodepack import pack_node
from edeploy.images.owners import PATHS, paths_text, tops_of, unowned
from edeploy.images.packages.debian import users_of
from edeploy.images.recipe import RECIPE, Recipe
from edeploy.names import under

NODE = "usr/sbin/edeploy-node"
# The name that operators of existing installations type.
NODE_OLD_NAME = "usr/sbin/edeploy"
NODE_UNIT = "etc/systemd/system/edeploy-node.service"
PRESET = "etc/systemd/system-preset/10-edeploy.preset"

_NODE_UNIT_TEXT = """\
[Unit]
Description=Tell the edeploy server what runs here
Wants=network-online.target
After=network-online.target
ConditionPathExists=/etc/edeploy/node.json

[Service]
# Nothing that starts here waits until the server has heard of it: there may be none.
Type=exec
ExecStart=/usr/sbin/edeploy-node call-home
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
_UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_INSTANCE = re.compile(r"(?P<name>[^@]+@)(?P<instance>.+)(?P<kind>\.[a-z]+)\Z")


def set_up(recipe: Recipe, bench: Bench, on_step: Callable[[str], None]) -> None:
    """Make the role of its packages' tree. Raises EdeployError, ProgramFailed."""
    write_overlay(recipe.parts[-1], bench.shared)
    initramfs.later(bench)
    in_tree(bench, ["tar", "-x", "--no-overwrite-dir", "--keep-directory-symlink",
                    "-f", f"{SHARED}/{OVERLAY}"])  # fmt: skip
    if recipe.parent is None:
        _add_node(bench.tree)
    _finish_users(recipe, bench)
    _run_script(recipe, bench, on_step)
    _publish_paths(recipe, bench.tree)
    _set_services(recipe, bench)
    if initramfs.make(bench, kernel=recipe.kernel is not None):
        on_step("made the initramfs")


def _add_node(tree: Path) -> None:
    for path in (NODE, NODE_UNIT):
        under(tree, str(Path(path).parent)).mkdir(parents=True, exist_ok=True)
    pack_node(under(tree, str(Path(NODE).parent)) / Path(NODE).name)
    old_name = under(tree, str(Path(NODE_OLD_NAME).parent)) / Path(NODE_OLD_NAME).name
    if not old_name.is_symlink():
        old_name.symlink_to(Path(NODE).name)
    atomic.write(under(tree, str(Path(NODE_UNIT).parent)) / Path(NODE_UNIT).name, _NODE_UNIT_TEXT)


def _finish_users(recipe: Recipe, bench: Bench) -> None:
    users = users_of(recipe)
    if not users:
        return
    in_tree(bench, ["pwconv"])
    in_tree(bench, ["grpconv"])
    for user in users:
        for group in user.groups:
            in_tree(bench, ["usermod", "--append", "--groups", group, user.name])
        if user.home != "/nonexistent":
            in_tree(bench, ["install", "-d", "-m", "0750",
                            "-o", user.name, "-g", user.group, user.home])  # fmt: skip


def _run_script(recipe: Recipe, bench: Bench, on_step: Callable[[str], None]) -> None:
    part = recipe.parts[-1]
    if part.script:
        on_step(f"running {part.script}")
        in_tree(
            bench,
            [f"{SHARED}/{part.script.relative_to(part.folder)}"],
            what=str(part.script),
            shared=part.folder,
            timeout=timeouts.ROLE_SCRIPT,
            env={"ROLE": recipe.name, **recipe.variables},
        )


def _publish_paths(recipe: Recipe, tree: Path) -> None:
    if not recipe.paths:
        return
    odd = unowned(recipe.paths, tops_of(tree))
    if odd:
        raise EdeployError(
            f"{recipe.parts[-1].folder / RECIPE}:1:1: no owner for {', '.join(odd)}",
            "Say under `paths` whether it is the image's, merged, or the machine's state.",
        )
    target = under(tree, str(Path(PATHS).parent)) / Path(PATHS).name
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(target, paths_text(recipe.paths, recipe.exclude))


def _set_services(recipe: Recipe, bench: Bench) -> None:
    """Everything that the recipe does not enable is off; what it disables, nothing can start."""
    if not (bench.tree / "usr/bin/systemctl").exists():
        if recipe.enable:
            raise EdeployError(
                f"{recipe.origins[f'services.{recipe.enable[0]}']}: services without systemd",
                "Add systemd-sysv to the role's packages.",
            )
        return
    enable = ("edeploy-node.service", *recipe.enable)
    for unit in enable:
        if not _has_unit(bench.tree, unit):
            place = recipe.origins.get(f"services.{unit}", recipe.name)
            raise EdeployError(
                f"{place}: no package or file of the role brings the unit {unit}",
                "Add the package, or take the unit out.",
            )
    lines = [*(f"enable {_preset_name(unit)}" for unit in enable), "disable *"]
    folder = under(bench.tree, str(Path(PRESET).parent))
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / Path(PRESET).name, "".join(f"{line}\n" for line in lines))
    masked = [unit for unit in enable if _is_masked(bench.tree, unit)]
    if masked:
        # By a parent, which this role overrules.
        in_tree(bench, ["systemctl", "unmask", *masked])
    in_tree(bench, ["systemctl", "preset-all"])
    if recipe.disable:
        # Most of these are no services to enable but parts of systemd that others ask for.
        in_tree(bench, ["systemctl", "mask", *recipe.disable])
    for script in sorted((bench.tree / "etc/init.d").glob("*")):
        unit = f"{script.name.removesuffix('.sh')}.service"
        if unit not in enable and not _has_unit(bench.tree, unit):
            in_tree(bench, ["update-rc.d", script.name, "disable"])


def _has_unit(tree: Path, unit: str) -> bool:
    found = _INSTANCE.match(unit)
    name = f"{found['name']}{found['kind']}" if found else unit
    return any((tree / folder / name).is_symlink() or (tree / folder / name).exists()
               for folder in _UNIT_FOLDERS)  # fmt: skip


def _is_masked(tree: Path, unit: str) -> bool:
    path = tree / _UNIT_FOLDERS[0] / unit
    return path.is_symlink() and str(path.readlink()) == "/dev/null"


def _preset_name(unit: str) -> str:
    found = _INSTANCE.match(unit)
    return f"{found['name']}{found['kind']} {found['instance']}" if found else unit
