"""Clients of services that speak HTTP, against answers that no server of ours gives by itself."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.services import Answer, State, Target, web
from tests.lab.certificates import make
from tests.lab.peers import Behaviour, Peer, endless, server_context
from tests.lab.timing import within
from tests.lab.web import https, https_without_end, read_head

Ask = Callable[[Target], Coroutine[Any, Any, Answer]]
CLIENTS: dict[str, Ask] = {"front": web.ask_front, "app": web.ask_app, "hub": web.ask_hub}
EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)


def answer_of(ask: Ask, behaviour: Behaviour, **more: Any) -> Answer:
    """What it says, within its time."""
    with Peer(behaviour) as peer:
        target = Target(host="127.0.0.1", port=peer.port, **{"timeout": 3.0, **more})
        with within(target.timeout):
            said = asyncio.run(ask(target))
    return said


def site(
    answers: dict[str, bytes | None], other: bytes = b"HTTP/1.1 404 Not Found\r\n\r\n"
) -> Behaviour:
    """A site by path; None says nothing at all."""

    def serve(connection: socket.socket) -> None:
        head = read_head(connection).decode("latin-1").split(" ")
        said = answers.get(head[1], other) if head[0] == "GET" else b""  # or a hello of TLS
        if said is None:
            connection.recv(1)
        else:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(4096)

    return serve


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status} Lab\r\n{head}\r\n".encode() + body


OK = reply(200, b"ok")


def dripping(connection: socket.socket) -> None:
    """A header that never ends, and never times out between two reads."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


HOSTILE: dict[str, tuple[Behaviour, State]] = {
    "a head, dripping": (dripping, "unwell"),
    "a head without end": (endless(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 900), "unwell"),
    "a body that does not come": (
        site({}, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        "unwell",
    ),
    "a body without end": (endless(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000), "foreign"),
    "a status that is none": (site({}, b"HTTP/1.1 9999 What\r\n\r\n"), "unwell"),
    "control characters": (site({}, reply(404, b"", "Server: \x1b[31mred")), "foreign"),
}


@EVERY_CLIENT
@pytest.mark.parametrize(("behaviour", "state"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_is_never_healthy(behaviour: Behaviour, state: State, ask: Ask) -> None:
    answer = answer_of(ask, behaviour, timeout=2.0)
    assert answer.state in (state, "foreign"), answer
    assert answer.identity.isprintable() and len(answer.identity) < 400


# --- The front ------------------------------------------------------------------------------------


def test_bioproxy_and_what_is_behind_it() -> None:
    both = site({web.FRONT: OK, web.BEHIND_FRONT: OK})
    assert answer_of(web.ask_front, both).state == "healthy"
    only_behind = site({web.BEHIND_FRONT: OK})
    assert answer_of(web.ask_front, only_behind).state == "healthy"
    unknown_behind = site({web.FRONT: OK})
    assert answer_of(web.ask_front, unknown_behind).state == "healthy"


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest.mark.parametrize("path", [web.FRONT, web.BEHIND_FRONT])
def test_nobody_is_behind_bioproxy(status: int, path: str) -> None:
    answer = answer_of(web.ask_front, site({web.FRONT: OK, path: reply(status)}))
    assert (answer.state, answer.told) == ("unwell", {"behind": str(status)})


def test_somebody_hangs_behind_bioproxy() -> None:
    answer = answer_of(web.ask_front, site({web.FRONT: OK, web.BEHIND_FRONT: None}))
    assert (answer.state, answer.told) == ("unwell", {"behind": "silent"})


def test_a_redirect_is_told_without_what_may_be_secret() -> None:
    moved = reply(302, b"", "Location: https://lab:pass@studio.example.org:4433/x?token=abc")
    answer = answer_of(web.ask_front, site({}, moved))
    assert answer.told == {"redirect": "https://studio.example.org:4433/x"}
    assert "abc" not in repr(answer) and "pass" not in repr(answer)


def test_a_redirect_that_stays_without_tls_is_of_a_stranger() -> None:
    moved = reply(302, b"", "Location: /login")
    answer = answer_of(web.ask_front, site({}, moved))
    assert answer.state == "foreign" and "redirects /app_proxy_status to " in answer.identity


def test_https_that_hangs_after_its_handshake(tmp_path: Path) -> None:
    context = server_context(tmp_path, make(names=["127.0.0.1"]))
    answer = answer_of(web.ask_front, https_without_end(context, b"", b""), tls=True)
    assert answer.state == "unwell"


def test_https_without_end(tmp_path: Path) -> None:
    context = server_context(tmp_path, make(names=["127.0.0.1"]))
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    answer = answer_of(web.ask_front, https_without_end(context, head, b"x" * 5000), tls=True)
    assert answer.state == "foreign"


def test_the_name_is_asked_for(tmp_path: Path) -> None:
    """Whoever serves several sites by name is asked for that of the configuration."""
    requests: list[bytes] = []
    context = server_context(tmp_path, make(names=["studio.lab"]))
    site_of = https(context, OK, OK, requests=requests)

    async def ask(target: Target) -> Answer:
        return await web.ask_front(target, "studio.lab")

    answer = answer_of(ask, site_of, tls=True)
    assert answer.state == "healthy" and answer.told["certificate"]["name"] == "studio.lab"
    assert all(b"Host: studio.lab:" in request for request in requests) and requests


# --- The hub --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b'{"version": "4.0.2"}', "healthy"),
        (b'{"version": "\\u001b[31m"}', "healthy"),
        (b"{}", "foreign"),
        (b'["version"]', "foreign"),
        (b"[" * 4000, "foreign"),
        (json.dumps({"version": "9" * 2000}).encode(), "foreign"),
        (b"<html>", "foreign"),
    ],
)
def test_the_hub_tells_its_version(body: bytes, state: State) -> None:
    answer = answer_of(web.ask_hub, site({web.HUB: reply(200, body)}))
    assert answer.state == state and answer.version.isprintable() and len(answer.version) <= 40


def test_a_hub_that_fails_is_unwell_and_no_stranger() -> None:
    failing = reply(500, b"", "X-JupyterHub-Version: 4.0.2")
    answer = answer_of(web.ask_hub, site({}, failing))
    assert (answer.state, answer.version, answer.told) == ("unwell", "4.0.2", {})
