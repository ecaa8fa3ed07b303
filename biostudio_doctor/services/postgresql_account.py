"""What an account of PostgreSQL may read and write in the database that it is logged in to."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

#: Tables, partitioned and foreign ones, views and materialised views (pg_class.relkind) of users;
#: without the right to use its schema a table is not reached.
_TABLES = """
select count(*) filter (where reads), count(distinct schema) filter (where reads),
       coalesce(bool_or(writes), false)
from (
    select c.relnamespace as schema,
           has_table_privilege(c.oid, 'SELECT') or has_any_column_privilege(c.oid, 'SELECT')
               as reads,
           has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
               or has_any_column_privilege(c.oid, 'INSERT, UPDATE') as writes
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f', 'v', 'm') and n.nspname !~ '^pg_'
      and n.nspname <> 'information_schema' and has_schema_privilege(n.oid, 'USAGE')
) as tables
"""

_RIGHTS = """
select r.rolsuper, r.rolcreatedb or r.rolcreaterole,
       has_database_privilege(current_database(), 'CREATE')
           or exists (select from pg_catalog.pg_namespace n
                      where n.nspname !~ '^pg_' and has_schema_privilege(n.oid, 'CREATE'))
from pg_catalog.pg_roles r where r.rolname = current_user
"""


def look(session: Any) -> dict[str, Any]:
    """Counts of tables and schemas, and what can be written; without what is not answered in time.

    The session is read-only already, and its statements are bounded.
    """
    import psycopg

    with suppress(psycopg.Error), session.cursor() as cursor:
        tables, schemas, changes = cursor.execute(_TABLES).fetchone()
        everything, roles, creates = cursor.execute(_RIGHTS).fetchone()
        kinds = (
            (everything, "everything, as a superuser"),
            (changes and not everything, "tables"),
            (creates and not everything, "tables of its own"),
            (roles and not everything, "databases or roles of its own"),
        )
        writes = [name for held, name in kinds if held]
        return {"tables": tables, "schemas": schemas, "writes": writes}
    return {}
