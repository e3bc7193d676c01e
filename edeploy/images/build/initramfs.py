"""The initramfs of a tree: made once, when everything that goes in is there."""

from __future__ import annotations

from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.images.build.bench import Bench
from edeploy.images.build.logged import in_tree
from edeploy.names import under

_UPDATE = "/usr/sbin/update-initramfs"
_ASKED = f"{_UPDATE}.asked"
_STAND_IN = f"#!/bin/sh\n: > {_ASKED}\n"
# Left alone, initramfs-tools would make it once for the kernel and again for each of its hooks.
_DIVERT = ("dpkg-divert", "--quiet", "--local", "--rename", "--divert", f"{_UPDATE}.later")

LATER_HOOK = (
    f'chroot "$1" {" ".join(_DIVERT)} --add {_UPDATE}'
    f' && printf "#!/bin/sh\\n: > {_ASKED}\\n" > "$1"{_UPDATE} && chmod 755 "$1"{_UPDATE}'
)
"""Does the same as `later`, as a hook of mmdebstrap."""

# Where initramfs-tools and its hooks look for what to do.
_SETTINGS = (
    "etc/initramfs-tools",
    "usr/share/initramfs-tools",
    "etc/modprobe.d",
    "etc/modules",
    "etc/modules-load.d",
    "etc/udev",
    "etc/crypttab",
    "etc/lvm",
    "etc/mdadm",
    "usr/lib/modules",
)


def later(bench: Bench) -> None:
    """From now on, note that an initramfs is asked for instead of making it."""
    path = under(bench.tree, "usr/sbin") / Path(_UPDATE).name
    if path.exists() and not _has_stand_in(bench.tree):
        in_tree(bench, [*_DIVERT, "--add", _UPDATE])
        path.write_text(_STAND_IN, encoding="ascii")
        path.chmod(0o755)


def make(bench: Bench, *, kernel: bool) -> bool:
    """Make it if the tree has a kernel, and a package, a script or a file of the role asks for it.

    Whether it was made. Raises EdeployError, ProgramFailed.
    """
    asked = bench.tree / _ASKED.lstrip("/")
    releases = _releases(bench.tree) if kernel else []
    is_missing = any(not (bench.tree / f"boot/initrd.img-{name}").exists() for name in releases)
    wanted = kernel and (asked.exists() or is_missing or _is_touched(bench))
    asked.unlink(missing_ok=True)
    if _has_stand_in(bench.tree):
        (bench.tree / _UPDATE.lstrip("/")).unlink(missing_ok=True)
        in_tree(bench, ["dpkg-divert", "--quiet", "--local", "--rename", "--remove", _UPDATE])
    if wanted and not (bench.tree / _UPDATE.lstrip("/")).exists():
        raise EdeployError(
            "a role with a kernel needs an initramfs, and nothing makes one",
            "Add initramfs-tools to its packages.",
        )
    for release in releases if wanted else []:
        in_tree(bench, ["update-initramfs", "-c", "-k", release], what="update-initramfs")
    return wanted


def _releases(tree: Path) -> list[str]:
    return sorted(path.name for path in (tree / "usr/lib/modules").iterdir())


def _is_touched(bench: Bench) -> bool:
    """Whether the role has something of its own where initramfs-tools looks."""
    upper = bench.upper
    return upper is None or any((upper / name).exists() for name in _SETTINGS)


def _has_stand_in(tree: Path) -> bool:
    diversions = tree / "var/lib/dpkg/diversions"
    return diversions.exists() and f"\n{_UPDATE}\n" in f"\n{diversions.read_text()}"
