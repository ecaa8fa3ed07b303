"""services.https"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, structs

from biostudio_doctor import text
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL
from biostudio_doctor.requirements import Feature
from biostudio_doctor.services import Answer, Login, Presented, Target

from .services import ServiceFacts, remark
from .services_front import Front

_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
_SELF_MADE = (18, 19)  # _DEPTH_ZERO_SELF_SIGNED_CERT, _SELF_SIGNED_CERT_IN_CHAIN
_CHAIN_BROKEN = (20, 21)  # _UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _TO_VERIFY_LEAF_SIGNATURE
_WRONG_NAME = (62, 64)  # _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
_NOT_THERE = ("refused", "closed")
_TABLE = 'the table [checks."services.https"] of the configuration'


class HttpsSettings(Settings, frozen=True, kw_only=True):
    """Whom to trust."""

    ca_file: Annotated[
        AbsolutePath | None,
        Meta(description="Authorities (PEM) that are trusted besides this host's own."),
    ] = None


class ServicesHttps(Front):
    """bioproxy answers by HTTPS.

    As services.http, by TLS, and looks whether the certificate verifies here: for `domain` of the
    configuration; without one for the address that is asked, or else for a name of its own. A
    certificate that does not verify is a finding beside, and bioproxy is asked all the same.

    HTTPS may be set up later: where nothing answers at its port, and HTTP is served without a
    redirect to HTTPS, that is a warning and no failure.

    Why: browsers refuse or warn, the desktop application and notebooks do not connect.

    Mend: install a certificate on bioproxy's dashboard under Settings > Update SSL. If bioproxy
    uses another port than 443, set https in the table [ports] of the configuration.
    """

    id = "services.https"
    requirement_ids = ("port.https", "https.certificate")
    service = "https"
    name = "bioproxy (HTTPS)"
    Settings = HttpsSettings

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import web

        answer = await web.ask_front(target, self.context.config.domain or "")
        if answer.state not in _NOT_THERE:
            return answer
        http = structs.replace(target, port=self.context.config.ports.http, tls=False)
        other = await web.ask_front(http)
        served = other.state == "healthy" and not other.told.get("redirect")
        return structs.replace(answer, told={**answer.told, "http_only": served})

    def _target(self, address: str, port: int, login: Login | None, host: Host) -> Target:
        target = super()._target(address, port, login, host)
        own = self.settings.ca_file
        # The HTTP front may be asked after this one.
        return structs.replace(
            target, tls=True, ca_file=host.path(own) if own else None, timeout=target.timeout / 1.5
        )

    def _finding(self, answer: Answer, facts: ServiceFacts) -> Finding:
        finding = super()._finding(answer, facts)
        if answer.state == "ca-file":
            return structs.replace(finding, remedy=Remedy(f"Correct ca_file in {_TABLE}."))
        if answer.told.get("http_only"):
            return structs.replace(
                finding,
                status=Status.WARN,
                summary=f"{finding.summary.rstrip('.')}; HTTP is served without it.",
                remedy=Remedy(
                    "Passwords and data cross the network for everybody to read. Install a "
                    f"certificate {INSTALL}."
                ),
                requirement=self.context.requirements.demand("https.certificate", Feature),
                cause="service.https-missing",
            )
        return finding

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        told = answer.told.get("certificate")
        if told is None:
            return
        presented = msgspec.convert(told, Presented)
        if presented.verified:
            yield self._trusted(presented, finding)
            return
        warning = remark(
            finding,
            "certificate",
            "service.untrusted",
            f"The certificate of {self.name} does not verify here: {presented.error}.",
            _mend(presented),
        )
        if presented.code in _DATES or (self.context.config.domain and _is_other_name(presented)):
            warning = structs.replace(warning, status=Status.FAIL)
        yield self._about_certificate(warning)

    def _trusted(self, presented: Presented, finding: Finding) -> Finding:
        said = f"The certificate of {self.name} verifies for {presented.name}"
        if not self.context.config.domain:
            said += "; the configuration does not say by which name it is opened (domain)"
        about = Finding(Status.PASS, f"{finding.subject}: certificate", f"{said}.")
        return self._about_certificate(about)

    def _about_certificate(self, finding: Finding) -> Finding:
        feature = self.context.requirements.demand("https.certificate", Feature)
        return structs.replace(finding, requirement=feature)


def _is_other_name(presented: Presented) -> bool:
    return presented.code in _WRONG_NAME


def _mend(presented: Presented) -> Remedy:
    own = f"If the issuer is your own, name its certificate (PEM) as ca_file in {_TABLE}."
    if presented.code in _DATES:
        return Remedy(
            f"Install another certificate {INSTALL}; if the date looks right, compare this host's "
            "clock with the right time.",
            ("date -u",),
            as_root=False,
        )
    if _is_other_name(presented):
        names = text.listing(presented.made_for) if presented.made_for else "no name at all"
        return Remedy(
            f"It is made for {names}. If that is the name that colleagues use, set it as domain in "
            f"the configuration; otherwise have one issued for {presented.name}."
        )
    if presented.code in _SELF_MADE:
        return Remedy(
            "For a trial that will do: browsers warn of it. Otherwise install one from a "
            f"recognised issuer, followed by its intermediate certificates, {INSTALL}. {own}"
        )
    if presented.code in _CHAIN_BROKEN:
        where = f" (the next one is at {presented.issuer_urls[0]})" if presented.issuer_urls else ""
        return Remedy(
            "If a recognised issuer made it, its intermediate certificates are missing"
            f"{where}: put them after its own and install all {INSTALL}. {own}"
        )
    return Remedy(f"Have another certificate issued, and install it {INSTALL}.")
