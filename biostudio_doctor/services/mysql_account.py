"""What a MySQL or MariaDB server tells an account of itself, and of what the account may do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

#: Statements of ours that take longer are ended by the server (MySQL counts ms, MariaDB seconds).
_PATIENCE = 2
_OF_THE_SERVER = "'information_schema', 'mysql', 'performance_schema', 'sys'"

#: Privileges that change nothing that lasts (of MySQL and of MariaDB).
_HARMLESS = frozenset(
    (
        "USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "PROCESS", "REPLICATION CLIENT",
        "REPLICATION SLAVE", "BINLOG MONITOR", "SLAVE MONITOR", "REPLICA MONITOR", "EXECUTE",
        "LOCK TABLES", "CREATE TEMPORARY TABLES", "REFERENCES", "SHOW_ROUTINE",
        "SHOW CREATE ROUTINE",
    )
)  # fmt: skip
_GRANT = re.compile(r"GRANT ([A-Z_ ,]*(?:\([^)]*\)[A-Z_ ,]*)*) ON ")
_ROLE = re.compile(r"GRANT [`'\"]")


def look(connection: Any) -> dict[str, Any]:
    """Ask within a read-only transaction; what is not answered is left out.

    Raises:
        pymysql.Error: if not even the first question is answered.
    """
    maria = "mariadb" in connection.greeted_as.lower()
    patience = (
        f"set session max_statement_time = {_PATIENCE}"
        if maria
        else f"set session max_execution_time = {_PATIENCE * 1000}"
    )
    for precaution in ("set session transaction read only", patience):
        with suppress(connection.Error):  # of old servers, which do not know it
            _rows(connection, precaution)
    ((maximum, read_only),) = _rows(connection, "select @@max_connections, @@global.read_only")
    told = {
        "max_connections": int(maximum),
        "server_read_only": str(read_only) not in ("0", "OFF"),
    }
    with suppress(connection.Error):
        rows = _rows(connection, "show global status like 'Threads_connected'")
        told["used_connections"] = int(rows[0][1])
    with suppress(connection.Error):
        told |= privileges(str(row[0]) for row in _rows(connection, "show grants"))
    with suppress(connection.Error):
        told |= _tables(connection)
    return told


def _tables(connection: Any) -> dict[str, int]:
    """How many tables and views the account has rights to; the server lists no others."""
    ((tables, databases),) = _rows(
        connection,
        "select count(*), count(distinct table_schema) from information_schema.tables "
        f"where table_schema not in ({_OF_THE_SERVER})",
    )
    return {"tables": int(tables), "databases": int(databases)}


def _rows(connection: Any, statement: str) -> tuple[tuple[Any, ...], ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return tuple(cursor.fetchall())


def privileges(grants: Iterable[str]) -> dict[str, Any]:
    """Which privileges to write, and whether any to read, the lines of SHOW GRANTS name.

    Nothing else of them is kept: MariaDB's hold the hash of the password.
    """
    writes: set[str] = set()
    reads = roles = False
    for line in grants:
        roles = roles or _ROLE.match(line) is not None
        found = _GRANT.match(line)
        if not found:
            continue
        names = {name.strip() for name in re.sub(r"\([^)]*\)", "", found[1]).split(",")}
        reads = reads or bool(names & {"SELECT", "ALL PRIVILEGES"})
        writes |= {name for name in names if name and name not in _HARMLESS and name != "PROXY"}
    return {"reads": reads, "writes": sorted(writes), "roles": roles}


def product(greeted_as: str, said: str = "") -> str:
    """MySQL or MariaDB, by the greeting, or by an error that came in its place."""
    if "mariadb" in f"{greeted_as} {said}".lower():
        return "MariaDB"
    return "MySQL" if greeted_as else ""


def version(greeted_as: str) -> str:
    """The version without what is put around it; MariaDB puts 5.5.5- before, for old replicas."""
    found = re.match(r"(?:5\.5\.5-)?(\d{1,5}(?:\.\d{1,5}){1,3})", greeted_as)
    return found[1] if found else ""
