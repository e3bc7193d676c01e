"""The OpenPGP key of the store's mirror: given by the operator, or made once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.run import ProgramFailed, run

NAME = "edeploy mirror"
PRIVATE = 0o600


@dataclass(frozen=True)
class Signer:
    """An opened key: `home` is gpg's, gone when the context is left."""

    home: Path

    def clearsigned(self, text: str) -> str:
        """The text with its signature, as apt reads `InRelease`."""
        return _gpg(self.home, "--clearsign", "--digest-algo", "SHA512", stdin=text)

    def public(self) -> str:
        """The public key, for `Signed-By`."""
        return _gpg(self.home, "--armor", "--export")


@contextmanager
def opened(file: Path) -> Iterator[Signer]:
    """The key in `file` (armoured, without a passphrase). Raises EdeployError."""
    if not file.is_file():
        raise EdeployError(
            f"{file}: no such key", "Export one: gpg --armor --export-secret-keys ID"
        )
    if file.stat().st_mode & 0o077:
        raise EdeployError(f"{file}: others can read this key", f"Run: chmod 600 {file}")
    with _home() as home:
        try:
            _gpg(home, "--import", str(file))
            secret = _gpg(home, "--with-colons", "--list-secret-keys")
        except ProgramFailed as error:
            last = error.message.splitlines()[-1].removeprefix("  | ")
            raise EdeployError(f"{file}: no OpenPGP key: {last}") from error
        if not secret.startswith("sec:") and "\nsec:" not in secret:
            raise EdeployError(f"{file}: has no secret key", "Export it with --export-secret-keys.")
        yield Signer(home)


def make_once(file: Path) -> bool:
    """Make a key in `file`, which only its owner may read, unless there is one; whether it did."""
    if file.exists():
        return False
    with _home() as home:
        _gpg(home, "--passphrase", "", "--quick-gen-key", NAME, "ed25519", "sign", "0")
        secret = _gpg(home, "--passphrase", "", "--armor", "--export-secret-keys")
    atomic.write(file, secret, mode=PRIVATE)
    return True


@contextmanager
def _home() -> Iterator[Path]:
    # Not in the store: the sockets of gpg's agent need a short path.
    with tempfile.TemporaryDirectory(prefix="edeploy-gpg-") as name:
        try:
            yield Path(name)
        finally:
            run(["gpgconf", "--homedir", name, "--kill", "all"], check=False)


def _gpg(home: Path, *words: str, stdin: str = "") -> str:
    fixed = ("--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback")
    return run(["gpg", *fixed, *words], stdin=stdin).out
