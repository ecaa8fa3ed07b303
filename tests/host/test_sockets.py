"""TCP sockets: real ones in the real table, real tables of other machines, broken ones."""

import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.sockets import holders, parse_tcp, tcp_sockets, try_bind
from tests.lab.network import free_port

#: Lines as Linux 6.1 writes them on a little-endian machine.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 619 1 00
   1: 020011AC:0050 030011AC:C350 06 00000000:00000000 03:00001768 00000000     0        0 0 3 00
"""


@pytest.mark.skipif(sys.byteorder == "big", reason="the table is of a little-endian machine")
def test_a_table() -> None:
    listener, remains = parse_tcp(TABLE)
    assert (listener.address, listener.port, listener.state) == ("127.0.0.1", 5432, "listen")
    assert (listener.uid, listener.inode) == (112, 619)
    assert (remains.address, remains.port, remains.state) == ("172.17.0.2", 80, "time-wait")


@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    parse_tcp(text)


@given(
    st.text("0123456789abcdefABCDEFx:-", max_size=40),
    st.text("0123456789ABCDEF", max_size=4),
    st.text("0123456789\u0661-", max_size=30),
)
def test_broken_fields_never_raise(address: str, state: str, number: str) -> None:
    parse_tcp(f"0: {address} 0:0 {state} 0:0 0:0 0 {number} 0 {number}")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_real_listeners_and_their_holder(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError as error:
            pytest.skip(f"{address} cannot be used here: {error.strerror}")
        inode = os.fstat(server.fileno()).st_ino
        assert not [item for item in tcp_sockets(Host()) if item.inode == inode]  # not yet
        server.listen()
        (found,) = [item for item in tcp_sockets(Host()) if item.inode == inode]
        assert (found.address, found.port) == (address, server.getsockname()[1])
        assert (found.state, found.uid) == ("listen", os.getuid())
        assert holders(Host(), [found.inode, -1]) == {found.inode: os.getpid()}


def test_of_several_holders_the_first_is_named() -> None:
    with socket.socket() as server:
        server.listen()
        inode = os.fstat(server.fileno()).st_ino
        with subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[server.fileno()]
        ) as worker:
            assert os.path.exists(f"/proc/{worker.pid}/fd/{server.fileno()}")
            assert holders(Host(), [inode]) == {inode: min(os.getpid(), worker.pid)}
            server.close()
            assert holders(Host(), [inode]) == {inode: worker.pid}
            worker.communicate()


def test_trying() -> None:
    with socket.socket() as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
        assert try_bind(port, socket.AF_INET) == "taken"  # bound, and not listening
        assert try_bind(port, socket.AF_INET6) == "free"
    assert try_bind(port, socket.AF_INET) == "free"


def test_trying_does_not_listen_and_leaves_nothing() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with socket.socket() as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
    assert try_bind(port, socket.AF_INET) == "free"
    assert set(os.listdir("/proc/self/fd")) == before
    assert ("listen", port) not in {(item.state, item.port) for item in tcp_sockets(Host())}
