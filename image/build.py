"""build.py BOARD: makes target/image/BOARD.img, BOARD.manifest and, with a key, BOARD.pbu. `make image` calls it.

Nothing is mounted and nobody has to be root. The same input gives the same bits: times are SOURCE_DATE_EPOCH (default:
the last commit), orders are sorted, packages are those in target/packages.
"""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import board as boards
import card
import fit
import initramfs
import manifest
import modules
import update
from packages import TOP, Debian, Failed
from uboot import from_the_card_only

OUT = TOP / "target" / "image"
# Raised when an older version of the image could not live with what a newer one left on the card.
COMPAT = "1"
# Programs for the data partition, and what they are linked with.
E2FSPROGS = ["e2fsprogs", "libext2fs2", "libcom-err2", "libblkid1", "libuuid1", "libc6"]
RESULT = "Nothing yet: at the start the device writes here what became of pillarbox.toml.\n"
RESULT_SIZE = 8192


def version() -> str:
    """The version of the daemon, from Cargo.toml."""
    text = (TOP / "Cargo.toml").read_text()
    return text.split('version = "', 1)[1].split('"', 1)[0]


def epoch() -> int:
    """The time that everything in the image has."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    return int(subprocess.check_output(["git", "-C", TOP, "log", "-1", "--format=%ct"]))


def file_of(debian: Debian, place: str) -> Path:
    """A file of a package, written `PACKAGE:PATH`."""
    package, _, path = place.partition(":")
    file = debian.fetch(package) / path
    if not file.is_file():
        raise Failed(f"{place}: there is no such file in the package")
    return file


def copy(source: Path, target: Path) -> None:
    """Copies a file and makes the folder for it; the name of a link gets the content of what it leads to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.resolve(), target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def libraries(board: boards.Board, debian: Debian, programs: list[Path], root: Path) -> None:
    """Copies the shared libraries that the programs need, and the loader, to where they are looked for."""
    folders = [debian.fetch(name) / part / board.cpu.triplet for name in E2FSPROGS for part in ("lib", "usr/lib")]
    waiting, done = list(programs), set()
    while waiting:
        program = waiting.pop()
        output = subprocess.check_output([f"{board.cpu.triplet}-readelf", "-d", program], text=True)
        for line in output.splitlines():
            if "(NEEDED)" not in line:
                continue
            name = line.split("[")[1].rstrip("]")
            if name in done:
                continue
            done.add(name)
            found = next((folder / name for folder in folders if (folder / name).exists()), None)
            if found is None:
                raise Failed(f"no package has {name}, which {program.name} needs")
            # The loader has its place in every program's head, and looks for all else in the folder of its architecture.
            copy(found, root / "lib" / (name if name.startswith("ld-") else f"{board.cpu.triplet}/{name}"))
            waiting.append(found)


def root_folder(board: boards.Board, debian: Debian, kernel: Path, release: str, key: update.Key | None, root: Path) -> None:
    """Fills the root file system of the device."""
    strip = f"{board.cpu.triplet}-strip"
    shutil.copytree(TOP / "image/root", root)
    for name in ("dev", "proc", "sys", "run", "tmp", "data", "card", "media/usb", "media/stick", "sbin", "lib"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "usb").symlink_to("media/usb")
    copy(TOP / "target/cross" / board.arch / "pillarbox", root / "bin/pillarbox")
    busybox = TOP / "target/cross" / board.arch / "busybox"
    copy(busybox, root / "bin/busybox")
    for applet in (TOP / "target/cross" / board.arch / "busybox.links").read_text().split():
        link = root / "bin" / applet.rsplit("/", 1)[-1]
        if not link.exists() and not link.is_symlink():
            link.symlink_to("busybox")
    (root / "init").symlink_to("bin/busybox")

    tools = []
    for name in ("e2fsck", "mke2fs", "resize2fs"):
        copy(debian.fetch("e2fsprogs") / "sbin" / name, root / "sbin" / name)
        tools.append(root / "sbin" / name)
    libraries(board, debian, tools, root)

    names = modules.take(kernel, release, board.modules, strip, root / "lib/modules")
    facts = {
        "board": board.name,
        "version": version(),
        "compat": COMPAT,
        "console": board.tty,
        "interface": board.interface,
        # The kernel's own watchdog, where the board has none, takes any.
        "watchdog": str(board.watchdog or 30),
        "disk": f"{card.SIGNATURE:08x}",
        "size": str(card.SIZE // card.MIB),
        "modules": "\n".join(names),
    }
    if key:
        facts["update.pub"] = key.public.read_text().rstrip("\n")
    for name, text in facts.items():
        (root / "etc/pillarbox" / name).write_text(text + "\n")


def kernel_file(board: boards.Board, package: Path, release: str, folder: Path) -> tuple[Path, str]:
    """The kernel for the slot, and how it is packed: 32-bit ARM's unpacks itself, 64-bit ARM's is unpacked by U-Boot."""
    packed = (package / "boot" / f"vmlinuz-{release}").read_bytes()
    target = folder / "kernel"
    if board.arch == "armv7":
        target.write_bytes(packed)
        return target, "none"
    target.write_bytes(packed if packed[:2] == b"\x1f\x8b" else gzip.compress(packed, compresslevel=9, mtime=0))
    return target, "gzip"


def build(name: str) -> None:
    """Makes the image of a board."""
    board, time = boards.load(name), epoch()
    debian = Debian(board.cpu.debian)
    key = update.key(os.environ.get("UPDATE_KEY"), os.environ.get("UPDATE_PUB"), OUT)

    work = OUT / f"{name}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    kernel_name = debian.dependency(board.kernel, r"linux-image-\d.*")
    kernel = debian.fetch(kernel_name)
    release = kernel_name.removeprefix("linux-image-")
    root = work / "root"
    root_folder(board, debian, kernel, release, key, root)
    archive = initramfs.newc(root, time)
    (work / "initramfs").write_bytes(initramfs.compressed(archive))
    image, compression = kernel_file(board, kernel, release, work)
    dtb = None
    if board.dtb:
        copy(kernel / "usr/lib" / kernel_name / board.dtb, work / "fdt")
        dtb = work / "fdt"
    slot = fit.slot(board, image, compression, dtb, work / "initramfs", work, time)
    if len(slot) > card.SLOT_SIZE:
        raise Failed(f"the system has {len(slot)} octets, a slot only {card.SLOT_SIZE}")

    uboot = file_of(debian, board.uboot) if board.uboot else None
    uboot_package = board.uboot.partition(":")[0]
    used = [kernel_name, *E2FSPROGS] + [uboot_package] * bool(uboot_package)
    files = []
    for target, place in board.firmware.items():
        copied = work / "card" / target
        copied.parent.mkdir(exist_ok=True)
        if ":" in place and "\n" not in place:
            copy(file_of(debian, place), copied)
            if target == "u-boot.bin":
                copied.write_bytes(from_the_card_only(copied.read_bytes()))
            used.append(place.partition(":")[0])
        else:
            copied.write_text(place)
        files.append(copied)
    words = manifest.manifest(board, debian, sorted(set(used)))
    (OUT / f"{name}.manifest").write_text(words)
    texts = {
        "README.txt": (TOP / "image/card-readme.txt").read_text().replace("BOARD", board.title),
        "manifest.txt": words,
        "licences.txt": manifest.licences(debian, sorted(set(used))),
        # As long as it will ever be: the device writes over it in place.
        "pillarbox-result.txt": RESULT.ljust(RESULT_SIZE - 1) + "\n",
    }
    for file_name, text in texts.items():
        # For editors of every PC.
        (work / file_name).write_bytes(text.replace("\n", "\r\n").encode() if "result" not in file_name else text.encode())
        files.append(work / file_name)
    card.fat(work / "card.fat", card.CARD, "PILLARBOX", 0x50425801, files, time)
    script = fit.boot_script(board, os.environ.get("CMDLINE", ""), work, time)
    card.fat(work / "boot.fat", card.BOOT, "BOOT", 0x50425802, [script], time)

    content = from_the_card_only(uboot.read_bytes()) if uboot else b""
    if content and not board.uboot_offset:
        (OUT / f"{name}.u-boot").write_bytes(content)
        content = b""
    target = OUT / f"{name}.img"
    card.assemble(target, content, board.uboot_offset if content else 0, work / "card.fat", work / "boot.fat", slot)

    shown = target.relative_to(TOP)
    if key:
        update.write(OUT / f"{name}.pbu", slot, name, version(), COMPAT, key, work)
    print(f"kernel {image.stat().st_size:,}, initramfs {(work / 'initramfs').stat().st_size:,} (unpacked {len(archive):,}), system {len(slot):,} octets")
    if not key:
        print("no UPDATE_KEY: this image has no key to verify updates with, and refuses them")
    print(f"{shown}\nwrite it to the card at /dev/sdX with: sudo dd if={shown} of=/dev/sdX bs=1M conv=fsync status=progress")


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: build.py BOARD", file=sys.stderr)
        return 2
    try:
        build(sys.argv[1])
    except Failed as reason:
        print(f"image: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
