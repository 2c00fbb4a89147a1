"""What is in an image: every package and crate with version and licence, and the texts of the licences."""

import json
import re
import subprocess
from pathlib import Path

from board import Board
from packages import TOP, Debian

TRIPLES = {"armv7": "armv7-unknown-linux-musleabihf", "aarch64": "aarch64-unknown-linux-musl"}


def manifest(board: Board, debian: Debian, packages: list[str]) -> str:
    """The list, one thing a line: what, version, licence, where it comes from."""
    lines = [f"# What the image for {board.name} is made of: name, version, licences, source."]
    for name in packages:
        version, source = debian.version(name).split(" ", 1)
        lines.append(f"{name}\t{version}\t{_licence_names(debian.fetch(name), name)}\tDebian {source}")
    for name in ("busybox.manifest", "toolchain"):
        lines += (TOP / "target/cross" / board.arch / name).read_text().splitlines()
    lines += _crates(board)
    return "\n".join(lines) + "\n"


def licences(debian: Debian, packages: list[str]) -> str:
    """The copyright file of each package."""
    return "\n".join(f"==== {name} ====\n\n{_copyright(debian.fetch(name), name)}" for name in packages)


def _copyright(folder: Path, name: str) -> str:
    # A package may leave its documentation to another one of the same source, by a link.
    files = [folder / "usr/share/doc" / name / "copyright", *sorted(folder.glob("usr/share/doc/*/copyright"))]
    return next((file.read_text(errors="replace") for file in files if file.is_file()), "see the package's source\n")


def _licence_names(folder: Path, name: str) -> str:
    found = set(re.findall(r"^License: *(\S.*)$", _copyright(folder, name), re.MULTILINE))
    return "; ".join(sorted(found)) or "see licences.txt"


def _crates(board: Board) -> list[str]:
    """The crates in the binary: what the package depends on for this target, tests and build scripts left out."""
    facts = json.loads(
        subprocess.check_output(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TRIPLES[board.arch]], cwd=TOP, stderr=subprocess.DEVNULL
        )
    )
    packages = {package["id"]: package for package in facts["packages"]}
    nodes = {node["id"]: node for node in facts["resolve"]["nodes"]}
    waiting, seen = [facts["resolve"]["root"]], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    lines = []
    for package in sorted((packages[one] for one in seen), key=lambda p: (p["name"], p["version"])):
        source = "crates.io" if package["source"] else "this repository"
        lines.append(f"{package['name']}\t{package['version']}\t{package['license'] or 'see its source'}\t{source}")
    return lines
