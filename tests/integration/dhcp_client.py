"""One DHCP DISCOVER as firmware sends it; prints what the offers say, as JSON.

Run inside a network namespace: dhcp_client.py INTERFACE MAC ARCH [ipxe] [ADDRESS]
With an address of its own it asks a proxy a second time, on port 4011, as firmware does.
"""

import json
import socket
import struct
import sys
import time

MAGIC = b"\x63\x82\x53\x63"
DEADLINE = 8.0


def request(kind: int, mac: bytes, arch: int, ipxe: bool, own: str) -> bytes:
    head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, mac[2:], 0, 0 if own else 0x8000)
    head += socket.inet_aton(own or "0.0.0.0") + bytes(12)
    options = [
        (53, bytes([kind])),
        (55, bytes([1, 3, 6, 43, 60, 66, 67])),
        (60, f"PXEClient:Arch:{arch:05}:UNDI:003000".encode()),
        (93, struct.pack("!H", arch)),
        (97, b"\x00" + bytes(16)),
        (61, b"\xff" + (b"ipxe" if ipxe else b"rom!") + mac),
    ]
    if ipxe:
        options += [(77, b"iPXE"), (175, b"\x13\x01\x01")]
    body = b"".join(bytes([code, len(value)]) + value for code, value in options)
    return head + mac + bytes(10 + 64 + 128) + MAGIC + body + b"\xff"


def offer(data: bytes) -> dict[str, str]:
    found = {
        "address": socket.inet_ntoa(data[16:20]),
        "next": socket.inet_ntoa(data[20:24]),
        "file": data[108:236].split(b"\0")[0].decode(),
    }
    at = 240
    while at < len(data) and data[at] != 255:
        code, size = data[at], data[at + 1] if data[at] else 0
        if code:
            found[str(code)] = data[at + 2 : at + 2 + size].hex()
        at += 2 + size if code else 1
    if "67" in found:
        found["file"] = bytes.fromhex(found["67"]).rstrip(b"\0").decode()
    return found


def main() -> None:
    interface, arch, ipxe = sys.argv[1], int(sys.argv[3]), "ipxe" in sys.argv
    mac = bytes.fromhex(sys.argv[2].replace(":", ""))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        link.bind(("", 68))
        found = ask(link, request(1, mac, arch, ipxe, ""), ("255.255.255.255", 67))
        own = next((word for word in sys.argv if word.count(".") == 3), "")
        if own and found.get("next", "0.0.0.0") != "0.0.0.0" and not found["file"]:
            found = ask(link, request(3, mac, arch, ipxe, own), (found["next"], 4011))
        print(json.dumps(found))


def ask(link: socket.socket, packet: bytes, where: tuple[str, int]) -> dict[str, str]:
    until = time.monotonic() + DEADLINE
    link.settimeout(1.0)
    while time.monotonic() < until:
        link.sendto(packet, where)
        try:
            data = link.recv(2048)
        except TimeoutError:
            continue
        if data[4:8] == packet[4:8] and data[0] == 2:
            return offer(data)
    return {}


main()
