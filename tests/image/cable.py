"""The cable between a board in QEMU and the tap of a home's network, both in this network namespace.

QEMU's network card of the board says that it computes checksums, and does so for IPv4 only: over IPv6 every segment would be
thrown away. So it is done here, for what comes from the board.
"""

import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
IPV6 = b"\x86\xdd"
HEAD = 14
# Where TCP, UDP and ICMPv6 have their checksums.
CHECKSUM = {6: 16, 17: 6, 58: 2}


def summed(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mended(frame: bytes) -> bytes:
    """The frame with the checksum of RFC 8200 section 8.1, where it is IPv6 without further headers."""
    if frame[12:HEAD] != IPV6 or len(frame) < HEAD + 40:
        return frame
    (length, kind), begin = struct.unpack("!HB", frame[HEAD + 4 : HEAD + 7]), HEAD + 40
    payload = bytearray(frame[begin : begin + length])
    at = CHECKSUM.get(kind)
    if at is None or len(payload) < at + 2:
        return frame
    payload[at : at + 2] = b"\0\0"
    pseudo = frame[HEAD + 8 : begin] + struct.pack("!II", len(payload), kind)
    payload[at : at + 2] = struct.pack("!H", summed(pseudo + payload) or 0xFFFF)
    return frame[:begin] + bytes(payload) + frame[begin + length :]


def main() -> None:
    name, own, other = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    board = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    board.bind(("127.0.0.1", own))
    while True:
        for ready in select.select([tap, board], [], [])[0]:
            try:
                if ready is board:
                    os.write(tap, mended(board.recv(65536)))
                else:
                    board.sendto(os.read(tap, 65536), ("127.0.0.1", other))
            except OSError:
                # The board is off, or the interface is down: a frame is lost, as on every network.
                pass


main()
