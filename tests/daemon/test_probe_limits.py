"""/probe where peers mean no good, and where many ask: it costs its time and its place only."""

import secrets
import socket
import threading
import tracemalloc
from collections.abc import Callable

import anyio
import httpx
import pytest

from biostudio_doctor.daemon.web import probe
from biostudio_doctor.daemon.web.asking import Lookups
from biostudio_doctor.daemon.web.modules import MODULES
from biostudio_doctor.probes import dns as dns_probe
from tests.daemon.probing import asked, client, value, why
from tests.lab.peers import Peer, dripping, endless, reset, saying, silent
from tests.lab.timing import SLACK, within

#: All but icmp, which asks a host without a port.
BY_PORT = sorted(MODULES.keys() - {"icmp"})


def test_nothing_of_the_target_is_told() -> None:
    word = secrets.token_hex(8)
    head = f"HTTP/1.1 200 {word}\r\nServer: {word}\r\nX: {word}\r\nSet-Cookie: {word}=1\r\n"
    with Peer(saying(f"{head}Last-Modified: {word}\r\n\r\n{word}".encode())) as peer:
        for module in BY_PORT:
            address = f"127.0.0.1:{peer.port}"
            response = asked(address, module, address, timeout=0.5, name="studio.lab")
            assert response.status_code == 200
            assert word not in response.text + str(response.headers)


_ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 4000


def flood(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


@pytest.mark.parametrize("module", BY_PORT)
@pytest.mark.parametrize(
    "behaviour",
    [silent, reset, dripping, flood, endless(b"x" * 4096), endless(b"\n"), endless(_ENDLESS_HEAD),
     saying(b""), saying(b"\xff" * 100), saying(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
     saying(b"HTTP/1.1 999 \r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n"),
     saying(b"\xff\xff" + b"\0" * 1000), saying(b"\x16\x03\x03\xff\xff" + b"\xff" * 9000)],
    ids=[
        "silent", "reset", "dripping", "flood", "endless", "line ends", "endless head", "nothing",
        "noise", "length below zero", "length beyond all", "zeros", "broken handshake",
    ],
)  # fmt: skip
def test_a_hostile_peer_costs_its_time_only(
    module: str, behaviour: Callable[[socket.socket], object]
) -> None:
    with Peer(behaviour) as peer:
        address = f"127.0.0.1:{peer.port}"
        seconds = 20 if module == "tcp_connect" else 0.3  # of which that needs almost none
        with within(seconds):
            response = asked(address, module, address, timeout=seconds, name="studio.lab")
        assert response.status_code == 200
        success = value(response.text, "probe_success")
        assert success == (module == "tcp_connect") or behaviour is reset


def test_a_long_body_is_not_kept() -> None:
    with Peer(flood) as peer:
        address = f"127.0.0.1:{peer.port}"
        tracemalloc.start()
        try:
            page = asked(address, "http_2xx", address, timeout=20).text
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert why(page) == ("transfer", "too-large")
    assert 10 << 20 < value(page, "probe_http_uncompressed_body_length") < 11 << 20
    assert peak < 4 << 20


# --- Limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "timeout", "seconds"),
    [("1", 60, 0.5), ("0.4", 60, 0.2), ("100", 0.8, 0.8), (None, 0.8, 0.8)],
)
def test_prometheus_is_answered_in_time(header: str | None, timeout: float, seconds: float) -> None:
    async def get() -> httpx.Response:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": header} if header else {}
        async with client("127.0.0.1", timeout=timeout) as asking:
            parameters = {"target": f"127.0.0.1:{peer.port}", "module": "ssh_banner"}
            return await asking.get("/probe", params=parameters, headers=headers)

    with Peer(silent) as peer:
        page = anyio.run(get).text
    assert why(page) == ("request", "timeout")
    assert seconds - 0.1 < value(page, "probe_duration_seconds") < seconds + SLACK


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-1", "0", "1e999"])
def test_a_header_that_is_no_number(header: str) -> None:
    async def get() -> httpx.Response:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": header}
        async with client("127.0.0.1") as asking:
            return await asking.get("/probe?target=127.0.0.1:1", headers=headers)

    assert anyio.run(get).status_code == 400


def test_no_more_than_so_many_at_once() -> None:
    statuses: list[int] = []

    async def many() -> None:
        async with client("127.0.0.1", timeout=3) as asking, anyio.create_task_group() as tasks:
            for _ in range(probe.AT_ONCE + 10):
                tasks.start_soon(one, asking)

    async def one(asking: httpx.AsyncClient) -> None:
        parameters = {"target": f"127.0.0.1:{peer.port}", "module": "ssh_banner"}
        statuses.append((await asking.get("/probe", params=parameters)).status_code)

    with Peer(silent) as peer:
        anyio.run(many)
        assert (statuses.count(200), statuses.count(503)) == (probe.AT_ONCE, 10)
        page = asked(f"127.0.0.1:{peer.port}", "tcp_connect", "127.0.0.1")  # all places are free
        assert page.status_code == 200


def test_lookups_that_hang_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    running: list[str] = []

    def hang(name: str) -> tuple[str, ...]:
        running.append(name)
        free.wait(60)
        return ("192.0.2.1",)

    monkeypatch.setattr(dns_probe, "_getaddrinfo", hang)

    async def many() -> list[str]:
        async with client("studio.lab", timeout=0.1) as asking:
            answers = [await asking.get("/probe?target=studio.lab") for _ in range(10)]
        return [str(why(answer.text)) for answer in answers]

    monkeypatch.setattr(probe, "_PROBER", type(probe._PROBER)())
    try:
        assert set(anyio.run(many)) == {"('resolve', 'timeout')"}
        assert running == ["studio.lab"]
    finally:
        free.set()


def test_a_lookup_is_forgotten_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_probe, "_getaddrinfo", lambda name: ("192.0.2.1",))
    lookups = Lookups()

    async def twice() -> None:
        for _ in range(2):
            assert (await lookups.find("studio.lab")).addresses == ("192.0.2.1",)
            await anyio.sleep(0)
            assert not lookups._running

    anyio.run(twice)
