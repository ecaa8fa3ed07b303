"""Private keys: which certificate they belong to, and who may read them.

Of a key only the public half is told. Its file is read, and the key loaded, in a process of its
own that leaves no core and ends with it. This one sees only a key that stands in one file with its
certificate.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, structs

from biostudio_doctor.certificates.facts import key_print
from biostudio_doctor.confined import ConfinedError, confined

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_SIZE_LIMIT = 64 << 10  # bytes; a key of 16384 bits has 13 KiB

Trouble = Literal["missing", "denied", "locked", "bad"]


class KeyFacts(Struct, frozen=True, kw_only=True):
    """What may be known of a private key."""

    path: str  # of the file it is in
    public_sha256: str = ""  # fingerprint of its public half; '' where that could not be had
    mode: int | None = None  # permissions of the file; None where it has no file of its own
    uid: int = 0
    sheltered: bool = False  # a directory above lets in nobody but its owner and group
    trouble: Trouble | None = None  # why there is no fingerprint
    problem: str = ""  # the same in words that follow "it"


def read(host: Host, path: str, password: str | None = None) -> KeyFacts:
    """Look at the file of a private key; what is wrong with it becomes its problem."""
    try:
        status = host.stat(path)
        mode, uid = stat.S_IMODE(status.st_mode), status.st_uid
        sheltered = _is_sheltered(host, path)
    except OSError as error:
        return _unreadable(path, error)
    found = _loaded(path, lambda: _public_half_of(host, path, password), password)
    return structs.replace(found, mode=mode, uid=uid, sheltered=sheltered)


def _is_sheltered(host: Host, path: str) -> bool:
    """Whether others are kept out by a directory above, wherever links lead."""
    above = os.path.dirname(host.real_path(path))
    while above != "/":
        if not host.stat(above).st_mode & stat.S_IXOTH:
            return True
        above = os.path.dirname(above)
    return False


def of(path: str, data: bytes, password: str | None = None) -> KeyFacts:
    """A private key in PEM or DER, with what stands around it."""
    return _loaded(path, lambda: _public_half(data, password), password)


def _loaded(path: str, work: Callable[[], bytes], password: str | None) -> KeyFacts:
    """What `work` says of a key, done confined."""
    from cryptography.hazmat.primitives import serialization  # noqa: F401 - for the fork

    try:
        answer = confined(work)
    except ConfinedError as error:
        return KeyFacts(path=path, trouble="bad", problem=str(error))
    said, _, spki = answer.partition(b":")
    if said == b"key":
        return KeyFacts(path=path, public_sha256=key_print(spki))
    if said == b"unread":
        code, _, reason = spki.decode().partition(":")
        return _unreadable(path, OSError(int(code), reason))
    if said == b"large":
        return KeyFacts(path=path, trouble="bad", problem="it is too large for a private key")
    if said == b"locked":
        wanted = "the password given does not open it" if password else "it wants a password"
        return KeyFacts(path=path, trouble="locked", problem=wanted)
    return KeyFacts(path=path, trouble="bad", problem="it holds no private key that can be read")


def _public_half_of(host: Host, path: str, password: str | None) -> bytes:
    """Of a file: as `_public_half`, or `unread:` with the error's number and words."""
    try:
        data = host.read_bytes(path, _SIZE_LIMIT + 1)
    except OSError as error:
        return f"unread:{error.errno or 0}:{error.strerror or error}".encode()
    return _public_half(data, password)


def _public_half(data: bytes, password: str | None) -> bytes:
    """`key:` and the public half, or `locked:`, `bad:`, `large:`.

    No words of a library, which sees it all, are passed on.
    """
    from cryptography.hazmat.primitives import serialization

    if len(data) > _SIZE_LIMIT:
        return b"large:"
    pem = b"-----BEGIN" in data
    load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
    for block in _key_blocks(data) if pem else [data]:
        try:
            key = load(block, password.encode() if password else None)
        except TypeError:  # a password where none is wanted, or none where one is
            if not password:
                return b"locked:"
            try:
                key = load(block, None)
            except Exception:  # cryptography names no closed list
                return b"bad:"
        except Exception:  # a wrong password is a ValueError like others
            return b"locked:" if b"ENCRYPTED" in block else b"bad:"
        return b"key:" + key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return b"bad:"


def _key_blocks(data: bytes) -> list[bytes]:
    """The PEM blocks that hold a private key: parameters and certificates may stand around it."""
    import re

    pattern = rb"-----BEGIN ([A-Z ]{0,20}PRIVATE KEY)-----.*?-----END \1-----\s*"
    return [found[0] for found in re.finditer(pattern, data, re.DOTALL)]


def _unreadable(path: str, error: OSError) -> KeyFacts:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return KeyFacts(path=path, trouble="missing", problem="there is no such file")
    denied = isinstance(error, PermissionError)
    return KeyFacts(
        path=path,
        trouble="denied" if denied else "bad",
        problem=f"it cannot be read: {error.strerror or error}",
    )
