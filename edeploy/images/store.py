"""The store: which images and ramdisks there are, and where their files lie."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.names import checked

DEFAULT_STORE = Path("/var/lib/edeploy/store")


class NoSuchImage(EdeployError):
    """The store has no such image, or no such ramdisk."""


@dataclass(frozen=True)
class Record:
    """What was built: sizes in bytes, SHA-256 in hex, `inputs` the digest of all that went in,
    `layers` the keys of the layers that it consists of, the lowest first."""

    inputs: str
    files: int
    size: int
    archive_size: int
    archive_sha256: str
    manifest_sha256: str
    seconds: float
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """A role at a version. It is there when its record is there: the record is written last.

    `inputs` has what went into its layers. `lock` and `signature` are places: an image may do
    without.
    """

    role: str
    version: str
    tree: Path
    archive: Path
    manifest: Path
    packages: Path
    log: Path
    record_file: Path
    inputs: Path
    sbom: Path
    lock: Path
    signature: Path

    def __str__(self) -> str:
        return f"{self.role} {self.version}"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of an image but its record."""
        return (self.archive, self.manifest, self.packages, self.log, self.inputs, self.sbom,
                self.lock, self.signature)  # fmt: skip

    @property
    def build_lock(self) -> Path:
        """Held by who builds or removes this image."""
        return self.tree.parent / f".{self.role}.lock"

    @property
    def exists(self) -> bool:
        return self.record_file.is_file()

    def record(self) -> Record:
        """Raises EdeployError when the record is damaged."""
        try:
            data = json.loads(self.record_file.read_bytes())
            return Record(**{**data, "layers": tuple(data.get("layers", ()))})
        except (ValueError, TypeError, OSError) as error:
            raise EdeployError(
                f"{self.record_file}: not the record of an image: {error}",
                f"Remove the file and run `edeploy image build {self.role}`.",
            ) from error


@dataclass(frozen=True)
class Ramdisk:
    """A kernel and its initrd, for network boot; `tools`, which only health checks fetch."""

    folder: Path
    kernel: Path
    initrd: Path
    tools: Path


class Store:
    """The folder of images: `install/<version>/<role>/`, its files beside it, and `ramdisk/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, role: str, version: str) -> Image:
        """Where this image is, or would be. Raises BadName."""
        folder = self.root / "install" / checked(version, "version")
        stem = f"{checked(role, 'role')}-{version}"
        return Image(
            role=role,
            version=version,
            tree=folder / role,
            archive=folder / f"{stem}.edeploy",
            manifest=folder / f"{stem}.manifest",
            packages=folder / f"{stem}.packages",
            log=folder / f"{stem}.log",
            record_file=folder / f"{stem}.json",
            inputs=folder / f"{stem}.inputs",
            sbom=folder / f"{stem}.spdx.json",
            lock=folder / f"{stem}.lock",
            signature=folder / f"{stem}.sig",
        )

    def has(self, role: str, version: str) -> bool:
        return self.place(role, version).exists

    def image(self, role: str, version: str) -> Image:
        """Raises NoSuchImage, which lists what is there, and BadName."""
        image = self.place(role, version)
        if not image.exists:
            there = ", ".join(map(str, self.images())) or "no image at all"
            raise NoSuchImage(
                f"{self.root} has no image {role} {version}, but {there}",
                f"Build it: edeploy image build {role} --version {version}",
            )
        return image

    def images(self) -> list[Image]:
        """All complete images, by role and version."""
        found = []
        for record in self.root.glob("install/*/*.json"):
            version = record.parent.name
            role = record.name.removesuffix(f"-{version}.json")
            if role != record.name and not role.startswith("."):
                found.append(self.place(role, version))
        return sorted(found, key=lambda image: (image.role, version_order(image.version)))

    def ramdisk(self, kernel: str) -> Ramdisk:
        """The ramdisk with this kernel (`cloud`, `generic`). Raises NoSuchImage, BadName."""
        ramdisk = self.ramdisk_place(kernel)
        if not (ramdisk.kernel.is_file() and ramdisk.initrd.is_file()):
            raise NoSuchImage(
                f"{self.root} has no ramdisk with the kernel {kernel}",
                f"Build it: edeploy ramdisk build --kernel {kernel}",
            )
        return ramdisk

    def ramdisk_place(self, kernel: str) -> Ramdisk:
        """Where this ramdisk is, or would be. Raises BadName."""
        folder = self.root / "ramdisk" / checked(kernel, "kernel")
        return Ramdisk(folder, folder / "vmlinuz", folder / "initrd", folder / "tools")

    @property
    def layers(self) -> Path:
        """Trees that images are built on and of, by the content that went into them."""
        return self.root / "layers"

    @property
    def objects(self) -> Path:
        """Each file of all trees, once."""
        return self.root / "objects"

    @property
    def pool(self) -> Path:
        """Every package file that a build has used."""
        return self.root / "pool"

    @property
    def mirror(self) -> Path:
        """What locks name of the pool, as a signed apt repository."""
        return self.root / "mirror"

    @property
    def mirror_key(self) -> Path:
        """The private key that signs it, unless the operator names another."""
        return self.root / "mirror.key"

    @property
    def apt(self) -> Path:
        """What mirrors said last; may be removed when nothing is built."""
        return self.root / "cache" / "apt"

    @property
    def plans(self) -> Path:
        """What apt worked out of it; may be removed when nothing is built."""
        return self.root / "cache" / "plans"

    @property
    def ids(self) -> Path:
        """The numeric ids of all accounts, for all roles and versions."""
        return self.root / "ids"

    @property
    def trash(self) -> Path:
        """What was replaced or removed, until nobody reads it any more."""
        return self.root / "trash"

    @property
    def lock_file(self) -> Path:
        """Held together by all who use layers, alone by who clears them away."""
        return self.root / ".lock"


def version_order(version: str) -> tuple[tuple[int, str], ...]:
    """A key that puts 1.9 before 1.10: numbers as numbers, the rest as text."""
    words = re.findall(r"[0-9]+|[^0-9]+", version)
    return tuple((int(word), "") if word.isdigit() else (-1, word) for word in words)


def record_text(record: Record) -> str:
    """The record as the text of its file."""
    return json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
