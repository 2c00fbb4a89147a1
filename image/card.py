"""The card: where everything lies, and how the image file is put together. `docs/board.md` shows the same as a table."""

import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
SECTOR = 512
# A power of two, as QEMU's cards are; the data partition grows to the end of the real card at the first boot.
SIZE = 128 * MIB
SLOT_SIZE = 24 * MIB
SLOT_A = 1 * MIB
# Identifies the card among the disks of a machine: boot looks for this disk signature ("PBX1").
SIGNATURE = 0x31584250
# In the second sector of the slots' partition: the data partition is to be formatted. Nothing else makes the device do that
# unasked: a card whose first blocks went bad reads as blank, too, and has the mail in the rest.
FORMAT_MARK = b"PBXFORMT"


@dataclass(frozen=True)
class Partition:
    """A primary partition; start and size in MiB."""

    start: int
    size: int
    kind: int
    active: bool = False


FAT, OTHER, LINUX = 0x0C, 0xDA, 0x83
CARD = Partition(4, 28, FAT)
BOOT = Partition(32, 4, FAT, active=True)
SLOTS = Partition(36, 49, OTHER)
DATA = Partition(85, SIZE // MIB - 85, LINUX)
PARTITIONS = [CARD, BOOT, SLOTS, DATA]


def partition_table() -> bytes:
    """The master boot record: no boot code, four primary partitions, addresses as block numbers (LBA) only."""
    entries = b"".join(
        struct.pack("<B3sB3sII", 0x80 * p.active, b"\xfe\xff\xff", p.kind, b"\xfe\xff\xff", p.start * MIB // SECTOR, p.size * MIB // SECTOR)
        for p in PARTITIONS
    )
    return struct.pack("<440sI2s64sH", b"", SIGNATURE, b"", entries, 0xAA55)


def fat(path: Path, partition: Partition, label: str, volume: int, files: list[Path], time: int) -> None:
    """Makes a FAT file system in a file, with files from anywhere, each of one time, so that the same files give the same bits."""
    path.unlink(missing_ok=True)
    fat_bits = "16" if partition.size > 8 else "12"
    size = partition.size * MIB
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time), "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(
        ["/usr/sbin/mkfs.vfat", "--invariant", "-F", fat_bits, "-n", label, "-i", f"{volume:08x}",
         "-h", str(partition.start * MIB // SECTOR), "-C", path, str(size // 1024)],
        check=True, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for file in sorted(files, key=lambda f: f.name):
        os.utime(file, (time, time))
        subprocess.run(["mcopy", "-m", "-i", path, file, f"::{file.name}"], check=True, env=environment)


def assemble(path: Path, uboot: bytes, uboot_offset: int, card: Path, boot: Path, slot: bytes) -> None:
    """Writes the image: slot A has the system, slot B is blank, and the data partition is marked as one to be formatted."""
    if uboot_offset and uboot_offset + len(uboot) > MIB:
        raise ValueError("U-Boot does not end below 1 MiB")
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as image:
        image.truncate(SIZE)
        image.write(partition_table())
        image.seek(uboot_offset or SIZE)
        image.write(uboot if uboot_offset else b"")
        for partition, content in ((CARD, card.read_bytes()), (BOOT, boot.read_bytes())):
            image.seek(partition.start * MIB)
            image.write(content)
        image.seek(SLOTS.start * MIB + SECTOR)
        image.write(FORMAT_MARK)
        image.seek(SLOTS.start * MIB + SLOT_A)
        image.write(slot)
    partial.rename(path)
