"""A small signed apt repository in a folder, with packages that hold next to nothing."""

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

NEEDED = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("apt-config") or not shutil.which("gpg"),
    reason="builds need root, apt and gpg",
)
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
COMPONENTS = ("main", "non-free-firmware")


class Repository:
    """Made in `folder`; `publish` says which packages it has from now on."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "mirror"
        self.key = folder / "mirror.gpg"
        self._home = folder / "gnupg"
        self._home.mkdir(mode=0o700)
        (self.root / "pool").mkdir(parents=True)
        self._gpg("--quick-gen-key", "--passphrase", "", "test@example", "ed25519", "sign", "0")
        self._gpg("--output", str(self.key), "--export")

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def publish(self, packages: Mapping[str, str], *, fields: str = "") -> None:
        """Packages (name → version) of the first suite; the others are empty."""
        stanzas = "".join(
            self._package(name, version, fields) for name, version in packages.items()
        )
        for suite in SUITES:
            sums = []
            for component in COMPONENTS:
                has_them = suite == SUITES[0] and component == "main"
                content = stanzas.encode() if has_them else b""
                for name, data in (("Packages", content), ("Packages.gz", gzip.compress(content))):
                    path = f"{component}/binary-amd64/{name}"
                    target = self.root / "dists" / suite / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)
                    sums.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}")
            release = self.root / "dists" / suite / "Release"
            release.write_text(
                f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\n"
                f"Components: {' '.join(COMPONENTS)}\nDate: Sat, 21 Nov 2026 00:00:00 UTC\n"
                "SHA256:\n" + "\n".join(sums) + "\n"
            )
            (release.parent / "InRelease").unlink(missing_ok=True)
            self._gpg("--clearsign", "--output", str(release.parent / "InRelease"), str(release))

    def file(self, name: str) -> Path:
        """The package file of this name."""
        (found,) = self.root.glob(f"pool/{name}_*.deb")
        return found

    def _package(self, name: str, version: str, fields: str) -> str:
        folder = self.root.parent / f"build-{name}"
        (folder / "DEBIAN").mkdir(parents=True, exist_ok=True)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
            f"Maintainer: nobody <nobody@example>\nDescription: test\n{fields}"
        )
        (folder / "DEBIAN/control").write_text(control)
        for old in self.root.glob(f"pool/{name}_*.deb"):
            old.unlink()
        path = self.root / "pool" / f"{name}_{version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", folder, path],
            check=True,
            capture_output=True,
            env={"SOURCE_DATE_EPOCH": "1700000000", "PATH": "/usr/bin:/bin"},
        )
        data = path.read_bytes()
        return (
            f"{control.rstrip()}\nFilename: pool/{path.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )

    def _gpg(self, *words: str) -> None:
        subprocess.run(
            ["gpg", "--homedir", self._home, "--batch", "--quiet", *words],
            check=True,
            capture_output=True,
        )
        # The agent that gpg started would outlive the test.
        subprocess.run(["gpgconf", "--homedir", self._home, "--kill", "all"], check=True)
