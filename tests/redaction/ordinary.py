"""Ordinary lines, which nothing may touch.

ordinary/host.txt was recorded on a Debian 12 (kernel messages, package logs, /proc, addresses,
mounts, units); ordinary/services.txt is made after what the named programs write. Identifiers that
look like secrets and are none (digests, UUIDs, addresses) are filled in at run time.
"""

import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

from .material import HEX, b64, pick

PLACE = Path(__file__).with_name("ordinary")
FILLINGS = 2  # of each made line that has something to fill in


def _colons(rnd: Random, size: int) -> str:
    return ":".join(f"{byte:02X}" for byte in rnd.randbytes(size))


FILL: dict[str, Callable[[Random], str]] = {
    "n": lambda r: str(r.randrange(100, 99999)),
    "port": lambda r: str(r.randrange(1024, 65535)),
    "ip": lambda r: f"10.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(1, 255)}",
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)),
    "uuidupper": lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)).upper(),
    "mac": lambda r: _colons(r, 6).lower(),
    "colonhex32": lambda r: _colons(r, 32),
    "colonhex20": lambda r: _colons(r, 20),
    "colonhex16": lambda r: _colons(r, 16).lower(),
    "sha256": lambda r: pick(r, HEX, 64),
    "id": lambda r: pick(r, HEX, 64),
    "sha1": lambda r: pick(r, HEX, 40),
    "sha1upper": lambda r: pick(r, HEX, 40).upper(),
    "md5": lambda r: pick(r, HEX, 32),
    "az5": lambda r: pick(r, string.ascii_lowercase, 5),
    "upper16": lambda r: pick(r, string.ascii_uppercase + string.digits, 16),
    "upperhex16": lambda r: pick(r, HEX, 16).upper(),
    "fingerprint": lambda r: " ".join(pick(r, HEX, 4).upper() for _ in range(10)),
    **{f"hex{n}": partial(pick, alphabet=HEX, size=n) for n in (6, 7, 8, 10, 12, 16, 32)},
}


PLACEHOLDER = re.compile("@(b64:[0-9]+|%s)@".replace("%s", "|".join(sorted(FILL, key=len))))


def _fill(line: str, rnd: Random) -> str:
    def one(found: re.Match[str]) -> str:
        name, _, size = found[1].partition(":")
        return b64(rnd.randbytes(int(size))) if name == "b64" else FILL[name](rnd)

    return PLACEHOLDER.sub(one, line)


def lines(seed: int) -> Iterator[str]:
    rnd = random.Random(seed)
    yield from (PLACE / "host.txt").read_text().splitlines()
    made = (PLACE / "services.txt").read_text().splitlines()[1:]
    for turn in range(FILLINGS):
        yield from (_fill(line, rnd) for line in made if turn == 0 or PLACEHOLDER.search(line))
