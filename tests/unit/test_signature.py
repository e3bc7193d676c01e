"""An image is what somebody of the allowed signers signed, and nothing else passes."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images import manifest, signature
from edeploy.images.signature import BadSignature
from edeploy.run import run

ROOT = manifest.Entry(b".", "dir", 0o755, 0, 0, 0, 0)
TEXT = manifest.dump([ROOT], "web 1.0.0")


@dataclass
class Desk:
    """A key, and the file that allows its owner."""

    folder: Path
    key: Path
    signers: Path

    def signed(self, data: bytes = TEXT, key: Path | None = None) -> bytes:
        text, sig = self.folder / "m", self.folder / "m.sig"
        text.write_bytes(data)
        signature.sign(text, sig, key or self.key)
        return sig.read_bytes()

    def check(self, data: bytes, sig: bytes, image: str = "web 1.0.0") -> str:
        return signature.check(data, image, sig, self.signers)


def new_key(path: Path, passphrase: str = "") -> Path:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path])
    return path


def allow(desk: Desk, options: str = "", name: str = "release@example") -> None:
    public = desk.key.with_suffix(".pub").read_text()
    desk.signers.write_text(f"# who signs\n{name} {options} {public}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path, new_key(tmp_path / "key"), tmp_path / "signers")
    allow(made, 'namespaces="edeploy-image"')
    return made


def test_the_signer_is_named(desk: Desk) -> None:
    assert desk.check(TEXT, desk.signed()) == "release@example"
    assert signature.check_signers(desk.signers) == desk.signers.read_bytes()


def test_ssh_keygen_itself_agrees(desk: Desk) -> None:
    desk.signed()
    words = ["ssh-keygen", "-Y", "verify", "-f", str(desk.signers), "-I", "release@example"]
    done = run([*words, "-n", "edeploy-image", "-s", desk.folder / "m.sig"], stdin=TEXT.decode())
    assert "Good" in done.out


def test_an_altered_manifest(desk: Desk) -> None:
    sig = desk.signed()
    for other in (TEXT.replace(b"0755", b"0777"), TEXT + b"\n", TEXT[:-1], TEXT + b"\xff"):
        with pytest.raises(BadSignature):
            desk.check(other, sig)


def test_the_manifest_of_another_image_does_not_pass_for_this_one(desk: Desk) -> None:
    with pytest.raises(BadSignature, match=r"is signed, but for web 1\.0\.0"):
        desk.check(TEXT, desk.signed(), "web 2.0.0")
    nameless = manifest.dump([ROOT])
    with pytest.raises(BadSignature, match="without a name"):
        desk.check(nameless, desk.signed(nameless))


def test_a_stranger_s_signature(desk: Desk) -> None:
    stranger = new_key(desk.folder / "stranger")
    with pytest.raises(BadSignature, match="nobody in"):
        desk.check(TEXT, desk.signed(key=stranger))


@pytest.mark.parametrize("options", ['valid-before="20200101"', 'namespaces="git"'])
def test_a_key_that_does_not_hold_for_this(desk: Desk, options: str) -> None:
    allow(desk, options)
    with pytest.raises(BadSignature):
        desk.check(TEXT, desk.signed())


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x00" * 5000])
def test_what_is_no_signature(desk: Desk, junk: bytes) -> None:
    with pytest.raises(BadSignature):
        desk.check(TEXT, junk)


def test_a_signature_made_for_something_else(desk: Desk) -> None:
    desk.folder.joinpath("m").write_bytes(TEXT)
    run(["ssh-keygen", "-q", "-Y", "sign", "-f", desk.key, "-n", "git", desk.folder / "m"])
    with pytest.raises(BadSignature):
        desk.check(TEXT, desk.folder.joinpath("m.sig").read_bytes())


def test_a_key_that_cannot_sign(desk: Desk) -> None:
    locked = new_key(desk.folder / "locked", "secret words")
    with pytest.raises(EdeployError, match="nothing was signed") as told:
        desk.signed(key=locked)
    assert "ssh-agent" in told.value.hint
    with pytest.raises(EdeployError, match="no such key"):
        desk.signed(key=desk.folder / "none")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ": names no signer"),
        ("# nobody\n\n", ": names no signer"),
        ("# x\nme@desk AAAA\n", ":2: no signer"),
        ("ssh-ed25519 AAAA me@desk\n", ":1: no signer"),
    ],
)
def test_files_that_allow_nobody(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "signers"
    file.write_text(text)
    with pytest.raises(BadSignature) as told:
        signature.check_signers(file)
    assert told.value.message.startswith(f"{file}{where}")
    with pytest.raises(BadSignature):
        signature.check_signers(tmp_path / "none")
