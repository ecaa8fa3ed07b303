"""The web process: what it answers."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import threading

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon.messages import Reloaded, Snapshot
from biostudio_doctor.daemon.web import metrics
from biostudio_doctor.model import Finding, Status
from tests.lab.timing import PATIENCE, wait_until
from tests.lab.web_process import WebProcess, asked, result, sixty_checks, whole_report

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
    head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
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


def test_a_scrape_needs_neither_a_task_nor_the_application() -> None:
    """What lies ready is given at once, in one piece, as the application would have given it."""
    counting = """
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as Cycle
real, begun = Cycle.run_asgi, []
async def run(self, app):
    begun.append(1)
    self.default_headers = [*self.default_headers, (b"x-tasks", b"%d" % len(begun))]
    await real(self, app)
Cycle.run_asgi = run
"""
    with WebProcess(before=counting) as web, httpx.Client(base_url=web.url) as client:
        web.show(sixty_checks())
        web.wait_for("/readyz")
        for _ in range(3):
            ready = client.get("/metrics", headers={"accept": PROMETHEUS})
            assert "x-tasks" not in ready.headers
        made = client.request("GET", "/metrics", headers={"accept": PROMETHEUS}, content=b"body")
        assert int(made.headers["x-tasks"]) > 0, "what has a body is the application's"
        assert {"date", "content-length"} <= ready.headers.keys()
        own = {"x-tasks", "connection", "content-length", "date"}
        shown = [{k: v for k, v in x.headers.items() if k not in own} for x in (ready, made)]
        assert shown[0] == shown[1] and ready.status_code == 200
        assert int(ready.headers["content-length"]) > 1000
        steady = made.text.partition("# HELP process_")[0]
        assert ready.text.startswith(steady)


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        ("HTTP/1.1\r\n", True),
        ("HTTP/1.1\r\nconnection: close\r\n", False),
        ("HTTP/1.0\r\n", False),
        ("HTTP/1.0\r\nconnection: keep-alive\r\n", False),
    ],
)
def test_a_connection_is_kept_by_who_wants_that(web: WebProcess, words: str, stays: bool) -> None:
    with socket.create_connection(("127.0.0.1", web.port), 5) as sock, sock.makefile("rb") as file:
        sock.sendall(f"GET /metrics {words}host: localhost\r\n\r\n".encode())
        head = b"".join(iter(file.readline, b"\r\n")).lower()
        file.read(int(head.partition(b"content-length:")[2].split()[0]))
        assert (b"connection: close" in head) is not stays
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            assert (sock.recv(1) != b"") is stays


def test_scrapes_in_a_row_are_answered_in_order(web: WebProcess) -> None:
    """Those that lie ready do not overtake one that does not."""
    paths = ["/metrics", "/readyz", "/metrics", "/nowhere", "/metrics", "/metrics"]
    head = "".join(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n" for path in paths)
    last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    received = asked(web.port, (head + last).encode())
    signs = [b"\nprocess_open_fds ", b"Every check has", b"404 Not", b"The schedule"]
    found = sorted(
        (place.start(), sign) for sign in signs for place in re.finditer(re.escape(sign), received)
    )
    fds, ready, none, health = signs
    assert [sign for _, sign in found] == [fds, ready, fds, none, fds, fds, health]


def test_metrics_are_made_once_for_each_snapshot() -> None:
    with WebProcess(before=COUNTING) as web:
        report = sixty_checks()
        web.show(report)
        web.wait_for()
        with httpx.Client() as client:
            pages = {client.get(f"{web.url}/metrics").text.splitlines()[1] for _ in range(50)}
        assert pages == {"calls 1"}
        web.serve(msgspec.structs.replace(report, duration_seconds=9.0))
        assert "\ncalls 2\n" in httpx.get(f"{web.url}/metrics").text


def test_figures_of_this_process_are_renewed(web: WebProcess) -> None:
    def cpu() -> float:
        lines = httpx.get(f"{web.url}/metrics").text.splitlines()
        return next(float(x.split()[1]) for x in lines if x.startswith("process_cpu_seconds_total"))

    before = cpu()
    wait_until(lambda: httpx.get(f"{web.url}/") and cpu() > before)


def test_an_exporter_that_raises_loses_its_own_series_only() -> None:
    with WebProcess(before=COUNTING) as web:
        report = sixty_checks()
        machine = msgspec.structs.replace(report.machine, hostname="broken")
        web.show(msgspec.structs.replace(report, machine=machine))
        page = web.wait_for()
        assert "biostudio_doctor_exporter_success 0.0" in page.text
        assert "process_open_fds" in page.text
        assert "calls" not in page.text
        web.serve(report)
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
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
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


def test_a_supervisor_that_does_not_answer_costs_its_time_only() -> None:
    patched = "import biostudio_doctor.daemon.web.app as a; a.RELOAD_PATIENCE = 0.5\n"
    with WebProcess(before=patched) as web:
        assert httpx.post(f"{web.url}/-/reload").status_code == 504
        assert httpx.get(f"{web.url}/healthz").status_code == 200


def test_it_ends_with_its_supervisor() -> None:
    with WebProcess() as orphan:
        orphan.leave()
        assert orphan.process.wait(PATIENCE) == 0


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
        ("application/openmetrics-text;q=0.5, text/*;q=0.9", "prometheus"),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.1, */*;q=0.9", "openmetrics"),
    ],
)
def test_negotiation(accept: str, exporter: str) -> None:
    assert metrics.choose(accept) == exporter


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*;q=0, gzip", True),
        ("*, gzip;q=0", False),
        ("x-gzip", True),
    ],
)
def test_gzip(header: str, takes: bool) -> None:
    assert metrics.takes_gzip(header) is takes


@given(st.text())
def test_any_header_is_understood(header: str) -> None:
    assert metrics.choose(header) in metrics.TYPES
    assert metrics.takes_gzip(header) in (True, False)
