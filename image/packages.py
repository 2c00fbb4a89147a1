"""Debian packages, unpacked under `target/packages/ARCH/NAME`: nothing is installed, and apt's own state stays as it is.

apt runs with a configuration, a list of sources and a status file of its own, so that a machine of another release or
architecture builds the same image, and no foreign architecture has to be added to the system. What is there is taken as
it is; `make clean-image` forgets it. The release is fixed, and `DEBIAN` and `DEBIAN_SECURITY` name other mirrors, such as
a day of snapshot.debian.org, with which an image can be made again from its manifest.

Run as a program: `packages.py ARCH NAME...` prints the folder of each package; with `source:NAME`, that of its source.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

RELEASE = "bookworm"
TOP = Path(__file__).resolve().parent.parent
CACHE = TOP / "target" / "packages"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Failed(Exception):
    """Something the owner of the build has to know, in one line."""


class Debian:
    """The packages of one Debian architecture, such as `armhf`."""

    def __init__(self, arch: str):
        self.arch = arch
        self.folder = CACHE / arch
        self.state = CACHE / f"apt-{arch}"

    def fetch(self, name: str) -> Path:
        """The folder with the content of a package; `NAME.version` beside it has its version."""
        folder = self.folder / name
        if folder.is_dir():
            return folder
        self._lists()
        archives = self.state / "debs"
        archives.mkdir(exist_ok=True)
        for old in archives.glob(f"{name}_*"):
            old.unlink()
        self._apt("apt-get", "download", "-q", name, cwd=archives)
        archive = next(archives.glob(f"{name}_*.deb"))
        version = subprocess.check_output(["dpkg-deb", "-f", archive, "Version"], text=True).strip()
        source = subprocess.check_output(["dpkg-deb", "-f", archive, "Source"], text=True).strip() or name
        partial = self.folder / f"{name}.partial"
        subprocess.run(["rm", "-rf", partial], check=True)
        partial.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", archive, partial], check=True)
        (self.folder / f"{name}.version").write_text(f"{version} {source}\n")
        partial.rename(folder)
        archive.unlink()
        return folder

    def version(self, name: str) -> str:
        """Version and source package of a package that was fetched."""
        return (self.folder / f"{name}.version").read_text().strip()

    def dependency(self, name: str, pattern: str) -> str:
        """The package that NAME depends on and whose name matches: a meta package names the kernel of the day.

        What was fetched before counts as the answer, so that a build does not change from one day to the next."""
        known = sorted(p.name for p in self.folder.glob("*") if p.is_dir() and re.fullmatch(pattern, p.name))
        if known:
            return known[-1]
        self._lists()
        found = re.findall(r"^  Depends: (\S+)", self._apt("apt-cache", "depends", name, capture=True), re.MULTILINE)
        for package in found:
            if re.fullmatch(pattern, package):
                return package
        raise Failed(f"{name}: none of its dependencies ({', '.join(found)}) matches {pattern}")

    def source(self, name: str) -> Path:
        """The folder with the source of a package, Debian's patches applied."""
        folder = CACHE / "source" / name
        if not folder.is_dir():
            self._lists()
            archives = self.state / "source"
            subprocess.run(["rm", "-rf", archives], check=True)
            archives.mkdir()
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._apt("apt-get", "source", "-q", "--download-only", name, cwd=archives)
            description = next(archives.glob("*.dsc"))
            version = re.search(r"^Version: (\S+)", description.read_text(), re.MULTILINE)
            (CACHE / "source" / f"{name}.version").write_text(f"{version[1] if version else '?'}\n")
            subprocess.run(["dpkg-source", "--no-check", "-x", description, folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return folder

    def _lists(self) -> None:
        """Fetches the lists of packages, once."""
        done = self.state / "done"
        if done.exists():
            return
        for folder in ("lists/partial", "archives/partial"):
            (self.state / folder).mkdir(parents=True, exist_ok=True)
        (self.state / "status").write_text("")
        signed = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
        main = os.environ.get("DEBIAN", "http://deb.debian.org/debian")
        security = os.environ.get("DEBIAN_SECURITY", "http://deb.debian.org/debian-security")
        # The firmware of a Raspberry Pi is not free software; nothing else is taken from there.
        parts = "main non-free-firmware"
        (self.state / "sources.list").write_text(
            "".join(
                f"{kind} {signed}{mirror} {RELEASE}{suite} {parts}\n"
                for kind in ("deb", "deb-src")
                for mirror, suite in ((main, ""), (main, "-updates"), (security, "-security"))
            )
        )
        (self.state / "apt.conf").write_text(
            f'APT::Architecture "{self.arch}"; APT::Architectures {{ "{self.arch}"; }};\n'
            f'Dir::State "{self.state}"; Dir::State::status "{self.state}/status";\n'
            f'Dir::State::lists "{self.state}/lists"; Dir::Cache "{self.state}"; Dir::Log "{self.state}";\n'
            f'Dir::Etc::sourcelist "{self.state}/sources.list"; Dir::Etc::sourceparts "/dev/null";\n'
            # A snapshot's lists have expired, by design; and no other user has to be able to read this folder.
            'Acquire::Check-Valid-Until "false"; APT::Sandbox::User "root"; Acquire::Languages "none";\n'
        )
        # One list that a mirror does not have right now is not the end: the packages are found, or they are not.
        if self._apt("apt-get", "update", "-q", check=False).returncode:
            print(f"packages: not every list for {self.arch} could be fetched; going on with those that could", file=sys.stderr)
        done.touch()

    def _apt(self, *command, capture=False, check=True, cwd=None):
        environment = {**os.environ, "APT_CONFIG": str(self.state / "apt.conf"), "LC_ALL": "C"}
        result = subprocess.run(command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and result.returncode:
            raise Failed(f"{' '.join(command)}: {result.stderr.strip().splitlines()[-1:]}")
        return result.stdout if capture else result


def main() -> int:
    debian = Debian(sys.argv[1])
    try:
        for name in sys.argv[2:]:
            kind, _, source = name.partition(":")
            print(debian.source(source) if kind == "source" else debian.fetch(name))
    except Failed as reason:
        print(f"packages: {reason}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
