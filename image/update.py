"""The update file (.pbu): a slot's FIT image with the board's name, versions and a minisign signature before it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from packages import Failed

MAGIC = b"PBXUPDT1\n"
# The signature, then the facts, each zero padded to this; the FIT image follows.
BLOCK = 1024


@dataclass(frozen=True)
class Key:
    """A minisign key pair."""

    secret: Path
    public: Path


def key(secret: str | None, public: str | None, out: Path) -> Key | None:
    """The key pair to sign with; `test` means one without a password that is made for the purpose, outside of the repository."""
    if not secret:
        if public:
            raise Failed("UPDATE_PUB is given without UPDATE_KEY")
        return None
    if secret == "test":
        pair = Key(out / "test-key", out / "test-key.pub")
        if not pair.secret.exists():
            out.mkdir(parents=True, exist_ok=True)
            _minisign("-G", "-W", "-f", "-s", pair.secret, "-p", pair.public)
        return pair
    pair = Key(Path(secret), Path(public or f"{secret}.pub"))
    for file in (pair.secret, pair.public):
        if not file.is_file():
            raise Failed(f"there is no key file {file}; make a pair with: minisign -G -s {pair.secret} -p {pair.public}")
    return pair


def write(path: Path, slot: bytes, board: str, version: str, compat: str, pair: Key, work: Path) -> None:
    """Writes a signed update file."""
    facts = f"board = {board}\nversion = {version}\ncompat = {compat}\nsize = {len(slot)}\n"
    signed = _block(facts.encode()) + slot
    message, signature = work / "update", work / "update.minisig"
    message.write_bytes(signed)
    # Not the time of the signature, which minisign would write: the same input gives the same file.
    _minisign("-S", "-H", "-s", pair.secret, "-m", message, "-x", signature,
              "-c", "pillarbox update", "-t", f"{board} {version}")  # fmt: skip
    _minisign("-V", "-q", "-p", pair.public, "-m", message, "-x", signature)
    path.write_bytes(_block(MAGIC + signature.read_bytes()) + signed)
    message.unlink()


def _block(content: bytes) -> bytes:
    if len(content) > BLOCK:
        raise Failed("the head of the update file is too long")
    return content.ljust(BLOCK, b"\0")


def _minisign(*arguments) -> None:
    # It asks for the password of a key that has one, on the terminal.
    if subprocess.run(["minisign", *arguments], stdout=subprocess.DEVNULL).returncode:
        raise Failed(f"minisign {arguments[0]} failed")
