"""datasources.postgresql"""

from biostudio_doctor.services import Answer, Target

from .datasources_database import DatabaseCheck


class DatasourcesPostgresql(DatabaseCheck):
    """Your own PostgreSQL databases.

    Asks every server named under [[datasources.postgresql]]: whether it answers from here, and
    whether it offers TLS. With a user and password it logs in and tells the version, how many
    tables in how many schemas that account can read in the named database, whether it may write,
    and how many of the server's connections are taken. An account that may only read is what a
    data source wants.

    The session is read-only and its statements are bounded in time; no table is looked into. The
    password is never sent readable without TLS, unless the database is on this host. TLS is used
    where `tls = true` says so, and the server's certificate must verify then.

    Why: notebooks that read such a database fail with an error that tells the user nothing of
    firewalls, grants or TLS.

    Mend: what the finding says, mostly by the administrator of that database.
    """

    id = "datasources.postgresql"
    kinds = ("postgresql",)
    product = "PostgreSQL"
    port = 5432

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import postgresql

        return await postgresql.ask(target, rights=True)
