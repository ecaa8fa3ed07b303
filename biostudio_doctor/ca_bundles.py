"""Bundles: files and directories of the authorities that programs trust.

A system's bundle holds some 140 certificates, and only three things are asked of each: its
fingerprint, whether it is a certificate, and whether it has expired. Importing `cryptography`
takes longer (some 45 ms) than reading the whole bundle this way (some 3 ms), so it is asked only
about what does not look like a certificate, to say what it is instead.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor import certificates
from biostudio_doctor.certificates import CertificateError

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Where distributions keep their bundle, in the order in which Go's crypto/x509 looks
#: (root_linux.go): Debian and Ubuntu, RHEL and Fedora, SUSE, others.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

#: Where administrators put authorities of their own, with the ending that a file must have there.
ADDED_DIRECTORIES = {
    "/usr/local/share/ca-certificates": ".crt",  # update-ca-certificates(8) of Debian and Alpine
    "/etc/pki/ca-trust/source/anchors": "",  # update-ca-trust(8) of RHEL
    "/etc/pki/trust/anchors": "",  # update-ca-certificates(8) of SUSE
    "/etc/ca-certificates/trust-source/anchors": "",  # update-ca-trust(8) of Arch
}

#: Public authorities above the clouds, networks and registries that BioStudio's hosts are on, by
#: SHA-256. GTS Root R1 was issued anew in 2023, and its older form is in older bundles.
WELL_KNOWN = {
    "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6": "ISRG Root X1",
    "cb3ccbb76031e5e0138f8dd39a23f9de47ffc35e43c1144cea27d46a5ab1cb5f": "DigiCert Global Root G2",
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e": "Amazon Root CA 1",
    "d947432abde7b7fa90fc2e6b59101b1280e0e1c7e4e40fa3c6887fff57a7f4cf": "GTS Root R1",
    "2a575471e31340bc21581cbd2cf13e158463203ece94bcf9d3cc196bf09a5472": "GTS Root R1",
    "2cabeafe37d06ca22aba7391c0033d25982952c453647349763a3ab5ad6ccf69": "GlobalSign Root CA - R6",
}

_SIZE_LIMIT = 4 << 20  # bytes
_ENTRIES = 2000  # of a directory
_DEPTH = 3  # of directories below one of ADDED_DIRECTORIES
_HASHED = re.compile(r"[0-9a-f]{8}\.\d{1,3}")  # X509_LOOKUP_hash_dir(3)

State = Literal["good", "missing", "denied", "bad"]


class Bundle(Struct, frozen=True, kw_only=True):
    """What a program finds where it looks for authorities."""

    path: str
    state: State
    problem: str = ""  # why it is no good, in words that follow "it": "it is empty"
    directory: bool = False  # with files named after hashes; the next three are not read then
    count: int = 0  # of authorities
    expired: int = 0  # of them, at the time of the look
    well_known: tuple[str, ...] = ()  # those of WELL_KNOWN that are in it

    @property
    def is_good(self) -> bool:
        """Whether anything can be verified with it."""
        return self.state == "good" and (self.directory or self.expired < self.count)


class Added(Struct, frozen=True, kw_only=True):
    """An authority that was added to this system by hand."""

    path: str
    problem: str = ""  # why it is no good
    ignored: bool = False  # its name lacks the ending that the system looks for
    expired: bool = False
    in_bundle: bool = False


class SystemStore(Struct, frozen=True, kw_only=True):
    """The authorities that this system trusts."""

    bundle: Bundle | None  # None where there is none
    added: tuple[Added, ...] = ()


def look(host: Host, path: str, now: datetime) -> Bundle:
    """A file or directory that some setting names. What is wrong with it becomes its problem."""
    return _look(host, path, now)[0]


def system_store(host: Host, now: datetime) -> SystemStore:
    """The system's bundle, and whether the authorities that were added by hand are in it."""
    path = next((path for path in SYSTEM_BUNDLES if host.exists(path)), "")
    bundle, trusted = _look(host, path, now) if path else (None, frozenset())
    added = [
        _added(host, file, ending, now, trusted)
        for directory, ending in ADDED_DIRECTORIES.items()
        for file in _files(host, directory)
    ]
    return SystemStore(bundle=bundle, added=tuple(added))


def not_after(der: bytes) -> datetime:
    """The last moment of a certificate (RFC 5280, 4.1.2.5), without reading more than it takes.

    Raises:
        CertificateError: if this is no certificate.
    """
    try:
        return _not_after(der)
    except (IndexError, ValueError, OverflowError):
        return certificates.from_der(der).not_after


def _look(host: Host, path: str, now: datetime) -> tuple[Bundle, frozenset[str]]:
    """A bundle, and the fingerprints in it."""
    try:
        if stat.S_ISDIR(host.stat(path).st_mode):
            return _directory(host, path), frozenset()
        data = host.read_bytes(path, _SIZE_LIMIT + 1)
        if len(data) > _SIZE_LIMIT:
            raise CertificateError(f"it is larger than {_SIZE_LIMIT >> 20} MiB")
        return _read(path, data, now)
    except (OSError, ValueError) as error:
        return _unreadable(path, error), frozenset()
    except CertificateError as error:
        return Bundle(path=path, state="bad", problem=str(error)), frozenset()


def _read(path: str, data: bytes, now: datetime) -> tuple[Bundle, frozenset[str]]:
    authorities = list(certificates.pem_certificates(data))
    if not authorities:
        raise CertificateError(_what_else(data))
    import hashlib

    prints = [hashlib.sha256(der).hexdigest() for der in authorities]
    bundle = Bundle(
        path=path,
        state="good",
        count=len(authorities),
        expired=sum(not_after(der) < now for der in authorities),
        well_known=tuple(dict.fromkeys(WELL_KNOWN[one] for one in prints if one in WELL_KNOWN)),
    )
    return bundle, frozenset(prints)


def _what_else(data: bytes) -> str:
    """What a file without a certificate in PEM holds instead."""
    try:
        certificates.read(data)
    except CertificateError as error:
        return str(error)
    return "it is in DER, where PEM is wanted; convert it with: openssl x509 -inform der -in FILE"


def _directory(host: Host, path: str) -> Bundle:
    names = host.listdir(path)[:_ENTRIES]
    hashed = sum(_HASHED.fullmatch(name) is not None for name in names)
    problem = ""
    if not hashed:
        problem = "it is a directory without files that are named after hashes (openssl rehash)"
    return Bundle(
        path=path, state="good" if hashed else "bad", problem=problem, directory=True, count=hashed
    )


def _unreadable(path: str, error: OSError | ValueError) -> Bundle:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Bundle(path=path, state="missing", problem="it does not exist")
    if isinstance(error, PermissionError):
        return Bundle(path=path, state="denied", problem="this user may not read it")
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return Bundle(path=path, state="bad", problem=f"it cannot be read ({reason})")


def _files(host: Host, directory: str, depth: int = _DEPTH) -> Iterator[str]:
    for name in host.listdir_if_any(directory)[:_ENTRIES]:
        path = f"{directory}/{name}"
        try:
            below = stat.S_ISDIR(host.stat(path).st_mode)
        except OSError:  # a link that leads nowhere: reading it will say so
            below = False
        if not below:
            yield path
        elif depth:
            yield from _files(host, path, depth - 1)


def _added(host: Host, path: str, ending: str, now: datetime, trusted: frozenset[str]) -> Added:
    if not path.endswith(ending):
        return Added(path=path, ignored=True)
    try:
        data = host.read_bytes(path, _SIZE_LIMIT)
        authorities = list(certificates.pem_certificates(data)) or [_single(data)]
        last = max(not_after(der) for der in authorities)
    except (OSError, ValueError) as error:
        return Added(path=path, problem=_unreadable(path, error).problem)
    except CertificateError as error:
        return Added(path=path, problem=str(error))
    import hashlib

    prints = {hashlib.sha256(der).hexdigest() for der in authorities}
    return Added(path=path, expired=last < now, in_bundle=prints <= trusted)


def _single(data: bytes) -> bytes:
    """A file that is one certificate in DER."""
    certificates.read(data)
    return data


# --- DER (X.690), as far as the dates of a certificate --------------------------------------------

_SEQUENCE, _INTEGER, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18


def _not_after(der: bytes) -> datetime:
    at, end = _content(der, 0, _SEQUENCE)
    if end != len(der):
        raise ValueError
    at, _ = _content(der, at, _SEQUENCE)  # TBSCertificate
    fields: Sequence[int] = (_INTEGER, _SEQUENCE, _SEQUENCE)  # serial number, algorithm, issuer
    for tag in (_VERSION, *fields) if der[at] == _VERSION else fields:
        _, at = _content(der, at, tag)
    at, _ = _content(der, at, _SEQUENCE)  # Validity
    _, at = _content(der, at, der[at])  # notBefore
    start, end = _content(der, at, der[at])
    return _time(der[at], der[start:end].decode("ascii"))


def _content(der: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the content of the element with this tag begins and ends."""
    length, start = der[at + 1], at + 2
    if der[at] != tag:
        raise ValueError
    if length & 0x80:  # the number of bytes that the length itself takes
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise ValueError
    return start, start + length


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:  # two digits of the year; from 50 on, of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError
    if not re.fullmatch(r"[0-9]{14}Z", text):
        raise ValueError
    parts = [int(text[:4]), *(int(text[i : i + 2]) for i in range(4, 14, 2))]
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
