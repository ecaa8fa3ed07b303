"""Whom a browser, curl and conda trust, as far as that can be known on this host.

curl and conda are asked about by the settings of this host and this environment (host.trust). A
browser runs on the computers of colleagues: Mozilla's list of public authorities, which Chrome's
and Apple's hardly differ from, stands for it, and its private authorities are unknown here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping

from msgspec import Struct

from biostudio_doctor.certificates.chains import Authorities
from biostudio_doctor.certificates.facts import CertificateError
from biostudio_doctor.certificates.formats import pem_certificates
from biostudio_doctor.certificates.inspection import Client
from biostudio_doctor.host import Host
from biostudio_doctor.host.trust import Named, Program, look

_BUNDLE_LIMIT = 4 << 20  # bytes
_FILES = 2000  # of a directory of authorities


class Trusting(Struct, kw_only=True):
    """One client, and the authorities that it verifies with. It is no fact."""

    client: Client
    trusts: str  # in words
    authorities: Authorities
    off: str = ""  # the setting that switches verification off
    broken: str = ""  # why it can verify nothing, in words that follow "it"


def clients(
    host: Host, environ: Mapping[str, str], given: Iterable[bytes] = (), given_at: str = ""
) -> tuple[Trusting, ...]:
    """A browser, curl and conda; `given` are authorities (DER) that all of them trust besides."""
    facts = look(host, environ)
    programs = {one.name: one for one in facts.programs}
    system = facts.store.bundle.path if facts.store.bundle and facts.store.bundle.is_good else ""
    return _Reader(host, list(given), given_at, system).all(programs)


class _Reader:
    def __init__(self, host: Host, given: list[bytes], given_at: str, system: str) -> None:
        self._host = host
        self._given = given
        self._besides = f", and those in {given_at}" if given else ""
        self._system = system
        self._read: dict[tuple[str, ...], Authorities] = {}

    def all(self, programs: Mapping[str, Program]) -> tuple[Trusting, ...]:
        """The clients in the order in which they are shown."""
        mozilla = Host("/"), _certifi()
        browser = Trusting(
            client="browser",
            trusts=f"Mozilla's list of public authorities{self._besides}",
            authorities=self._authorities(*mozilla),
        )
        curl = self._program("curl", programs["curl"], self._bundle(), self._system_words())
        conda = self._program(
            "conda", programs["conda"], self._authorities(*mozilla), "the list it brings (certifi)"
        )
        return browser, curl, conda

    def _bundle(self) -> Authorities:
        return self._authorities(self._host, self._system)

    def _system_words(self) -> str:
        return f"the system's bundle {self._system}" if self._system else "no bundle of the system"

    def _program(
        self, client: Client, program: Program, authorities: Authorities, words: str
    ) -> Trusting:
        """What a program uses by its settings, else what it does by itself."""
        if program.uses:
            paths = tuple(one.bundle.path for one in program.uses)
            names = ", ".join(dict.fromkeys(one.setting for one in program.uses))
            words = f"{', '.join(paths)} ({names})"
            authorities = self._authorities(self._host, *paths)
        elif program.system:
            words = f"{self._system_words()} ({program.system})"
            authorities = self._bundle()
        return Trusting(
            client=client,
            trusts=words + self._besides,
            authorities=authorities,
            off=program.off,
            broken=next((_unusable(one) for one in program.uses if not one.bundle.is_good), ""),
        )

    def _authorities(self, host: Host, *paths: str) -> Authorities:
        key = (host.root, *paths)
        if key not in self._read:
            ders = [der for path in paths if path for der in _ders(host, path)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of old sins, such as a serial number of zero
                self._read[key] = Authorities(ders, self._given)
        return self._read[key]


def _unusable(named: Named) -> str:
    problem = named.bundle.problem or "all authorities in it have expired"
    return f"cannot use {named.bundle.path}, which {named.setting} names: {problem}"


def _certifi() -> str:
    import certifi

    return os.path.realpath(certifi.where())


def _ders(host: Host, path: str) -> list[bytes]:
    """The authorities in a bundle, or in the files of a directory."""
    try:
        return list(pem_certificates(host.read_bytes(path, _BUNDLE_LIMIT)))
    except CertificateError:
        return []
    except OSError:
        pass
    found: dict[bytes, None] = {}
    for name in host.listdir_if_any(path)[:_FILES]:
        try:
            found |= dict.fromkeys(pem_certificates(host.read_bytes(f"{path}/{name}", 1 << 20)))
        except (OSError, CertificateError):
            continue
    return list(found)
