"""services.redis"""

from collections.abc import Iterator

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy
from biostudio_doctor.services import Answer, Target

from .services import ServiceCheck, remark

_FULL = 0.9  # of maxmemory, and of maxclients


class ServicesRedis(ServiceCheck):
    """Redis answers.

    Sends PING to bioproxy's Redis. A demand for a password (NOAUTH) is a sign of life. With a
    password in the configuration it logs in and looks at what Redis says of itself (INFO): version,
    role, memory, clients and whether it can save; nothing is written.

    Why: sessions and what the services tell each other pass through it.

    Mend: look at bioproxy's container and its log. To have it asked more, set password (and user,
    if it has users) in the table [services.redis] of the configuration.
    """

    id = "services.redis"
    requirement_ids = ("port.redis",)
    service = "redis"
    name = "Redis"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import redis

        return await redis.ask(target)

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        told = answer.told
        yield from _memory(finding, told)
        clients, most = told.get("connected_clients", 0), told.get("maxclients", 0)
        if most and clients > _FULL * most:
            yield remark(
                finding,
                "clients",
                "service.full",
                f"Redis has {clients} of at most {most} clients; more are refused.",
                Remedy("See who they are (CLIENT LIST), or raise maxclients."),
            )
        if told.get("role") == "slave":
            up = told.get("master_link") == "up"
            link = "" if up else ", and its connection to the primary is down"
            yield remark(
                finding,
                "role",
                "service.read-only",
                f"Redis is a replica{link}: it takes no writes, which BioStudio needs.",
                Remedy("Name the primary, or make this one a primary again (REPLICAOF NO ONE)."),
            )
        if "err" in (told.get("last_save"), told.get("last_append")):
            yield remark(
                finding,
                "saving",
                "service.unsaved",
                "Redis could not save its data the last time, and may refuse writes (MISCONF).",
                Remedy(
                    "See whether METADATA-STORAGE is full or read-only; Redis' log in bioproxy "
                    "tells the reason.",
                    ("df -h",),
                    as_root=False,
                ),
            )


def _memory(finding: Finding, told: dict[str, int | str]) -> Iterator[Finding]:
    used, most = int(told.get("used_memory", 0)), int(told.get("maxmemory", 0))
    if most and used > _FULL * most and told.get("maxmemory_policy") == "noeviction":
        yield remark(
            finding,
            "memory",
            "service.full",
            f"Redis uses {text.size(used)} of at most {text.size(most)}, and evicts nothing "
            "(noeviction): when it is full, it refuses writes.",
            Remedy("Raise maxmemory, or see what fills it (redis-cli --bigkeys)."),
        )
