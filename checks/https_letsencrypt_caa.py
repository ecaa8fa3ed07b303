"""What CAA records let Let's Encrypt do (RFC 8659, RFC 8657)."""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import Caa, CaaAnswer

ISSUER = "letsencrypt.org"
METHOD = "http-01"

_KNOWN = ("issue", "issuewild", "iodef", "issuemail")  # to Let's Encrypt (RFC 9495, too)
#: RFC 8659, 4.1, has 128; Let's Encrypt takes 1 for it, too, since many people write that.
_CRITICAL = 128 | 1
_ISSUER_NAME = re.compile(r"(?:[A-Za-z0-9](?:-*[A-Za-z0-9])*(?:\.[A-Za-z0-9](?:-*[A-Za-z0-9])*)*)?")
_PARAMETER = re.compile(r"\s*([A-Za-z0-9](?:-*[A-Za-z0-9])*)\s*=\s*([\x21-\x3a\x3c-\x7e]*)\s*")

Answer = Literal[
    "free",  # no record restricts who may issue
    "permitted",
    "account",  # permitted for certain ACME accounts only
    "method",  # permitted by other methods than HTTP-01 only
    "spelling",  # permitted but for capital letters, which Let's Encrypt compares
    "forbidden",
    "critical",  # an unknown property that must be understood
    "failed",  # the records could not be had
]


class Permission(NamedTuple):
    """The outcome, and where it was found."""

    answer: Answer
    name: str = ""  # the records' name; or the one whose records could not be had
    records: tuple[Caa, ...] = ()  # the relevant record set
    failure: Failure | None = None
    servers: tuple[str, ...] = ()  # that failed
    extended: tuple[str, ...] = ()


def permission(answers: Sequence[CaaAnswer]) -> Permission:
    """Go up from the name as an issuer does: the first names that has records decides.

    A level that no server answers for ends the search, since it may have records (RFC 8659, 3).
    `answers` come in the order of `probes.caa.climb`.
    """
    if not answers:
        return Permission("failed", failure=Failure("resolve", "no-resolver"))
    for name, level in groupby(answers, key=lambda answer: answer.name):
        told = list(level)
        records = next((one.records for one in told if one.records), ())
        if records:
            return _judged(name, records)
        if all(one.failure for one in told):
            return Permission(
                "failed",
                name,
                failure=told[0].failure,
                servers=tuple(one.server for one in told),
                extended=tuple(dict.fromkeys(words for one in told for words in one.extended)),
            )
    return Permission("free")


def _judged(name: str, records: tuple[Caa, ...]) -> Permission:
    if any(one.tag not in _KNOWN and one.flags & _CRITICAL for one in records):
        return Permission("critical", name, records)
    issue = [one.value for one in records if one.tag == "issue"]
    if not issue:  # the others are about wildcards, mail, and whom to tell
        return Permission("free", name, records)
    answers = [_one(value) for value in issue]
    for answer in _BEST_FIRST:
        if answer in answers:
            return Permission(answer, name, records)
    return Permission("forbidden", name, records)


_BEST_FIRST: tuple[Answer, ...] = ("permitted", "account", "method", "spelling")


def _one(value: str) -> Answer:
    """What one issue property (RFC 8659, 4.2) permits; a malformed one permits nothing."""
    issuer, *parts = value.split(";")
    issuer = issuer.strip()
    if not _ISSUER_NAME.fullmatch(issuer):
        return "forbidden"
    if len(parts) == 1 and not parts[0].strip():  # "letsencrypt.org;"
        parts = []
    parameters: dict[str, list[str]] = {}
    for part in parts:
        found = _PARAMETER.fullmatch(part)
        if not found:
            return "forbidden"
        parameters.setdefault(found[1].lower(), []).append(found[2])
    if issuer != ISSUER:
        return "spelling" if issuer.lower() == ISSUER else "forbidden"
    return _restricted(parameters)


def _restricted(parameters: dict[str, list[str]]) -> Answer:
    """RFC 8657: a parameter given twice, or an account of nobody, permits nothing."""
    accounts, methods = parameters.get("accounturi", []), parameters.get("validationmethods", [])
    if len(accounts) > 1 or len(methods) > 1:
        return "forbidden"
    if methods and METHOD not in methods[0].split(","):
        return "method"
    if accounts:
        return "account" if accounts[0].startswith("https://acme-") else "forbidden"
    return "permitted"
