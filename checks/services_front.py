"""What services.http and services.https share: bioproxy's front, and what is behind it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from biostudio_doctor import endpoints, text
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy
from biostudio_doctor.requirements import Requirements
from biostudio_doctor.services import Answer

from .services import ServiceCheck, ServiceFacts
from .services_node import in_its_time, with_startup

_PORTS = "the table [ports] of the configuration"


class Front(ServiceCheck):
    """One of the two ports by which colleagues come in."""

    async def observe(self, host: Host) -> ServiceFacts:
        facts = await super().observe(host)
        return await with_startup(facts, host) if _is_behind(facts) else facts

    def judge(self, facts: ServiceFacts, requirements: Requirements) -> Iterator[Finding]:
        for finding in super().judge(facts, requirements):
            yield in_its_time(finding, facts.startup, self.context.config.daemon.grace)

    def _finding(self, answer: Answer, facts: ServiceFacts) -> Finding:
        finding = super()._finding(answer, facts)
        place = endpoints.Endpoint(answer.host, answer.port)
        if answer.told.get("behind"):
            return structs.replace(
                finding,
                summary=f"bioproxy runs at {place}, and BioStudio behind it does not answer "
                f"({answer.detail}).",
                remedy=self._look_behind(),
                cause="service.backend-down",
            )
        if answer.state in ("tls", "plain"):
            return structs.replace(finding, remedy=_mixed_up(answer, self.service))
        leads_to = answer.told.get("redirect")
        if leads_to:
            said = f"{finding.summary.rstrip('.')}, and leads to {leads_to}."
            return structs.replace(finding, summary=said)
        return finding

    def _look_behind(self) -> Remedy:
        config = self.context.config
        words = (
            "Look at the container of BioStudio and its log; after its start allow it 15 minutes."
        )
        if config.nodes:
            words += f" To be run on {text.listing(config.nodes, 'or')}."
        if self.context.scope.platform == "kubernetes":
            command = "kubectl get pods,services --all-namespaces -o wide"
            return Remedy(words.replace("container", "pod"), (command,), as_root=False)
        words += " If docker ps shows another name than biocolab, use that."
        return Remedy(words, ("docker ps -a", "docker logs --tail 50 biocolab"))


def _is_behind(facts: ServiceFacts) -> bool:
    return any(answer.told.get("behind") for answer in facts.answers)


def _mixed_up(answer: Answer, service: str) -> Remedy:
    spoken = "HTTPS" if answer.state == "tls" else "plain HTTP"
    return Remedy(
        f"Port {answer.port} speaks {spoken}: set {service} in {_PORTS} to the port that you chose "
        f"for {service.upper()} when you installed bioproxy (HTTP_PORT and HTTPS_PORT there), or "
        "see what was put before it."
    )
