"""A board: what `board/NAME/board.toml` says, checked, so that a typing error ends the build and not a boot.

Run as a program: `board.py NAME` prints the architecture; `--names` the names of all
boards; `--all` checks each of them and the template, and `--check FILE` a file.
"""

import re
import sys
import tomllib
import typing
from dataclasses import dataclass, field, fields
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


SLOT = 24 << 20
"""Octets that have to be free from `fit_load` on."""
PACKAGE_FILE = re.compile(r"[a-z0-9][a-z0-9.+-]+:\S+")


def mistakes(board: Board) -> list[str]:
    """What is wrong in it, a line each: first the kinds of values, and where these are right what they say."""
    found = []
    for key in fields(board):
        value, kind = getattr(board, key.name), typing.get_origin(key.type) or key.type
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        # A bool is an int for Python.
        if type(value) is not kind or any(not isinstance(it, str) for it in inner):
            of_text = " of text" if typing.get_origin(key.type) else ""
            found.append(f"{key.name} is not of the kind {kind.__name__}{of_text}")
    if found:
        return found
    rules = [
        (board.arch in CPUS, f"arch is one of {', '.join(CPUS)}"),
        (board.title != "", "title is empty"),
        (board.kernel.startswith("linux-image-"), "kernel is a meta package of Debian: linux-image-..."),
        (board.kernel_load % 4096 == 0 and board.kernel_load >= 0, "kernel_load is an address on a page of 4 KiB"),
        (board.fit_load % 4096 == 0 and board.fit_load > 4096, "fit_load is an address on a page of 4 KiB, with the boot state before it"),
        (
            not board.fit_load - 4096 <= board.kernel_load < board.fit_load + SLOT,
            "kernel_load lies in the 24 MiB from fit_load on, or in the boot state before them",
        ),
        (board.memory_end >= 0, "memory_end is an address, or 0"),
        (re.fullmatch(r"tty\w+,\d+", board.console) is not None, "console is a tty and its speed: ttyS0,115200"),
        (re.fullmatch(r"[a-z][a-z0-9]{1,14}", board.interface) is not None, "interface is a network interface: eth0"),
        (board.modules != [], "modules is empty: nothing would find the card"),
        (all(re.fullmatch(r"[a-z0-9_-]+", it) for it in board.modules), "modules are names without .ko"),
        (len(set(board.modules)) == len(board.modules), "modules has a name twice"),
        (board.dtb == "" or board.dtb.endswith(".dtb"), "dtb is a device tree in the kernel's package: NAME.dtb"),
        (board.uboot == "" or PACKAGE_FILE.fullmatch(board.uboot) is not None, "uboot is PACKAGE:FILE"),
        (board.uboot_offset % 512 == 0 and 0 <= board.uboot_offset < 1 << 20, "uboot_offset is a multiple of 512 below 1 MiB"),
        (board.uboot_offset == 0 or board.uboot != "", "uboot_offset without uboot"),
        (board.uboot_fit or board.arch == "aarch64", "uboot_fit = false is for aarch64 only"),
        (0 <= board.watchdog <= 3600, "watchdog is seconds, at most 3600"),
        (all("\n" in text or PACKAGE_FILE.fullmatch(text) for text in board.firmware.values()), "[firmware] has PACKAGE:FILE, or text of several lines"),
    ]
    return [words for is_right, words in rules if not is_right]


def read(path: Path, name: str) -> Board:
    """Reads a file of the form of `board.toml`."""
    try:
        board = Board(name=name, **tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, TypeError) as reason:
        raise Failed(f"{path}: {reason}") from reason
    if found := mistakes(board):
        raise Failed("; ".join(f"{path}: {words}" for words in found))
    return board


def names() -> list[str]:
    """All boards; TEMPLATE is none."""
    return sorted(folder.parent.name for folder in TOP.glob("board/*/board.toml") if folder.parent.name != "TEMPLATE")


def load(name: str) -> Board:
    """Reads `board/NAME/board.toml`."""
    if name not in names():
        raise Failed(f"there is no board '{name}'; there are: {', '.join(names())}")
    return read(TOP / "board" / name / "board.toml", name)


def main(arguments: list[str]) -> None:
    """Does what the command line says."""
    match arguments:
        case ["--all"]:
            for name in [*names(), "TEMPLATE"]:
                read(TOP / "board" / name / "board.toml", name)
                if not (TOP / "board" / name / "README.md").is_file():
                    raise Failed(f"board/{name}/README.md is missing")
                print(name)
        case ["--names"]:
            print("\n".join(names()))
        case ["--check", path]:
            read(Path(path), "checked")
        case [name]:
            print(load(name).arch)
        case _:
            raise Failed("board.py NAME, --names, --all, or --check FILE")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failed as failure:
        sys.exit(f"image: {failure}")
