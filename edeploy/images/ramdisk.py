"""Builds the ramdisk: from its recipe under pxe/ to a kernel and an initrd in the store."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import edeploy
from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import prune, signature
from edeploy.images.nodepack import MODULES
from edeploy.images.packages.mirrors import (
    MIRROR_VARIABLE,
    SECURITY_VARIABLE,
    Source,
    debian_sources,
    host_suite,
)
from edeploy.images.ramdisk_recipe import RamdiskRecipe, load_recipe, read_key
from edeploy.images.ramdisk_tools import (
    PACK_TIMEOUT,
    PROGRAM_FOLDERS,
    libraries,
    pack_tools,
    split_tools,
)
from edeploy.images.store import Ramdisk, Store
from edeploy.run import ProgramFailed, run

# Raise it when this module makes another ramdisk of the same inputs.
REVISION = 2
# mmdebstrap downloads some 60 MB; the longest wait is a slow mirror.
DOWNLOAD_TIMEOUT = 30 * 60.0
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
EMPTY_FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/lib", "var/log", "chroot")
FIRMWARE_COMPONENT = "non-free-firmware"


@dataclass(frozen=True)
class Built:
    """The result: `reused` when nothing had changed; sizes in bytes, `tools` that of their
    archive; notices for the operator."""

    ramdisk: Ramdisk
    reused: bool
    size: int
    unpacked: int
    tools: int
    notices: tuple[str, ...] = ()


def build_ramdisk(
    pxe: Path,
    kernel: str,
    store: Store,
    *,
    ssh_key: Path | None = None,
    signers: Path | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Built:
    """Make `STORE/ramdisk/<kernel>/{vmlinuz,initrd}`, or reuse it when no input changed.

    `pxe` is the folder with ramdisk.yaml and files/; `signers` are those whose images its
    machines install (OpenSSH's file of allowed signers). Raises EdeployError; the ramdisk that was
    there before stays as it was.
    """
    if os.geteuid() != 0:
        raise EdeployError("a ramdisk is built as root: its files belong to root", "Use sudo.")
    recipe = load_recipe(pxe / "ramdisk.yaml", kernel)
    key = read_key(ssh_key) if ssh_key else ""
    allowed = signature.check_signers(signers) if signers else b""
    sources = mirrors()
    inputs = digest_of_inputs(pxe, kernel, (key, allowed), sources)
    with _alone(store.root / "ramdisk"):
        remove_leftovers(store.root / "ramdisk")
        there = existing(store, kernel, inputs)
        if there:
            return there
        place = store.ramdisk_place(kernel).folder
        with _new_folder(place) as work:
            root = work / "root"
            on_step("unpack packages")
            notices = unpack_packages(root, recipe, sources)
            on_step("take what is needed")
            take_kernel(root, work / "new", recipe)
            slim(root, recipe)
            split_tools(root, work / "tools", recipe.tools)
            put_agent(root, pxe / "files", key, inputs)
            if allowed:
                _put_signers(root, allowed)
            on_step("compress")
            pack_tools(work / "tools", work / "new" / "tools", root, kernel)
            pack(root, work / "new" / "initrd")
            atomic.write(work / "new" / "inputs", f"{inputs}\n")
            return publish(work / "new", place, notices, _size_of(root))


def mirrors() -> list[Source]:
    """Where the packages come from: as for images, this machine's own suite. Raises NoMirror."""
    return debian_sources(
        host_suite(),
        mirror=os.environ.get(MIRROR_VARIABLE, ""),
        security_mirror=os.environ.get(SECURITY_VARIABLE, ""),
    )


def digest_of_inputs(pxe: Path, kernel: str, keys: tuple[str, bytes], sources: list[Source]) -> str:
    """One SHA-256 over all that decides what the ramdisk is, but for new package versions."""
    digest = hashlib.sha256(repr((REVISION, kernel, keys, sources)).encode())
    ours = [pxe / "ramdisk.yaml", *(pxe / "files").rglob("*")]
    files = [(path, path.relative_to(pxe)) for path in ours if path.is_file()]
    for path, name in sorted([*files, *_node_files()], key=lambda pair: str(pair[1])):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name} {os.access(path, os.X_OK)} {content}\n".encode())
    return digest.hexdigest()


def existing(store: Store, kernel: str, inputs: str) -> Built | None:
    """The ramdisk that is there when it was made of the same inputs."""
    place = store.ramdisk_place(kernel)
    try:
        if (place.folder / "inputs").read_text().strip() != inputs:
            return None
        size, tools = place.initrd.stat().st_size, place.tools.stat().st_size
        unpacked = int((place.folder / "unpacked").read_text())
        place.kernel.stat()
    except (OSError, ValueError):
        return None
    return Built(place, True, size, unpacked, tools)


def remove_leftovers(folder: Path) -> None:
    """Remove what builds that were killed left, and ramdisks that were replaced."""
    current = {path.readlink().name for path in folder.iterdir() if path.is_symlink()}
    for path in folder.glob(".*"):
        if path.is_dir() and path.name not in current:
            shutil.rmtree(path, ignore_errors=True)


def unpack_packages(root: Path, recipe: RamdiskRecipe, sources: list[Source]) -> list[str]:
    """Unpack the packages, running none of their scripts; returns notices about firmware."""
    packages, notices = [*recipe.packages, *recipe.tools.packages], []
    if not recipe.firmware or not _has_firmware(sources):
        sources = [replace(source, components=("main",)) for source in sources]
        if recipe.firmware:
            notices.append(
                f"no firmware is in this ramdisk: {sources[0].url} has no {FIRMWARE_COMPONENT}; "
                "some network cards and disk controllers need it"
            )
    else:
        # As patterns: what this suite does not have is left out, others' names differ.
        packages += [f"?exact-name({package})" for package in recipe.firmware]
    try:
        run(
            ["mmdebstrap", "--variant=extract", "--mode=root", "--format=directory",
             f"--hook-dir={MERGED_USR}", f"--include={','.join(packages)}",
             host_suite(), root, *(source.one_line() for source in sources)],
            timeout=DOWNLOAD_TIMEOUT,
        )  # fmt: skip
    except ProgramFailed as error:
        raise EdeployError(
            f"ramdisk: the packages were not unpacked: {error.message}",
            "A package that does not exist is named above; else try `apt-get update`.",
        ) from error
    return notices


def take_kernel(root: Path, new: Path, recipe: RamdiskRecipe) -> None:
    """Move the kernel to `new`, and keep only the modules that the recipe wants."""
    kernels = sorted(root.glob("boot/vmlinuz-*"))
    if len(kernels) != 1:
        raise EdeployError(f"ramdisk: {len(kernels)} kernels were unpacked, must be one")
    release = kernels[0].name.removeprefix("vmlinuz-")
    shutil.copyfile(kernels[0], new / "vmlinuz")
    modules = root / "usr/lib/modules" / release
    run(["chroot", root, "/usr/sbin/depmod", release])
    prune.remove_modules(modules, recipe.modules, recipe.without_modules)
    files = [f"/{path.relative_to(root)}" for path in sorted(modules.rglob("*.ko*"))]
    wanted = run(["chroot", root, "/usr/sbin/modinfo", "-F", "firmware", *files]).out.split()
    prune.remove_firmware(root / "usr/lib/firmware", wanted)
    run(["chroot", root, "/usr/sbin/depmod", release])
    for name in modules.glob("modules.*"):
        # The kernel's own lists, and the two indexes that modprobe reads, are enough.
        if name.suffix not in (".bin", ".builtin", ".order", ".softdep", ".modinfo"):
            name.unlink()


def slim(root: Path, recipe: RamdiskRecipe) -> None:
    """Remove what the recipe excludes, then the libraries that nothing needs any more."""
    programs = [f"{folder}/{name}" for folder in PROGRAM_FOLDERS for name in recipe.programs]
    others = [f"{folder}/*" for folder in PROGRAM_FOLDERS]
    wanted = [*recipe.keep, *programs, *recipe.tools.paths]
    prune.remove_paths(root, [*recipe.exclude, *others], wanted)
    prune.remove_unneeded_libraries(root, lambda path: libraries(root, path))
    prune.remove_empty_folders(root)


def put_agent(root: Path, files: Path, key: str, inputs: str) -> None:
    """Put in the agent, compiled, the overlay, the operator's key, and BusyBox's programs."""
    for folder in EMPTY_FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for source, name in _node_files():
        target = root / "usr/lib/edeploy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    prune.put_overlay(root, files)
    (root / "etc/edeploy-ramdisk").write_text(f"{edeploy.__version__} {inputs[:12]}\n")
    (root / "etc/resolv.conf").symlink_to("/run/edeploy/resolv.conf")
    if key:
        (root / "root/.ssh").mkdir(mode=0o700)
        (root / "etc/dropbear").mkdir()
        atomic.write(root / "root/.ssh/authorized_keys", key, mode=0o600)
    (root / "root").chmod(0o700)
    _link_busybox(root)
    _compile(root)


def pack(root: Path, initrd: Path) -> None:
    """The tree as cpio, in the order of names and with one time, through zstd."""
    prune.settle_times(root, 0)
    names = sorted(
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in [*folders, *files]
    )
    plain = initrd.with_name("initrd.cpio")
    run(
        ["cpio", "--null", "--create", "--format=newc", "--reproducible", "--quiet",
         f"--file={plain}"],
        cwd=root, stdin="".join(f"{name}\0" for name in names), timeout=PACK_TIMEOUT,
    )  # fmt: skip
    run(["zstd", "-q", "-19", "-T0", "--rm", plain, "-o", initrd], timeout=PACK_TIMEOUT)


def publish(new: Path, place: Path, notices: list[str], unpacked: int) -> Built:
    """Make the new files the ramdisk, at one moment: a server never sees a mixed pair."""
    atomic.write(new / "unpacked", f"{unpacked}\n")
    new.chmod(0o755)
    version = place.with_name(f"{new.parent.name}.made")
    os.sync()
    new.rename(version)
    link = new.parent / "link"
    link.symlink_to(version.name)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    old = place.resolve() if place.is_symlink() else None
    link.rename(place)
    atomic.sync_folder(place.parent)
    if old and old != version and old.parent == place.parent:
        shutil.rmtree(old, ignore_errors=True)
    ramdisk = Ramdisk(place, place / "vmlinuz", place / "initrd", place / "tools")
    sizes = (ramdisk.initrd.stat().st_size, unpacked, ramdisk.tools.stat().st_size)
    return Built(ramdisk, False, *sizes, tuple(notices))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One build at a time in a store."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EdeployError(
            f"{folder}: {error.strerror}", "The ramdisk is written there; see --store."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _new_folder(place: Path) -> Iterator[Path]:
    """A work folder beside `place`, with `new/` in it, gone at the end."""
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        work.chmod(0o755)
        (work / "new").mkdir()
        yield work
    except OSError as error:
        raise EdeployError(
            f"ramdisk: {error.filename or place}: {error.strerror}",
            "The ramdisk that was there before is unchanged.",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_signers(root: Path, allowed: bytes) -> None:
    place = root / signature.SIGNERS.relative_to("/")
    place.parent.mkdir(exist_ok=True)
    atomic.write(place, allowed)


def _has_firmware(sources: list[Source]) -> bool:
    """Whether the archive serves the component: the mirror is asked, as this machine's own list
    of sources seldom names it."""
    archive = sources[0]
    url = f"{archive.url.rstrip('/')}/dists/{archive.suite}/{FIRMWARE_COMPONENT}"
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            ["/usr/lib/apt/apt-helper", "download-file", f"{url}/binary-amd64/Release",
             f"{folder}/release"],
            check=False,
        )  # fmt: skip
    return done.code == 0


def _link_busybox(root: Path) -> None:
    """A name in /usr/bin for each of BusyBox's programs that no package brings."""
    have = {path.name for folder in PROGRAM_FOLDERS for path in (root / folder).iterdir()}
    for name in run(["chroot", root, "/usr/bin/busybox", "--list"]).out.split():
        if name not in have:
            (root / "usr/bin" / name).symlink_to("busybox")


def _compile(root: Path) -> None:
    """Compile Python's library in place of its source, and the agent beside its source, both
    without a look at times: the tree has none."""
    python = sorted(path.name for path in (root / "usr/lib").glob("python3.*"))[0]
    for options in (["-b", f"/usr/lib/{python}"], ["/usr/lib/edeploy"]):
        run(
            ["chroot", root, f"/usr/bin/{python}", "-I", "-S", "-B", "-m", "compileall", "-q", "-f",
             "--invalidation-mode", "unchecked-hash", *options],
            timeout=PACK_TIMEOUT,
        )  # fmt: skip
    for source in (root / "usr/lib" / python).rglob("*.py"):
        source.unlink()


def _node_files() -> list[tuple[Path, Path]]:
    package = Path(edeploy.__file__).parent
    found = {path for pattern in MODULES for path in package.glob(pattern)}
    return [(path, Path("edeploy") / path.relative_to(package)) for path in sorted(found)]


def _size_of(root: Path) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _, files in os.walk(root)
        for name in files
    )
