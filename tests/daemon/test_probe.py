"""/probe as those ask it who should get nothing from it."""

import re
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import anyio
import dns.message
import dns.query
import dns.rrset
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from biostudio_doctor.config import Config, DaemonConfig, ProbeConfig
from biostudio_doctor.daemon.messages import Snapshot
from biostudio_doctor.daemon.web import probe
from biostudio_doctor.daemon.web.modules import MODULES
from biostudio_doctor.probes import dns as dns_probe
from tests.conftest import report
from tests.daemon.probing import application, asked, client, value, why
from tests.lab.names import name_server
from tests.lab.network import free_port
from tests.lab.peers import Peer, saying

#: Sets the answers of a name server; gives the names that it was asked for.
Rebinding = Callable[..., list[str]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


# --- Questions that make no sense -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, "target is missing"),
        ("module=http_2xx", 400, "target is missing"),
        ("module=http_post_2xx&target=studio.lab", 400, "there is no such module"),
        ("module=http_post_2xx&target=studio.lab", 400, "there is no such module"),
        ("module=tcp_connect&target=studio.lab", 400, "port"),
        ("module=tcp_connect&target=a:1&target=b:1", 400, "more than once"),
        ("module=tcp_connect&module=icmp&target=b:1", 400, "more than once"),
        ("target=studio.lab&hostname=other", 400, "hostname is not offered"),
        ("module=dns_udp&target=studio.lab", 400, "name is missing"),
        ("target=evil.lab", 403, "not among"),
        ("target=" + "a" * 3000, 400, "2048"),
    ],
)
def test_refusals_are_one_line(query: str, status: int, words: str) -> None:
    async def get() -> httpx.Response:
        async with client("studio.lab") as asking:
            return await asking.get(f"/probe?{query}")

    response = anyio.run(get)
    assert response.status_code == status
    assert words in response.text and response.text.count("\n") == 1


def test_what_is_not_allowed_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    texts = {
        asked(name, "http_2xx", "10.0.0.0/8").text for name in ("localhost", "nowhere.invalid")
    }
    assert len(texts) == 1  # no oracle


def test_the_configuration_in_force_is_that_of_the_snapshot() -> None:
    async def get(app: Starlette) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as asking:
            return (await asking.get("http://doctor/probe?target=127.0.0.1:1")).status_code

    app = Starlette(routes=[Route("/probe", probe.probe)])
    app.state.doctor = SimpleNamespace(snapshot=None)
    assert anyio.run(get, app) == 503
    app.state.doctor.snapshot = Snapshot(report=report(), config=Config())
    assert anyio.run(get, app) == 403
    allowing = Config(daemon=DaemonConfig(probe=ProbeConfig(allow=("127.0.0.1",))))
    app.state.doctor.snapshot = Snapshot(report=report(), config=allowing)
    assert anyio.run(get, app) == 200


# --- Redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{inner}/",
        "//127.0.0.1:{inner}/",
        "http://localhost:{inner}/",
        "http://127.1:{inner}/",
        "http://2130706433:{inner}/",
        "http://0x7f000001:{inner}/",
        "http://[::ffff:127.0.0.1]:{inner}/",
        "http://[::1]:{inner}/",
        "http://0.0.0.0:{inner}/",
        "http://127.0.0.1:{outer}@127.0.0.1:{inner}/",
        "http://127.0.0.1:{outer}\\@127.0.0.1:{inner}/",
        "https://127.0.0.1:{inner}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://evil.lab/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{inner}/",
        "gopher://127.0.0.1:{inner}/",
        "http://",
        "http://%31%32%37.0.0.1:{inner}/",
        "http://xn--a/",  # no A-label
    ],
)
def test_no_redirect_leads_elsewhere(location: str) -> None:
    place = {"inner": 0, "outer": 0}
    with Peer(saying(OK)) as inner:
        place["inner"] = inner.port

        def serve(connection: socket.socket) -> None:
            saying(redirect(location.format_map(place)))(connection)

        with Peer(serve) as outer:
            place["outer"] = outer.port
            address = f"127.0.0.1:{outer.port}"
            response = asked(address, "http_2xx", address)
        assert response.status_code == 200
        assert value(response.text, "probe_success") == 0
        assert inner.connections == 0
        assert why(response.text)[1] in ("not-allowed", "bad-response")


def test_an_admitted_redirect_is_followed() -> None:
    with Peer(saying(OK)) as inner:
        location = f"http://127.0.0.1:{inner.port}/a"
        with Peer(saying(redirect(location))) as outer:
            address = f"127.0.0.1:{outer.port}"
            for entry, success in ((f"http://127.0.0.1:{inner.port}/a", 1), (f"{location}/b", 0)):
                page = asked(address, "http_2xx", address, entry).text
                assert value(page, "probe_success") == success
                assert value(page, "probe_http_redirects") == 1


# --- Rebinding ------------------------------------------------------------------------------------


@pytest.fixture
def rebinding(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rebinding]:
    """The answers of a name server, one after the other.

    glibc asks no other port than 53, so getaddrinfo(3) alone is replaced, by a question to the
    lab's name server.
    """
    answers: list[tuple[str, ...]] = []
    asked_for: list[str] = []

    def reply(query: dns.message.Message) -> bytes:
        name = query.question[0].name
        asked_for.append(str(name))
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        told = dns.message.make_response(query)
        told.answer.append(dns.rrset.from_text(name, 0, "IN", "A", *addresses))
        return told.to_wire()

    def script(*given: tuple[str, ...]) -> list[str]:
        answers[:] = given
        return asked_for

    with name_server(reply) as port:

        def getaddrinfo(name: str) -> tuple[str, ...]:
            query = dns.message.make_query(name, "A")
            found = dns.query.udp(query, "127.0.0.1", timeout=20, port=port).answer
            return tuple(str(item) for rrset in found for item in rrset)

        monkeypatch.setattr(dns_probe, "_getaddrinfo", getaddrinfo)
        yield script


@pytest.mark.parametrize("module", ["tcp_connect", "tls_connect", "ssh_banner", "http_2xx"])
def test_a_name_that_changes_to_an_inner_address(module: str, rebinding: Rebinding) -> None:
    with Peer(saying(OK)) as inner:
        questions = rebinding(("127.0.0.5",), ("127.0.0.1",))
        target, allow = f"rebind.lab:{inner.port}", ("rebind.lab", "127.0.0.5")
        outcomes = [why(asked(target, module, *allow).text) for _ in range(2)]
        assert outcomes == [("connect", "refused"), ("resolve", "not-allowed")]
        assert inner.connections == 0
        assert questions == ["rebind.lab."] * 2  # once a probe


@pytest.mark.parametrize("module", ["dns_udp", "dns_tcp"])
def test_a_name_server_that_changes(module: str, rebinding: Rebinding) -> None:
    rebinding(("169.254.169.254",))
    page = asked("rebind.lab", module, "rebind.lab", name="studio.lab").text
    assert why(page) == ("resolve", "not-allowed")


def test_a_name_that_changes_between_redirects(rebinding: Rebinding) -> None:
    with Peer(saying(OK)) as inner:
        location = f"http://rebind.lab:{inner.port}/"
        with Peer(saying(redirect(location)), "127.0.0.5") as outer:
            questions = rebinding(("127.0.0.5",), ("127.0.0.1",))
            page = asked(f"rebind.lab:{outer.port}", "http_2xx", "rebind.lab", "127.0.0.5").text
        assert why(page) == ("resolve", "not-allowed")
        assert (inner.connections, len(questions)) == (0, 2)


def test_of_several_addresses_only_admitted_ones_are_asked(
    rebinding: Rebinding,
) -> None:
    with Peer(saying(OK), "127.0.0.5") as outer:
        rebinding(("127.0.0.1", "169.254.169.254", "127.0.0.5"))
        page = asked(f"rebind.lab:{outer.port}", "tcp_connect", "rebind.lab", "127.0.0.5").text
        assert value(page, "probe_success") == 1


# --- Anything at all ------------------------------------------------------------------------------

_PLACE = f"127.0.0.1:{free_port()}"
_VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from([*MODULES, _PLACE, "localhost", "[::1]:1", "0x7f.1", "//", ""]),
    st.builds("{}{}{}".format, st.sampled_from(["http://", "https://", "", "HTTP://"]),
              st.text(max_size=12), st.sampled_from([_PLACE, "/x", ":1", "@", "#"])),
)  # fmt: skip
_QUERIES = st.lists(
    st.tuples(st.sampled_from(["module", "target", "name", "hostname", "debug", "x"]), _VALUES),
    max_size=5,
)


@settings(max_examples=400)
@given(_QUERIES, st.one_of(st.none(), st.floats().map(str), st.text("0123456789.e+-", max_size=9)))
def test_no_question_breaks_it(query: list[tuple[str, str]], header: str | None) -> None:
    async def get() -> httpx.Response:
        headers = {} if header is None else {"X-Prometheus-Scrape-Timeout-Seconds": header}
        transport = httpx.ASGITransport(application("127.0.0.1", timeout=0.3))
        async with httpx.AsyncClient(transport=transport) as asking:
            return await asking.get(
                "http://doctor/probe", params=httpx.QueryParams(list(query)), headers=headers
            )

    response = anyio.run(get)
    assert response.status_code in (200, 400, 403)
    if response.status_code == 200:
        assert value(response.text, "probe_success") in (0, 1)
    else:
        assert re.fullmatch(r"[^\n]+\n", response.text)


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_no_raw_query_breaks_it(query: bytes) -> None:
    async def call() -> int:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.disconnect"}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/probe", "raw_path": b"/probe",
                 "query_string": b"target=" + query, "headers": [], "root_path": "",
                 "scheme": "http", "http_version": "1.1", "server": ("doctor", 80)}  # fmt: skip
        await application("127.0.0.1")(scope, receive, send)  # type: ignore[arg-type]
        return int(str(sent[0]["status"]))

    assert anyio.run(call) in (200, 400, 403)
