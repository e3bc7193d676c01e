"""The initramfs of a tree: made once, when everything that goes in is there."""

from __future__ import annotations

from dataclasses import dataclass

from edeploy.errors import EdeployError
from edeploy.images.build.bench import Bench
from edeploy.images.build.logged import in_tree
from edeploy.names import under


@dataclass(frozen=True)
class _Maker:
    """A program that makes an initramfs: its path; `words` after it, with `{}` for the kernel's
    release."""

    program: str
    words: tuple[str, ...]


# The first one that there is: later packages of dracut bring the other name as well.
_MAKERS = (
    _Maker("/usr/sbin/update-initramfs", ("-c", "-k", "{}")),
    _Maker("/usr/bin/dracut", ("--quiet", "--force", "/boot/initrd.img-{}", "{}")),
)
_ASKED = "/usr/sbin/update-initramfs.asked"
_STAND_IN = f"#!/bin/sh\n: > {_ASKED}\n"
# Left alone, each would make it once for the kernel, and initramfs-tools for each of its hooks.
_DIVERT = ("dpkg-divert", "--quiet", "--local", "--rename")


def _diversion(program: str) -> list[str]:
    return [*_DIVERT, "--divert", f"{program}.later", "--add", program]


LATER_HOOK = " && ".join(
    f'chroot "$1" {" ".join(_diversion(maker.program))}'
    f' && printf "#!/bin/sh\\n: > {_ASKED}\\n" > "$1"{maker.program}'
    f' && chmod 755 "$1"{maker.program}'
    for maker in _MAKERS
)
"""Does the same as `later`, as a hook of mmdebstrap."""

# Where initramfs-tools, dracut and their parts look for what to do.
_SETTINGS = (
    "etc/dracut.conf",
    "etc/dracut.conf.d",
    "etc/initramfs-tools",
    "usr/lib/dracut",
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
    for maker in _MAKERS:
        folder, _, name = maker.program.lstrip("/").rpartition("/")
        path = under(bench.tree, folder) / name
        if path.exists() and not _has_stand_in(bench, maker):
            in_tree(bench, _diversion(maker.program))
            path.write_text(_STAND_IN, encoding="ascii")
            path.chmod(0o755)


def make(bench: Bench, *, kernel: bool) -> bool:
    """Make it if the tree has a kernel, and a package, a script or a file of the role asks for it.

    Whether it was made. Raises EdeployError, ProgramFailed.
    """
    asked = bench.tree / _ASKED.lstrip("/")
    releases = _releases(bench) if kernel else []
    is_missing = any(not (bench.tree / f"boot/initrd.img-{name}").exists() for name in releases)
    wanted = kernel and (asked.exists() or is_missing or _is_touched(bench))
    asked.unlink(missing_ok=True)
    _bring_back(bench)
    makers = [maker for maker in _MAKERS if (bench.tree / maker.program.lstrip("/")).exists()]
    if wanted and not makers:
        raise EdeployError(
            "a role with a kernel needs an initramfs, and nothing makes one",
            "Add initramfs-tools or dracut to its packages.",
        )
    for release in releases if wanted else []:
        words = [word.format(release) for word in makers[0].words]
        in_tree(bench, [makers[0].program, *words], what=makers[0].program.rpartition("/")[2])
    return wanted


def _bring_back(bench: Bench) -> None:
    for maker in _MAKERS:
        if _has_stand_in(bench, maker):
            (bench.tree / maker.program.lstrip("/")).unlink(missing_ok=True)
            in_tree(bench, [*_DIVERT, "--remove", maker.program])


def _releases(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.tree / "usr/lib/modules").iterdir())


def _is_touched(bench: Bench) -> bool:
    """Whether the role has something of its own where initramfs-tools or dracut looks."""
    upper = bench.upper
    return upper is None or any((upper / name).exists() for name in _SETTINGS)


def _has_stand_in(bench: Bench, maker: _Maker) -> bool:
    diversions = bench.tree / "var/lib/dpkg/diversions"
    return diversions.exists() and f"\n{maker.program}\n" in f"\n{diversions.read_text()}"
