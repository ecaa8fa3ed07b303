"""Targets looked at closely: their chains, and what each client says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from biostudio_doctor import __version__, text
from biostudio_doctor.certificates import clients, verdicts, wording
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.clients import Trusting
from biostudio_doctor.certificates.inspection import (
    Inspected,
    Inspection,
    Link,
    Reason,
    State,
    Verdict,
)
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.certificates.survey import Survey, survey
from biostudio_doctor.certificates.verdicts import Shown
from biostudio_doctor.certificates.watched import Source, Watched
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host

_SHOWN = 3
_CONFIGURED = "name it as `password`"  # which is for the configuration


def inspect(
    host: Host,
    sources: Sequence[Source],
    environ: Mapping[str, str],
    *,
    ca_file: str | None,
    seconds: float,
) -> Inspection:
    """Look at all sources, concurrently, `seconds` for all of them.

    `ca_file` holds authorities that everybody is taken to trust besides their own.

    Raises:
        DoctorError: if they cannot be read.
    """
    seen = survey(host, sources, ca_file=ca_file, offline=False, seconds=seconds)
    for path, problem in seen.ca_problems.items():
        raise DoctorError(f"--ca-file: {path}: {problem}")
    trusting: tuple[Trusting, ...] = ()
    if seen.loaded:
        trusting = clients.clients(host, environ, seen.given.get(ca_file or "", ()), ca_file or "")
    return Inspection(
        tool_version=__version__,
        inspected_at=seen.observed_at,
        inspected=tuple(_inspected(one, seen, trusting) for one in seen.watched),
    )


def _inspected(watched: Watched, seen: Survey, trusting: Sequence[Trusting]) -> Inspected:
    chain, name = watched.chain, next(iter(watched.names), "")
    if not chain:
        return _not_had(watched, name)
    shown = Shown(
        watched=watched, chain=chain, loaded=seen.loaded[watched.name], name=name,
        now=seen.observed_at,
    )  # fmt: skip
    said = () if chain.is_store else tuple(verdicts.verdict(one, shown) for one in trusting)
    remarks = () if chain.is_store else tuple(_remarks(watched, chain))
    tls = watched.tls
    return Inspected(
        target=watched.name,
        state=_state(said, remarks),
        kind="TLS" if tls else watched.kind,
        path=watched.path,
        spoken=f"{tls.version} {tls.cipher}".strip() if tls else "",
        name=name,
        chain=tuple(_links(_places(watched, chain), chain, seen.observed_at)),
        anchor=chain.anchor,
        anchored_by=chain.above,
        key=_key(watched.key, chain),
        remarks=remarks,
        verdicts=said,
    )


def _not_had(watched: Watched, name: str) -> Inspected:
    if watched.is_file:
        problem = watched.problem.replace(_CONFIGURED, "name its file: --password-file")
        return Inspected(target=watched.name, state="unread", problem=problem, path=watched.path)
    return Inspected(
        target=watched.name, state="unreached", problem=wording.unreached(watched), name=name
    )


def _state(said: Sequence[Verdict], remarks: Sequence[Reason]) -> State:
    says = {one.says for one in said}
    if remarks or says & {"refuses", "partly"}:
        return "wrong"
    return "undetermined" if "unknown" in says else "fine"


def _places(watched: Watched, chain: Chain) -> Sequence[int]:
    """As they stand there; of PKCS#7, which holds a set, from the server's upwards."""
    places = range(len(chain.certificates))
    if watched.kind != "PKCS#7" or chain.is_store:
        return places
    return (*chain.upwards, *(at for at in places if at not in chain.upwards))


def _links(places: Iterable[int], chain: Chain, now: datetime) -> Iterator[Link]:
    for at in places:
        one = chain.certificates[at]
        yield Link(
            role="authority" if chain.is_store else chain.role(at),
            certificate=one,
            seconds_left=int((one.not_after - now).total_seconds()),
            related=chain.is_store or at not in chain.unrelated,
        )


def _key(key: KeyFacts | None, chain: Chain) -> Literal["matches", "differs", "unreadable", ""]:
    if not key:
        return ""
    if not key.public_sha256:
        return "unreadable"
    return "matches" if key.public_sha256 == chain.leaf.key_sha256 else "differs"


def _remarks(watched: Watched, chain: Chain) -> Iterator[Reason]:
    """What is wrong whoever looks at it."""
    if watched.key and _key(watched.key, chain) == "differs":
        yield Reason(
            cause="other-key", text=f"the private key in {watched.key.path} belongs to another one"
        )
    in_order = watched.kind != "PKCS#7"  # which holds a set
    if in_order and chain.leaf_at:
        yield Reason(
            cause="leaf-not-first",
            text=f"the server's certificate must stand first, but '{chain.certificates[0].name}' "
            "does",
        )
    elif in_order and list(chain.upwards) != sorted(chain.upwards):
        yield Reason(
            cause="misordered", text="the chain does not stand in order of who issued whom"
        )
    if chain.unrelated:
        names = [f"'{chain.certificates[at].name}'" for at in chain.unrelated]
        more = [f"{len(names) - _SHOWN} more"] * (len(names) > _SHOWN)
        yield Reason(
            cause="unrelated",
            text=f"{text.listing([*names[:_SHOWN], *more])} issued nothing in this chain",
        )
    served = {one.sha256 for one in watched.backends if one.sha256}
    if len(served) > 1:
        yield Reason(
            cause="backends-differ",
            text=f"the {len(watched.backends)} addresses of the name serve "
            f"{len(served)} different certificates",
        )
    if watched.tls and watched.tls.unread:
        yield Reason(cause="unread", text=f"it could not be read to its end: {watched.tls.unread}")
