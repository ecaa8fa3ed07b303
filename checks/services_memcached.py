"""services.memcached"""

from collections.abc import Iterator

from biostudio_doctor.model import Finding, Remedy
from biostudio_doctor.services import Answer, Target

from .services import ServiceCheck, remark

_FULL = 0.9  # of the connections


class ServicesMemcached(ServiceCheck):
    """Memcached answers.

    Asks bioproxy's memcached for its version and statistics, on the published port 11121 and on
    11211, where the images really listen: either will do. It has no users and passwords as a rule.

    Why: the services keep shared, short-lived data in it.

    Mend: look at bioproxy's container and its log. Set port in the table [services.memcached] of
    the configuration if it is at yet another one.
    """

    id = "services.memcached"
    requirement_ids = ("port.memcached",)
    service = "memcached"
    name = "Memcached"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import memcached

        return await memcached.ask(target)

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        now, most = answer.told.get("connections", 0), answer.told.get("max_connections", 0)
        if most and now > _FULL * most:
            yield remark(
                finding,
                "connections",
                "service.full",
                f"Memcached has {now} of at most {most} connections; more have to wait.",
                Remedy("See who holds them, or start it with more (memcached -c)."),
            )
