"""The client of MySQL and MariaDB, on a real MariaDB in many states."""

import gc
import socket
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.services import Answer, Login, Target, mysql, mysql_account
from tests.lab.mariadb import MariaDb, mariadb
from tests.lab.network import free_port
from tests.lab.peers import Peer, silent
from tests.lab.timing import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    with mariadb() as started:
        yield started


@pytest.fixture(scope="module")
def plain() -> Iterator[MariaDb]:
    """Without TLS, with few connections, and soon offended."""
    with mariadb("--max-connections=10", "--max-connect-errors=3", tls=False) as started:
        yield started


def ask(port: int, login: Login | None = None, host: str = "127.0.0.1", **more: Any) -> Answer:
    told = anyio.run(mysql.ask, Target(host=host, port=port, login=login, **more))
    carried = msgspec.json.encode(told)
    if login and login.password:
        assert login.password.encode() not in carried
    return msgspec.json.decode(carried, type=Answer)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """Connections come from 127.0.0.2, which MariaDB, unlike 127.0.0.1, takes for another host."""

    class FromElsewhere(socket.socket):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            fresh = named.get("fileno") is None and len(given) < 4
            if fresh and self.family == socket.AF_INET and self.type == socket.SOCK_STREAM:
                self.bind(("127.0.0.2", 0))

    monkeypatch.setattr(socket, "socket", FromElsewhere)
    return "127.0.0.2"


def login(server: MariaDb, name: str) -> Login:
    return Login(name, server.passwords[name])


# --- A real MariaDB -------------------------------------------------------------------------------


def test_who_only_knocks(server: MariaDb) -> None:
    answer = ask(server.port)
    assert answer.state == "password-needed" and answer.anonymous is False
    assert answer.identity == "MariaDB" and answer.version.startswith("10.")
    assert answer.told["offers_tls"] is True and not answer.logged_in


@pytest.mark.parametrize(
    ("name", "writes", "tables"),
    [("reader", [], 3), ("writer", ["INSERT", "UPDATE"], 1), ("full", ["ALL PRIVILEGES"], 4),
     ("nothing", [], 0), ("byrole", [], 0)],
)  # fmt: skip
def test_what_an_account_may_do(server: MariaDb, name: str, writes: list[str], tables: int) -> None:
    answer = ask(server.port, login(server, name))
    assert answer.state == "healthy" and answer.logged_in and answer.anonymous is None
    told = answer.told
    assert (told["writes"], told["tables"]) == (writes, tables)
    assert told["roles"] is (name == "byrole")
    assert told["max_connections"] == 151 and told["used_connections"] >= 1
    assert told["tls"].startswith("TLSv1.") and told["server_read_only"] is False
    assert "PASSWORD" not in str(told), "SHOW GRANTS holds the hash of the password"


def test_the_session_may_not_write(server: MariaDb, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[Any] = []

    def try_to_write(connection: Any) -> dict[str, Any]:
        look(connection)
        try:
            with connection.cursor() as cursor:
                cursor.execute("insert into omics.samples values (1)")
        except connection.Error as error:
            refused.append(error.args[0])
        return {}

    look = mysql_account.look
    monkeypatch.setattr(mysql_account, "look", try_to_write)
    ask(server.port, login(server, "full"))
    assert refused == [1792]  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION


@pytest.mark.parametrize(
    ("name", "changes", "state", "said"),
    [
        ("reader", {"password": "x" * 12}, "password-wrong", "using password: YES"),
        ("reader", {"password": "пароль-日本"}, "password-wrong", "using password: YES"),
        ("reader", {"password": ""}, "password-needed", "using password: NO"),
        ("stranger", {"password": "x" * 12}, "password-wrong", "stranger"),
        ("locked", {}, "denied", "locked"),
        ("reader", {"database": "plans"}, "denied", "to database 'plans'"),
        ("reader", {"database": "nothing"}, "denied", "to database 'nothing'"),
        ("full", {"database": "nothing"}, "denied", "Unknown database"),
    ],
)
def test_refusals(
    server: MariaDb, name: str, changes: dict[str, str], state: str, said: str
) -> None:
    password = changes.get("password", server.passwords.get(name, ""))
    answer = ask(server.port, Login(name, password), database=changes.get("database", ""))
    assert answer.state == state and said in answer.detail and not answer.logged_in


def test_tls(server: MariaDb, plain: MariaDb) -> None:
    ca_file = str(server.authority.ca_file)
    good = ask(server.port, login(server, "tlsonly"), tls=True, ca_file=ca_file)
    assert good.state == "healthy" and good.told["tls"].startswith("TLSv1.")
    unknown = ask(server.port, login(server, "reader"), tls=True)
    assert unknown.state == "untrusted" and "issuer" in unknown.detail
    named = ask(server.port, login(server, "reader"), "127.0.0.2", tls=True, ca_file=ca_file)
    assert named.state == "untrusted" and "another IP address" in named.detail
    without = ask(plain.port, login(plain, "reader"), tls=True, ca_file=ca_file)
    assert without.state == "plain" and without.version
    assert ask(plain.port, login(plain, "reader")).told["tls"] == ""
    assert ask(plain.port, login(plain, "tlsonly")).state == "password-wrong"
    assert ask(server.port, tls=True, ca_file=ca_file).state == "password-needed"


def test_a_ca_file_that_is_none(server: MariaDb) -> None:
    answer = ask(server.port, tls=True, ca_file="/nowhere/ca.pem")
    assert answer.state == "ca-file" and "/nowhere/ca.pem: No such file" in answer.detail


def test_no_connection_is_left(plain: MariaDb) -> None:
    with ExitStack() as guests:
        for _ in range(11):  # one more than allowed, which is root's
            guest = guests.enter_context(socket.create_connection(("127.0.0.1", plain.port)))
            guest.recv(1)
        full = ask(plain.port, login(plain, "reader"))
    assert full.state == "unwell" and full.told["code"] == 1040
    wait_until(lambda: ask(plain.port, login(plain, "reader")).state == "healthy", "free again")


def test_asking_locks_nobody_out(plain: MariaDb, elsewhere: str) -> None:
    """What hangs up in the middle is counted, and at 3 this server is offended: we are not."""
    plain.execute("FLUSH HOSTS")
    for _ in range(5):
        assert ask(plain.port).state == "password-needed"
        wrong = ask(plain.port, Login("reader", "x"))
        assert wrong.state == "password-wrong" and wrong.told["source"] == elsewhere
    assert ask(plain.port, login(plain, "reader")).state == "healthy"


def test_a_host_that_is_locked_out(plain: MariaDb, elsewhere: str) -> None:
    for _ in range(4):
        with socket.socket() as rude:
            rude.connect(("127.0.0.1", plain.port))
            rude.recv(1)
    locked_out = ask(plain.port, login(plain, "reader"))
    assert locked_out.state == "denied" and locked_out.told["code"] == 1129
    assert locked_out.identity == "MariaDB" and locked_out.told["source"] == elsewhere


@pytest.fixture
def picky() -> Iterator[MariaDb]:
    with mariadb(admitted="192.0.2.1") as started:
        yield started


def test_a_host_that_is_not_admitted(picky: MariaDb, elsewhere: str) -> None:
    answer = ask(picky.port, login(picky, "reader"))
    assert answer.state == "denied" and answer.told["code"] == 1130
    assert answer.told["source"] == elsewhere and elsewhere in answer.detail


def test_it_is_stopped_or_hangs() -> None:
    import os
    import signal

    assert ask(free_port()).state == "refused"
    assert ask(3306, host="nowhere.invalid").state == "unreachable"
    with mariadb() as hung:
        process = int(next(hung.authority.key.parent.glob("pid")).read_text())
        os.kill(process, signal.SIGSTOP)
        answer = ask(hung.port, login(hung, "reader"), timeout=1.5)
        os.kill(process, signal.SIGCONT)
    assert answer.state == "silent"


def test_a_library_that_is_missing(server: MariaDb, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "biostudio_doctor.services.mysql_wire", raising=False)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    monkeypatch.setitem(sys.modules, "pymysql.connections", None)
    answer = ask(server.port, login(server, "reader"))
    assert answer.state == "unasked" and answer.library == "pymysql"


def test_nothing_is_left_open(server: MariaDb) -> None:
    gc.collect()  # what other tests left is not ours
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(3):
            ask(server.port, login(server, "reader"))
            ask(server.port, tls=True)
        with Peer(silent) as peer:
            ask(peer.port, login(server, "reader"), timeout=0.5)
        gc.collect()
    told = [str(one.message) for one in warned if one.category is ResourceWarning]
    assert not [words for words in told if "socket.socket" in words]


# --- Parsing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "reads", "writes", "roles"),
    [
        (["GRANT USAGE ON *.* TO `a`@`%`"], False, [], False),
        (["GRANT SELECT, SHOW VIEW ON `x`.* TO `a`@`%`"], True, [], False),
        (["GRANT SELECT (`id`, `name`), UPDATE (`id`) ON `x`.`y` TO `a`@`%`"], True, ["UPDATE"],
         False),
        (["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"], True, ["ALL PRIVILEGES"],
         False),
        (["GRANT `reader`@`%` TO `a`@`%`"], False, [], True),
        (["GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION"], False, [], False),
        (["GRANT SELECT, APPLICATION_PASSWORD_ADMIN ON *.* TO `a`@`%`"], True,
         ["APPLICATION_PASSWORD_ADMIN"], False),
    ],
)  # fmt: skip
def test_grants(lines: list[str], reads: bool, writes: list[str], roles: bool) -> None:
    told = mysql_account.privileges(lines)
    assert told == {"reads": reads, "writes": writes, "roles": roles}


@given(st.lists(st.text()))
def test_no_line_of_grants_breaks_it(lines: list[str]) -> None:
    mysql_account.privileges(lines)


@pytest.mark.parametrize(
    ("greeted_as", "product", "version"),
    [
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", "MariaDB", "10.11.19"),
        ("11.4.2-MariaDB-ubu2404", "MariaDB", "11.4.2"),
        ("8.0.36", "MySQL", "8.0.36"),
        ("8.0.36-28-Percona Server", "MySQL", "8.0.36"),
        ("", "", ""),
    ],
)
def test_products(greeted_as: str, product: str, version: str) -> None:
    assert mysql_account.product(greeted_as) == product
    assert mysql_account.version(greeted_as) == version
