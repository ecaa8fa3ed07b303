"""Certificates: what they say, never their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from biostudio_doctor.ca_bundles import ADDED_DIRECTORIES
from biostudio_doctor.certificates import SIZE_LIMIT, CertificateError, read
from biostudio_doctor.certificates.watched import sources
from biostudio_doctor.collector import Collector, Item, Say
from biostudio_doctor.host import Host

_OWN = "/biocolab/configs/tls.crt"  # bioproxy's, unless the checks are told another
_FILES = 200  # of a directory of authorities
_SECONDS = 8.0


class CertificatesCollector(Collector):
    """Certificates: what those that are configured or served say.

    Subject, issuer, names, dates and fingerprints: of the files and endpoints that `certificates`
    in the configuration names, of bioproxy's own /biocolab/configs/tls.crt, and of what is served
    under the configured domain once BioStudio runs; and of the authorities that administrators
    added to the system's, in directories such as /usr/local/share/ca-certificates.

    Leaves out: private keys, always. Of one beside a certificate no more than the fingerprint of
    its public half is told, with mode and owner of its file.
    """

    id = "certificates"

    def items(self) -> Iterator[Item]:
        """Files of authorities first: no endpoint is waited for."""
        directories = [path for path in ADDED_DIRECTORIES if self.host.listdir_if_any(path)]
        if directories:
            source = ", ".join(directories)
            yield Say(tell=self._authorities, name="added-authorities.json", source=source)
        watched = self._sources()
        yield Say(
            tell=self._watched,
            name="watched.json",
            source=", ".join(one.at for one in watched) or "the configuration",
        )

    def _sources(self) -> Any:
        config = self.surroundings.config
        own = config.checks.get("certificate.expiry", {}).get("bioproxy_certificate", _OWN)
        return sources(config, own=str(own), running=config.phase == "running")

    def _watched(self) -> Any:
        from biostudio_doctor.certificates.survey import survey

        found = survey(
            self.host,
            self._sources(),
            ca_file=self.surroundings.config.checks.get("certificate.expiry", {}).get("ca_file"),
            offline=self.surroundings.offline,
            seconds=_SECONDS,
        )
        return {"certificates": found.watched}

    def _authorities(self) -> Any:
        return {
            f"{directory}/{name}": _facts(self.host, f"{directory}/{name}")
            for directory in ADDED_DIRECTORIES
            for name in self.host.listdir_if_any(directory)[:_FILES]
        }


def _facts(host: Host, path: str) -> Any:
    try:
        return read(host.read_bytes(path, SIZE_LIMIT + 1))
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except CertificateError as error:
        return str(error)
