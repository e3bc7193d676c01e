"""The store: which images and ramdisks there are, and where their files lie."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edeploy.errors import EdeployError
from edeploy.names import checked

DEFAULT_STORE = Path("/var/lib/edeploy/store")


class NoSuchImage(EdeployError):
    """The store has no such image, or no such ramdisk."""


@dataclass(frozen=True)
class Record:
    """What was built: sizes in bytes, SHA-256 in hex, `inputs` the digest of all that went in."""

    inputs: str
    files: int
    size: int
    archive_size: int
    archive_sha256: str
    manifest_sha256: str
    seconds: float


@dataclass(frozen=True)
class Image:
    """A role at a version. It is there when its record is there: the record is written last."""

    role: str
    version: str
    tree: Path
    archive: Path
    manifest: Path
    packages: Path
    log: Path
    record_file: Path
    # There when somebody signed it.
    signature: Path

    def __str__(self) -> str:
        return f"{self.role} {self.version}"

    @property
    def exists(self) -> bool:
        return self.record_file.is_file()

    def record(self) -> Record:
        """Raises EdeployError when the record is damaged."""
        try:
            return Record(**json.loads(self.record_file.read_bytes()))
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
        return sorted(found, key=lambda image: (image.role, image.version))

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
    def apt_cache(self) -> Path:
        """Downloaded packages, shared by all builds."""
        return self.root / "cache" / "apt"


def record_text(record: Record) -> str:
    """The record as the text of its file."""
    return json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"
