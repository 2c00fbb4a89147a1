#!/usr/bin/env python3
"""What Pillarbox costs: octets of the binary, processor instructions, memory, and octets written to the flash.

    benches/costs.py BINARY [SYMBOLS]     prints the tables of docs/costs.md, and how far the present figures are from them
    --check                               ends with 1 where instructions or octets of the binary grew by more than a tenth
    --update                              writes the figures into docs/costs.md

BINARY is the release build. SYMBOLS is the same build with its symbols, for the octets of each crate and module.

Instructions are counted by valgrind's callgrind in the daemon alone, so that other programs on the machine do not matter: the
daemon is started twice, does a thing N times and then 2 N times, and the difference is divided by N. What a start costs, and what
the first time costs more, is in neither figure. Memory is the same difference of Pss (proc(5), smaps_rollup) without valgrind.
"""

import argparse
import imaplib
import os
import poplib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/costs.md"
# A tenth more is too much.
ALLOWED = 1.1
# How long a daemon under callgrind may take to start or to end, in seconds.
PATIENCE = 120

CONFIGURATION = """
[server]
domains = ["home.example"]
[listen]
{listen}
[smarthost]
host = "127.0.0.1"
port = 9
security = "none"
[[account]]
name = "ann"
address = "ann@home.example"
password = "pass"
"""
LISTENERS = ["pop3", "pop3s", "imap", "imaps", "submission", "submissions", "http", "https"]


def message(size, n=0):
    """A message of that many octets, which differs from the others by its number."""
    head = f"From: ann@home.example\r\nTo: ann@home.example\r\nSubject: number {n}\r\nMessage-ID: <{n}@home.example>\r\n\r\n"
    line = "A line of an ordinary length, as most mail has them.\r\n"
    body = line * ((size - len(head)) // len(line))
    return (head + body).encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A Pillarbox of its own; under callgrind when `counted`."""

    def __init__(self, binary, counted=False):
        self.folder = Path(tempfile.mkdtemp(prefix="pillarbox-costs-", dir="/var/tmp"))
        self.ports = {name: free_port() for name in LISTENERS}
        listen = "\n".join(f'{name} = ["127.0.0.1:{port}"]' for name, port in self.ports.items())
        configuration = self.folder / "costs.toml"
        configuration.write_text(CONFIGURATION.format(listen=listen))
        command = [binary, "run", "--data", self.folder / "data", "--config", configuration]
        if counted:
            command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
        self.log = open(self.folder / "log", "w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        if "ready:" not in self.process.stdout.readline():
            raise SystemExit(f"the daemon does not start:\n{(self.folder / 'log').read_text()}")

    def imap(self):
        client = imaplib.IMAP4("127.0.0.1", self.ports["imap"])
        client.login("ann", "pass")
        return client

    def pop3(self):
        client = poplib.POP3("127.0.0.1", self.ports["pop3"])
        client.user("ann")
        client.pass_("pass")
        return client

    def smtp(self):
        client = smtplib.SMTP("127.0.0.1", self.ports["submission"])
        client.ehlo("costs.example")
        client.login("ann", "pass")
        return client

    def pss(self):
        """Octets of memory."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) << 10

    def written(self):
        """Octets that were handed to the file system's device."""
        text = Path(f"/proc/{self.process.pid}/io").read_text()
        return int(re.search(r"^write_bytes: (\d+)", text, re.M)[1])

    def stop(self):
        """Ends it; the instructions, where they were counted."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.log.seek(0)
        said = self.log.read()
        self.log.close()
        self.process.stdout.close()
        shutil.rmtree(self.folder)
        counted = re.search(r"Collected : (\d+)", said)
        return int(counted[1]) if counted else None


# What is counted: each is a preparation, and what is done N times.


def deliveries(daemon, n):
    client = daemon.smtp()
    for number in range(n):
        client.sendmail("ann@home.example", ["ann@home.example"], message(10_000, number))
    client.quit()


def retrievals(daemon, n):
    client = daemon.pop3()
    for _ in range(n):
        client.retr(1)
    client.quit()


def fetch_lines(daemon, n):
    client = daemon.imap()
    client.select("INBOX", readonly=True)
    for _ in range(n):
        client.fetch("1:100", "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE)")
    client.logout()


def logins(daemon, n):
    for _ in range(n):
        daemon.imap().logout()


def wake_ups(daemon, n):
    """IDLE, and a change of flags by somebody else, N times."""
    idler, other = daemon.imap(), daemon.imap()
    idler.select("INBOX")
    other.select("INBOX")
    idler.send(b"x IDLE\r\n")
    while not idler.readline().startswith(b"+"):
        pass
    for number in range(n):
        other.store("1", "+FLAGS" if number % 2 == 0 else "-FLAGS", r"(\Flagged)")
        while b"FETCH" not in idler.readline():
            pass
    idler.send(b"DONE\r\n")
    other.logout()
    idler.shutdown()


def stores(daemon, n):
    """What `wake_ups` costs without anybody who idles."""
    other = daemon.imap()
    other.select("INBOX")
    for number in range(n):
        other.store("1", "+FLAGS" if number % 2 == 0 else "-FLAGS", r"(\Flagged)")
    other.logout()


def no_mail(_daemon):
    pass


def one_message(daemon):
    deliveries(daemon, 1)


def a_hundred(daemon):
    client = daemon.imap()
    for number in range(100):
        client.append("INBOX", None, None, message(2_000, number))
    client.logout()


def instructions(binary, prepare, work, n):
    """Of one time, out of N and 2 N times. Each is the least of three: what the daemon does besides, by its clock, only adds."""

    def once(times):
        daemon = Daemon(binary, counted=True)
        prepare(daemon)
        work(daemon, times)
        return daemon.stop()

    fewer, more = (min(once(times) for _ in range(3)) for times in (n, 2 * n))
    return (more - fewer) // n


def memory(binary):
    """Octets for one more of each kind."""
    figures = {}
    daemon = Daemon(binary)
    at_rest = daemon.pss()
    figures["the daemon at rest, with one account"] = at_rest
    client = daemon.imap()
    batch = 2_000
    for number in range(100):
        client.append("INBOX", None, None, message(1_000, number))
    before = daemon.pss()
    for number in range(batch):
        client.append("INBOX", None, None, message(1_000, 100 + number))
    figures["a message of an account in use"] = (daemon.pss() - before) // batch
    client.logout()
    sessions = [daemon.imap() for _ in range(10)]
    before = daemon.pss()
    sessions += [daemon.imap() for _ in range(100)]
    figures["a session of IMAP that waits, without TLS"] = (daemon.pss() - before) // 100
    for session in sessions:
        session.shutdown()
    sender = daemon.smtp()
    outside = lambda number: sender.sendmail(
        "ann@home.example", ["somebody@elsewhere.example"], message(1_000, 10_000 + number)
    )
    for number in range(50):
        outside(number)
    before = daemon.pss()
    for number in range(batch):
        outside(50 + number)
    figures["a message that waits for the smarthost"] = (daemon.pss() - before) // batch
    sender.quit()
    daemon.stop()
    return figures


def a_day(binary):
    """Octets written for 100 messages of 10 KB, each read and marked, every third moved."""
    daemon = Daemon(binary)
    client = daemon.imap()
    client.select("INBOX")
    before = daemon.written()
    for number in range(100):
        client.append("INBOX", None, None, message(10_000, number))
        client.store("1:*" if number == 0 else str(number + 1), "+FLAGS", r"(\Seen)")
    client.copy("1:33", "Archive")
    client.store("1:33", "+FLAGS", r"(\Deleted)")
    client.expunge()
    written = daemon.written() - before
    client.logout()
    daemon.stop()
    return written


def of_symbols(symbols):
    """Octets of each crate, and of each module of ours, by the names of their symbols."""
    listing = subprocess.run(["nm", "-S", "-C", symbols], capture_output=True, text=True, check=True).stdout
    crates, modules = {}, {}
    for line in listing.splitlines():
        found = re.match(r"[0-9a-f]+ ([0-9a-f]+) [tTrRdD] (.*)", line)
        if not found:
            continue
        size, name = int(found[1], 16), found[2]
        path = re.match(r"[<&(\[]*(?:mut |dyn |\*const )*([A-Za-z_]\w*)::(\w+)?", name)
        crate = path[1] if path else "(C and assembly)"
        crates[crate] = crates.get(crate, 0) + size
        if crate == "pillarbox" and path[2]:
            modules[path[2]] = modules.get(path[2], 0) + size
    return crates, modules


WORK = [
    ("a delivery of 10 KB by submission", no_mail, deliveries, 300),
    ("a RETR of 10 KB", one_message, retrievals, 100),
    ("100 lines of FETCH (UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE)", a_hundred, fetch_lines, 50),
    ("a login by IMAP with a known password, connection and LOGOUT included", no_mail, logins, 50),
    ("a STORE", one_message, stores, 1500),
    ("a STORE, and an IDLE session that hears of it", one_message, wake_ups, 1000),
]


def measured(binary, symbols):
    """Tables: title, unit and rows."""
    binary_rows = {"the whole file, stripped": os.path.getsize(binary)}
    if symbols:
        crates, modules = of_symbols(symbols)
        largest = sorted(crates.items(), key=lambda it: -it[1])[:15]
        binary_rows |= {f"crate {name}": size for name, size in largest}
        largest = sorted(modules.items(), key=lambda it: -it[1])[:20]
        binary_rows |= {f"room {name}": size for name, size in largest}
    work_rows = {name: instructions(binary, prepare, work, n) for name, prepare, work, n in WORK}
    return [
        ("Binary", "octets", binary_rows),
        ("Work", "instructions", work_rows),
        ("Memory", "octets", memory(binary)),
        ("Flash", "octets written", {"a day of 100 mails of 10 KB, read, marked, a third of them moved": a_day(binary)}),
    ]


def kept():
    """The figures of the document, by title and name."""
    figures, title = {}, None
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            title = line[3:]
        row = re.match(r"\| (.+) \| ([\d,]+) \|$", line)
        if row:
            figures[title, row[1]] = int(row[2].replace(",", ""))
    return figures


def update(tables):
    begin, end = "<!-- costs: begin -->\n", "<!-- costs: end -->\n"
    text = DOCUMENT.read_text()
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    body = ""
    for title, unit, rows in tables:
        body += f"## {title}\n\n| what | {unit} |\n|---|---|\n"
        body += "".join(f"| {name} | {figure:,} |\n" for name, figure in rows.items()) + "\n"
    DOCUMENT.write_text(head + begin + body + end + tail)


def main():
    arguments = argparse.ArgumentParser(description="What Pillarbox costs.")
    arguments.add_argument("binary", type=Path)
    arguments.add_argument("symbols", type=Path, nargs="?")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--update", action="store_true")
    given = arguments.parse_args()
    began = time.time()
    tables = measured(given.binary, given.symbols)
    before, grown = kept(), []
    for title, unit, rows in tables:
        print(f"{title} ({unit})")
        for name, figure in rows.items():
            was = before.get((title, name))
            change = f"{100 * (figure - was) / was:+.1f} %" if was else "new"
            print(f"  {figure:>14,}  {change:>9}  {name}")
            if was and title in ("Binary", "Work") and figure > was * ALLOWED:
                grown.append(name)
    print(f"measured in {time.time() - began:.0f} s")
    if given.update:
        update(tables)
    elif given.check and grown:
        sys.exit("more than a tenth above docs/costs.md: " + "; ".join(grown) + ": `make costs UPDATE=1` in the same commit, and say why")


if __name__ == "__main__":
    main()
