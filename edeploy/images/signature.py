"""Signatures of images: OpenSSH's, over the manifest, which names the image and all its files."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from edeploy import atomic
from edeploy.errors import EdeployError
from edeploy.images import manifest
from edeploy.run import ProgramFailed, run

NAMESPACE = "edeploy-image"
EDGE_NAMESPACE = "edeploy-edge"
# Where a ramdisk keeps those whose images its machine installs.
SIGNERS = Path("/etc/edeploy/allowed_signers")
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+\Z")


class BadSignature(EdeployError):
    """A signature that does not vouch for this image, or a file of signers that names nobody."""


def sign(file: Path, signature: Path, key: Path, namespace: str = NAMESPACE) -> None:
    """Write the signature of a manifest, or of an edge's rules. `key` is a private key, or the
    public half of one that the SSH agent has. Raises EdeployError."""
    try:
        text = file.read_text(encoding="ascii")
    except OSError as error:
        raise EdeployError(f"{file}: {error.strerror}") from error
    if not key.is_file():
        raise EdeployError(f"{key}: no such key", "Make one: ssh-keygen -t ed25519 -f FILE")
    try:
        done = run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace], stdin=text)
    except ProgramFailed as error:
        raise EdeployError(
            f"{key}: nothing was signed with this key: {_last_line(error)}",
            "A key with a passphrase: put it into ssh-agent and give the .pub file.",
        ) from error
    atomic.write(signature, done.out, mode=0o644)


def check(data: bytes, image: str, signature: bytes, signers: Path) -> str:
    """Who signed this manifest of `image` (`web 1.0.0`), by the name in `signers`.

    `signers` is OpenSSH's file of allowed signers. Raises BadSignature: nobody of that file, other
    bytes, a time at which the key did not hold, the manifest of another image.
    """
    name = check_signed(data, image, signature, signers, NAMESPACE)
    named = manifest.image_of(data)
    if named != image:
        raise BadSignature(
            f"{image}: its manifest is signed, but for {named or 'an image without a name'}",
            "Files of another image lie under this name: build and sign it again.",
        )
    return name


def check_signed(data: bytes, what: str, signature: bytes, signers: Path, namespace: str) -> str:
    """Who signed these bytes, called `what` in errors, for this purpose. Raises BadSignature."""
    if not data.isascii():
        raise BadSignature(f"{what}: what should be signed text has bytes outside ASCII")
    with tempfile.TemporaryDirectory(prefix="edeploy-signature-") as folder:
        file = Path(folder) / "sig"
        file.write_bytes(signature)
        about = ["-s", str(file), "-f", str(signers)]
        found = run(["ssh-keygen", "-Y", "find-principals", *about], check=False)
        names = found.out.splitlines()
        if found.code != 0 or not names:
            raise BadSignature(
                f"{what}: nobody in {signers} signed it: {_said(found.err)}",
                "Sign it with a key of that file, or add the signer to it.",
            )
        done = run(
            ["ssh-keygen", "-Y", "verify", "-n", namespace, "-I", names[0], *about],
            stdin=data.decode("ascii"), check=False,
        )  # fmt: skip
    if done.code != 0:
        raise BadSignature(
            f"{what}: the signature of {names[0]} is not for it: {_said(done.err)}",
            "It, or its signature, was altered: build and sign it again.",
        )
    return names[0]


def check_signers(path: Path) -> bytes:
    """The bytes of a file of allowed signers: `NAME [OPTIONS] KEY-TYPE KEY`, a line each.

    Raises BadSignature naming the line that is none.
    """
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSignature(f"{path}: not readable as a file of signers: {error}") from error
    said = [(number, line) for number, line in enumerate(lines, 1) if _says_something(line)]
    if not said:
        raise BadSignature(f"{path}: names no signer", "A line is: NAME KEY-TYPE KEY")
    for number, line in said:
        words = line.split()
        if not any(_KEY_TYPE.match(word) for word in words[1:-1]):
            raise BadSignature(
                f"{path}:{number}: no signer", "A line is: NAME KEY-TYPE KEY, as in ssh-keygen(1)."
            )
    return data


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _said(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "it gave no reason"


def _last_line(error: ProgramFailed) -> str:
    return error.message.splitlines()[-1].removeprefix("  | ")
