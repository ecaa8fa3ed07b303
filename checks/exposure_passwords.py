"""Judging of exposure.lan: does PostgreSQL or Redis let anyone in?"""

from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.services import Answer

from .exposure_reach import Exposure

_NAMES = {"postgresql": "PostgreSQL", "redis": "Redis"}
_GUARDED = ("password-needed", "password-wrong", "denied", "healthy")


def password(one: Exposure, answer: Answer | None) -> Finding:
    """Whether it asks who calls."""
    name = _NAMES[one.service]
    subject = f"{one.subject}: password"
    place = f"{one.own_address}, port {one.port}"
    if answer is None:
        said = f"{name} was not asked whether it wants a password: this is not the host itself."
        return Finding(Status.SKIP, subject, said, requirement=one.requirement)
    if answer.anonymous:
        return Finding(
            Status.FAIL,
            subject,
            f"{name} at {place} lets anyone in without a password{_whom(one)}.",
            observed="no password",
            expected="a password",
            remedy=_remedy(one),
            requirement=one.requirement,
            cause="exposure.no-password",
        )
    if one.service == "redis" and answer.state == "denied":
        said = f"Redis at {place} has no password, and so turns away all other machines (its "
        return Finding(
            Status.WARN,
            subject,
            f"{said}protected mode), those of BioStudio too.",
            observed="protected mode",
            expected="a password",
            remedy=_remedy(one),
            requirement=one.requirement,
            cause="exposure.no-password",
        )
    if answer.state in _GUARDED:
        said = f"{name} at {place} lets nobody in without a password."
        return Finding(
            Status.PASS, subject, said, "a password", "a password", requirement=one.requirement
        )
    return Finding(
        Status.ERROR,
        subject,
        f"Whether {name} at {place} wants a password could not be told: {_why(answer)}.",
        observed=answer.state,
        expected="a password",
        remedy=Remedy(
            f"See what the check services.{one.service} says, and check again once it answers.",
            (f"biostudio-doctor check services.{one.service} --phase running",),
            as_root=False,
        ),
        requirement=one.requirement,
    )


def _whom(one: Exposure) -> str:
    return "" if one.where else ", who may use this host"


def _why(answer: Answer) -> str:
    words = {
        "refused": "it refuses the connection from this host itself",
        "unreachable": "it is not reached from this host itself",
        "silent": "it says nothing",
        "closed": "it hangs up",
        "tls": "it speaks TLS, which the configuration does not tell",
        "plain": "it speaks no TLS, which the configuration expects",
        "untrusted": "its certificate cannot be trusted",
        "ca-file": f"the authorities to trust cannot be used ({answer.detail})",
        "foreign": f"what answers is {answer.identity or 'something else'}",
        "unwell": f"it cannot serve now ({answer.detail})" if answer.detail else "it cannot serve",
        "unasked": f"the client library {answer.library} is missing",
    }
    return words.get(answer.state, answer.state)


def _remedy(one: Exposure) -> Remedy:
    if one.service == "redis":
        return _REDIS
    return _OWN_POSTGRESQL if not one.published else _POSTGRESQL


_REDIS = Remedy(
    "Give it a password: REDIS_PASSWORD of both images, the same for bioproxy and BioStudio. A "
    "Redis of your own has it in redis.conf (requirepass); then restart it. Do not type it into a "
    "command line, which others on this host can read."
)
_HBA = (
    "In pg_hba.conf replace `trust` by `scram-sha-256` wherever it holds for more than the local "
    "socket, see that every user has a password (\\password in psql), and reload."
)
_POSTGRESQL = Remedy(
    f"{_HBA} In bioproxy that file is in METADATA-STORAGE, and the passwords are its "
    "POSTGRESQL_PASSWORD and POSTGRESQL_POSTGRES_PASSWORD."
)
_OWN_POSTGRESQL = Remedy(
    f"{_HBA} This shows which line lets whom in (version 10 or later):",
    ("su - postgres -c \"psql -c 'table pg_hba_file_rules'\"",),
)
