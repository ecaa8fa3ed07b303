"""Asks the module icmp of each target in turn, as a program: for a network namespace of its own.

Run: python -m tests.daemon.pinging [--beside | --forged] [TARGET...]

Prints what each answered, as JSON; with --beside also what the blackbox exporter did. With --forged
somebody answers each request at 127.0.0.1 who has not read it.
"""

import contextlib
import json
import socket
import struct
import sys
import threading

import httpx

from tests.daemon.probing import asked, blackbox


def forge() -> None:
    """Answer each echo request with its identifier and number, and other data."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        while True:
            request = raw.recv(2048)[20:]  # after the header of IP
            if request[0] == 8:
                data = request[4:8] + b"x" * 28
                total = sum(struct.unpack(f"!{len(data) // 2}H", data))
                total = (total & 0xFFFF) + (total >> 16)
                raw.sendto(struct.pack("!BBH", 0, 0, ~total & 0xFFFF) + data, ("127.0.0.1", 0))


def main(*arguments: str) -> None:
    """Ask."""
    targets = [each for each in arguments if not each.startswith("--")]
    if "--forged" in arguments:
        threading.Thread(target=forge, daemon=True).start()
    pages = [[asked(each, "icmp", *targets, timeout=2.0).text] for each in targets]
    if "--beside" in arguments:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(blackbox(b""))
            for page, target in zip(pages, targets, strict=True):
                asking = {"module": "icmp", "target": target}
                page.append(httpx.get(url, params=asking, timeout=20).text)
    print(json.dumps(pages))


if __name__ == "__main__":
    main(*sys.argv[1:])
