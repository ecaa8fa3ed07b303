"""The stores, each in each state, one table with real servers; and what all services.* share."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, get_args

import anyio
import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.checks.services import ServiceCheck, ServiceFacts, best
from biostudio_doctor.checks.services_memcached import ServicesMemcached
from biostudio_doctor.checks.services_postgresql import ServicesPostgresql
from biostudio_doctor.checks.services_redis import ServicesRedis
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.services import Answer, State
from biostudio_doctor.services.identify import SSL_REQUEST
from tests.conftest import DEBIAN, context, judge
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, saying, server_context, silent, tls
from tests.lab.timing import within

CHECKS: dict[str, type[ServiceCheck]] = {
    "postgresql": ServicesPostgresql,
    "redis": ServicesRedis,
    "memcached": ServicesMemcached,
}
WRONG = secrets.token_hex(8)


class Lab(NamedTuple):
    """Ports of real services and of peers, and the files that hold the passwords."""

    ports: dict[str, int]
    files: dict[str, Path]
    passwords: dict[str, str]
    ca_file: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place = tmp_path_factory.mktemp("lab")
    passwords = {"redis": secrets.token_hex(8), "wrong": WRONG}
    with ExitStack() as stack:
        enter = stack.enter_context
        authority = servers.Authority(enter(servers.directory()))
        users = servers.give(_written(enter(servers.directory()) / "users", "lab:secret\n"))
        postgresql = enter(servers.postgresql())
        secure = enter(servers.postgresql(authority))
        passwords |= {"postgresql": postgresql.password, "postgresql-tls": secure.password}
        password = passwords["redis"]
        ports = {
            "postgresql": postgresql.port,
            "postgresql-tls": secure.port,
            "redis": enter(servers.redis(password=password)).port,
            "redis-tls": enter(servers.redis(authority, password=password)).port,
            "memcached": enter(servers.memcached()).port,
            "memcached-locked": enter(servers.memcached("-Y", str(users))).port,
            "stopped": free_port(),
            "ssh": enter(Peer(saying(b"SSH-2.0-OpenSSH_9.2p1\r\n", first=True))).port,
            "hanging": enter(Peer(silent)).port,
            "tls": enter(Peer(tls(server_context(place, make("other.lab"))))).port,
        }
        files = {name: _written(place / name, f"{value}\n") for name, value in passwords.items()}
        yield Lab(ports, files, passwords, authority.ca_file)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def found(service: str, settings: dict[str, Any], **config: Any) -> tuple[Finding, ServiceFacts]:
    """What a check says of a service with these settings in the configuration."""
    check = CHECKS[service](context(services={service: settings}, timeout=4, **config))
    with within(4):
        facts: ServiceFacts = anyio.run(check.observe, Host())
    findings = judge(check, facts)
    finding = findings[f"{settings['port']} ({service})"]
    assert finding.requirement and finding.summary.endswith(".")
    assert (finding.remedy is None) == (finding.status is Status.PASS)
    return finding, facts


#: Service, where, what is configured beside it; status, cause, and a part of the sentence.
STATES: tuple[tuple[str, str, dict[str, Any], Status, str, str], ...] = (
    ("postgresql", "postgresql", {"user": "reader", "password": "postgresql"},
     Status.PASS, "", "PostgreSQL 15."),
    ("redis", "redis", {"password": "redis"}, Status.PASS, "", "Redis 7."),
    ("memcached", "memcached", {}, Status.PASS, "", "Memcached 1."),
    ("postgresql", "postgresql-tls",
     {"user": "reader", "password": "postgresql-tls", "tls": True, "ca": True},
     Status.PASS, "", "PostgreSQL 15."),
    ("redis", "redis-tls", {"password": "redis", "tls": True, "ca": True},
     Status.PASS, "", "Redis 7."),
    *((service, "stopped", {}, Status.FAIL, "service.refused", "Nothing listens")
      for service in CHECKS),
    *((service, "ssh", {}, Status.FAIL, "service.foreign", "an SSH server (OpenSSH_9.2p1), not")
      for service in CHECKS),
    ("postgresql", "redis", {}, Status.FAIL, "service.foreign", "answers Redis, not PostgreSQL"),
    ("redis", "memcached", {}, Status.FAIL, "service.foreign", "answers memcached, not Redis"),
    ("memcached", "postgresql", {}, Status.FAIL, "service.foreign",
     "answers PostgreSQL, not Memcached"),
    ("postgresql", "postgresql", {}, Status.PASS, "", "wants a password; it was asked without"),
    ("postgresql", "postgresql", {"database": "closed"}, Status.PASS, "",
     "lets nobody in who asks without a login: no pg_hba.conf entry"),
    ("redis", "redis", {}, Status.PASS, "", "wants a password; it was asked without"),
    ("memcached", "memcached-locked", {}, Status.PASS, "", "wants a password"),
    ("postgresql", "postgresql", {"user": "reader", "password": "wrong"},
     Status.FAIL, "service.password-wrong", "does not accept"),
    ("redis", "redis", {"password": "wrong"},
     Status.FAIL, "service.password-wrong", "does not accept"),
    *((service, "hanging", {}, Status.FAIL, "service.silent", "and then says nothing")
      for service in CHECKS),
    *((service, "tls", {}, Status.FAIL, "service.tls-unexpected", "a certificate for other.lab")
      for service in CHECKS),
    ("postgresql", "postgresql-tls",
     {"user": "reader", "password": "postgresql-tls", "database": "secure"},
     Status.FAIL, "service.tls-unexpected", "lets this user in by TLS only"),
    ("redis", "redis-tls", {"password": "redis"},
     Status.FAIL, "service.tls-unexpected", "TLS is spoken"),
    ("postgresql", "postgresql", {"user": "reader", "password": "postgresql", "tls": True},
     Status.FAIL, "service.tls-missing", "answers without TLS"),
    ("redis", "redis", {"password": "redis", "tls": True},
     Status.FAIL, "service.tls-missing", "answers without TLS"),
    ("postgresql", "postgresql-tls", {"user": "reader", "password": "postgresql-tls", "tls": True},
     Status.FAIL, "service.untrusted", "cannot be trusted"),
    ("redis", "redis-tls", {"password": "redis", "tls": True},
     Status.FAIL, "service.untrusted", "cannot be trusted"),
    ("postgresql", "postgresql-tls", {"tls": True, "ca_file": "/nowhere.pem"},
     Status.ERROR, "service.ca-file", "cannot be used: /nowhere.pem: No such file"),
    ("redis", "redis-tls", {"tls": True, "ca_file": "/nowhere.pem"},
     Status.ERROR, "service.ca-file", "cannot be used: /nowhere.pem: No such file"),
    ("postgresql", "postgresql",
     {"user": "reader", "password": "postgresql", "database": "closed"},
     Status.WARN, "service.denied", "pg_hba.conf"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("service", "where", "settings", "status", "cause", "words"),
    STATES,
    ids=[f"{row[0]}-{row[4] or row[5]}-{row[1]}".replace(" ", "_") for row in STATES],
)
def test_each_service_in_each_state(
    lab: Lab,
    service: str,
    where: str,
    settings: dict[str, Any],
    status: Status,
    cause: str,
    words: str,
) -> None:
    given: dict[str, Any] = {"port": lab.ports[where], **settings}
    if given.pop("ca", False):
        given["ca_file"] = str(lab.ca_file)
    if "password" in given:
        given["password"] = {"file": str(lab.files[given["password"]])}
    finding, facts = found(service, given)
    assert (finding.status, finding.cause) == (status, cause)
    assert words in finding.summary
    told = msgspec.json.encode([finding, facts]).decode()
    assert not any(password in told for password in lab.passwords.values())


# --- Whom to ask ----------------------------------------------------------------------------------


def places(service: str = "redis", **config: Any) -> Any:
    offline = config.pop("offline", False)
    return CHECKS[service](context(offline=offline, **config)).places()


def test_own_services_are_asked_at_the_configured_address() -> None:
    assert places() == [("127.0.0.1", 6379)]
    assert places(role="bioproxy", services={"address": "10.0.0.5"}) == [("10.0.0.5", 6379)]
    assert places(services={"redis": {"port": 6380}}) == [("127.0.0.1", 6380)]
    assert places("memcached") == [("127.0.0.1", 11121), ("127.0.0.1", 11211)]


def test_bioproxys_services_are_asked_where_bioproxy_is() -> None:
    assert places(role="biostudio", bioproxy="proxy.lab") == [("proxy.lab", 6379)]
    nowhere = places(role="biostudio")
    assert nowhere.status is Status.SKIP and "bioproxy =" in nowhere.remedy.text
    offline = places(role="biostudio", bioproxy="proxy.lab", offline=True)
    assert offline.status is Status.SKIP and "--offline" in offline.summary
    own = places(services={"address": "10.0.0.5"}, offline=True)  # of this host, as far as is known
    assert own.status is Status.SKIP and "another host" not in own.summary


def test_nobody_is_asked_where_nobody_is_configured() -> None:
    check = ServicesRedis(context(role="biostudio"))
    facts = anyio.run(check.observe, Host())
    assert facts == ServiceFacts()
    assert judge(check, facts)["6379 (redis)"].status is Status.SKIP


def test_either_port_of_memcached_will_do() -> None:
    check = ServicesMemcached(context())
    published = Answer(host="127.0.0.1", port=11121, state="refused")
    image = Answer(host="127.0.0.1", port=11211, state="healthy", version="1.6")
    finding = judge(check, ServiceFacts(answers=(published, image)))["11121 (memcached)"]
    assert finding.status is Status.PASS
    assert (
        "127.0.0.1:11211" in finding.summary
        and "the image itself, not at the published 11121" in finding.summary
    )
    gone = structs.replace(image, state="refused", version="")
    finding = judge(check, ServiceFacts(answers=(published, gone)))["11121 (memcached)"]
    assert "127.0.0.1:11121 or 127.0.0.1:11211" in finding.summary


# --- What it means --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("service", CHECKS)
@pytest.mark.parametrize("config", [{}, {"platform": "kubernetes"},
                                    {"role": "biostudio", "bioproxy": "proxy.lab"}])  # fmt: skip
def test_every_state_has_words(service: str, state: State, config: dict[str, Any]) -> None:
    check = CHECKS[service](context(**config))
    places = check.places()
    assert not isinstance(places, Finding)
    host, port = places[0]
    answer = Answer(host=host, port=port, state=state, library="lab" * (state == "unasked"))
    facts = ServiceFacts(answers=(answer,) * len(places))
    (finding,) = check.judge(facts, check.context.requirements)
    assert check.name in finding.summary and f"{host}:{port}" in finding.summary
    assert "  " not in finding.summary and ".." not in finding.summary
    passes = state in ("healthy", "password-needed")
    assert (finding.status is Status.PASS) == passes == (finding.cause == "")
    assert (finding.remedy is None) == passes
    if finding.remedy and config.get("platform") == "kubernetes":
        assert not any(command.startswith("docker") for command in finding.remedy.commands)
    if finding.remedy and host == "proxy.lab":
        assert not any(command.startswith("ss ") for command in finding.remedy.commands)
    assert best([answer]) is answer


@pytest.mark.parametrize("platform", ["docker", "kubernetes"])
def test_who_has_taken_a_port_may_be_a_container(platform: str) -> None:
    """Of which ss(8) shows no more than docker-proxy."""
    check = ServicesRedis(context(platform=platform))
    answer = Answer(host="127.0.0.1", port=6379, state="foreign", identity="nginx")
    finding = judge(check, ServiceFacts(answers=(answer,)))["6379 (redis)"]
    assert finding.remedy and "looked for on" not in finding.remedy.text
    assert finding.remedy.commands[0] == "ss -ltnp 'sport = :6379'"
    asked = "docker ps --filter publish=6379" in finding.remedy.commands
    assert asked == (platform == "docker")
    elsewhere = structs.replace(answer, host="proxy.lab")
    finding = judge(check, ServiceFacts(answers=(elsewhere,)))["6379 (redis)"]
    assert finding.remedy and finding.remedy.text.endswith("To be looked for on proxy.lab.")


def test_a_missing_library_is_named_with_its_remedy(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for service, library in (("postgresql", "psycopg"), ("redis", "redis")):
        monkeypatch.setitem(sys.modules, library, None)
        password = {"file": str(lab.files[service])}
        finding, _ = found(
            service, {"port": lab.ports[service], "user": "reader", "password": password}
        )
        assert (finding.status, finding.cause) == (Status.ERROR, "service.unasked")
        assert f"client library {library} is missing" in finding.summary
        assert finding.remedy and "biostudio-doctor[services]" in finding.remedy.commands[0]
    monkeypatch.setitem(sys.modules, "pymemcache", None)
    monkeypatch.setitem(sys.modules, "pymemcache.client.base", None)
    finding, _ = found("memcached", {"port": lab.ports["memcached"]})
    assert finding.status is Status.PASS  # its version is told without


def test_a_password_that_cannot_be_read_is_an_error(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "none"
    finding, _ = found("redis", {"port": lab.ports["redis"], "password": {"file": str(file)}})
    assert (finding.status, finding.cause) == (Status.ERROR, "service.no-password")
    assert str(file) in finding.summary and "wants a password" in finding.summary
    stopped, _ = found("redis", {"port": lab.ports["stopped"], "password": {"file": str(file)}})
    assert stopped.cause == "service.refused"


def test_a_session_that_hangs_is_hung_up(lab: Lab) -> None:
    """Made: who welcomes everybody, and is silent when a query comes."""
    welcome = b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I"
    queries: list[bytes] = []
    over = threading.Event()

    def hang(connection: socket.socket) -> None:
        first = connection.recv(4096)
        connection.sendall(b"N" if first == SSL_REQUEST else welcome)
        while data := connection.recv(4096):
            if first != SSL_REQUEST and data[:1] in b"QP":  # Query, Parse
                queries.append(data)
                connection.settimeout(5)
                while connection.recv(4096):
                    pass
                over.set()
                return

    with Peer(hang) as peer:
        password = {"file": str(lab.files["wrong"])}
        finding, _ = found("postgresql", {"port": peer.port, "password": password})
        assert (finding.status, finding.cause) == (Status.FAIL, "service.unwell")
        assert "did not answer in time" in finding.summary
        assert queries and over.wait(5)


def remarks(service: str, **told: Any) -> dict[str, Finding]:
    """What is said besides of a service that answers and tells this."""
    check = CHECKS[service](context())
    answer = Answer(host="127.0.0.1", port=1, state="healthy", logged_in=True, told=told)
    findings = judge(check, ServiceFacts(answers=(answer,)))
    findings.pop(check.subject())
    assert all(finding.status is Status.WARN and finding.remedy for finding in findings.values())
    return {name.partition(": ")[2]: finding for name, finding in findings.items()}


def test_what_is_remarked_of_postgresql() -> None:
    assert not remarks("postgresql", used_connections=90, max_connections=100)
    full = remarks("postgresql", used_connections=91, max_connections=100)
    assert "91 of at most 100" in full["connections"].summary
    late = remarks("postgresql", in_recovery=True, behind_seconds=125.0)["recovery"]
    assert "125 s behind" in late.summary and late.cause == "service.read-only"
    assert "behind" not in remarks("postgresql", in_recovery=True)["recovery"].summary
    states = [{"name": "a", "state": "streaming"}, {"name": "b", "state": "startup"}]
    assert list(remarks("postgresql", replicas=states)) == ["replica b"]


def test_what_is_remarked_of_redis() -> None:
    memory = {"used_memory": 95, "maxmemory": 100}
    assert "memory" in remarks("redis", **memory, maxmemory_policy="noeviction")
    assert not remarks("redis", **memory, maxmemory_policy="allkeys-lru")
    assert not remarks("redis", used_memory=95, maxmemory=0, maxmemory_policy="noeviction")
    assert "down" in remarks("redis", role="slave", master_link="down")["role"].summary
    assert "MISCONF" in remarks("redis", last_save="err")["saving"].summary
    assert "clients" in remarks("redis", connected_clients=9999, maxclients=10000)


def test_what_is_remarked_of_memcached() -> None:
    assert not remarks("memcached", connections=100, max_connections=1024)
    assert "connections" in remarks("memcached", connections=1000, max_connections=1024)


def test_a_container_has_its_own_loopback() -> None:
    machine = structs.replace(DEBIAN, container="docker")
    check = ServicesRedis(context(machine))
    answer = Answer(
        host="127.0.0.1", port=6379, state="refused", failure=Failure("connect", "refused")
    )
    finding = judge(check, ServiceFacts(answers=(answer,)))["6379 (redis)"]
    assert finding.remedy and "runs in a container (docker)" in finding.remedy.text
