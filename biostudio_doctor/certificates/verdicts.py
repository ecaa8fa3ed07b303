"""What a browser, curl and conda say of a chain.

Trust is verified, with the authorities of each client, by the X.509 verifier of `cryptography`;
dates and names are compared. Whatever else a client is known for is a rule, with its source, and is
told as one. Not looked at: Certificate Transparency, HSTS, and revocation, which is the business of
certificate.revocation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.certificates import chains
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.client_words import ADVICE, WORDS
from biostudio_doctor.certificates.clients import Trusting
from biostudio_doctor.certificates.facts import CertificateFacts
from biostudio_doctor.certificates.inspection import Client, Reason, Says, Verdict
from biostudio_doctor.certificates.names import as_address, matches
from biostudio_doctor.certificates.verification import (
    NO_NAMES,
    NOT_FOR_SERVERS,
    path_problem,
    strict_problem,
)
from biostudio_doctor.certificates.watched import Watched

if TYPE_CHECKING:
    from cryptography import x509

_WEAK_HASHES = ("md2", "md4", "md5", "sha1")
_OLD_TLS = ("SSLv3", "TLSv1", "TLSv1.1")
#: What the verifier of `cryptography` refuses because it does not know it, and OpenSSL may.
_NOT_UNDERSTOOD = ("unsupported", "unaccounted-for critical", "must be UtcTime", "Forbidden")
#: The causes that do not make a client refuse, or not every version of it.
_SOFT = {
    "intermediate-missing", "long-life-apple", "short-key-apple", "no-purpose-apple",
    "letter", "not-understood",
}  # fmt: skip

_APPLE_SINCE = datetime(2019, 7, 1, tzinfo=UTC)  # support.apple.com/103769
#: support.apple.com/102028; Chromium: net/cert/cert_verify_proc.cc, HasTooLongValidity.
_ONE_YEAR_SINCE = datetime(2020, 9, 1, tzinfo=UTC)

#: How the clients come to the first problem that they name: OpenSSL verifies the chain, strength,
#: (Python: the name,) and dates (crypto/x509/x509_vfy.c, verify_chain); curl compares names itself,
#: after that.
_ORDER: dict[Client, tuple[str, ...]] = {
    "browser": ("tls", "trust", "dates", "name", "strength", "browsers"),
    "curl": ("tls", "trust", "strength", "dates", "name"),
    "conda": ("tls", "trust", "strength", "name", "dates", "letter"),
}


class Shown(Struct, kw_only=True):
    """What a client is shown. It is no fact."""

    watched: Watched
    chain: Chain
    loaded: Sequence[x509.Certificate]
    name: str  # the host that it is asked for; '' for any
    now: datetime


def verdict(client: Trusting, shown: Shown) -> Verdict:
    """What one client says."""
    if client.broken or client.off:
        return _by_setting(client)
    case = _Case(client, shown)
    reasons = tuple(case.reasons())
    return Verdict(
        client=client.client,
        says=_says(reasons),
        trusts=client.trusts,
        anchor=case.chain.anchor,
        reasons=reasons,
    )


def _by_setting(client: Trusting) -> Verdict:
    if client.broken:
        reason = Reason(
            cause="bad-authorities",
            text=f"it {client.broken}",
            words=WORDS[client.client].get("bad-authorities", ()),
        )
        return Verdict(
            client=client.client, says="refuses", trusts=client.trusts, reasons=(reason,)
        )
    reason = Reason(
        cause="unverified", text=f"{client.off} switches verification off, so anything is accepted"
    )
    return Verdict(client=client.client, says="partly", trusts="nobody", reasons=(reason,))


def _says(reasons: Sequence[Reason]) -> Says:
    causes = {one.cause for one in reasons}
    if not causes:
        return "accepts"
    if causes - _SOFT:
        return "refuses"
    return "unknown" if "not-understood" in causes else "partly"


class _Case:
    """One chain before one client."""

    def __init__(self, client: Trusting, shown: Shown) -> None:
        self._client = client.client
        self._shown = shown
        self._store = client.authorities
        self.chain = chains.link(shown.loaded, shown.chain.certificates, client.authorities)
        self._path = [self.chain.certificates[at] for at in self.chain.path]
        self._leaf = self.chain.leaf

    def reasons(self) -> Iterator[Reason]:
        """All of them, the one first that the client names."""
        for step in _ORDER[self._client]:
            yield from getattr(self, f"_{step}")()

    def _reason(self, cause: str, words: str, *, rule: bool = False) -> Reason:
        said = WORDS[self._client].get(cause, ())
        shown = {"name": self._shown.name or "HOST", "common_name": self._leaf.common_name}
        return Reason(
            cause=cause,
            text=words,
            rule=rule,
            words=tuple(one.format(**shown) for one in said),
            advice=ADVICE[self._client].get(cause, ""),
        )

    def _tls(self) -> Iterator[Reason]:
        tls = self._shown.watched.tls
        if tls and tls.version in _OLD_TLS:
            yield self._reason("old-tls", f"the server offers no better than {tls.version}")

    # --- Trust ------------------------------------------------------------------------------------

    def _trust(self) -> Iterator[Reason]:
        chain, top = self.chain, self.chain.top
        if not chain.above:
            if self._leaf.self_signed:
                yield self._reason("self-signed", "it is self-signed, and not trusted itself")
            elif top.self_signed:
                yield self._reason(
                    "private-authority", f"its root '{top.name}' is not among those that it trusts"
                )
            else:
                yield self._unknown_issuer(top)
            return
        if not chain.is_trusted:
            yield self._reason("no-authority", "it was issued by a certificate that may issue none")
            return
        if self._leaf.self_signed or self._is_anchor_dead():
            return
        problem = path_problem(self._shown.loaded, chain, self._store, self._shown.now)
        if problem:
            yield from self._path_problem(problem)

    def _unknown_issuer(self, top: CertificateFacts) -> Reason:
        urls = [url for url in top.issuer_urls if url.lower().startswith("http")]
        if self._client != "browser" or not urls:
            words = f"the issuer '{top.issuer}' is neither in the chain nor among those it trusts"
            return self._reason("issuer-unknown", words)
        # Chromium: net/cert/cert_verify_proc.h (AIA fetching); Mozilla: "Intermediate Preloading"
        # on wiki.mozilla.org/Security/CryptoEngineering; Firefox fetches none.
        return self._reason(
            "intermediate-missing",
            f"an intermediate is missing: Chrome, Edge and Safari fetch it from {urls[0]}, Firefox "
            "knows only those of public authorities; below an authority that it does not trust it "
            "refuses all the same",
            rule=True,
        )

    def _path_problem(self, problem: str) -> Iterator[Reason]:
        tls = self._shown.watched.tls
        if any(one in problem for one in _NOT_UNDERSTOOD):
            if any(self._strength()) or (tls and tls.verified and self._client != "browser"):
                return  # that is said already; and what OpenSSL has verified is known
            yield self._reason(
                "not-understood", f"whether it accepts this cannot be told here: {problem}"
            )
        elif problem == NOT_FOR_SERVERS:
            yield self._reason("not-for-servers", problem)
        else:
            yield self._reason("refused", f"a rule of certification is broken: {problem}")

    # --- Dates, names, strength -------------------------------------------------------------------

    def _dates(self) -> Iterator[Reason]:
        now = self._shown.now
        for one in self._path:
            who = "it" if one is self._leaf else f"'{one.name}' above it"
            if one.not_after <= now:
                yield self._reason("expired", f"{who} expired on {one.not_after:%Y-%m-%d}")
                return
            if one.not_before > now:
                since = f"{one.not_before:%Y-%m-%d %H:%M} UTC"
                yield self._reason("not-yet-valid", f"{who} is not valid before {since}")
                return

        if self._is_anchor_dead():
            words = f"the authority '{self.chain.anchor}' above it has expired"
            yield self._reason("expired", words)

    def _is_anchor_dead(self) -> bool:
        until = self.chain.anchor_until
        return until is not None and until <= self._shown.now

    def _name(self) -> Iterator[Reason]:
        wanted, names = self._shown.name, self._leaf.names
        if any(matches(one, wanted) for one in names):
            return
        if names and wanted:
            address = as_address(wanted) is not None
            cause = "other-address" if address else "other-name"
            yield self._reason(cause, f"it is not for {wanted}")
        elif not names and (self._client != "curl" or (wanted and not self._has_common_name())):
            yield self._reason("no-names", "it has no alternative names, so it is for no host")

    def _has_common_name(self) -> bool:
        """curl goes by the common name where there is no other (lib/vtls/openssl.c)."""
        return matches(self._leaf.common_name, self._shown.name)

    def _strength(self) -> Iterator[Reason]:
        for one in self._path:
            bits = one.key_bits or 0
            if one.signature_hash in _WEAK_HASHES and not one.self_signed:
                yield self._reason(
                    "weak-signature",
                    f"'{one.name}' is signed with {text.hash_name(one.signature_hash)}, which "
                    "browsers and OpenSSL have given up",
                    rule=True,
                )
                return
            if one.key_type == "RSA" and bits < 2048 and self._client != "browser":
                # OpenSSL's security level 2, SSL_CTX_set_security_level(3): 112 bits, RSA of 2048.
                yield self._reason(
                    "weak-key",
                    f"the key of '{one.name}' has {bits} bits, where OpenSSL's usual level wants "
                    "2048",
                    rule=True,
                )
                return

    def _letter(self) -> Iterator[Reason]:
        """Python's ssl.create_default_context, and urllib3, set VERIFY_X509_STRICT from 3.13 on."""
        if not self.chain.is_trusted or self._leaf.self_signed or self._is_anchor_dead():
            return
        shown, chain = self._shown, self.chain
        problem = strict_problem(shown.loaded, chain, self._store, shown.now)
        if problem in ("", NO_NAMES) or path_problem(shown.loaded, chain, self._store, shown.now):
            return  # which is said already
        yield self._reason(
            "letter",
            f"Python from 3.13 on goes by the rules to the letter, and may refuse it: {problem}",
            rule=True,
        )

    # --- What browsers are known for --------------------------------------------------------------

    def _browsers(self) -> Iterator[Reason]:
        leaf = self._leaf
        if leaf.key_type in ("Ed25519", "Ed448"):  # none is among their signature algorithms
            words = f"no browser takes a key of {leaf.key_type}"
            yield self._reason("unusual-key", words, rule=True)
        if leaf.key_type == "RSA" and (leaf.key_bits or 0) < 1024:  # Chromium: net/cert/x509_util
            yield self._reason("weak-key", f"its key has {leaf.key_bits} bits", rule=True)
        days = leaf.lifetime / timedelta(days=1)
        if self.chain.above == "system" and days > 398 and leaf.not_before >= _ONE_YEAR_SINCE:
            words = f"it is for {days:.0f} days, where 398 are the most for a public authority"
            yield self._reason("long-life", words, rule=True)
        yield from self._apple(days)

    def _apple(self, days: float) -> Iterator[Reason]:
        """What Safari wants of all authorities, also of private ones (support.apple.com/103769)."""
        short = [one for one in self._path if one.key_type == "RSA" and (one.key_bits or 0) < 2048]
        if short:
            words = f"Safari refuses the key of '{short[0].name}', of {short[0].key_bits} bits"
            yield self._reason("short-key-apple", words, rule=True)
        if self._leaf.not_before < _APPLE_SINCE:
            return
        if days > 825:
            words = f"Safari refuses it, for it is made for {days:.0f} days, and 825 are its limit"
            yield self._reason("long-life-apple", words, rule=True)
        if not _has_purposes(self._shown.loaded[self.chain.leaf_at]):
            words = "Safari refuses it, for it does not say that it is for servers (extKeyUsage)"
            yield self._reason("no-purpose-apple", words, rule=True)


def _has_purposes(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except Exception:  # there is none, or it cannot be read
        return False
    return True
