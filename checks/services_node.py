"""What the services of a BioStudio node share: they may take a quarter of an hour to start."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from biostudio_doctor import text
from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import Startup
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements

from .services import ServiceCheck, ServiceFacts

#: The images of a node, as they have been named so far.
IMAGES = ("biocolab", "biostudio")

#: How a service looks that has not started yet; also through proxies and Docker's own.
_NOT_YET = ("refused", "closed", "silent", "unwell")


class NodeService(ServiceCheck):
    """A service of a BioStudio node."""

    roles = ("all-in-one", "biostudio")

    async def observe(self, host: Host) -> ServiceFacts:
        facts = await super().observe(host)
        return await with_startup(facts, host, facts.answers[0].port) if facts.answers else facts

    def judge(self, facts: ServiceFacts, requirements: Requirements) -> Iterator[Finding]:
        for finding in super().judge(facts, requirements):
            yield in_its_time(finding, facts.startup, self.context.config.daemon.grace)


async def with_startup(facts: ServiceFacts, host: Host, port: int = 0) -> ServiceFacts:
    """Look how long the node's container has been running, if it does not answer as it should.

    `port` is one that the container publishes; 0 where it is known by its image only.
    """
    if any(answer.state not in _NOT_YET for answer in facts.answers):
        return facts
    from anyio import to_thread

    from biostudio_doctor.host.containers import startup

    found = await to_thread.run_sync(startup, host, port, IMAGES, abandon_on_cancel=True)
    return structs.replace(facts, startup=found)


def in_its_time(finding: Finding, startup: Startup | None, grace: float) -> Finding:
    """The same finding, or a milder one while the container has only just been started.

    BioStudio may take up to `grace` seconds: the notebook hub was seen to answer after twelve
    minutes.
    """
    if finding.status is not Status.FAIL or not startup:
        return finding
    said = finding.summary.rstrip(".")
    since = _minutes(startup.age)
    if startup.restarts:
        times = text.number(startup.restarts, "time")
        summary = (
            f"{said}; the container {startup.name} has been restarted {times}, last {since} ago."
        )
        return structs.replace(finding, summary=summary)
    if startup.age > grace:
        return finding
    return structs.replace(
        finding,
        status=Status.WARN,
        summary=f"{said}; the container {startup.name} was started {since} ago, and may still be "
        "starting.",
        remedy=Remedy(
            f"Check again {_minutes(grace)} after its start: the notebook hub takes longest.",
            ("biostudio-doctor check 'services.*' --phase running",),
            as_root=False,
        ),
        cause="service.starting",
    )


def _minutes(seconds: float) -> str:
    """For a person: seconds count only in the first two minutes."""
    if seconds < 120:
        return text.number(int(seconds), "second")
    return text.number(int(seconds // 60), "minute")
