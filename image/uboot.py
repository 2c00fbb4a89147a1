"""U-Boot as Debian builds it goes on to USB and to the network where the card has nothing to start. A device never does:
nobody there may say what it runs. Which disks it looks at stands in its default environment, in the binary itself."""

import re
import struct
import zlib

from packages import Failed

MAGIC = 0x27051956
HEADER = struct.Struct(">7I4B32s")
# What may be started from: the card, or the virtual disk of QEMU.
OWN = re.compile(rb"mmc\w*|virtio\w*")


def from_the_card_only(binary: bytes) -> bytes:
    """The same binary, octet for octet in its places, whose `boot_targets` are disks of the device's own."""
    found = list(re.finditer(rb"\0boot_targets=([^\0]*)\0", binary))
    if len(found) != 1:
        raise Failed(f"U-Boot: {len(found)} boot_targets where one was expected")
    start, end = found[0].span(1)
    own = b" ".join(target for target in found[0][1].split() if OWN.fullmatch(target))
    if not own:
        raise Failed(f"U-Boot: no disk among its boot_targets ({found[0][1].decode()})")
    changed = bytearray(binary)
    changed[start:end] = own.ljust(end - start)
    _seal(binary, changed, start)
    return bytes(changed)


def _seal(before: bytes, changed: bytearray, place: int) -> None:
    """Sets the checksums of the image that `place` lies in anew, where there is one (include/image.h of U-Boot)."""
    at = before.find(struct.pack(">I", MAGIC))
    while 0 <= at < place:
        magic, _, time, size, load, entry, data_sum, *rest = HEADER.unpack_from(before, at)
        data = slice(at + HEADER.size, at + HEADER.size + size)
        # The number may stand anywhere in code: it is a header where its checksums are right.
        if data.start <= place < data.stop <= len(before) and zlib.crc32(before[data]) == data_sum:
            fields = [magic, 0, time, size, load, entry, zlib.crc32(changed[data]), *rest]
            fields[1] = zlib.crc32(HEADER.pack(*fields))
            HEADER.pack_into(changed, at, *fields)
            return
        at = before.find(struct.pack(">I", MAGIC), at + 4)
