"""Which kernel modules an image takes, and in which order they are loaded.

Debian's kernel has nearly every driver as a module. The board names those that it needs; what these need in turn stands
in `modules.dep`. The order is computed here, so that the device needs no modprobe and no index, only a list for insmod.
"""

import re
import shutil
import subprocess
from pathlib import Path

from packages import Failed

# For every board: the file systems of the card, and a watchdog for boards whose own does not show up.
COMMON = [
    # ext4 asks for this by name when it mounts, which is not in modules.dep.
    "crc32c_generic",
    "ext4",
    # What a PC formats: long names, and the code pages that vfat asks for.
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "softdog",
    # A stick: what of USB a board's controller does not bring by itself, and what phones and cameras format.
    "sd_mod",
    "usb-storage",
    "uas",
    "exfat",
]


def name_of(path: str) -> str:
    """The name of the module in a file; `-` and `_` are the same to the kernel."""
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def depmod(folder: Path, release: str) -> dict[str, tuple[str, list[str]]]:
    """Name of each module with its path and the paths of the modules that it needs."""
    subprocess.run(["/usr/sbin/depmod", "-b", folder, release], check=True, stderr=subprocess.DEVNULL)
    found = {}
    for line in (folder / "lib/modules" / release / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        found[name_of(path)] = (path, needs.split())
    return found


def order(wanted: list[str], found: dict[str, tuple[str, list[str]]], builtin: set[str]) -> list[str]:
    """The paths of the wanted modules and of all that they need, what is needed first."""
    result: list[str] = []

    def add(path: str) -> None:
        if path in result:
            return
        for need in found[name_of(path)][1]:
            add(need)
        result.append(path)

    for name in (wish.replace("-", "_") for wish in wanted):
        if name in found:
            add(found[name][0])
        elif name not in builtin:
            raise Failed(f"the kernel has no module {name}")
    return result


def take(package: Path, release: str, wanted: list[str], strip: str, into: Path) -> list[str]:
    """Copies the modules, without debug symbols, into a folder; the list of their file names in the order of loading."""
    source = package / "lib/modules" / release
    builtin = {name_of(line) for line in (source / "modules.builtin").read_text().split()}
    into.mkdir(parents=True)
    names = []
    for path in order(COMMON[:1] + wanted + COMMON[1:], depmod(package, release), builtin):
        file = into / Path(path).name
        shutil.copyfile(source / path, file)
        subprocess.run([strip, "--strip-debug", file], check=True)
        names.append(file.name)
    return names
