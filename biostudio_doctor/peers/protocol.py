"""What `listen` and `ports.peers` say to each other: one hello, one proof, 128 bytes each.

The code has 80 random bits, written as 16 letters and digits of Crockford's base 32, which has no
I, L, O and U. It is worth little: it lives for minutes, and opens nothing but an answer. 80 bits
are so many that a recorded hello does not give the code away to somebody who tries all.

    hello  24 bytes "biostudio-doctor hello 1"; 16 random bytes, the nonce; the port that the client
           dialled, in 5 digits; zeros up to 96 bytes; then HMAC-SHA256(code, "client" + all of it)
    proof  24 bytes "biostudio-doctor proof 1"; the role; the client's address and port as they look
           from the listener; the address and port at which the hello arrived; how many ports the
           listener has open to that family of addresses, and these; zeros up to 96 bytes; then
           HMAC-SHA256(code, "listener" + the hello + all of it)

Why so:

- The client speaks first, and whoever has not the code is told nothing, not even that this is a
  listener: no oracle. The code is compared in constant time.
- The proof is as long as the hello, and is sent over an established TCP connection: no amplifier.
- Each MAC is made with a label of its own, so that a hello sent back is no proof.
- The proof covers the hello, with its nonce: a proof cannot be recorded and used again. A listener
  answers a nonce once: a hello cannot be, either.
- The proof says where the hello arrived: a redirection to another port, also of the same listener,
  comes to light, and so does a translation of addresses on the way.
- The proof lists the open ports: who is refused on one of them was refused by a firewall.
- A hello holds no line break, so that whatever else it reaches takes it for half a line at most,
  and its beginning tells the reader of that one's log where it came from.
- Nothing is encrypted: it says nothing that the addresses of its packets do not.
"""

import hashlib
import hmac
import re
import secrets
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

from biostudio_doctor.model import ROLES
from biostudio_doctor.peers.facts import Place, Proof

SIZE = 128  # bytes of a hello, and of a proof
PORTS = 17  # that a proof has room for; BioStudio has eleven
HELLO, PROOF = b"biostudio-doctor hello 1", b"biostudio-doctor proof 1"

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("OIL", "011")
_LETTERS, _BITS, _GROUP = 16, 5, 4
_BODY = 96  # bytes before the MAC
_NONCE = slice(24, 40)
_PORT = slice(40, 45)
_PLACES = struct.Struct("!B16sH16sHB")  # role, client, listener, number of ports
_LINE_BREAKS = re.compile(rb"[\r\n]")


def new_code() -> str:
    """A fresh code, as it is shown: XXXX-XXXX-XXXX-XXXX."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
    return "-".join(re.findall("." * _GROUP, letters))


def key(code: str) -> bytes:
    """The key that a code stands for. Case, dashes, blanks, and O, I and L are forgiven.

    Raises:
        ValueError: one line that does not repeat the code.
    """
    letters = re.sub(r"[\s_-]", "", code).upper().translate(_MISREAD)
    if len(letters) != _LETTERS or not set(letters) <= set(_ALPHABET):
        raise ValueError("it is no code: `listen` prints one as XXXX-XXXX-XXXX-XXXX")
    number = 0
    for letter in letters:
        number = number << _BITS | _ALPHABET.index(letter)
    return number.to_bytes(_LETTERS * _BITS // 8)


def hello(secret: bytes, port: int) -> bytes:
    """A fresh hello for the port that is dialled, without line breaks."""
    while True:
        body = HELLO + secrets.token_bytes(16) + b"%05d" % port
        frame = _signed(secret, b"client", body)
        if not _LINE_BREAKS.search(frame):
            return frame


def is_hello(secret: bytes, frame: bytes) -> bool:
    """Whether this is a whole hello made with the code."""
    body, mac = frame[:_BODY], frame[_BODY:]
    right = hmac.compare_digest(mac, _mac(secret, b"client", body))
    return right and body.startswith(HELLO) and body[_PORT].isdigit()


def nonce(frame: bytes) -> bytes:
    """The random part of a hello."""
    return frame[_NONCE]


def proof(
    secret: bytes, greeting: bytes, *, role: str, client: Place, listener: Place,
    ports: Iterable[int],
) -> bytes:  # fmt: skip
    """The answer to a hello that has been found right."""
    told = sorted(ports)[:PORTS]
    places = _PLACES.pack(
        ROLES.index(role), _packed(client.address), client.port,
        _packed(listener.address), listener.port, len(told),
    )  # fmt: skip
    body = PROOF + places + struct.pack(f"!{len(told)}H", *told)
    return _signed(secret, b"listener" + greeting, body)


def understood(secret: bytes, greeting: bytes, frame: bytes) -> Proof | None:
    """What a proof says; None if it is none, or is none for this hello."""
    body, mac = frame[:_BODY], frame[_BODY:]
    expected = _mac(secret, b"listener" + greeting, body)
    if not hmac.compare_digest(mac, expected) or not body.startswith(PROOF):
        return None
    role, client, client_port, listener, listener_port, count = _PLACES.unpack_from(
        body, len(PROOF)
    )
    return Proof(
        role=ROLES[role],
        client=Place(_unpacked(client), client_port),
        listener=Place(_unpacked(listener), listener_port),
        ports=struct.unpack_from(f"!{count}H", body, len(PROOF) + _PLACES.size),
    )


def _signed(secret: bytes, label: bytes, body: bytes) -> bytes:
    body = body.ljust(_BODY, b"\0")
    return body + _mac(secret, label, body)


def _mac(secret: bytes, label: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, label + body, hashlib.sha256)


def _packed(address: str) -> bytes:
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed if parsed.version == 6 else IPv6Address(f"::ffff:{parsed}")
    return mapped.packed


def _unpacked(packed: bytes) -> str:
    parsed = IPv6Address(packed)
    return str(parsed.ipv4_mapped or parsed)
