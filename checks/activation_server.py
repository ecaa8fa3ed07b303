"""activation.server"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Endpoint, Requirements

from . import egress_one
from .egress_facts import EgressFacts

_ENDPOINT = "egress.studio"
_DIAGNOSE = Remedy(
    "See what egress.hosts says of it: it looks closer, names the cause, and has the text to hand "
    "to your network team.",
    ("biostudio-doctor check egress.hosts",),
    as_root=False,
)


class ActivationServer(Check[EgressFacts]):
    """BioTuring's activation server answers this host.

    Goes the whole way to studio.bioturing.com up to an HTTP answer, by the proxy and with the
    authorities that are in force on this host and in the settings of egress.hosts. That check looks
    closer where this one fails; this one says in a line whether activation has a way at all.

    Not verified: whether a token is accepted. There is no published interface to ask, so none is
    called; BioStudio itself asks, from inside its container. That needs the same way out: give it
    the proxy with HTTP_PROXY and HTTPS_PROXY, and the authority of a proxy that looks into TLS.

    Why: BioStudio validates its token there by HTTPS, and is not activated without.

    Mend: `biostudio-doctor check egress.hosts` names what stands in the way.
    """

    id = "activation.server"
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=15)
    roles = ("all-in-one", "biostudio")
    network = True
    requirement_ids = (_ENDPOINT,)

    async def observe(self, host: Host) -> EgressFacts:
        endpoint = self._endpoint(self.context.requirements)
        if self._removed(endpoint):
            return EgressFacts(observed_at=datetime.now(UTC), paths=())
        with host.doing(f"reach {endpoint.host}"):
            around = egress_one.own_surroundings(egress_one.settings(self.context), host)
            return await egress_one.look(endpoint, around, timeout=self.allowed_seconds)

    def judge(self, facts: EgressFacts, requirements: Requirements) -> Iterator[Finding]:
        endpoint = self._endpoint(requirements)
        if self._removed(endpoint):
            yield _removed(endpoint)
            return
        found = egress_one.verdict(facts, endpoint, self.context.machine, requirements)
        yield Finding(
            found.status,
            endpoint.host,
            _summary(found, facts, endpoint),
            observed=found.observed,
            expected=f"an HTTP answer on TCP port {endpoint.port}",
            remedy=None if found.status is Status.PASS else _DIAGNOSE,
            requirement=endpoint,
            cause=found.cause,
        )

    def _endpoint(self, requirements: Requirements) -> Endpoint:
        return requirements.demand(_ENDPOINT, Endpoint)

    def _removed(self, endpoint: Endpoint) -> bool:
        return endpoint.host in egress_one.settings(self.context).remove


def _removed(endpoint: Endpoint) -> Finding:
    said = f"The configuration takes {endpoint.host} out of the hosts that are probed."
    return Finding(Status.SKIP, endpoint.host, said, requirement=endpoint)


def _summary(found: egress_one.Verdict, facts: EgressFacts, endpoint: Endpoint) -> str:
    host = endpoint.host
    if found.status is Status.PASS:
        proxy = facts.paths[0].route.proxy
        through = f" through the proxy {proxy.url}" if proxy else ""
        return (
            f"{host}, which validates the token, answers{through} ({found.said}); whether it "
            "accepts yours, only BioStudio itself will learn."
        )
    if found.status is Status.WARN:
        return f"{host}, which validates the token, answers, but {found.said}."
    if found.status is Status.ERROR:
        return f"Whether {host} can be reached to validate the token is not known: {found.said}."
    return f"{host} cannot be reached to validate the token: {found.said}."
