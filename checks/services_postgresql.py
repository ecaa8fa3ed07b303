"""services.postgresql"""

from collections.abc import Iterator

from biostudio_doctor.model import Finding, Remedy
from biostudio_doctor.services import Answer, Target

from .services import ServiceCheck, remark

_FULL = 0.9  # of max_connections
_BEHIND = 60  # seconds


class ServicesPostgresql(ServiceCheck):
    """PostgreSQL answers.

    Asks bioproxy's database whether it offers TLS and what it wants for a login. With a user and a
    password in the configuration it logs in, runs `select 1` and looks at its version, its
    connections and its replication; nothing is written, and a user without any rights will do.
    Without them it is asked anonymously only, which tells that it is alive.

    Why: accounts, workspaces and settings are kept in it. Without it nobody can sign in.

    Mend: look at bioproxy's container and its log. To have it asked more, set user and password in
    the table [services.postgresql] of the configuration.
    """

    id = "services.postgresql"
    requirement_ids = ("port.postgresql",)
    service = "postgresql"
    name = "PostgreSQL"

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import postgresql

        return await postgresql.ask(target)

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        told = answer.told
        used, limit = told.get("used_connections"), told.get("max_connections")
        if used is not None and limit and used > _FULL * limit:
            yield remark(
                finding,
                "connections",
                "service.full",
                f"PostgreSQL has {used} of at most {limit} connections in use; when they are all "
                "taken, BioStudio is refused.",
                Remedy(
                    "See who holds them, and end what is left over; or raise max_connections "
                    "(bioproxy's MAX_CONNECTION) and restart bioproxy.",
                ),
            )
        if told.get("in_recovery"):
            yield self._recovery(finding, told.get("behind_seconds"))
        for replica in told.get("replicas", ()):
            if replica["state"] not in (None, "streaming"):
                yield remark(
                    finding,
                    f"replica {replica['name']}",
                    "service.replica",
                    f"Its replica {replica['name']} does not follow: its state is "
                    f"{replica['state']}.",
                    Remedy("Look at the log of that replica."),
                )

    @staticmethod
    def _recovery(finding: Finding, behind: float | None) -> Finding:
        late = f", {behind:.0f} s behind" if behind is not None and behind > _BEHIND else ""
        return remark(
            finding,
            "recovery",
            "service.read-only",
            f"PostgreSQL is in recovery mode{late}: it is a replica, or is being restored, and "
            "nothing can be written to it.",
            Remedy(
                "BioStudio needs the primary. If this one is to become it, promote it: select "
                "pg_promote(). Otherwise wait for the restore to end, or name the primary."
            ),
        )
