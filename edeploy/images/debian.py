"""Debian trees: mmdebstrap installs the packages, then the role is set up inside the tree."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic, timeouts
from edeploy.errors import EdeployError
from edeploy.images.chroot import SHARED, in_chroot, isolated
from edeploy.images.mirrors import Source, debian_sources
from edeploy.images.nodepack import pack_node
from edeploy.images.overlay import EARLY, OVERLAY, write_overlay
from edeploy.images.recipe import Recipe
from edeploy.names import under
from edeploy.run import LAST_LINES, ProgramFailed, run

NODE = "usr/sbin/edeploy-node"
NODE_UNIT = "etc/systemd/system/edeploy-node.service"
PRESET = "etc/systemd/system-preset/10-edeploy.preset"

_NODE_UNIT_TEXT = """\
[Unit]
Description=Tell the edeploy server that this system is up
Wants=network-online.target
After=network-online.target
ConditionPathExists=/etc/edeploy/node.json

[Service]
Type=oneshot
ExecStart=/usr/sbin/edeploy-node call-home
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
_MISSING = re.compile(
    r"E: (?:Unable to locate package (?P<a>\S+)"
    r"|Package '(?P<b>[^']+)' has no installation candidate"
    r"|Couldn't find any package by (?:glob|regex) '(?P<c>[^']+)')"
)
_FULL = "No space left on device"
# What this machine's apt needs to reach its mirrors, the build's apt needs as well.
_NETWORK_OPTION = re.compile(r"Acquire::(?:https?::|Check-|Retries|ForceIPv)\S* \"")
_UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_INSTANCE = re.compile(r"(?P<name>[^@]+@)(?P<instance>.+)(?P<kind>\.[a-z]+)\Z")
# initramfs-tools would make the initramfs once for the kernel and again for each of its hooks:
# it is made once, when everything that goes in is there.
_UPDATE = "/usr/sbin/update-initramfs"
_DIVERT = (
    f'chroot "$1" dpkg-divert --quiet --local --rename --divert {_UPDATE}.later --add {_UPDATE}'
    f' && printf "#!/bin/sh\\n" > "$1"{_UPDATE} && chmod 755 "$1"{_UPDATE}'
)


class NoSuchPackage(EdeployError):
    """A package that the sources do not have."""


@dataclass(frozen=True)
class Bench:
    """Where a build happens: new tree, folder shared with it, log, cache of packages."""

    tree: Path
    shared: Path
    log: Path
    cache: Path


@dataclass(frozen=True)
class Mirrors:
    """What the operator says about mirrors; "" leaves it to this machine's own apt sources."""

    archive: str = ""
    security: str = ""


def install(
    recipe: Recipe, suite: str, bench: Bench, mirrors: Mirrors, on_step: Callable[[str], None]
) -> None:
    """Make the tree of `recipe`. Raises NoSuchPackage, ProgramFailed, EdeployError."""
    sources = debian_sources(suite, mirror=mirrors.archive, security_mirror=mirrors.security)
    write_overlay(recipe, bench.shared)
    on_step(f"installing {len(_packages(recipe))} packages and what they need ({suite})")
    _mmdebstrap(recipe, suite, sources, bench)
    _keep_downloads(bench)
    _write_sources(recipe, suite, sources, bench.tree)
    on_step("setting up files, users, scripts and services")
    _in_tree(bench, ["tar", "-x", "--no-overwrite-dir", "--keep-directory-symlink",
                     "-f", f"{SHARED}/{OVERLAY}"])  # fmt: skip
    _add_node(bench.tree)
    _finish_users(recipe, bench)
    _run_scripts(recipe, bench, on_step)
    _set_services(recipe, bench)
    if recipe.kernel:
        on_step("making the initramfs")
        _make_initramfs(bench)


def packages_text(tree: Path) -> str:
    """The installed packages, a line each: name, version, architecture, separated by tabs."""
    listed = run(
        ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show",
         "--showformat", "${Package}\t${Version}\t${Architecture}\n"]
    )  # fmt: skip
    return "".join(sorted(listed.out.splitlines(keepends=True)))


def _packages(recipe: Recipe) -> list[str]:
    return [*recipe.packages, *([recipe.kernel] if recipe.kernel else [])]


# --- packages ----------------------------------------------------------------------------------


def _mmdebstrap(recipe: Recipe, suite: str, sources: list[Source], bench: Bench) -> None:
    argv = isolated(["mmdebstrap", *_mmdebstrap_options(recipe, bench), suite, str(bench.tree)])
    lines = [source.one_line() for source in [*sources, *_extra_sources(recipe, suite)]]
    try:
        with open(bench.log, "a", encoding="utf-8") as log:
            run([*argv, *lines], timeout=timeouts.DEBIAN_INSTALL, log=log)
    except ProgramFailed as error:
        raise _explained(error, recipe, suite, bench.log) from error


def _mmdebstrap_options(recipe: Recipe, bench: Bench) -> Iterator[str]:
    yield from ("--mode=root", "--variant=apt", "--format=directory")
    merged = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
    if merged.is_dir():
        yield f"--hook-dir={merged}"
    yield f"--include={','.join(_packages(recipe))}"
    apt_options = bench.shared.parent / "apt.conf"
    atomic.write(apt_options, _network_options(), mode=0o600)
    yield f"--aptopt={apt_options}"
    # A build that loses power is thrown away: nothing in it needs to be on the disk early.
    yield "--dpkgopt=force-unsafe-io"
    yield "--dpkgopt=force-confold"
    for part in recipe.parts:
        folder = part.files / "etc/dpkg/dpkg.cfg.d" if part.files else None
        for path in sorted(folder.iterdir()) if folder and folder.is_dir() else []:
            yield f"--dpkgopt={path}"
    cache = shlex.quote(str(bench.cache))
    archives = '"$1"/var/cache/apt/archives'
    yield f"--setup-hook=mkdir -p {archives}"
    yield (
        f"--setup-hook=find {cache} -maxdepth 1 -name '*.deb' -exec cp --link -t {archives}/ {{}} +"
    )
    yield f"--setup-hook=tar-in {shlex.quote(str(bench.shared / EARLY))} /"
    yield from _account_hooks(recipe, bench)
    if recipe.kernel:
        yield f"--essential-hook={_DIVERT}"
    yield "--skip=essential/unlink,cleanup/apt/cache"


def _network_options() -> str:
    dump = run(["apt-config", "dump"]).out
    return "".join(f"{line}\n" for line in dump.splitlines() if _NETWORK_OPTION.match(line))


def _account_hooks(recipe: Recipe, bench: Bench) -> Iterator[str]:
    """Accounts are there before the packages, which then take them instead of making their own."""
    if not recipe.users:
        return
    passwd = bench.shared / "passwd"
    group = bench.shared / "group"
    groups = {user.group: user.gid for user in recipe.users}
    atomic.write(
        passwd,
        "".join(
            f"{user.name}:*:{user.uid}:{user.gid}::{user.home}:{user.shell}\n"
            for user in recipe.users
        ),
    )
    atomic.write(group, "".join(f"{name}:*:{gid}:\n" for name, gid in groups.items()))
    for path in (passwd, group):
        yield f'--essential-hook=cat {shlex.quote(str(path))} >> "$1"/etc/{path.name}'


def _extra_sources(recipe: Recipe, suite: str) -> Iterator[Source]:
    for repository in recipe.repositories:
        where = repository.suite or suite
        yield Source(repository.url, where, repository.components, str(repository.key.resolve()))


def _explained(error: ProgramFailed, recipe: Recipe, suite: str, log: Path) -> EdeployError:
    text = log.read_text(encoding="utf-8", errors="replace")
    missing = _MISSING.search(text)
    if not missing:
        return _failed(f"mmdebstrap of role {recipe.name}", error, text, log)
    name = next(group for group in missing.groups() if group)
    place = recipe.origins.get(f"packages.{name}") or recipe.origins.get("kernel", recipe.name)
    return NoSuchPackage(
        f"{place}: {suite} has no package {name!r}",
        f"Look for its name: apt-cache search {name}",
    )


def _keep_downloads(bench: Bench) -> None:
    """The packages go to the cache for the next build; names there appear whole."""
    for path in (bench.tree / "var/cache/apt/archives").glob("*.deb"):
        path.replace(bench.cache / path.name)


def _write_sources(recipe: Recipe, suite: str, sources: list[Source], tree: Path) -> None:
    """The image's own apt sources, with keys that the image has."""
    stanzas = list(sources)
    for repository, source in zip(recipe.repositories, _extra_sources(recipe, suite), strict=True):
        key = Path("etc/apt/keyrings") / f"{repository.name}{repository.key.suffix}"
        under(tree, str(key.parent)).mkdir(parents=True, exist_ok=True)
        atomic.write(tree / key, repository.key.read_bytes())
        stanzas.append(Source(source.url, source.suite, source.components, f"/{key}"))
    for name in ("sources.list", "sources.list.d/0000sources.list"):
        (tree / "etc/apt" / name).unlink(missing_ok=True)
    target = under(tree, "etc/apt/sources.list.d") / "edeploy.sources"
    atomic.write(target, "\n".join(source.stanza() for source in stanzas))


# --- inside the tree ---------------------------------------------------------------------------


def _in_tree(
    bench: Bench,
    argv: list[str],
    *,
    what: str = "",
    shared: Path | None = None,
    timeout: float = timeouts.CHROOT_STEP,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a program in the tree, its output to the log; its last lines are in the error."""
    start = bench.log.stat().st_size
    try:
        with open(bench.log, "a", encoding="utf-8") as log:
            in_chroot(
                bench.tree, argv, shared=shared or bench.shared, timeout=timeout, env=env, log=log
            )
    except ProgramFailed as error:
        text = bench.log.read_bytes()[start:].decode("utf-8", "replace")
        raise _failed(what or argv[0], error, text, bench.log) from error


def _failed(what: str, error: ProgramFailed, text: str, log: Path) -> EdeployError:
    """The error for a step whose output, `text`, went to the log."""
    if _FULL in text:
        return EdeployError(
            f"{log.parent}: the store is full", "Free some space there, then build again."
        )
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()][-LAST_LINES:]
    how = "not done in time, ended"
    if error.code is not None:
        how = f"exit status {error.code}" if error.code >= 0 else f"ended by signal {-error.code}"
    tail = "".join(f"\n  | {line}" for line in lines)
    return ProgramFailed(f"{what}: {how}{tail}", code=error.code)


def _add_node(tree: Path) -> None:
    pack_node(under(tree, str(Path(NODE).parent)) / Path(NODE).name)
    atomic.write(under(tree, str(Path(NODE_UNIT).parent)) / Path(NODE_UNIT).name, _NODE_UNIT_TEXT)


def _finish_users(recipe: Recipe, bench: Bench) -> None:
    if not recipe.users:
        return
    _in_tree(bench, ["pwconv"])
    _in_tree(bench, ["grpconv"])
    for user in recipe.users:
        for group in user.groups:
            _in_tree(bench, ["usermod", "--append", "--groups", group, user.name])
        if user.home != "/nonexistent":
            _in_tree(bench, ["install", "-d", "-m", "0750",
                             "-o", user.name, "-g", user.group, user.home])  # fmt: skip


def _run_scripts(recipe: Recipe, bench: Bench, on_step: Callable[[str], None]) -> None:
    for part in recipe.parts:
        if part.script:
            on_step(f"running {part.script}")
            _in_tree(
                bench,
                [f"{SHARED}/{part.script.relative_to(part.folder)}"],
                what=str(part.script),
                shared=part.folder,
                timeout=timeouts.ROLE_SCRIPT,
                env={"ROLE": recipe.name, **recipe.variables},
            )


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
    _in_tree(bench, ["systemctl", "preset-all"])
    if recipe.disable:
        # Most of these are no services to enable but parts of systemd that others ask for.
        _in_tree(bench, ["systemctl", "mask", *recipe.disable])
    for script in sorted((bench.tree / "etc/init.d").glob("*")):
        unit = f"{script.name.removesuffix('.sh')}.service"
        if unit not in enable and not _has_unit(bench.tree, unit):
            _in_tree(bench, ["update-rc.d", script.name, "disable"])


def _has_unit(tree: Path, unit: str) -> bool:
    found = _INSTANCE.match(unit)
    name = f"{found['name']}{found['kind']}" if found else unit
    return any((tree / folder / name).is_symlink() or (tree / folder / name).exists()
               for folder in _UNIT_FOLDERS)  # fmt: skip


def _preset_name(unit: str) -> str:
    found = _INSTANCE.match(unit)
    return f"{found['name']}{found['kind']} {found['instance']}" if found else unit


def _make_initramfs(bench: Bench) -> None:
    (bench.tree / _UPDATE.lstrip("/")).unlink(missing_ok=True)
    _in_tree(bench, ["dpkg-divert", "--quiet", "--local", "--rename", "--remove", _UPDATE])
    if not (bench.tree / _UPDATE.lstrip("/")).exists():
        raise EdeployError(
            "a role with a kernel needs an initramfs, and nothing makes one",
            "Add initramfs-tools to its packages.",
        )
    for modules in sorted((bench.tree / "usr/lib/modules").iterdir()):
        _in_tree(bench, ["update-initramfs", "-c", "-k", modules.name], what="update-initramfs")
