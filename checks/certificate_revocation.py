"""certificate.revocation"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.revocation import Revocation
from biostudio_doctor.certificates.survey import Survey
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL

from .certificate_watch import CertificateCheck, Seen

if TYPE_CHECKING:
    from cryptography import x509

_LISTS = 50  # that are fetched in one run
_AT_ONCE = 8
_SHARE = 0.9  # of the check's time: what is not had by then is told so


class Revocations(Struct, frozen=True, kw_only=True):
    """What the lists say of the certificates of one source."""

    name: str
    lists: tuple[Revocation, ...]
    own: bool = True  # the server's own certificate names one of them


class _Question(NamedTuple):
    """A certificate that names a list."""

    source: str
    url: str
    name: str
    certificate: x509.Certificate
    issuers: list[x509.Certificate]
    is_own: bool  # the server's


class CertificateRevocation(CertificateCheck[Revocations]):
    """Certificates that their issuers have revoked.

    Where a certificate, or one above it, names the address of a revocation list (CRL), the list is
    fetched by HTTP, up to 10 MiB, through the proxy of the environment. Its signature and its date
    are verified before it is believed. OCSP is not asked. A certificate without an address that
    begins with http:// is not judged, such as one that names a directory (ldap://) only; and with
    --offline nothing is fetched.

    Why: a revoked certificate was lost or wrongly issued, and browsers refuse it, each at its own
    time.

    Mend: have a new certificate issued, with a new key.
    """

    id = "certificate.revocation"
    concerns = "certificates that name a list of revoked ones by http://"
    once = True

    def observe(self, host: Host) -> Seen[Revocations]:
        started = time.monotonic()
        seen = self.look(host)
        questions = list(_questions(seen))
        if self.context.scope.offline:
            answers = [_unasked(one) for one in questions]
        elif questions:
            import asyncio

            left = max(0.0, _SHARE * self.allowed_seconds - (time.monotonic() - started))
            with host.doing("fetch revocation lists"):
                answers = asyncio.run(_ask(questions, left, seen.observed_at))
        else:
            answers = []
        owners = {one.source for one in questions if one.is_own}
        by_source: dict[str, list[Revocation]] = {}
        for question, answer in zip(questions, answers, strict=True):
            by_source.setdefault(question.source, []).append(answer)

        def pick(watched: Watched) -> Revocations | None:
            lists = tuple(by_source.get(watched.name, ()))
            own = watched.name in owners
            return Revocations(name=watched.name, lists=lists, own=own) if lists else None

        return self.seen(host, pick)

    def findings(self, of: tuple[Revocations, ...]) -> Iterator[Finding]:
        offline = [one.name for one in of if _is_unasked(one)]
        if offline:
            yield Finding(
                Status.SKIP,
                "revocation lists",
                f"Whether {text.listing(offline[:3])} {'was' if len(offline) == 1 else 'were'} "
                "revoked was not asked: --offline was given.",
                cause="certificate.offline",
            )
        for one in of:
            if one.name not in offline:
                yield _judged(one)


def _is_unasked(one: Revocations) -> bool:
    return all(answer.standing == "unasked" for answer in one.lists)


def _questions(seen: Survey) -> Iterator[_Question]:
    for watched in seen.watched:
        chain = watched.chain
        if not chain or chain.is_store:
            continue
        for at in chain.path:
            facts = chain.certificates[at]
            # Directories of Windows domains are named by ldap: as well, and often first.
            urls = [url for url in facts.crl_urls if url.lower().startswith("http://")]
            if urls and not facts.self_signed:
                yield _Question(
                    source=watched.name,
                    url=urls[0],
                    name=facts.name,
                    certificate=seen.loaded[watched.name][at],
                    issuers=_issuers(seen, watched.name, chain, at),
                    is_own=at == chain.leaf_at,
                )


def _issuers(seen: Survey, name: str, chain: Chain, at: int) -> list[x509.Certificate]:
    loaded = seen.loaded[name]
    own = loaded[at]
    known = [one for one in seen.authorities[name].all if one.subject == own.issuer]
    return [*(loaded[place] for place in chain.issuers[at]), *known]


def _unasked(question: _Question) -> Revocation:
    return Revocation(certificate=question.name, url=question.url, standing="unasked")


async def _ask(questions: list[_Question], seconds: float, now: datetime) -> list[Revocation]:
    import anyio

    from biostudio_doctor.certificates import revocation

    places: dict[str, list[int]] = {}
    for at, one in enumerate(questions):
        places.setdefault(one.url, []).append(at)
    urls = list(places)
    problems = dict.fromkeys(urls, "the time was up before it was fetched")
    problems |= dict.fromkeys(urls[_LISTS:], f"no more than {_LISTS} lists are fetched in one run")
    answers = [_answer(one, problems[one.url], now) for one in questions]
    free = anyio.Semaphore(_AT_ONCE)

    async def fetch(url: str) -> None:
        async with free:  # until it is looked through: a list may be large, and is not kept
            data = await revocation.fetch(url, seconds=min(5.0, seconds))
            for at in places[url]:
                answers[at] = _answer(questions[at], data, now)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for url in urls[:_LISTS]:
                tasks.start_soon(fetch, url)
    return answers


def _answer(question: _Question, data: bytes | str, now: datetime) -> Revocation:
    from biostudio_doctor.certificates import revocation

    if isinstance(data, str):
        return Revocation(
            certificate=question.name, url=question.url, standing="unreached", problem=data
        )
    return revocation.look_up(
        data, question.url, question.certificate, question.issuers, question.name, now
    )


# --- In words ------------------------------------------------------------------------------------

_WORST_FIRST = ("revoked", "foreign", "unreadable", "unreached", "stale", "unasked", "good")
_PROBLEMS = {
    "foreign": ("foreign-crl", "cannot be relied on"),
    "unreadable": ("bad-crl", "cannot be read"),
    "unreached": ("crl-unreached", "could not be had"),
}


def _judged(one: Revocations) -> Finding:
    worst = min(one.lists, key=lambda answer: _WORST_FIRST.index(answer.standing))
    if worst.standing == "revoked":
        return _revoked(one.name, worst)
    if worst.standing == "stale":
        return _stale(one.name, worst)
    if worst.standing == "good":
        asked = text.listing(f"'{answer.certificate}'" for answer in one.lists)
        verb = "was" if len(one.lists) == 1 else "were"
        own = "" if one.own else "; the server's own certificate names no list"
        summary = f"In the chain of {one.name}, {asked} {verb} not revoked{own}."
        listed = text.listing(answer.url for answer in one.lists)
        return Finding(Status.PASS, one.name, summary, observed=f"by {listed}")
    cause, words = _PROBLEMS[worst.standing]
    return Finding(
        Status.ERROR,
        one.name,
        f"Whether '{worst.certificate}' in {one.name} was revoked is not known: the list at "
        f"{worst.url} {words} ({worst.problem}).",
        remedy=Remedy(
            "Let this host fetch that list, by its proxy if it needs one; or leave this check out: "
            'skip = ["certificate.revocation"] in the configuration.'
        ),
        cause=f"certificate.{cause}",
    )


def _revoked(name: str, answer: Revocation) -> Finding:
    reason = f" for the reason {answer.reason}" if answer.reason else ""
    when = f" on {answer.revoked_at:%Y-%m-%d}" if answer.revoked_at else ""
    return Finding(
        Status.FAIL,
        name,
        f"The certificate '{answer.certificate}' in {name} was revoked{when}{reason}.",
        observed=answer.url,
        remedy=Remedy(
            f"Have a new certificate issued, with a new key, and install both {INSTALL}, or "
            "wherever this one is served."
        ),
        cause="certificate.revoked",
    )


def _stale(name: str, answer: Revocation) -> Finding:
    until = f" since {answer.next_update:%Y-%m-%d}" if answer.next_update else ""
    return Finding(
        Status.WARN,
        name,
        f"The list of revoked certificates that concerns {name} is out of date{until}.",
        observed=answer.url,
        remedy=Remedy(
            "Ask the issuer to publish a new one. If the list is your own, its publication has "
            "stopped: programs that insist on it refuse the certificate."
        ),
        cause="certificate.stale-crl",
    )
