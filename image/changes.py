"""What is different between two images, in words: `changes.py OLD.manifest NEW.manifest`.

A manifest has one thing a line: name, version, licences and source, with tabs between them. The name of a kernel's package has its
version in it, so that part of the name is left out.
"""

import re
import sys
from pathlib import Path


def things(manifest: str) -> dict[str, str]:
    """Name and version of each thing. A crate that is there in two versions has both."""
    found: dict[str, list[str]] = {}
    for line in manifest.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) != 4:
            raise ValueError(f"no line of a manifest: {line}")
        name = re.sub(r"^(linux-image)-[\d.]+-\d+(-\w+)", r"\1\2", columns[0])
        found.setdefault(name, []).append(columns[1])
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}


def changes(old: str, new: str) -> list[str]:
    """A line for each difference, the kernel first, then by name."""
    before, after = things(old), things(new)
    lines = []
    for name in sorted(before.keys() | after.keys(), key=lambda name: (not name.startswith("linux-image"), name)):
        match before.get(name), after.get(name):
            case None, version:
                lines.append(f"{name} {version} is new")
            case version, None:
                lines.append(f"{name} {version} is gone")
            case was, version if was != version:
                lines.append(f"{name} is {version}, it was {was}")
    return lines or ["nothing has changed"]


if __name__ == "__main__":
    try:
        old, new = (Path(name).read_text() for name in sys.argv[1:])
        print("\n".join(changes(old, new)))
    except (OSError, ValueError) as error:
        sys.exit(f"changes.py OLD.manifest NEW.manifest: {error}")
