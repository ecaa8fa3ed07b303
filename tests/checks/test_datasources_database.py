"""datasources.mysql and datasources.postgresql, on a real MariaDB and a real PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from biostudio_doctor.checks.datasources_database import Asked, DatabaseFacts
from biostudio_doctor.checks.datasources_mysql import DatasourcesMysql
from biostudio_doctor.checks.datasources_postgresql import DatasourcesPostgresql
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.services import Answer, postgresql
from tests.conftest import MakeHost, context, judge, observed
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.mariadb import MariaDb, mariadb
from tests.lab.network import free_port
from tests.lab.peers import Peer, saying, server_context, silent, tls
from tests.lab.timing import within

CHECKS = {
    "mysql": DatasourcesMysql, "mariadb": DatasourcesMysql, "postgresql": DatasourcesPostgresql,
}  # fmt: skip


@pytest.fixture(scope="module")
def maria() -> Iterator[MariaDb]:
    with mariadb() as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> Iterator[servers.Authority]:
    with servers.directory() as place:
        yield servers.Authority(place)


@pytest.fixture(scope="module")
def postgres(authority: servers.Authority) -> Iterator[servers.Postgresql]:
    """With TLS; two schemas, of which `reader` may read one, and `owner` write the other."""
    with servers.postgresql(authority) as server:
        root = {"host": str(server.directory), "port": server.port, "user": "super"}
        with psycopg.connect(**root, dbname="postgres", autocommit=True) as session:
            for statement in (
                "create schema omics", "create table omics.genes (id int)",
                "create table omics.cells (id int)", "create schema plans",
                "create table plans.secret (id int)", "grant usage on schema omics to reader",
                "grant select on omics.genes to reader",
                "grant select (id) on omics.cells to reader",
                "grant select, insert on plans.secret to owner",
                "grant usage, create on schema plans to owner",
            ):  # fmt: skip
                session.execute(statement)
        yield server


def found(kind: str, host: Host, *sources: dict[str, Any], **config: Any) -> dict[str, Finding]:
    check = CHECKS[kind](context(datasources={kind: list(sources)}, **config))
    carried = msgspec.json.encode(observed(check, host))
    seen = judge(check, msgspec.json.decode(carried, type=DatabaseFacts))
    for finding in seen.values():
        assert finding.status is Status.PASS or finding.cause.startswith("datasource.")
        assert finding.status is Status.PASS or finding.remedy
        assert "None" not in finding.summary and ".." not in finding.summary
    return seen


def ask(
    kind: str, make_host: MakeHost, port: int, user: str = "", password: str = "", **more: Any
) -> Finding:
    """The finding of one source, whose password must not be told."""
    source: dict[str, Any] = {"host": "127.0.0.1", "port": port, **more}
    host = make_host({"/secret": password or "unused", **more.pop("tree", {})})
    source.pop("tree", None)
    if user:
        source["user"] = user
    if password:
        source["password"] = {"file": "/secret"}
    (finding,) = found(kind, host, source, timeout=3).values()
    assert not password or password not in repr(finding)
    return finding


# --- What is not asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_without_a_source_nothing_is_asked_or_imported(kind: str) -> None:
    program = (
        "import sys; from biostudio_doctor.host import Host\n"
        f"from biostudio_doctor.checks.datasources_{kind} import Datasources{kind.title()} as C\n"
        "from tests.conftest import context\n"
        "check = C(context()); facts = check.observe(Host())\n"
        "(f,) = check.judge(facts, check.context.requirements)\n"
        "assert f.status == 'skip' and '[[datasources.' in f.remedy.text, f\n"
        "heavy = {'pymysql', 'psycopg', 'ssl', 'anyio', 'asyncio', 'cryptography'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", CHECKS)
def test_a_secret_that_cannot_be_had(kind: str, make_host: MakeHost) -> None:
    source = {"host": "db.invalid", "user": "clinic", "password": {"file": "/run/secret"},
              "database": "omics", "port": 7}  # fmt: skip
    (finding,) = found(kind, make_host({}), source).values()
    assert finding.status is Status.ERROR and finding.subject.startswith(f"{kind} clinic at ")
    assert finding.subject.endswith(":7/omics") and "/run/secret" in finding.summary
    assert f"datasources.{kind}.password" in str(finding.remedy)


# --- Accounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_accounts_of_mariadb(kind: str, maria: MariaDb, make_host: MakeHost) -> None:
    def account(user: str, **more: Any) -> Finding:
        return ask(kind, make_host, maria.port, user, maria.passwords[user], **more)

    reader = account("reader", database="omics")
    assert reader.status is Status.PASS
    assert reader.subject == f"{kind} reader at 127.0.0.1:{maria.port}/omics"
    assert reader.summary.startswith("MariaDB 10.")
    assert "who can read 3 tables in 1 database and write nothing." in reader.summary
    assert "TLSv1.3" in reader.observed and "of 151 connections" in reader.observed
    writer = account("writer")
    assert writer.status is Status.PASS and "also write (INSERT and UPDATE)" in writer.summary
    nothing = account("nothing")
    assert nothing.status is Status.WARN and "but shows it no table." in nothing.summary
    by_role = account("byrole")
    assert by_role.status is Status.WARN and "a role that is not set" in by_role.summary
    assert "SET DEFAULT ROLE" in str(by_role.remedy)
    denied = account("nothing", database="omics")
    assert denied.status is Status.FAIL and "does not let the user nothing in" in denied.summary
    locked = account("locked")
    assert locked.status is Status.FAIL and "unlock" in str(locked.remedy)
    assert "Correct the database" in str(account("full", database="absent").remedy)


def test_accounts_of_postgresql(postgres: servers.Postgresql, make_host: MakeHost) -> None:
    def account(user: str, **more: Any) -> Finding:
        return ask("postgresql", make_host, postgres.port, user, postgres.password, **more)

    reader = account("reader")
    assert reader.status is Status.PASS
    assert "who can read 2 tables in 1 schema and write nothing." in reader.summary
    owner = account("owner")
    assert "read 1 table in 1 schema" in owner.summary
    assert "also write (tables and tables of its own)" in owner.summary
    empty = account("reader", database="open")
    assert empty.status is Status.WARN
    unknown = account("reader", database="absent")
    assert unknown.status is Status.FAIL and unknown.cause == "datasource.denied"
    shut = account("reader", database="closed")
    assert shut.status is Status.FAIL and "pg_hba.conf" in str(shut.remedy)


def test_the_session_in_postgresql_may_not_write(
    postgres: servers.Postgresql, make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def write(session: Any) -> dict[str, Any]:
        try:
            session.execute("insert into plans.secret values (1)")
        except psycopg.Error as error:
            refused.append(error.sqlstate or "")
        return {}

    monkeypatch.setattr(postgresql.postgresql_account, "look", write)
    ask("postgresql", make_host, postgres.port, "owner", postgres.password)
    assert refused == ["25006"]  # read_only_sql_transaction


# --- States ---------------------------------------------------------------------------------------


def test_passwords(maria: MariaDb, postgres: servers.Postgresql, make_host: MakeHost) -> None:
    for kind, port in (("mysql", maria.port), ("postgresql", postgres.port)):
        wrong = ask(kind, make_host, port, "reader", "not-the-password")
        assert (wrong.status, wrong.cause) == (Status.FAIL, "datasource.password-wrong")
        needed = ask(kind, make_host, port, "reader")
        assert needed.status is Status.WARN and "none is configured" in needed.summary
        assert needed.remedy and "Name the password" in needed.remedy.text
        knocked = ask(kind, make_host, port)
        assert knocked.status is Status.PASS, "without a user it is only knocked at"
        assert knocked.subject == f"{kind} at 127.0.0.1:{port}"


def test_a_postgresql_that_lets_anyone_in(
    postgres: servers.Postgresql, make_host: MakeHost
) -> None:
    finding = ask("postgresql", make_host, postgres.port, "outsider", database="open")
    assert finding.status is Status.WARN and finding.cause == "datasource.open"


def test_tls(maria: MariaDb, postgres: servers.Postgresql, make_host: MakeHost,
             authority: servers.Authority) -> None:  # fmt: skip
    cases = (
        ("mysql", maria.port, maria.passwords["reader"], maria.authority, "omics"),
        ("postgresql", postgres.port, postgres.password, authority, "secure"),
    )
    for kind, port, password, issuer, database in cases:
        ca_file = f"/{kind}-ca.pem"  # of its own: contexts are kept by the file's name
        tree = {ca_file: issuer.ca_file.read_text()}
        options = {"tls": True, "database": database, "tree": tree}
        trusted = ask(kind, make_host, port, "reader", password, ca_file=ca_file, **options)
        assert trusted.cause in ("", "datasource.nothing-to-read")
        unknown = ask(kind, make_host, port, "reader", password, **options)
        assert unknown.cause == "datasource.untrusted" and "ca_file" in str(unknown.remedy)
        mistyped = ask(kind, make_host, port, "reader", password, ca_file="/nowhere", **options)
        assert (mistyped.status, mistyped.cause) == (Status.ERROR, "datasource.ca-file")
        assert "/nowhere: No such file" in mistyped.summary
        assert f"Correct ca_file in [[datasources.{kind}]]" in str(mistyped.remedy)
    demands = ask("postgresql", make_host, postgres.port, "reader", postgres.password,
                  database="secure")  # fmt: skip
    assert demands.cause == "datasource.tls" and "tls = true" in str(demands.remedy)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_others_at_that_port(kind: str, make_host: MakeHost, tmp_path: Path) -> None:
    assert ask(kind, make_host, free_port()).cause == "datasource.refused"
    certificate = server_context(tmp_path, make(names=("127.0.0.1",)))
    for behaviour, cause in (
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "foreign"),
        (silent, "silent"),
        (saying(b"", first=True), "closed"),
        (tls(certificate), "tls"),
    ):
        with Peer(behaviour) as peer, within(4):
            finding = ask(kind, make_host, peer.port, "reader", "some-password")
        assert (finding.status, finding.cause) == (Status.FAIL, f"datasource.{cause}")


def test_several_at_once_and_in_their_order(maria: MariaDb, make_host: MakeHost) -> None:
    with Peer(silent) as hung:
        sources = [{"host": "127.0.0.1", "port": port} for port in (hung.port, maria.port)]
        sources += [{"host": "nowhere.invalid"}, {"host": "127.0.0.1", "port": maria.port}]
        with within(3):
            seen = found("mysql", make_host({}), *sources, timeout=3)
    assert [finding.cause for finding in seen.values()] == [
        "datasource.silent", "", "datasource.unreachable", "",
    ]  # fmt: skip
    assert list(seen)[2:] == ["mysql at nowhere.invalid:3306",
                              f"mysql at 127.0.0.1:{maria.port} (2)"]  # fmt: skip


# --- Judged from facts that cannot be had here ----------------------------------------------------


def judged(kind: str = "mysql", host: str = "db.lab", tls: bool = False, **answer: Any) -> Finding:
    asked = Asked(
        kind=kind, user="omics", place=f"{host}:1", tls=tls,
        answer=Answer(**{"host": host, "port": 1, "state": "healthy", "logged_in": True,
                         "identity": "MySQL", "version": "8.0.36", **answer}),
    )  # fmt: skip
    (finding,) = judge(CHECKS[kind](context()), DatabaseFacts((asked,))).values()
    return finding


READS: dict[str, Any] = {"tables": 12, "databases": 2, "writes": [], "tls": "TLSv1.3"}


def test_what_is_said_against_one_that_answers() -> None:
    assert judged(told=READS).status is Status.PASS
    assert "12 tables in 2 databases and write nothing" in judged(told=READS).summary
    insert_only = judged(told={**READS, "reads": False, "writes": ["INSERT"]})
    assert insert_only.cause == "datasource.nothing-to-read"
    plain = judged(told={**READS, "tls": "", "offers_tls": True})
    assert (plain.status, plain.cause) == (Status.WARN, "datasource.readable-on-the-way")
    assert "tls = true" in str(plain.remedy) and "turn TLS on" not in str(plain.remedy)
    none = judged(told={**READS, "tls": "", "offers_tls": False})
    assert "turn TLS on" in str(none.remedy)
    for near in ("127.0.0.1", "::1", "localhost"):
        assert judged(host=near, told={**READS, "tls": ""}).status is Status.PASS
    assert judged(tls=True, told={**READS, "tls": ""}).status is Status.PASS
    assert "read-only" in judged(told={**READS, "server_read_only": True}).observed
    full = judged(told={**READS, "used_connections": 140, "max_connections": 151})
    assert (full.status, full.cause) == (Status.WARN, "datasource.crowded")
    assert judged(told={**READS, "used_connections": 9, "max_connections": 151}).cause == ""


@pytest.mark.parametrize(
    ("code", "state", "said"),
    [(1129, "denied", "FLUSH HOSTS"), (1130, "denied", "this host (10.9.8.7)"),
     (1049, "denied", "Correct the database"), (1862, "denied", "new password"),
     (1040, "unwell", "log says more"), (3159, "tls", "tls = true")],
)  # fmt: skip
def test_what_mysql_refuses(code: int, state: Any, said: str) -> None:
    told = {"code": code, "source": "10.9.8.7"}
    finding = judged(state=state, logged_in=False, told=told, detail="As it says")
    assert finding.status is Status.FAIL and said in str(finding.remedy)


def test_a_library_that_is_missing() -> None:
    finding = judged(state="unasked", library="pymysql", identity="")
    assert finding.status is Status.ERROR and "pymysql is missing" in finding.summary
    assert finding.remedy and finding.remedy.commands == (
        "pip install 'biostudio-doctor[datasources]'",
    )
    assert "pynacl" in str(judged(state="unasked", library="nacl").remedy)
    withheld = judged(state="unasked", detail="it wants the password itself")
    assert withheld.status is Status.ERROR and "turn TLS on" in str(withheld.remedy)
    crowded = judged(state="unwell", detail="Too many connections")
    assert "max_connections" in str(crowded.remedy)
    odd = judged(state="unasked", detail="Authentication plugin 'auth_gssapi_client' is unknown")
    assert odd.status is Status.ERROR and "auth_gssapi_client" in odd.summary


def test_a_cloud_that_signs_its_certificates_itself() -> None:
    untrusted = judged(state="untrusted", detail="self-signed certificate in the chain")
    assert untrusted.remedy and "global-bundle.pem" in untrusted.remedy.text


def test_a_name_that_does_not_exist() -> None:
    lost = judged(state="unreachable", failure=Failure("resolve", "nxdomain", "x"), version="")
    assert "there is no such name" in lost.summary
    assert lost.remedy and lost.remedy.commands == ("getent hosts db.lab",)


def test_findings_cite_the_published_document() -> None:
    cited = judged(told=READS).requirement
    assert cited and cited.section == "Internal service workflow" and "MariaDB" in cited.says
