"""Building images against plain mmdebstrap, again after a change, and what versions cost to keep.

    .venv/bin/python benchmarks/image_build.py [--store DIR] [PART...]

Parts (default: all but `growth`, which builds ten times):
  base      `base` with nothing built before, against mmdebstrap of the same packages into a
            folder; ours packs the archive too. Packages come from this disk for both
  web       the same of `web` with its base; again with another script; again with nothing
            changed, the mirrors asked or not
  manifest  of a tree of 60,000 files and 2 GB, against `sha256sum` on all processors
  growth    ten monthly versions of `web`: each month some packages are new (a twentieth, by a
            fixed seed, and every other month the kernel), their programs and libraries changed

The store of `--store` (default: a temporary one) is where packages are downloaded to; no image of
it is changed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edeploy.images import trees
from edeploy.images.build.image import build_image
from edeploy.images.build.line import Settings
from edeploy.images.packages.debian import Mirrors
from edeploy.images.packages.index import index_of
from edeploy.images.packages.lock import read_lock
from edeploy.images.packages.plan import Plan, in_order
from edeploy.images.packages.pool import Pool
from edeploy.images.recipe import Recipe, load_recipe
from edeploy.images.sizes import tree_sizes
from edeploy.images.store import Store

CHECKOUT = Path(__file__).parents[1]
ROLES = CHECKOUT / "roles"
OFFLINE = Settings(offline=True)
FILES, BYTES = 60_000, 2_000_000_000
MONTHS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], metavar="PART")
    asked = parser.parse_args()
    parts = asked.part or ["base", "web", "manifest"]
    with tempfile.TemporaryDirectory(prefix="edeploy-bench-") as name:
        folder = Path(name)
        store = Store(asked.store or folder / "warm")
        if set(parts) != {"manifest"}:
            say("downloading what is needed (not measured)")
            build_image(load_recipe(ROLES, "web"), "0.bench", store)
        for part in parts:
            PARTS[part](folder, store)
    return 0


def base(folder: Path, warm: Store) -> None:
    """The lowest role from nothing."""
    cold(ROLES, "base", folder, warm)


def web(folder: Path, warm: Store) -> None:
    """A role with its parent from nothing; then another script; then nothing new."""
    roles = Path(shutil.copytree(ROLES, folder / "roles"))
    store, first = cold(roles, "web", folder, warm)
    script = roles / "web/script"
    script.write_text("#!/bin/sh\necho one > /srv/file\n")
    script.chmod(0o755)
    changed = timed(lambda: build_image(load_recipe(roles, "web"), "1", store, OFFLINE))
    print(f"script changed: {changed}; of cold: {ratio(changed, first)}", flush=True)
    words = [sys.executable, "-m", "edeploy", "image", "build", "web", "--version", "1"]
    words += ["--store", str(store.root), "--roles", str(roles)]
    for more, what in (([], "mirrors asked"), (["--offline"], "offline")):
        took = min(timed(partial(quiet, [*words, *more])) for _ in range(3))
        print(f"nothing changed, the whole command, {what}: {took}", flush=True)


def cold(roles: Path, role: str, folder: Path, warm: Store) -> tuple[Store, Took]:
    """A role and all that it is built on, from nothing: plain, then ours."""
    recipe = load_recipe(roles, role)
    repo = local_repository(recipe, folder, warm)
    plain = timed(lambda: mmdebstrap(recipe, folder, repo))
    print(f"{role} from nothing, plain mmdebstrap: {plain}", flush=True)
    store = beside(folder / f"cold-{role}", warm)
    ours = timed(lambda: build_image(recipe, "1", store, OFFLINE))
    print(f"{role} from nothing, edeploy: {ours}; {ratio(ours, plain)}", flush=True)
    return store, ours


def manifest(folder: Path, _: Store) -> None:
    """Reading a tree for its manifest, and `sha256sum` over the same files."""
    tree = folder / "large"
    fill(tree)
    cores = len(os.sched_getaffinity(0))
    command = f"find {tree} -type f -print0 | xargs -0 -P {cores} -n 256 sha256sum > /dev/null"
    # Once to warm up: then neither waits for the disk.
    quiet(["sh", "-c", command])
    limit = min(timed(lambda: quiet(["sh", "-c", command])) for _ in range(2))
    ours = min(timed(lambda: trees.scan(tree)) for _ in range(2))
    entries = trees.scan(tree)
    checked = timed(lambda: trees.check(tree, entries))
    print(f"manifest of {FILES} files, {BYTES / 1e9:.0f} GB: {ours}, check {checked};"
          f" sha256sum {limit}, {ratio(ours, limit)}")  # fmt: skip
    shutil.rmtree(tree)


def growth(folder: Path, warm: Store) -> None:
    """What ten versions cost on the disk."""
    repository = Repository(folder / "repository", warm)
    store = Store(folder / "growth")
    settings = Settings(Mirrors(repository.url, repository.url, str(repository.key)))
    # Nobody changes these meanwhile.
    roles = Path(shutil.copytree(ROLES, folder / "growing"))
    chance = random.Random(1)  # noqa: S311
    for month in range(1, MONTHS + 1):
        changed = repository.publish(month, chance)
        started = time.monotonic()
        build_image(load_recipe(roles, "web"), f"1.{month}", store, settings)
        seconds = time.monotonic() - started
        say(f"month {month}: {changed} packages new, built in {seconds:.0f} s")
    images = store.images()
    sizes = tree_sizes(images)
    full = sum(size.own + size.shared for size in sizes)
    kept = used(*(image.tree for image in images))
    more = (kept - used(images[0].tree)) / (MONTHS - 1)
    print(f"{MONTHS} versions as full copies {full / 1e6:.0f} MB, as they are {kept / 1e6:.0f} MB:"
          f" {full / kept:.1f} times less;"
          f" a version more costs {more / 1e6:.0f} MB")  # fmt: skip
    archives = sum(image.record().archive_size for image in images)
    before = used(store.root)
    quiet([sys.executable, "-m", "edeploy", "image", "gc", "--store", str(store.root)])
    print(f"their archives {archives / 1e6:.0f} MB; the whole store {before / 1e6:.0f} MB,"
          f" after `image gc` {used(store.root) / 1e6:.0f} MB")  # fmt: skip


class Repository:
    """An apt repository of the packages that `web` needs, of which some change each month."""

    def __init__(self, folder: Path, warm: Store) -> None:
        self.root = folder
        self.key = folder / "key.gpg"
        self._home = folder / "gnupg"
        self._home.mkdir(parents=True, mode=0o700)
        self._gpg("--quick-gen-key", "--passphrase", "", "bench", "ed25519", "sign", "0")
        self._gpg("--output", str(self.key), "--export")
        pool = Pool(warm.pool)
        (folder / "pool").mkdir()
        for package in needed(warm).packages:
            # As mirrors name it: apt reads the field Filename as a part of an address.
            pool.link(package, folder / "pool" / package.file_name.replace("%3a", "."))

    @property
    def url(self) -> str:
        """For a mirror option."""
        return f"file://{self.root}"

    def publish(self, month: int, chance: random.Random) -> int:
        """The state of this month (1, …); how many packages are new."""
        files = {package_of(path): path for path in sorted((self.root / "pool").iterdir())}
        changed: list[str] = []
        for group in groups(files) if month > 1 else []:
            is_kernel = any(name.startswith("linux-image-6") for name in group)
            if chance.random() < 1 / 20 or (is_kernel and month % 2):
                versions = {name: field(files[name], "Version") for name in group}
                for name in group:
                    self._rebuild(files[name], month, versions)
                changed += group
        index = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "pool"],
            cwd=self.root, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for suite in ("bookworm", "bookworm-updates", "bookworm-security", "trixie"):
            self._release(suite, index if suite in ("bookworm", "trixie") else "")
        return len(changed)

    def _rebuild(self, path: Path, month: int, versions: dict[str, str]) -> None:
        """The package again, one version up as those that it must fit, its programs, libraries
        and modules other ones."""
        with tempfile.TemporaryDirectory(dir=self.root) as name:
            content = Path(name) / "content"
            quiet(["dpkg-deb", "-R", str(path), str(content)])
            control = content / "DEBIAN/control"
            text = control.read_text()
            for other, old in versions.items():
                text = text.replace(f"{other} (= {old})", f"{other} (= {newer(old, month)})")
            old = field(path, "Version")
            text = text.replace(f"\nVersion: {old}\n", f"\nVersion: {newer(old, month)}\n")
            control.write_text(text)
            for file in content.rglob("*"):
                if file.is_file() and not file.is_symlink() and file.read_bytes()[:4] == b"\x7fELF":
                    with open(file, "ab") as stream:
                        stream.write(f"{month}".encode())
            path.unlink()
            env = {**os.environ, "SOURCE_DATE_EPOCH": str(1_700_000_000 + month * 2_600_000)}
            subprocess.run(
                ["dpkg-deb", "-Zzstd", "-z1", "--root-owner-group", "-b", content, path],
                env=env, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def _release(self, suite: str, index: str) -> None:
        folder = self.root / "dists" / suite
        lines = [f"Suite: {suite}", f"Codename: {suite}", "Architectures: amd64",
                 "Components: main non-free-firmware", "SHA256:"]  # fmt: skip
        for component, text in (("main", index), ("non-free-firmware", "")):
            path = folder / component / "binary-amd64/Packages"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            digest = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True)
            size = path.stat().st_size
            lines.append(f" {digest.stdout.split()[0]} {size} {path.relative_to(folder)}")
        (folder / "Release").write_text("\n".join(lines) + "\n")
        (folder / "InRelease").unlink(missing_ok=True)
        self._gpg("--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))

    def _gpg(self, *words: str) -> None:
        quiet(["gpg", "--homedir", str(self._home), "--batch", "--quiet", *words])


def newer(version: str, month: int) -> str:
    """The version that a package has from this month on."""
    return f"{version.partition('+bench')[0]}+bench{month}"


def field(path: Path, name: str) -> str:
    """A field of a package file's description."""
    words = ["dpkg-deb", "-f", str(path), name]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def package_of(path: Path) -> str:
    """The name of a package file's package."""
    return path.name.partition("_")[0]


def groups(files: dict[str, Path]) -> list[list[str]]:
    """Packages that must have fitting versions (`name (= version)`) belong together."""
    group = {name: {name} for name in files}
    for name, path in files.items():
        wanted = f"{field(path, 'Depends')}, {field(path, 'Pre-Depends')}"
        for other in re.findall(r"([a-z0-9.+-]+) \(= ", wanted):
            if other in files and group[other] is not group[name]:
                group[name] |= group[other]
                for member in group[other]:
                    group[member] = group[name]
    unique = {min(members): sorted(members) for members in group.values()}
    return [unique[first] for first in sorted(unique)]


def needed(store: Store) -> Plan:
    """Every package of `web`."""
    lock = read_lock(store.image("web", "0.bench").lock)
    return Plan(in_order(lock.installed.values()))


def local_repository(recipe: Recipe, folder: Path, warm: Store) -> Path:
    """A folder with all packages, for plain mmdebstrap."""
    repo = folder / f"repo-{recipe.name}"
    repo.mkdir()
    plan = needed(warm)
    files = [Pool(warm.pool).lay_out(package, repo) for package in plan.packages]
    listed = zip(plan.packages, files, (f"./{file.name}" for file in files), strict=True)
    (repo / "Packages").write_text(index_of(list(listed)))
    return repo


def mmdebstrap(recipe: Recipe, folder: Path, repo: Path) -> None:
    """Plain mmdebstrap of the role's packages, with the same files left out, into a folder."""
    names = [*recipe.packages, *([recipe.kernel] if recipe.kernel else [])]
    tree = folder / f"plain-{recipe.name}"
    shutil.rmtree(tree, ignore_errors=True)
    # fmt: off
    quiet([
        "mmdebstrap", "--mode=root", "--variant=apt", "--format=directory",
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        f"--include={','.join(names)}",
        "--dpkgopt=force-unsafe-io", f"--dpkgopt={ROLES}/base/files/etc/dpkg/dpkg.cfg.d/50edeploy",
        "bookworm", str(tree), f"deb [trusted=yes] copy:{repo} ./",
    ])
    # fmt: on


def beside(folder: Path, warm: Store) -> Store:
    """An empty store that has the packages of `warm`, and what mirrors said to it."""
    folder.mkdir()
    for name in ("cache", "pool"):
        (folder / name).symlink_to((warm.root / name).resolve())
    return Store(folder)


def fill(tree: Path) -> None:
    """A tree as large as a server's: sizes from nothing to megabytes, no two files alike."""
    chance = random.Random(1)  # noqa: S311
    sizes = [chance.lognormvariate(8, 2) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    block = chance.randbytes(1 << 20)
    for number, size in enumerate(sizes):
        path = tree / f"{number % 300}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        left = int(size * scale)
        with open(path, "wb") as stream:
            stream.write(number.to_bytes(4, "big")[: min(4, left)])
            left -= min(4, left)
            while left > 0:
                stream.write(block[:left])
                left -= len(block)


def used(*folders: Path) -> int:
    """Bytes on the disk, what is linked counted once."""
    done = subprocess.run(
        ["du", "-s", "-c", "--block-size=1", *folders], check=True, capture_output=True, text=True
    )
    return int(done.stdout.splitlines()[-1].split()[0])


class Took(NamedTuple):
    """Seconds by the clock, and of all processors together: those say more on a busy machine."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} s of CPU)"


def timed(do: Callable[[], object]) -> Took:
    """What it takes, in this process and its children."""
    started = time.monotonic()
    before = os.times()
    do()
    after = os.times()
    return Took(time.monotonic() - started, sum(after[:4]) - sum(before[:4]))


def ratio(one: Took, other: Took) -> str:
    """How much longer one takes than the other."""
    return f"ratio {one.wall / other.wall:.2f} ({one.cpu / other.cpu:.2f} of CPU)"


def quiet(words: list[str]) -> None:
    """Run a program; its output only when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{words[0]}: {done.stderr[-2000:]}{done.stdout[-500:]}")


def say(text: str) -> None:
    """Not a result."""
    print(text, file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[Path, Store], None]] = {
    "base": base,
    "web": web,
    "manifest": manifest,
    "growth": growth,
}

if __name__ == "__main__":
    sys.exit(main())
