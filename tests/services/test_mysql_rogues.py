"""The client of MySQL among peers that are made: other services, odd, hostile and hanging ones.

MySQL itself cannot be had here. What is its own (caching_sha2_password, error 3159, its greeting)
is played after its documentation, and after PyMySQL's side of it.
"""

import secrets
import socket
import time
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biostudio_doctor.services import Answer, Login, Target, mysql
from tests.lab.certificates import make
from tests.lab.mariadb import OK, Rogue, error, greeting, packet
from tests.lab.peers import Peer, dripping, endless, reset, saying, server_context, silent, tls
from tests.lab.timing import wait_until, within


def ask(port: int, login: Login | None = None, **more: Any) -> Answer:
    answer = anyio.run(mysql.ask, Target(host="127.0.0.1", port=port, login=login, **more))
    assert not login or login.password not in repr(answer)
    return answer


SECRET = Login("omics", secrets.token_hex(12))


@pytest.mark.parametrize(
    ("behaviour", "state", "identity"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "foreign", "an SSH server"),
        (saying(b"220 mail ESMTP Postfix\r\n", first=True), "foreign", "a mail server"),
        (saying(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"), "foreign", "an HTTP server"),
        (saying(b"", first=True), "closed", ""),
        (silent, "silent", ""),
        (endless(b"\0" * 4096), "foreign", ""),
        (endless(b"\xff\xff\xff\0" + b"\x0a" * 65536), "foreign", ""),
        (endless(greeting()), "unwell", ""),
        (dripping, "foreign", ""),
        (reset, "closed", ""),
        (saying(greeting(version="eight"), first=True), "unwell", ""),
        (saying(packet(0, b"\x0a8.0"), first=True), "foreign", ""),
        (saying(packet(0, b""), first=True), "foreign", ""),
        (saying(error(1040, "Too many connections"), first=True), "unwell", ""),
        (saying(error(1053, "Server shutdown in progress"), first=True), "unwell", ""),
    ],
)
def test_what_is_no_mysql_or_not_well(behaviour: Any, state: str, identity: str) -> None:
    with Peer(behaviour) as peer:
        answer = ask(peer.port, SECRET, timeout=2 if state == "silent" else 4)
    assert answer.state == state and answer.identity.startswith(identity)


def test_tls_where_a_greeting_was_expected(tmp_path: Any) -> None:
    with Peer(tls(server_context(tmp_path, make(names=("127.0.0.1",))))) as peer:
        answer = ask(peer.port, SECRET, timeout=4)
    assert answer.state == "tls"


@pytest.mark.parametrize(
    ("code", "state"),
    [(3159, "tls"), (1045, "password-wrong"), (1698, "password-wrong"), (3118, "denied"),
     (1862, "denied"), (1203, "unwell"), (1251, "unasked"), (9999, "unwell")],
)  # fmt: skip
def test_errors_of_mysql(code: int, state: str) -> None:
    rogue = Rogue(b"\xff" + code.to_bytes(2, "little") + b"#HY000as its manual has it")
    with Peer(rogue) as peer:
        answer = ask(peer.port, SECRET, timeout=4)
    assert answer.state == state and answer.detail == "as its manual has it"
    assert answer.identity == "MySQL" and answer.version == "8.0.36"


FULL_AUTHENTICATION = b"\x01\x04"
RIDDLES = {
    "in the clear": ("mysql_native_password", [b"\xfemysql_clear_password\0"]),
    "by a dialogue": ("mysql_native_password", [b"\xfedialog\0\x04Password: "]),
    "in full": ("caching_sha2_password", [FULL_AUTHENTICATION]),
    "after a switch": ("mysql_native_password",
                       [b"\xfecaching_sha2_password\0" + b"s" * 20 + b"\0", FULL_AUTHENTICATION]),
    "by its own key": ("sha256_password", []),
    "by a switch to that": ("mysql_native_password", [b"\xfesha256_password\0" + b"s" * 20]),
}  # fmt: skip


@pytest.mark.parametrize("riddle", RIDDLES)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_the_password_is_not_told_to_whom_nobody_knows(
    riddle: str, encrypted: bool, tmp_path: Any
) -> None:
    plugin, script = RIDDLES[riddle]
    context = server_context(tmp_path, make(names=("127.0.0.1",))) if encrypted else None
    rogue = Rogue(*script, plugin=plugin, context=context)
    with Peer(rogue) as peer:
        answer = ask(peer.port, SECRET, timeout=4)
        wait_until(lambda: not peer.open, "the end of the connection")
    assert SECRET.user.encode() in rogue.heard or riddle == "by its own key"
    assert SECRET.password.encode() not in rogue.heard
    assert (answer.state, answer.identity, answer.version) == ("unasked", "MySQL", "8.0.36")
    assert answer.told["offers_tls"] is encrypted
    assert "password itself" in answer.detail


def test_it_is_told_to_whom_an_authority_knows(tmp_path: Any) -> None:
    """caching_sha2_password the long way: over TLS, the password as it is."""
    root = make("Lab Root", ca=True)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(root.pem)
    context = server_context(tmp_path, make(issuer=root, names=("127.0.0.1",)))
    rogue = Rogue(FULL_AUTHENTICATION, OK, plugin="caching_sha2_password", context=context)
    with Peer(rogue) as peer:
        ask(peer.port, SECRET, timeout=4, ca_file=str(ca_file))
    assert SECRET.password.encode() + b"\0" in rogue.heard


@pytest.mark.parametrize("plugin", ["mysql_native_password", "caching_sha2_password"])
@pytest.mark.parametrize("known", [SECRET, None], ids=["logged in", "knocked at"])
def test_no_file_of_ours_is_sent(plugin: str, known: Login | None) -> None:
    """A server may answer any query with: send me that file (LOAD DATA LOCAL)."""
    rogue = Rogue(OK, OK, b"\xfb/etc/hostname", plugin=plugin)
    with Peer(rogue) as peer:
        answer = ask(peer.port, known, timeout=4)
        wait_until(lambda: not peer.open, "the end of the connection")
    with open("/etc/hostname", "rb") as file:
        assert file.read().strip() not in rogue.heard
    assert answer.state == "unwell" and b"transaction read only" in rogue.heard


def test_a_flood_is_not_read(tmp_path: Any) -> None:
    """Once logged in, a packet that never ends: packets of 16 MiB each belong together."""
    script = [OK, OK, OK, OK]

    def flood(connection: socket.socket) -> None:
        connection.sendall(greeting())
        connection.recv(65536)
        connection.sendall(packet(2, OK))
        for _ in script[1:]:
            connection.recv(65536)
            connection.sendall(packet(1, OK))
        connection.recv(65536)
        for sequence in range(1, 200):
            connection.sendall(b"\xff\xff\xff" + bytes([sequence]) + bytes(0xFFFFFF))

    with Peer(flood) as peer, within(1):
        answer = ask(peer.port, SECRET, timeout=40)
    assert answer.state == "unwell" and "more than is read" in answer.detail


def test_no_thread_goes_on_with_a_server_that_drips() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"\x00\x40\x00\x00")
        while True:
            connection.sendall(b"\x0a")
            time.sleep(0.02)

    with Peer(drip) as peer:
        answer = ask(peer.port, SECRET, timeout=1)
        wait_until(lambda: not peer.open, "hanging up")
    assert answer.state in ("foreign", "unwell")


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_no_greeting_breaks_it(body: bytes) -> None:
    with Peer(saying(packet(0, body), first=True)) as peer:
        ask(peer.port, SECRET, timeout=0.5)
