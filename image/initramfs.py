"""The root file system of the device, as a cpio archive that the kernel unpacks into memory.

Written here and not by cpio(1), so that owners, times and order are fixed whoever builds it, without root.
"""

import gzip
import stat
from pathlib import Path


def newc(root: Path, time: int) -> bytes:
    """The archive (format "newc", see the kernel's buffer-format.rst) of a folder: all owned by root, all of one time."""
    archive = bytearray()
    entries = sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts)
    for number, path in enumerate(entries, start=1):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode, data = stat.S_IFLNK | 0o777, str(path.readlink()).encode()
        elif stat.S_ISDIR(mode):
            mode, data = stat.S_IFDIR | 0o755, b""
        else:
            mode, data = stat.S_IFREG | (0o755 if mode & stat.S_IXUSR else 0o644), path.read_bytes()
        _entry(archive, number, mode, time, str(path.relative_to(root)), data)
    # What the kernel opens for init's input and output before anything could have made it.
    _entry(archive, len(entries) + 1, stat.S_IFCHR | 0o600, time, "dev/console", b"", device=(5, 1))
    _entry(archive, 0, 0, 0, "TRAILER!!!", b"")
    return bytes(archive)


def _entry(archive, number, mode, time, name, data, device=(0, 0)):
    fields = [number, mode, 0, 0, 1, time, len(data), 0, 0, *device, len(name) + 1, 0]
    archive += b"070701" + b"".join(b"%08X" % value for value in fields) + name.encode() + b"\0"
    archive += bytes(-len(archive) % 4)
    archive += data
    archive += bytes(-len(archive) % 4)


def compressed(archive: bytes) -> bytes:
    """gzip: the slots have room, and no other format unpacks faster in the kernel of a board."""
    return gzip.compress(archive, compresslevel=9, mtime=0)
