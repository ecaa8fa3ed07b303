"""The web process: what it answers, and that nobody can keep it from answering."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from biostudio_doctor.daemon.messages import Reloaded, Snapshot
from biostudio_doctor.daemon.web import metrics
from biostudio_doctor.daemon.web.access import is_foreign
from biostudio_doctor.daemon.web.protocol import Guard
from biostudio_doctor.model import Finding, Status
from tests.lab.web_process import WebProcess, result, sixty_checks, whole_report

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
#: An exporter that tells how often it was called; the real one is tests/exporters' concern.
COUNTING = """
import biostudio_doctor.registry as registry
class Stub:
    calls = 0
    def load(self):
        return self.render
    def render(self, report, style):
        Stub.calls += 1
        if report.machine.hostname == "broken":
            raise RuntimeError("a secret of the exporter")
        return f"# TYPE calls gauge\\ncalls {Stub.calls}\\n" + end
    end = ""
real, stub, end = registry.find, Stub(), ""
registry.find = lambda group: {**real(group), "prometheus": stub}
"""


@pytest.fixture(scope="module")
def web() -> Iterator[WebProcess]:
    with WebProcess() as process:
        process.show(sixty_checks())
        process.wait_for()
        yield process


def asked(port: int, data: bytes, timeout: float = 5) -> bytes:
    """What comes for these bytes until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        with contextlib.suppress(ConnectionError):  # it had heard enough
            sock.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := sock.recv(65536):
                received += chunk
        return received


def test_nothing_is_known_at_first() -> None:
    with WebProcess() as web:
        answers = {path: httpx.get(web.url + path) for path in ("/", "/metrics", "/api/v1/report")}
        assert {answer.status_code for answer in answers.values()} == {503}
        assert httpx.get(f"{web.url}/healthz").status_code == 200
        assert httpx.get(f"{web.url}/readyz").status_code == 503
        web.show(sixty_checks())
        web.wait_for("/readyz")
        assert httpx.get(f"{web.url}/metrics").status_code == 200


def test_metrics_come_in_the_format_that_was_asked_for(web: WebProcess) -> None:
    plain = httpx.get(f"{web.url}/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nprocess_resident_memory_bytes " in plain.text
    assert "# EOF" not in plain.text
    openmetrics = httpx.get(f"{web.url}/metrics", headers={"accept": PROMETHEUS})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    assert openmetrics.text.count("# EOF") == 1


@pytest.mark.parametrize("path", ["/metrics", "/", "/api/v1/report"])
def test_what_is_large_is_compressed_for_those_who_can(web: WebProcess, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    _, _, compressed = asked(web.port, f"{head}accept-encoding: gzip\r\n\r\n".encode()).partition(
        b"\r\n\r\n"
    )
    _, _, whole = asked(web.port, f"{head}\r\n".encode()).partition(b"\r\n\r\n")
    assert compressed[:2] == b"\x1f\x8b"
    assert len(compressed) < len(whole) / 3
    unpacked = gzip.decompress(compressed)
    steady = whole.partition(b"# HELP process_")[0]
    assert unpacked.startswith(steady)
    assert len(steady) > 1000


def test_metrics_are_made_once_for_each_snapshot() -> None:
    with WebProcess(before=COUNTING) as web:
        report = sixty_checks()
        web.show(report)
        web.wait_for()
        with httpx.Client() as client:
            pages = {client.get(f"{web.url}/metrics").text.splitlines()[1] for _ in range(50)}
        assert pages == {"calls 1"}
        web.show(msgspec.structs.replace(report, duration_seconds=9.0))
        time.sleep(0.2)
        assert "\ncalls 2\n" in httpx.get(f"{web.url}/metrics").text


def test_figures_of_this_process_are_renewed(web: WebProcess) -> None:
    def cpu() -> float:
        lines = httpx.get(f"{web.url}/metrics").text.splitlines()
        return next(float(x.split()[1]) for x in lines if x.startswith("process_cpu_seconds_total"))

    before = cpu()
    deadline = time.monotonic() + 10
    while cpu() == before and time.monotonic() < deadline:
        httpx.get(f"{web.url}/")
    assert cpu() > before


def test_an_exporter_that_raises_loses_its_own_series_only() -> None:
    with WebProcess(before=COUNTING) as web:
        report = sixty_checks()
        machine = msgspec.structs.replace(report.machine, hostname="broken")
        web.show(msgspec.structs.replace(report, machine=machine))
        page = web.wait_for()
        assert "biostudio_doctor_exporter_success 0.0" in page.text
        assert "process_open_fds" in page.text
        assert "calls" not in page.text
        web.show(report)
        time.sleep(0.2)
        assert "biostudio_doctor_exporter_success 1.0" in httpx.get(f"{web.url}/metrics").text
        assert web.log.count("exporter prometheus failed") == 1
        assert "Traceback" not in web.log


def test_the_report_is_the_one_that_was_told(web: WebProcess) -> None:
    answer = httpx.get(f"{web.url}/api/v1/report")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(msgspec.json.encode(sixty_checks()))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200), ("HEAD", "/", 200), ("HEAD", "/readyz", 200),
        ("POST", "/metrics", 405), ("DELETE", "/", 405), ("GET", "/-/reload", 405),
        ("GET", "/nothing", 404), ("GET", "/metrics/", 404), ("GET", "//", 404),
        ("GET", "/../etc/passwd", 404), ("GET", "/%00", 404), ("OPTIONS", "/", 405),
        ("GET", "/?status=%ff&q=%00%f0&status=fail", 200), ("GET", "/probe", 400),
    ],
)  # fmt: skip
def test_every_question_has_its_answer(
    web: WebProcess, method: str, path: str, status: int
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
    answer = asked(web.port, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert b"Traceback" not in answer
    if method == "HEAD":
        assert answer.endswith(b"\r\n\r\n")


def test_what_breaks_is_told_to_the_log_and_not_to_the_asker() -> None:
    broken = "import biostudio_doctor.daemon.web.page as page\npage.render = lambda *_: 1 / 0\n"
    with WebProcess(before=broken) as web:
        web.show(sixty_checks())
        answer = web.wait_for("/", 500)
        assert "division" not in answer.text
        assert "ZeroDivisionError" in web.log
        assert "Traceback" not in web.log
        assert httpx.get(f"{web.url}/metrics").status_code == 200


def test_health_follows_the_beats() -> None:
    with WebProcess(
        before="import biostudio_doctor.daemon.web.state as s; s.PATIENCE = 0.6\n"
    ) as web:
        web.show(sixty_checks())
        assert web.wait_for("/healthz", 503).text == "The schedule stands still.\n"
        assert "schedule stands still" in web.wait_for("/").text
        web.beat()
        web.wait_for("/healthz", 200)


def test_ready_when_every_check_has_a_result() -> None:
    fine = result("a.fine", Finding(Status.PASS, "it", "Fine."))
    unasked = result("b.waiting", status=Status.UNKNOWN, runs=0)
    with WebProcess() as web:
        web.show(whole_report(fine, unasked))
        web.wait_for()
        answer = httpx.get(f"{web.url}/readyz")
        assert (answer.status_code, answer.text) == (503, "Without a result yet: b.waiting\n")


def test_reload_asks_the_supervisor_and_tells_its_answer(web: WebProcess) -> None:
    def reload(answer: Reloaded) -> httpx.Response:
        thread = threading.Thread(target=web.asked_to_reload, args=(answer,))
        thread.start()
        told = httpx.post(f"{web.url}/-/reload")
        thread.join()
        return told

    assert reload(Reloaded()).status_code == 200
    bad = reload(Reloaded(problem="config.toml: role: unknown"))
    assert (bad.status_code, bad.text.splitlines()[0]) == (400, "config.toml: role: unknown")
    assert reload(Reloaded()).status_code == 200


def test_reload_is_not_for_the_pages_of_others(web: WebProcess) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert httpx.post(f"{web.url}/-/reload", headers=headers).status_code == 403
    assert not web.asked_to_reload(patience=0.3)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://h:1", "host": "h:1"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "https://h:1", "host": "h:1"}, False),
        ({"origin": "https://h:2", "host": "h:1"}, True),
        ({"origin": "null", "host": "h:1"}, True),
        ({"origin": "null", "host": "null"}, True),
        ({"origin": ""}, True),
    ],
)
def test_who_is_foreign(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(Headers(headers)) is foreign


def test_a_supervisor_that_does_not_answer_costs_its_time_only() -> None:
    patched = "import biostudio_doctor.daemon.web.app as a; a.RELOAD_PATIENCE = 0.5\n"
    with WebProcess(before=patched) as web:
        assert httpx.post(f"{web.url}/-/reload").status_code == 504
        assert httpx.get(f"{web.url}/healthz").status_code == 200


def test_it_ends_with_its_supervisor() -> None:
    with WebProcess() as orphan:
        orphan.leave()
        assert orphan.process.wait(timeout=2) == 0


def test_a_message_that_is_none_is_left_out() -> None:
    patched = "import biostudio_doctor.daemon.web.link as l; l._LINE_LIMIT = 2000000\n"
    with WebProcess(before=patched) as web:
        web.tell_bytes(b"no message\n{}\n\xff\n")
        web.tell_bytes(b"x" * 5_000_000 + b"\n")
        message = Snapshot(report=sixty_checks(), config=web.config)
        for byte in msgspec.json.encode(message)[:50]:
            web.tell_bytes(bytes([byte]))
        web.tell_bytes(msgspec.json.encode(message)[50:] + b"\n")
        web.wait_for()
        assert "too long" in web.log


# --- Nobody can keep it from answering ------------------------------------------------------------


def test_silent_connections_hold_nobody_up_and_are_ended() -> None:
    patched = "import biostudio_doctor.daemon.web.protocol as p; p.HEAD_TIMEOUT = 2\n"
    with WebProcess(before=patched) as web, contextlib.ExitStack() as stack:
        web.show(sixty_checks())
        web.wait_for()
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            for _ in range(500)
        ]
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        until = time.monotonic() + 4
        ended = False
        longest = 0.0
        while time.monotonic() < until:
            begun = time.monotonic()
            assert httpx.get(f"{web.url}/metrics").status_code == 200
            longest = max(longest, time.monotonic() - begun)
            try:
                slow.sendall(b"x-more: 1\r\n")
            except ConnectionError:
                ended = True
        assert longest < 1
        assert ended
        for sock in silent:
            sock.settimeout(1)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""


def test_a_sandbox_that_grants_no_more_files_leaves_fewer_connections() -> None:
    forbidden = """
import resource
def setrlimit(*_):
    raise PermissionError(1, "Operation not permitted")
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
resource.setrlimit = setrlimit
"""
    with WebProcess(before=forbidden) as web:
        assert httpx.get(f"{web.url}/healthz").status_code == 200


def test_where_connections_run_out_the_idlest_makes_room() -> None:
    patched = "import biostudio_doctor.daemon.web.server as s; s._CONNECTIONS = 64\n"
    with WebProcess(before=patched) as web, contextlib.ExitStack() as stack:
        web.show(sixty_checks())
        web.wait_for()
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
        time.sleep(0.2)
        for _ in range(5):
            assert httpx.get(f"{web.url}/metrics").status_code == 200


@pytest.mark.parametrize("size", [40_000, 5_000_000])
def test_a_head_has_its_size(web: WebProcess, size: int) -> None:
    head = b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: " + b"y" * size + b"\r\n\r\n"
    answer = asked(web.port, head)
    assert answer.startswith(b"HTTP/1.1 431 ") or (answer == b"" and size > 1_000_000)
    assert httpx.get(f"{web.url}/metrics").status_code == 200
    assert web.resident < 70e6


def test_a_head_that_never_ends_is_not_kept(web: WebProcess) -> None:
    before = web.resident
    with socket.create_connection(("127.0.0.1", web.port), 3) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET / HTTP/1.1\r\nx: ")
            for _ in range(50):
                sock.sendall(b"y" * 1_000_000)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(12) in (b"HTTP/1.1 431", b"")
    assert web.resident - before < 5e6


def test_a_head_of_many_requests_is_not_large(web: WebProcess) -> None:
    one = b"GET /readyz HTTP/1.1\r\nhost: x\r\nx-fill: " + b"y" * 1000 + b"\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert asked(web.port, one * 99 + last).count(b"HTTP/1.1 200 ") == 100


def test_a_body_is_not_waited_for(web: WebProcess) -> None:
    head = b"GET /readyz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\nsome"
    begun = time.monotonic()
    assert asked(web.port, head).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\0" * 5000])
def test_nonsense_is_answered_and_ended(web: WebProcess, data: bytes) -> None:
    assert asked(web.port, data).startswith(b"HTTP/1.1 400 ")


def test_who_does_not_read_is_ended() -> None:
    patched = (
        "import biostudio_doctor.daemon.web.protocol as p; p.READ_TIMEOUT = 1\n"
        "import biostudio_doctor.daemon.web.server as s; s._SEND_BUFFER = 4096\n"
    )
    with WebProcess(before=patched) as web:
        web.show(sixty_checks())
        web.wait_for()
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", web.port))
        sock.sendall(b"GET /api/v1/report HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
        time.sleep(3)
        received = 0
        sock.settimeout(2)
        with contextlib.suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                received += len(chunk)
        assert received < 1_000_000
        assert web.resident < 70e6
        sock.close()


def test_two_thousand_scrapes_at_once(web: WebProcess) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))

    async def scrape() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(
            b"GET /metrics HTTP/1.1\r\nhost: x\r\n"
            b"accept-encoding: gzip\r\nconnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
        return answer

    async def all_at_once() -> list[bytes]:
        return await asyncio.gather(*(scrape() for _ in range(2000)))

    try:
        answers = asyncio.run(all_at_once())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
    gzip.decompress(answers[-1].partition(b"\r\n\r\n")[2])


def test_a_crowd_of_newcomers_is_heard_in_turns_and_in_order() -> None:
    heard: list[bytes] = []
    said = [bytes([number]) for number in range(20)]

    async def crowd() -> None:
        guard = Guard(1000)
        for one in said:
            guard.queue(SimpleNamespace(heard=heard.append), one)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert 0 < len(heard) < len(said), "others have their turn meanwhile"
        await asyncio.sleep(0.1)

    asyncio.run(crowd())
    assert heard == said


def test_memory_does_not_grow_with_scrapes() -> None:
    with WebProcess() as web:
        web.show(sixty_checks())
        web.wait_for()
        request = b"GET /metrics HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"

        def scrape(times: int) -> None:
            with socket.create_connection(("127.0.0.1", web.port)) as sock:
                file = sock.makefile("rb")
                for _ in range(times):
                    sock.sendall(request)
                    length = 0
                    while (line := file.readline()) != b"\r\n":
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.partition(b":")[2])
                    assert len(file.read(length)) == length > 0

        scrape(100)
        after_100 = web.resident
        scrape(9900)
        assert web.resident - after_100 <= 2e6
        assert web.resident <= 70e6


# --- Its end --------------------------------------------------------------------------------------


def test_at_sigterm_answers_are_given_first() -> None:
    with WebProcess() as web:
        web.show(sixty_checks())
        web.wait_for()
        answers: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{web.url}/-/reload", timeout=5))
        )
        thread.start()
        assert web.asked_to_reload()
        begun = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", web.port)) != 0
        web.tell(Reloaded())
        thread.join()
        assert web.process.wait(timeout=2) == 0
        assert time.monotonic() - begun < 1.5
        assert answers[0].status_code == 200


def test_at_sigterm_it_waits_for_nobody_longer_than_it_may() -> None:
    with WebProcess() as web, socket.create_connection(("127.0.0.1", web.port)) as sock:
        sock.sendall(b"POST /-/reload HTTP/1.1\r\nhost: x\r\n\r\n")
        assert web.asked_to_reload()
        begun = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(timeout=3) == 0
        assert time.monotonic() - begun < 1.6


def test_at_sigterm_it_waits_for_no_thread() -> None:
    stuck = """
import asyncio, time
from biostudio_doctor.daemon.web.app import App
async def ready(self, request):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 20)
App._ready = ready
"""
    with WebProcess(before=stuck) as web, socket.create_connection(("127.0.0.1", web.port)) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.3)
        begun = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(timeout=5) == 0
        assert time.monotonic() - begun < 1.6


def test_a_port_that_is_taken_is_one_line(web: WebProcess) -> None:
    with (
        pytest.raises(AssertionError, match=r"daemon\.listen.*Address already in use"),
        WebProcess(listen=f"127.0.0.1:{web.port}") as second,
    ):
        second.process.wait(5)


# --- Words of HTTP --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "exporter"),
    [
        ("", "prometheus"),
        ("*/*", "prometheus"),
        ("text/html", "prometheus"),
        (PROMETHEUS, "openmetrics"),
        ("application/openmetrics-text", "openmetrics"),
        ("application/openmetrics-text;q=0", "prometheus"),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.5", "prometheus"),
        ("application/openmetrics-text; version=1.0.0; q=x", "prometheus"),
    ],
)
def test_negotiation(accept: str, exporter: str) -> None:
    assert metrics.choose(accept) == exporter


@pytest.mark.parametrize(
    ("header", "takes"),
    [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True)],
)
def test_gzip(header: str, takes: bool) -> None:
    assert metrics.takes_gzip(header) is takes


@given(st.text())
def test_any_header_is_understood(header: str) -> None:
    assert metrics.choose(header) in metrics.TYPES
    assert metrics.takes_gzip(header) in (True, False)
    assert is_foreign(Headers(raw=[(b"origin", header.encode())])) in (True, False)
