"""datasources.mysql"""

from biostudio_doctor.services import Answer, Target

from .datasources_database import DatabaseCheck


class DatasourcesMysql(DatabaseCheck):
    """Your own MySQL and MariaDB databases.

    Asks every server named under [[datasources.mysql]] and [[datasources.mariadb]]: whether it
    answers from here, of what version it is, and whether it offers TLS. With a user and password
    it logs in and tells how many tables that account can read, whether it may write, and how many
    of the server's connections are taken. An account that may only read is what a data source
    wants. Which of the two products answers is told; being named under the other is no fault.

    The session is read-only, and no table is looked into. A server that asks for the password
    itself, instead of a proof that one knows it, is given it only over TLS with a certificate that
    verifies. Without a user it is knocked at as the user biostudio-doctor, without a password:
    the server refuses that, and its log says so. To hang up without a word would be quieter, but
    a host that does so a hundred times is locked out (max_connect_errors).

    Why: notebooks that read such a database fail with an error that tells the user nothing of
    firewalls, grants or TLS.

    Mend: what the finding says, mostly by the administrator of that database.
    """

    id = "datasources.mysql"
    kinds = ("mysql", "mariadb")
    product = "MySQL or MariaDB"
    port = 3306

    async def ask(self, target: Target) -> Answer:
        from biostudio_doctor.services import mysql

        return await mysql.ask(target)
