"""A board: what `board/NAME/board.toml` says, checked, so that a typing error ends the build and not a boot.

Run as a program: `board.py NAME` prints the architecture.
"""

import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from packages import TOP, Failed


@dataclass(frozen=True)
class Cpu:
    """What follows from a processor architecture."""

    debian: str
    """Debian's name of it."""
    fit: str
    """U-Boot's name of it."""
    triplet: str
    """Prefix of the binutils."""


CPUS = {
    "armv7": Cpu(debian="armhf", fit="arm", triplet="arm-linux-gnueabihf"),
    "aarch64": Cpu(debian="arm64", fit="arm64", triplet="aarch64-linux-gnu"),
}


@dataclass(frozen=True)
class Board:
    """One board. Addresses and offsets are in octets; `docs/board.md` explains every key."""

    name: str
    title: str
    arch: str
    kernel: str
    """Debian's meta package of the kernel."""
    kernel_load: int
    fit_load: int
    """Where U-Boot puts a slot; 24 MiB from there are free."""
    memory_end: int
    """U-Boot places device tree and initramfs below this: what the smallest board of the kind has."""
    console: str
    interface: str
    modules: list[str]
    dtb: str = ""
    """Device tree in the kernel package; empty: the one that U-Boot hands over."""
    uboot: str = ""
    """Package and file of U-Boot, as `PACKAGE:FILE`."""
    uboot_offset: int = 0
    """Where U-Boot lies on the card; 0: not outside the partitions."""
    uboot_fit: bool = True
    """Whether that U-Boot reads FIT images; if not, the boot script takes them apart (64-bit only)."""
    watchdog: int = 0
    """Seconds that the hardware watchdog waits; 0: there is none, and the kernel's own is taken."""
    cmdline: str = ""
    """More words for the kernel's command line."""
    firmware: dict[str, str] = field(default_factory=dict)
    """Files for the FAT partition that the board's boot ROM or firmware reads: name and `PACKAGE:FILE` or text."""

    @property
    def cpu(self) -> Cpu:
        """What follows from the architecture."""
        return CPUS[self.arch]

    @property
    def tty(self) -> str:
        """The console without its speed: `ttyS0`."""
        return self.console.split(",")[0]


def load(name: str) -> Board:
    """Reads `board/NAME/board.toml`."""
    path = TOP / "board" / name / "board.toml"
    known = sorted(folder.parent.name for folder in TOP.glob("board/*/board.toml"))
    if name not in known:
        raise Failed(f"there is no board '{name}'; there are: {', '.join(known)}")
    try:
        board = Board(name=name, **tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, TypeError) as reason:
        raise Failed(f"{path}: {reason}") from reason
    if board.arch not in CPUS:
        raise Failed(f"{path}: arch is one of {', '.join(CPUS)}")
    return board


if __name__ == "__main__":
    try:
        print(load(sys.argv[1]).arch)
    except Failed as failure:
        sys.exit(f"image: {failure}")
