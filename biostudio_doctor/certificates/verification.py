"""Whether a chain is trusted, by the X.509 verifier of `cryptography`.

It follows the rules of the public web (CA/Browser Forum) to the letter. Dates are left to whoever
judges them: a chain is verified for a moment at which all of it is valid, if there is one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from biostudio_doctor.certificates.chains import Authorities, Chain
from biostudio_doctor.certificates.facts import words
from biostudio_doctor.certificates.names import as_address

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509.verification import Policy, PolicyBuilder

NO_NAMES = "it has no alternative names"
NOT_FOR_SERVERS = "it is not made for servers"


def strict_problem(
    certificates: Sequence[x509.Certificate],
    chain: Chain,
    authorities: Authorities,
    now: datetime,
) -> str:
    """Why the strict verifier refuses a chain; '' if it does not.

    The server's certificate is asked for a name that it has, since which name it should have is
    another question.
    """
    from cryptography.x509 import DNSName, IPAddress, verification

    name = _a_name(chain)
    if not name:  # that is not all that can be wrong with it
        return path_problem(certificates, chain, authorities, now) or NO_NAMES
    if not authorities.all:
        return "no authority is known here"
    address = as_address(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            builder = verification.PolicyBuilder().store(authorities.store)
            subject = IPAddress(address) if address else DNSName(name)
            verifier = _strict(builder).time(_moment(chain, now)).build_server_verifier(subject)
            leaf = chain.leaf_at
            others = [one for at, one in enumerate(certificates) if at != leaf]
            verifier.verify(certificates[leaf], others)
        except Exception as error:  # a name that is none is a ValueError, others are not listed
            return _said(error)
    return ""


def path_problem(
    certificates: Sequence[x509.Certificate],
    chain: Chain,
    authorities: Authorities,
    now: datetime,
) -> str:
    """Why path validation as RFC 5280 has it refuses a chain; '' if it does not.

    That is about what OpenSSL asks: signatures, dates, who may issue whom and how deep, name
    constraints, purposes, and no critical extension that is not understood. The public web's rules
    about names, keys and the form of extensions are left out.
    """
    from cryptography.x509 import verification

    if not authorities.all:
        return "no authority is known here"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            builder = verification.PolicyBuilder().store(authorities.store)
            verifier = _plain(builder).time(_moment(chain, now)).build_client_verifier()
            leaf = chain.leaf_at
            others = [one for at, one in enumerate(certificates) if at != leaf]
            verifier.verify(certificates[leaf], others)
        except Exception as error:  # cryptography names no closed list
            return _said(error)
    return ""


def _strict(builder: PolicyBuilder) -> PolicyBuilder:
    """The public web's, as the library has them, and no constraint passed over."""
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    issuing = ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.NameConstraints, Criticality.AGNOSTIC, _constrains
    )
    return builder.extension_policies(
        ca_policy=issuing, ee_policy=ExtensionPolicy.webpki_defaults_ee()
    )


def _plain(builder: PolicyBuilder) -> PolicyBuilder:
    """Extensions as RFC 5280, 4.2.1 has them.

    The library's verifier of clients is the one that wants no name; purposes are asked for here.
    """
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    free = ExtensionPolicy.permit_all().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _serves
    )
    issuing = free.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    issuing = issuing.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _issues)
    issuing = issuing.may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _constrains)
    return builder.extension_policies(ca_policy=issuing, ee_policy=free)


def _issues(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("it was issued by a certificate whose key may sign no certificates")


def _constrains(_: Policy, __: x509.Certificate, names: x509.NameConstraints | None) -> None:
    """The library passes over kinds that it does not know, unless the extension is critical."""
    from cryptography.x509 import DNSName, IPAddress, RFC822Name

    if names is None:
        return
    kinds = [*(names.permitted_subtrees or ()), *(names.excluded_subtrees or ())]
    if not kinds:
        raise ValueError("its name constraints are empty")
    if not all(isinstance(one, DNSName | IPAddress | RFC822Name) for one in kinds):
        raise ValueError("unsupported name constraint")


def _serves(_: Policy, __: x509.Certificate, purposes: x509.ExtendedKeyUsage | None) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

    wanted = (Purpose.SERVER_AUTH, Purpose.ANY_EXTENDED_KEY_USAGE)
    if purposes is not None and not any(one in purposes for one in wanted):
        raise ValueError(NOT_FOR_SERVERS)


def _a_name(chain: Chain) -> str:
    """A host that the server's certificate is for."""
    names = chain.leaf.dns_names or chain.leaf.ip_addresses
    return names[0].replace("*", "any", 1) if names else ""


def _moment(chain: Chain, now: datetime) -> datetime:
    """Now, or else the nearest moment at which the whole path, or at least its leaf, is valid."""
    path = [chain.certificates[at] for at in chain.path]
    for some in (path, path[:1]):
        start = max(one.not_before for one in some)
        end = min(one.not_after for one in some)
        if start <= end:
            return min(max(now, start), end - timedelta(seconds=1) if end > start else end)
    return now


def _said(error: Exception) -> str:
    """The library's words without its way of talking about them."""
    said = words(error)
    for noise in (
        "validation failed: ",
        "candidates exhausted: ",
        "Python extension validator failed: ",
        "ValueError: ",
    ):
        said = said.removeprefix(noise)
    for rest in (" (encountered processing", ": AlgorithmIdentifier {"):
        said = said.partition(rest)[0]
    return said or "it gives no reason"
