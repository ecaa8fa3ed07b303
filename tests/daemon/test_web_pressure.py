"""The web process: nobody can keep it from answering, nor from ending."""

from __future__ import annotations

import contextlib
import gzip
import signal
import socket
import threading
import time

import httpx
import psutil
import pytest

from biostudio_doctor.daemon.messages import Reloaded
from tests.lab.scraping import crowd, descriptors
from tests.lab.servers import listens
from tests.lab.timing import PATIENCE, wait_until, within
from tests.lab.web_process import WebProcess, asked, sixty_checks


def test_silent_connections_hold_nobody_up_and_are_ended() -> None:
    patched = "import biostudio_doctor.daemon.web.protocol as p; p.HEAD_TIMEOUT = 5\n"
    with WebProcess(before=patched) as web, contextlib.ExitStack() as stack:
        web.show(sixty_checks())
        web.wait_for()
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            for _ in range(500)
        ]
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        longest = 0.0

        def ended() -> bool:
            nonlocal longest
            begun = time.monotonic()
            assert httpx.get(f"{web.url}/metrics").status_code == 200
            longest = max(longest, time.monotonic() - begun)
            try:
                slow.sendall(b"x-more: 1\r\n")
            except ConnectionError:
                return True
            return False

        wait_until(ended)
        assert longest < 4
        for sock in silent:
            sock.settimeout(PATIENCE)
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
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", web.port)))
            idle.sendall(b"G")  # or the kernel would not show it for a while
        for _ in range(5):
            assert httpx.get(f"{web.url}/metrics").status_code == 200


@pytest.mark.parametrize("size", [40_000, 5_000_000])
def test_a_head_has_its_size(web: WebProcess, size: int) -> None:
    head = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * size + b"\r\n\r\n"
    answer = asked(web.port, head)
    assert answer.startswith(b"HTTP/1.1 431 ") or (answer == b"" and size > 1_000_000)
    assert httpx.get(f"{web.url}/metrics").status_code == 200
    assert web.resident < 70e6


def test_a_head_that_never_ends_is_not_kept(web: WebProcess) -> None:
    before = web.resident
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET / HTTP/1.1\r\nx: ")
            for _ in range(50):
                sock.sendall(b"y" * 1_000_000)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(12) in (b"HTTP/1.1 431", b"")
    assert web.resident - before < 5e6


def test_a_head_of_many_requests_is_not_large(web: WebProcess) -> None:
    one = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nx-fill: " + b"y" * 1000 + b"\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    assert asked(web.port, one * 99 + last).count(b"HTTP/1.1 200 ") == 100


def test_a_body_is_not_waited_for(web: WebProcess) -> None:
    head = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\nsome"
    with within(1):
        assert asked(web.port, head).startswith(b"HTTP/1.1 200 ")


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
        sock.sendall(b"GET /api/v1/report HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)
        server = psutil.Process(web.process.pid)

        def connected() -> bool:
            return "ESTABLISHED" in {one.status for one in server.net_connections("tcp")}

        wait_until(connected)
        wait_until(lambda: not connected())
        received = 0
        sock.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                received += len(chunk)
        assert received < 1_000_000
        assert web.resident < 70e6
        sock.close()


def test_two_thousand_scrapes_at_once(web: WebProcess) -> None:
    with descriptors():
        answers = [answer for answer, _ in crowd(web.port, 2000)]
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
    gzip.decompress(answers[-1].partition(b"\r\n\r\n")[2])


GZIP = "accept-encoding: gzip\r\n"


@pytest.mark.parametrize(
    ("connections", "scrapes", "header"),
    [(1, 9900, GZIP), (700, 1, "connection: close\r\n"), (700, 1, ""), (700, 2, GZIP)],
    ids=["one connection", "new ones", "new ones that could stay", "new ones that stay"],
)
def test_memory_does_not_grow_with_scrapes(connections: int, scrapes: int, header: str) -> None:
    request = f"GET /metrics HTTP/1.1\r\nhost: localhost\r\n{header}\r\n".encode()
    with WebProcess() as web:
        web.show(sixty_checks())
        web.wait_for()

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

        for _ in range(100):
            scrape(1)
        after_100 = web.resident
        for _ in range(connections):
            scrape(scrapes)
        assert web.resident - after_100 <= 2e6
        assert web.resident <= 70e6


# --- Its end --------------------------------------------------------------------------------------


def test_at_sigterm_answers_are_given_first() -> None:
    with WebProcess() as web:
        web.show(sixty_checks())
        web.wait_for()
        answers: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{web.url}/-/reload", timeout=60))
        )
        thread.start()
        assert web.asked_to_reload()
        with within(1.5):
            web.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not listens(web.port), "closed to newcomers")
            web.tell(Reloaded())
            thread.join()
            assert web.process.wait(PATIENCE) == 0
        assert answers[0].status_code == 200


def test_at_sigterm_it_waits_for_nobody_longer_than_it_may() -> None:
    patient = "import biostudio_doctor.daemon.web.app as a; a.RELOAD_PATIENCE = 60\n"
    with (
        WebProcess(before=patient) as web,
        socket.create_connection(("127.0.0.1", web.port)) as sock,
    ):
        sock.sendall(b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert web.asked_to_reload()
        with within(1.6):
            web.process.send_signal(signal.SIGTERM)
            assert web.process.wait(PATIENCE) == 0


def test_at_sigterm_it_waits_for_no_thread() -> None:
    stuck = """
import asyncio, time
from biostudio_doctor.daemon.web.app import App
async def ready(self, request):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
App._ready = ready
"""
    with WebProcess(before=stuck) as web, socket.create_connection(("127.0.0.1", web.port)) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        time.sleep(0.3)
        with within(1.6):
            web.process.send_signal(signal.SIGTERM)
            assert web.process.wait(PATIENCE) == 0


def test_a_port_that_is_taken_is_one_line(web: WebProcess) -> None:
    with (
        pytest.raises(AssertionError, match=r"daemon\.listen.*Address already in use"),
        WebProcess(listen=f"127.0.0.1:{web.port}") as second,
    ):
        second.process.wait(PATIENCE)
