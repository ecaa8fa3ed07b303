"""The fronts, the app, the hub, MQTT and the job queue: each service in each state, one table.

What stands for BioStudio's images is told in tests/lab/biostudio.py.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import greenstalk
import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.check import Check
from biostudio_doctor.checks.services import ServiceCheck, ServiceFacts
from biostudio_doctor.checks.services_app import ServicesApp
from biostudio_doctor.checks.services_http import ServicesHttp
from biostudio_doctor.checks.services_https import ServicesHttps
from biostudio_doctor.checks.services_job import ServicesJob
from biostudio_doctor.checks.services_mqtt import ServicesMqttTcp, ServicesMqttWebsocket
from biostudio_doctor.checks.services_workspace import ServicesWorkspace
from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import Startup
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.services import Answer
from tests.conftest import context, judge
from tests.lab import biostudio, servers
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, reset, saying, server_context, silent, tls
from tests.lab.timing import wait_until, within

CHECKS: dict[str, type[ServiceCheck]] = {
    "http": ServicesHttp,
    "https": ServicesHttps,
    "app": ServicesApp,
    "workspace": ServicesWorkspace,
    "mqtt-tcp": ServicesMqttTcp,
    "mqtt-websocket": ServicesMqttWebsocket,
    "job": ServicesJob,
}
PASSWORD, WRONG = secrets.token_hex(8), secrets.token_hex(8)
SSH = saying(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", first=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with servers.directory() as path:
        yield path


@pytest.fixture(scope="module")
def authority(place: Path) -> servers.Authority:
    return servers.Authority(place)


@pytest.fixture(scope="module")
def ports(place: Path, authority: servers.Authority) -> Iterator[dict[str, int]]:
    """Of everything that runs, by name; also of peers that are something else."""
    with (
        biostudio.web(place, authority) as web,
        biostudio.broker(place, authority, PASSWORD) as broker,
        biostudio.job_queue(place) as jobs,
        Peer(SSH) as ssh,
        Peer(reset) as resetting,
        Peer(tls(server_context(place, make(names=["127.0.0.1"])))) as secure,
    ):
        yield {
            **vars(web),
            **vars(broker),
            "jobs": jobs.port,
            "ssh": ssh.port,
            "resetting": resetting.port,
            "tls_of_somebody": secure.port,
        }


def check_at(service: str, port: int, **config: Any) -> ServiceCheck:
    """The check of a service that is at this port; keywords are keys of its own table."""
    others = ("domain", "role", "nodes", "platform", "daemon")
    more = {key: config.pop(key) for key in others if key in config}
    settings = config.pop("settings", None)
    if service in ("http", "https"):
        places: dict[str, Any] = {"ports": {"http": free_port(), service: port, **config}}
    else:
        places = {"services": {service.replace("-", "_"): {"port": port, **config}}}
    kind = CHECKS[service]
    told = context(phase="running", timeout=4, **places, **more)
    return kind(told, kind.Settings(**settings) if settings else None)


def observe(check: Check[Any]) -> ServiceFacts:
    """What it sees, as a bundle carries it."""
    facts = anyio.run(check.observe, Host())  # type: ignore[arg-type]
    return msgspec.json.decode(msgspec.json.encode(facts), type=ServiceFacts)


def found(check: ServiceCheck) -> Finding:
    """What it says in its service's own row."""
    facts = observe(check)
    findings = judge(check, facts)
    for said in (repr(facts), repr(findings)):
        assert PASSWORD not in said and WRONG not in said
    return findings[check.subject()]


LOGIN = {"user": "lab", "password": {"env": "LAB_PASSWORD"}}
TLS = {"tls": True, "ca_file": "authority"}

#: service, state, name of the port, own settings, status, cause, a piece of the summary
TABLE: list[tuple[str, str, str, dict[str, Any], Status, str, str]] = [
    ("http", "healthy", "front", {}, Status.PASS, "", "answers at"),
    ("http", "redirecting", "front_redirecting", {}, Status.PASS, "",
     "leads to https://studio.example.org/app_proxy_status"),
    ("http", "backend down", "front_alone", {}, Status.FAIL, "service.backend-down",
     "bioproxy runs at"),
    ("http", "foreign web", "stranger", {}, Status.FAIL, "service.foreign",
     "an HTTP server (nginx/"),
    ("http", "password", "guarded", {}, Status.FAIL, "service.foreign",
     "answers /app_proxy_status with 401"),
    ("http", "tls", "front_tls", {}, Status.FAIL, "service.tls-unexpected", "TLS is spoken"),
    ("https", "healthy", "front_tls", {}, Status.PASS, "", "answers at"),
    ("https", "backend down", "front_alone_tls", {}, Status.FAIL, "service.backend-down",
     "HTTP 502"),
    ("https", "foreign web", "stranger_tls", {}, Status.FAIL, "service.foreign", "nginx/"),
    ("https", "plain", "front", {}, Status.FAIL, "service.tls-missing", "without TLS"),
    ("https", "hanging after TLS", "tls_of_somebody", {}, Status.FAIL, "service.unwell",
     "is not well"),
    ("app", "healthy", "app", {}, Status.PASS, "", "answers at"),
    ("app", "failing", "app_failing", {}, Status.FAIL, "service.unwell", "HTTP 500"),
    ("app", "endless page", "app_endless", {}, Status.FAIL, "service.foreign",
     "more than is read of it"),
    ("app", "foreign web", "stranger", {}, Status.FAIL, "service.foreign", "/status with 404"),
    ("app", "tls", "app_tls", {}, Status.FAIL, "service.tls-unexpected", "TLS is spoken"),
    ("workspace", "healthy", "hub", {}, Status.PASS, "", "notebook hub 4.0.2 answers"),
    ("workspace", "with header only", "hub_with_header", {}, Status.PASS, "", "hub 5.2.1 answers"),
    ("workspace", "hub down", "hub_down", {}, Status.FAIL, "service.hub-down", "HTTP 503"),
    ("workspace", "hub unregistered", "hub_unregistered", {}, Status.WARN, "service.hub-unknown",
     "HTTP 404): it is not up yet, or set up below another path"),
    ("workspace", "foreign web", "stranger", {}, Status.FAIL, "service.foreign", "nginx/"),
    ("workspace", "another page", "app_endless", {}, Status.FAIL, "service.foreign", "nginx/"),
    ("workspace", "tls", "hub_tls", {}, Status.FAIL, "service.tls-unexpected", "TLS is spoken"),
    ("job", "healthy", "jobs", {}, Status.PASS, "", "job queue 1."),
    ("job", "tls", "app_tls", {}, Status.FAIL, "service.tls-unexpected", "TLS is spoken"),
    *(
        row
        for service, kind in (("mqtt-tcp", "tcp"), ("mqtt-websocket", "ws"))
        for row in (
            (service, "healthy", kind, {}, Status.PASS, "", " 2."),
            (service, "password needed", f"{kind}_guarded", {}, Status.PASS, "",
             "wants a password"),
            (service, "right password", f"{kind}_guarded", LOGIN, Status.PASS, "", "answers at"),
            (service, "wrong password", f"{kind}_guarded",
             {**LOGIN, "password": {"env": "LAB_WRONG"}}, Status.FAIL, "service.password-wrong",
             "does not accept"),
            (service, "no password", f"{kind}_guarded",
             {**LOGIN, "password": {"env": "LAB_NONE"}}, Status.ERROR, "service.no-password",
             "cannot be had"),
            (service, "tls", f"{kind}_tls", {}, Status.FAIL, "service.tls-unexpected",
             "TLS is spoken"),
            (service, "by tls", f"{kind}_tls", TLS, Status.PASS, "", "answers at"),
            (service, "plain", kind, TLS, Status.FAIL, "service.tls-missing", "without TLS"),
            (service, "untrusted", f"{kind}_tls", {"tls": True}, Status.FAIL, "service.untrusted",
             "cannot be trusted"),
            (service, "foreign web", "stranger", {}, Status.FAIL, "service.foreign", "HTTP server"),
        )
    ),
    ("mqtt-tcp", "the other MQTT", "ws", {}, Status.FAIL, "service.foreign", "an HTTP server"),
    ("mqtt-websocket", "the other MQTT", "tcp", {}, Status.FAIL, "service.foreign", "MQTT broker"),
    *(
        row
        for service in CHECKS
        for row in (
            (service, "stopped", "nobody", {}, Status.FAIL, "service.refused", "Nothing listens"),
            (service, "foreign", "ssh", {}, Status.FAIL, "service.foreign", "OpenSSH_9.2p1"),
            (service, "hanging up", "resetting", {}, Status.FAIL, "service.closed", "hangs up"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "state", "at", "settings", "status", "cause", "said"),
    TABLE,
    ids=[f"{row[0]}-{row[1].replace(' ', '-')}" for row in TABLE],
)
def test_each_service_in_each_state(
    service: str,
    state: str,
    at: str,
    settings: dict[str, Any],
    status: Status,
    cause: str,
    said: str,
    ports: dict[str, int],
    authority: servers.Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LAB_PASSWORD", PASSWORD)
    monkeypatch.setenv("LAB_WRONG", WRONG)
    if "ca_file" in settings:
        settings = {**settings, "ca_file": str(authority.ca_file)}
    finding = found(check_at(service, ports[at], **settings))
    assert (finding.status, finding.cause) == (status, cause), finding
    assert said in finding.summary
    assert (finding.remedy is None) == (status is Status.PASS)


def test_every_service_hangs_after_accept_at_once() -> None:
    """All are asked at the same time, as in a run, and none takes longer than its own time."""
    answers: dict[str, Answer] = {}

    async def all_of_them(port: int) -> None:
        async def one(service: str) -> None:
            answers[service] = (await check_at(service, port).observe(Host())).answers[0]

        async with anyio.create_task_group() as tasks:
            for service in CHECKS:
                tasks.start_soon(one, service)

    with Peer(silent) as peer:
        with within(4):
            anyio.run(all_of_them, peer.port)
        wait_until(lambda: peer.open == 0, "hanging up")
    assert {answer.state for answer in answers.values()} == {"silent"}


def test_every_published_port_has_a_row_on_a_bioproxy_that_has_no_nodes() -> None:
    scope = context(role="bioproxy", phase="running").scope
    skipped = {service for service, kind in CHECKS.items() if kind.why_not(scope)}
    assert skipped == {"app", "workspace", "mqtt-tcp", "mqtt-websocket", "job"}


# --- The certificate of the HTTPS front -----------------------------------------------------------


def about_certificate(check: ServiceCheck) -> Finding:
    return judge(check, observe(check))[f"{check.subject()}: certificate"]


def test_a_certificate_that_verifies(ports: dict[str, int], authority: servers.Authority) -> None:
    trusted = {"ca_file": str(authority.ca_file)}
    finding = about_certificate(check_at("https", ports["front_tls"], settings=trusted))
    assert finding.status is Status.PASS and "verifies for 127.0.0.1" in finding.summary
    named = check_at("https", ports["front_tls"], settings=trusted, domain="localhost")
    assert "verifies for localhost." in about_certificate(named).summary


def test_a_certificate_of_nobody_known(ports: dict[str, int]) -> None:
    finding = about_certificate(check_at("https", ports["front_tls"]))
    assert finding.status is Status.WARN and finding.cause == "service.untrusted"
    assert finding.remedy and "ca_file" in finding.remedy.text


def test_a_certificate_for_another_name(
    ports: dict[str, int], authority: servers.Authority
) -> None:
    trusted = {"ca_file": str(authority.ca_file)}
    check = check_at("https", ports["front_tls"], settings=trusted, domain="studio.lab")
    finding = about_certificate(check)
    assert finding.status is Status.FAIL and "another name" in finding.summary
    assert finding.remedy and "127.0.0.1" in finding.remedy.text


def test_a_certificate_for_a_name_that_nobody_told_us(
    place: Path, authority: servers.Authority
) -> None:
    """bioproxy is asked at its address, and its certificate is for the site's name."""
    root = make("root", ca=True)
    own = make(issuer=root, names=["*.studio.lab"])
    file = place / "root.pem"
    file.write_bytes(root.pem)
    with Peer(tls(server_context(place, own))) as peer:
        check = check_at("https", peer.port, settings={"ca_file": str(file)})
        told = observe(check).answers[0]
    assert told.state == "unwell"  # it shakes hands, and says no more
    secure = servers_answering(place, own)
    with Peer(secure) as peer:
        finding = about_certificate(check_at("https", peer.port, settings={"ca_file": str(file)}))
    assert finding.status is Status.PASS and "verifies for biostudio.studio.lab" in finding.summary
    assert "(domain)" in finding.summary


def servers_answering(place: Path, *chain: Any) -> Any:
    from tests.lab.web import https

    return https(server_context(place, *chain))


def test_a_certificate_that_has_expired(place: Path) -> None:
    expired = make(names=["127.0.0.1"], days=(-90, -1))
    file = place / "expired.pem"
    file.write_bytes(expired.pem)
    with Peer(servers_answering(place, expired)) as peer:
        check = check_at("https", peer.port, settings={"ca_file": str(file)})
        finding = about_certificate(check)
    assert finding.status is Status.FAIL and "expired" in finding.summary


def test_authorities_that_cannot_be_read(ports: dict[str, int]) -> None:
    check = check_at("https", ports["front_tls"], settings={"ca_file": "/nowhere.pem"})
    finding = found(check)
    assert (finding.status, finding.cause) == (Status.ERROR, "service.ca-file")
    assert (
        finding.remedy and 'ca_file in the table [checks."services.https"]' in finding.remedy.text
    )
    assert "cannot be used: /nowhere.pem: No such file" in finding.summary


def test_without_https_http_is_served(ports: dict[str, int]) -> None:
    served = found(check_at("https", ports["nobody"], http=ports["front"]))
    assert (served.status, served.cause) == (Status.WARN, "service.https-missing")
    led = found(check_at("https", ports["nobody"], http=ports["front_redirecting"]))
    assert (led.status, led.cause) == (Status.FAIL, "service.refused")


# --- Jobs -----------------------------------------------------------------------------------------


def test_jobs_that_nobody_takes_and_jobs_set_aside(place: Path) -> None:
    with biostudio.job_queue(place) as queue:
        with greenstalk.Client(("127.0.0.1", queue.port)) as client:
            for body in ("first", "second", "third"):
                client.put(body)
            check = check_at("job", queue.port)
            idle = judge(check, observe(check))[f"{queue.port} (job): workers"]
            assert idle.status is Status.WARN and "holds 3 jobs that nobody takes" in idle.summary
            client.bury(client.reserve())
            findings = judge(check, observe(check))
            assert f"{queue.port} (job): workers" not in findings  # this client is one
            buried = findings[f"{queue.port} (job): buried"]
            assert "holds 1 job set aside as failed" in buried.summary
        queue.process.send_signal(signal.SIGUSR1)  # beanstalkd(1): drain
        wait_until(lambda: found(check).status is not Status.PASS, "draining")
        draining = found(check)
        assert draining.cause == "service.unwell" and "takes no new jobs" in draining.summary


# --- Starting -------------------------------------------------------------------------------------


def refused(check: ServiceCheck, startup: Startup | None) -> Finding:
    facts = observe(check)
    return judge(check, structs.replace(facts, startup=startup))[check.subject()]


@pytest.mark.parametrize("service", ["app", "workspace", "mqtt-tcp", "mqtt-websocket", "job"])
def test_a_quarter_of_an_hour_is_granted(service: str, ports: dict[str, int]) -> None:
    check = check_at(service, ports["nobody"])
    young = refused(check, Startup(name="biocolab", age=250, restarts=0))
    assert (young.status, young.cause) == (Status.WARN, "service.starting")
    assert "the container biocolab was started 4 minutes ago" in young.summary
    old = refused(check, Startup(name="biocolab", age=901, restarts=0))
    assert (old.status, old.cause) == (Status.FAIL, "service.refused")
    looping = refused(check, Startup(name="biocolab", age=7, restarts=31))
    assert looping.status is Status.FAIL
    assert "has been restarted 31 times, last 7 seconds ago" in looping.summary


def test_how_long_is_granted_can_be_configured(ports: dict[str, int]) -> None:
    check = check_at("app", ports["nobody"], daemon={"grace": 60})
    assert refused(check, Startup(name="biocolab", age=61, restarts=0)).status is Status.FAIL
    young = refused(check, Startup(name="biocolab", age=59, restarts=0))
    assert young.status is Status.WARN and "Check again 60 seconds after" in str(young.remedy)


def test_the_fronts_grant_it_to_what_is_behind_them(ports: dict[str, int]) -> None:
    starting = Startup(name="biocolab", age=60, restarts=0)
    behind = refused(check_at("http", ports["front_alone"]), starting)
    assert (behind.status, behind.cause) == (Status.WARN, "service.starting")


def test_the_nodes_are_where_to_look_behind(ports: dict[str, int]) -> None:
    finding = found(check_at("http", ports["front_alone"], nodes=["10.0.0.7", "10.0.0.8"]))
    assert finding.remedy and "To be run on 10.0.0.7 or 10.0.0.8." in finding.remedy.text


@pytest.mark.parametrize(
    ("service", "at", "by_its_port"),
    [("app", "nobody", True), ("workspace", "hub_down", True), ("http", "front_alone", False)],
)
def test_the_container_of_the_node_is_looked_for(
    service: str,
    at: str,
    by_its_port: bool,
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Docker itself is asked in tests/host/test_containers.py."""
    asked: list[tuple[int, tuple[str, ...]]] = []

    def startup(host: Host, port: int, images: tuple[str, ...]) -> Startup:
        asked.append((port, images))
        return Startup(name="node", age=3, restarts=0)

    monkeypatch.setattr("biostudio_doctor.host.containers.startup", startup)
    finding = found(check_at(service, ports[at]))
    assert asked == [(ports[at] if by_its_port else 0, ("biocolab", "biostudio"))]
    assert (finding.status, finding.cause) == (Status.WARN, "service.starting")
    assert "node was started 3 seconds ago" in finding.summary


def test_docker_is_not_asked_about_what_answers(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biostudio_doctor.host.containers.startup", None)
    for service, at in (("app", "app"), ("app", "stranger"), ("http", "front"), ("http", "nobody")):
        found(check_at(service, ports[at]))


@pytest.mark.parametrize("platform", ["docker", "kubernetes"])
def test_a_hub_below_another_path_is_no_failure(ports: dict[str, int], platform: str) -> None:
    """Its proxy answers as one that has not heard of its hub yet: who looks can tell them apart."""
    finding = found(check_at("workspace", ports["hub_unregistered"], platform=platform))
    assert finding.status is Status.WARN and "the notebook hub is down" not in finding.summary
    assert finding.remedy and finding.remedy.text.startswith("If notebooks open all the same")
    assert finding.remedy.commands[0].split()[0] == {"docker": "docker"}.get(platform, "kubectl")
