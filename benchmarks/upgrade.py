"""What an upgrade costs network, server and machine, beside rsync, ostree and casync.

Two trees of a Debian server, about 900 MB each: the release as it was published, and with all its
updates, another kernel among them; the initrd is not compressed. Every way starts with the first
and must end with the second. Bytes are counted where they are sent or received, CPU seconds of each
program and its children by the kernel, new disk by the blocks of inodes that were not there.

    .venv/bin/python benchmarks/upgrade.py [--work DIR] [--only "edeploy, pack;apt"]

Needs root, 10 GB below DIR, which keeps the trees for the next run, and the peers' packages.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from upgrade_measuring import blocks, counted, cpu_of, measured, rsync_daemon, run, scratch, web

from edeploy import atomic
from edeploy.images import manifest, trees
from edeploy.images.build.chroot import in_chroot
from edeploy.images.build.seal import seal
from edeploy.images.edges.packing import End, write_pack
from edeploy.images.packages.mirrors import debian_sources, host_suite

PACKAGES = (
    "systemd-sysv,udev,dbus,kmod,openssh-server,grub-pc-bin,grub-efi-amd64-bin,linux-image-amd64,"
    "initramfs-tools,cloud-init,lvm2,mdadm,rsync,zstd,python3,curl,vim-tiny,iproute2,ethtool,"
    "smartmontools,ca-certificates,less,man-db,xfsprogs,btrfs-progs,tcpdump,strace,gdisk,perl,"
    "ipmitool,nfs-common,chrony,rsyslog,locales"
)


# A moment before all packages of today's Debian 13 were built; nothing but pyc files asks for it.
EPOCH = 1_700_000_000


# What maintainers' scripts stop and start services by.
SERVICE_PROGRAMS = ("/usr/bin/deb-systemd-invoke", "/usr/bin/systemctl", "/usr/sbin/invoke-rc.d")
SERVICE_LOG = "/var/services.log"


@dataclass
class Cost:
    """Bytes received; CPU seconds of the server and the machine; its largest memory in bytes; bytes
    of new disk; seconds to prepare on the server. None: not measured."""

    received: int
    server_cpu: float | None
    client_cpu: float
    memory: int | None
    disk: int | None
    prepare: float | None


def main() -> None:
    """Measure, and print the table of all ways that were measured in DIR."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--work", type=Path, default=Path("/var/lib/edeploy/benchmark"))
    options.add_argument("--only", default=";".join(WAYS), help="of: %(default)s")
    wanted = options.parse_args()
    wanted.work.mkdir(parents=True, exist_ok=True)
    old, new = (make_tree(wanted.work, updates) for updates in (False, True))
    ends = [end(tree, version) for tree, version in ((old, "1.0"), (new, "1.1"))]
    file = wanted.work / "rows.json"
    for name in wanted.only.split(";"):
        row = WAYS[name](wanted.work, ends[0], ends[1])
        known = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**known, name: asdict(row)}))
    rows = {name: Cost(**row) for name, row in json.loads(file.read_text()).items()}
    show({name: rows[name] for name in WAYS if name in rows})


def make_tree(work: Path, updates: bool) -> Path:
    """The tree with or without updates; made once."""
    tree = work / ("new" if updates else "old")
    if tree.is_dir():
        return tree
    sources = debian_sources(host_suite(), mirror="", security_mirror="")
    lines = [source.one_line() for source in (sources if updates else sources[:1])]
    made = tree.with_name(f"{tree.name}.made")
    shutil.rmtree(made, ignore_errors=True)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}",
         host_suite(), made, "-"],
        input="\n".join(lines), text=True, check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
    )  # fmt: skip
    for initrd in made.glob("boot/initrd.img-*"):
        plain = subprocess.run(["zstd", "-dc", initrd], capture_output=True, check=True).stdout
        initrd.write_bytes(plain)
    # As every image is.
    seal(made, EPOCH)
    made.rename(tree)
    return tree


def end(tree: Path, version: str) -> End:
    """The tree with its manifest."""
    return End(version, tree, manifest.dump(trees.scan(tree), f"server {version}"))


def by_pack(work: Path, old: End, new: End) -> Cost:
    """A pack over HTTP, restored beside the old tree as an upgrade does it."""
    pack = work / "pack"
    start = time.monotonic()
    with open(pack, "wb") as out:
        write_pack("server", old, new, out)
    prepare = time.monotonic() - start
    (work / "old.manifest").write_bytes(old.manifest)
    with scratch(work) as target, web(work) as (url, sent, server_cpu):
        child = measured([sys.executable, __file__, "--client", url, old.tree, target, work])
        disk = sum(blocks(target, without=blocks(old.tree)).values())
        refuse(trees.check(target, manifest.parse(new.manifest)))
        return Cost(sent(), server_cpu(), child.cpu, child.memory, disk, prepare)


def client(url: str, tree: Path, target: Path, work: Path) -> None:
    """The machine's side: what `edeploy-node upgrade` does between download and boot loader."""
    from edeploy.images.pack import read_pack
    from edeploy.node.http import Server
    from edeploy.node.upgrade.contents import Contents
    from edeploy.node.upgrade.partial import Partial
    from edeploy.node.upgrade.sharing import Sharing
    from edeploy.node.upgrade.tree import Old, build

    with tempfile.TemporaryDirectory(dir=work) as folder:
        with Partial(Server(url), "/pack", Path(folder) / "pack") as file:
            found = read_pack(file.read, (work / "old.manifest").read_bytes())
            old = Old(tree, tree / "etc", found.old_entries, Sharing.LINK)
            have = {
                entry.sha256: old.path(entry.path)
                for entry in found.old_entries
                if entry.type == "file"
            }
            contents = Contents([found], [file], have, Path(folder))
            contents.fetch()
            missing = build(target, found.new_entries, old, contents.restore).missing
            refuse(missing)
    entries = found.new_entries
    # As an upgrade does: what came is not needed for the check.
    del found, old, have, contents, file
    refuse(trees.check(target, entries, workers=1))
    atomic.sync_file_system(target)


def refuse(found: Sequence[object]) -> None:
    """End when something is not as it should be: its figures would say nothing."""
    if found:
        raise SystemExit(f"not what it should be: {found[:3]}")


def by_seeded_rsync(work: Path, old: End, new: End) -> Cost:
    """Without a pack: what is equal is shared, the rest comes from a stock daemon by a seed."""
    (work / "old.manifest").write_bytes(old.manifest)
    (work / "new.manifest").write_bytes(new.manifest)
    with scratch(work) as target, rsync_daemon(work, new.tree) as (url, server_cpu):
        with counted(url) as (through, sent):
            argv = [sys.executable, __file__, "--rsync", through, old.tree, target, work]
            child = measured(argv)
        disk = sum(blocks(target, without=blocks(old.tree)).values())
        return Cost(sent(), server_cpu(), child.cpu, child.memory, disk, None)


def rsync_client(url: str, tree: Path, target: Path, work: Path) -> None:
    """The machine's side of that."""
    from edeploy.node.upgrade.seed import lay_seed
    from edeploy.node.upgrade.sharing import Sharing
    from edeploy.node.upgrade.source import Offer, fetch_files
    from edeploy.node.upgrade.tree import Old, build

    before, after = (
        manifest.parse((work / f"{name}.manifest").read_bytes()) for name in ("old", "new")
    )
    old = Old(tree, tree / "etc", before, Sharing.LINK)
    missing = build(target, after, old, lambda _sha256, _path: False).missing
    with scratch(work) as seed:
        lay_seed(seed, old, after)
        fetch_files(Offer("1.1", "", 0, "", "", "", "", url, True), missing, target, seed)
    for entry in reversed(after):
        if entry.type == "dir":
            os.utime(os.path.join(os.fsencode(target), entry.path), ns=(entry.time, entry.time))
    refuse(trees.check(target, after, workers=1))
    atomic.sync_file_system(target)


def by_verify(_: Path, __: End, new: End) -> Cost:
    """Every path against the manifest, by one process."""
    entries = manifest.parse(new.manifest)
    began = cpu_of(resource.RUSAGE_CHILDREN) + cpu_of(resource.RUSAGE_SELF)
    refuse(trees.check(new.tree, entries, workers=1))
    used = cpu_of(resource.RUSAGE_CHILDREN) + cpu_of(resource.RUSAGE_SELF) - began
    return Cost(0, None, used, None, None, None)


def by_rsync(work: Path, old: End, new: End, *words: str) -> Cost:
    """A stock daemon, into a hard-linked copy of the old tree's place with --link-dest."""
    with scratch(work) as target, rsync_daemon(work, new.tree) as (url, server_cpu):
        argv = ["rsync", "-aHAX", "--numeric-ids", "--delete", f"--link-dest={old.tree}", "--stats"]
        child = measured([*argv, *words, url, f"{target}/"])
        disk = sum(blocks(target, without=blocks(old.tree)).values())
        received = next(line for line in child.out.splitlines() if "bytes received" in line)
        count = int("".join(filter(str.isdigit, received)))
        return Cost(count, server_cpu(), child.cpu, child.memory, disk, None)


def by_ostree(work: Path, old: End, new: End, *, delta: bool) -> Cost:
    """A pull of the new commit into a repository that has the old one."""
    with scratch(work) as folder:
        server, machine = folder / "server", folder / "machine"
        for repo, mode in ((server, "archive"), (machine, "bare")):
            run("ostree", f"--repo={repo}", "init", f"--mode={mode}")
        for tree in (old.tree, new.tree):
            source = folder / "source"
            # Devices are what ostree cannot hold.
            run("cp", "-al", str(tree), str(source))
            for path in (source / "dev").rglob("*"):
                if path.is_char_device():
                    path.unlink()
            run("ostree", f"--repo={server}", "commit", "-b", "server", f"--tree=dir={source}")
            shutil.rmtree(source)
        first = run("ostree", f"--repo={server}", "rev-parse", "server^").strip()
        last = run("ostree", f"--repo={server}", "rev-parse", "server").strip()
        run("ostree", f"--repo={machine}", "pull-local", str(server), first)
        start, prepare = time.monotonic(), None
        if delta:
            run("ostree", f"--repo={server}", "static-delta", "generate", f"--from={first}",
                f"--to={last}")  # fmt: skip
            prepare = time.monotonic() - start
        run("ostree", f"--repo={server}", "summary", "-u")
        with web(server) as (url, sent, server_cpu):
            run("ostree", f"--repo={machine}", "remote", "add", "--no-gpg-verify", "o", url)
            before = blocks(machine)
            child = measured(["ostree", f"--repo={machine}", "pull", "o", "server"])
            disk = sum(blocks(machine, without=before).values())
            return Cost(sent(), server_cpu(), child.cpu, child.memory, disk, prepare)


def by_casync(work: Path, old: End, new: End) -> Cost:
    """Chunks over HTTP, with the old tree as seed."""
    with scratch(work) as folder:
        start = time.monotonic()
        store, index = folder / "default.castr", folder / "new.caidx"
        run("casync", "make", f"--store={store}", "--without=privileged", str(index), str(new.tree))
        prepare = time.monotonic() - start
        with web(folder) as (url, sent, server_cpu):
            argv = ["casync", "extract", f"--store={url}/default.castr", f"--seed={old.tree}",
                    "--without=privileged", f"{url}/new.caidx", str(folder / "tree")]  # fmt: skip
            child = measured(argv)
            disk = sum(blocks(folder / "tree").values())
            return Cost(sent(), server_cpu(), child.cpu, child.memory, disk, prepare)


def by_apt(work: Path, old: End, _: End) -> Cost:
    """apt in a copy of the old tree, as on a machine that runs: services are told to stop and
    start, and when is noted. Says for how long some were down."""
    with scratch(work) as folder:
        tree = folder / "tree"
        run("cp", "-a", str(old.tree), str(tree))
        for place in ("etc/apt/apt.conf.d", "etc/apt/auth.conf.d"):
            if Path(f"/{place}").is_dir():
                run("cp", "-rT", f"/{place}", str(tree / place))
        sources = debian_sources(host_suite(), mirror="", security_mirror="")
        lines = "".join(f"{source.one_line()}\n" for source in sources)
        (tree / "etc/apt/sources.list").write_text(lines)
        for program in SERVICE_PROGRAMS:
            run("chroot", str(tree), "dpkg-divert", "--local", "--rename", "--add", program)
            file = tree / program.lstrip("/")
            file.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >> {SERVICE_LOG}\n')
            file.chmod(0o755)
        in_tree(tree, "apt-get -q update && apt-get -q -d -y full-upgrade")
        received = sum(
            path.stat().st_size
            for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*Packages*")
            for path in tree.glob(pattern)
        )
        argv = [sys.executable, __file__, "--in-tree", tree,
                "mkdir -p /run/systemd/system; apt-get -q -y full-upgrade"]  # fmt: skip
        child = measured(argv)
        log = tree / SERVICE_LOG.lstrip("/")
        down, restarts = downtime(log.read_text().splitlines() if log.exists() else [])
        print(f"apt: services stopped for {down:.1f} s in all, {restarts} starts; then a boot")
        return Cost(received, None, child.cpu, child.memory, None, None)


def in_tree(tree: Path, script: str) -> None:
    """Run it as if the tree were a machine's root, with mounts of its own."""
    in_chroot(tree, ["sh", "-c", script], shared=tree / "tmp", timeout=1800)


def downtime(lines: Sequence[str]) -> tuple[float, int]:
    """Seconds in which at least one service was stopped, and how often one was restarted."""
    since: dict[str, float] = {}
    spans: list[tuple[float, float]] = []
    restarts = 0
    for line in lines:
        at, *words = line.split()
        verbs = [word for word in words if word in ("stop", "start", "restart", "try-restart")]
        units = [word for word in words if word.endswith((".service", ".socket"))]
        for unit in units if verbs else ():
            if verbs[0] == "stop":
                since.setdefault(unit, float(at))
            else:
                restarts += 1
                spans.append((since.pop(unit, float(at)), float(at)))
    total, until = 0.0, 0.0
    for begin, finish in sorted(spans):
        total += max(0.0, finish - max(begin, until))
        until = max(until, finish)
    return total, restarts


def show(rows: dict[str, Cost]) -> None:
    """The table."""
    table = Table(
        "way", "received MB", "server CPU s", "machine CPU s", "memory MB", "new disk MB",
        "prepared in s", box=None,
    )  # fmt: skip
    for name, cost in rows.items():
        table.add_row(
            name,
            f"{cost.received / 1e6:.1f}",
            "" if cost.server_cpu is None else f"{cost.server_cpu:.2f}",
            f"{cost.client_cpu:.1f}",
            "" if cost.memory is None else f"{cost.memory / 1e6:.0f}",
            "" if cost.disk is None else f"{cost.disk / 1e6:.0f}",
            "" if cost.prepare is None else f"{cost.prepare:.1f}",
        )
    Console().print(table)


WAYS: dict[str, Callable[[Path, End, End], Cost]] = {
    "edeploy, pack": by_pack,
    "edeploy, rsync": by_seeded_rsync,
    "edeploy, rsync, nothing new": lambda work, _, new: by_seeded_rsync(work, new, new),
    "rsync": by_rsync,
    "rsync -z (zstd)": lambda work, old, new: by_rsync(
        work, old, new, "-z", "--compress-choice=zstd"
    ),
    "ostree pull": lambda work, old, new: by_ostree(work, old, new, delta=False),
    "ostree static delta": lambda work, old, new: by_ostree(work, old, new, delta=True),
    "casync": by_casync,
    "apt": by_apt,
    "edeploy, verify": by_verify,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(sys.argv[2], *map(Path, sys.argv[3:6]))
    elif sys.argv[1:2] == ["--rsync"]:
        rsync_client(sys.argv[2], *map(Path, sys.argv[3:6]))
    elif sys.argv[1:2] == ["--in-tree"]:
        in_tree(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
