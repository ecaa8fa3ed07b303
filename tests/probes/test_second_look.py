"""The second look, at servers of our own: what is tried for which failure, and what comes of it."""

import asyncio
import email.utils
import socket
import time
from collections.abc import Iterator
from pathlib import Path as File

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.probes import path, second_look, tcp
from biostudio_doctor.probes.results import Download, Path, Proxy, Route, SecondLook
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.paths import attempt, connected, cut, lookup, reached, unconnected, untrusted
from tests.lab.peers import Behaviour, Peer, reset, server_context, silent
from tests.lab.timing import within
from tests.lab.web import https, https_without_end

HERE = "127.0.0.1"


class Lab:
    def __init__(self, directory: File) -> None:
        authority = make("Lab Root", ca=True)
        self.ca_file = str(directory / "ca.pem")
        File(self.ca_file).write_bytes(authority.pem)
        made = make("localhost", issuer=authority, names=("localhost", HERE))
        self.server = server_context(directory, made)

    def look(self, found: Path, port: int, *, trust: bool = True, seconds: float = 20.0,
             other_name: str = "b.lab") -> SecondLook | None:  # fmt: skip
        around = path.Surroundings({}, (), self.ca_file if trust else None)
        target = path.Target(host=found.host, port=port)
        return asyncio.run(
            second_look.look(at(found, port), target, around, other_name=other_name,
                             timeout=seconds)
        )  # fmt: skip

    def download(self, behaviour: Behaviour, found: Path | None = None,
                 seconds: float = 20.0) -> Download | None:  # fmt: skip
        around = path.Surroundings({}, (), self.ca_file)
        with Peer(behaviour) as peer:
            target = path.Target(host="localhost", port=peer.port, path="/x")
            found = at(found or reached("localhost"), peer.port)
            return asyncio.run(second_look.download(found, target, around, timeout=seconds))


def at(found: Path, port: int) -> Path:
    """The same way, to a port of this host."""
    tried = found.attempts if found.failure and found.failure.phase == "connect" else ()
    return structs.replace(
        found, port=port, lookup=lookup(found.host, HERE), attempts=tried or (attempt(HERE),)
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def good(lab: Lab) -> Iterator[int]:
    date = email.utils.formatdate(time.time() - 10_000, usegmt=True)
    answer = f"HTTP/1.1 302 No\r\nLocation: https://x.lab/\r\nDate: {date}\r\n\r\n"
    with Peer(https(lab.server, answer.encode())) as peer:
        yield peer.port


def tried(found: SecondLook | None) -> set[str]:
    if not found:
        return set()
    carried = msgspec.json.decode(msgspec.json.encode(found), type=SecondLook)
    assert carried == found, "a bundle carries it"
    named = {name for name in found.__struct_fields__ if getattr(found, name)}
    return named - {"host", "port", "tried_port"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (reached("localhost"), set()),
        (unconnected("localhost", "refused", "", attempt(HERE, "refused")), {"other_port"}),
        (cut("localhost", "reset"), {"other_name", "same_name"}),
        (cut("localhost", "timeout"), {"other_name", "same_name", "small_segments"}),
        (cut("localhost", "timeout", "request"), {"small_segments"}),
        (cut("localhost", "closed", "request"), set()),
        (cut("localhost", "tls-protocol"), set()),
        (untrusted("localhost", 20), {"unverified", "unverified_left_at"}),
    ],
    ids=lambda case: "" if isinstance(case, set) else str(case.failure)[:60],
)
def test_only_what_may_tell_more_is_tried(
    lab: Lab, good: int, found: Path, wanted: set[str]
) -> None:
    assert tried(lab.look(found, good)) == wanted


def test_through_a_proxy_only_what_the_host_itself_answers(lab: Lab) -> None:
    refusing = Proxy(scheme="http", host=HERE, port=free_port())
    route = Route(variable="https_proxy", proxy=refusing)
    for found in (cut("localhost"), unconnected("localhost"), reached("localhost")):
        looked = lab.look(structs.replace(found, route=route), 443, seconds=1)
        assert tried(looked) <= {"other_name", "same_name"}


def test_another_port_of_the_same_addresses(lab: Lab) -> None:
    found = unconnected("localhost", "refused", "", attempt(HERE, "refused"))
    looked = lab.look(found, free_port())
    assert looked and looked.tried_port == 443
    assert [one.address for one in looked.other_port] == [HERE]


def test_a_silent_address_is_tried_again(lab: Lab, good: int) -> None:
    deaf = attempt(HERE, "timeout")
    found = structs.replace(reached("localhost", attempts=(attempt("::1"), deaf)), port=good)
    around = path.Surroundings({}, (), lab.ca_file)
    target = path.Target(host="localhost", port=good)
    looked = asyncio.run(second_look.look(found, target, around, other_name="", timeout=20))
    assert looked and [(one.address, one.failure) for one in looked.again] == [(HERE, None)]


def test_an_address_without_a_route_is_not(lab: Lab, good: int) -> None:
    nowhere = attempt("127.0.0.9", "unreachable", source="")
    found = structs.replace(reached("localhost", attempts=(attempt(HERE), nowhere)), port=good)
    around = path.Surroundings({}, (), lab.ca_file)
    target = path.Target(host="localhost", port=good)
    assert asyncio.run(second_look.look(found, target, around, other_name="", timeout=20)) is None


def test_a_handshake_with_another_name_and_once_more(lab: Lab, good: int) -> None:
    looked = lab.look(cut("localhost", "reset"), good)
    assert looked and looked.other_name and looked.same_name
    assert looked.other_name.server_name == "b.lab" and looked.other_name.chain
    assert looked.same_name.server_name == "localhost" and looked.same_name.verified
    without = lab.look(cut("localhost", "reset"), good, other_name="")
    assert without and without.other_name and without.other_name.server_name == HERE


def test_what_is_cut_again_is_told(lab: Lab) -> None:
    with Peer(reset) as peer:
        looked = lab.look(cut("localhost", "reset"), peer.port)
    assert looked and looked.same_name and looked.same_name.failure
    assert looked.same_name.failure.reason == "reset"


def test_an_answer_without_trust_tells_the_time(lab: Lab, good: int) -> None:
    looked = lab.look(untrusted("localhost", 10), good, trust=False)
    assert looked and looked.unverified and looked.unverified.status == 302
    assert looked.unverified.clock_offset == pytest.approx(-10_000, abs=100)


def test_no_redirect_is_followed_without_trust(lab: Lab) -> None:
    requests: list[bytes] = []
    answer = b"HTTP/1.1 302 No\r\nLocation: https://x.lab/\r\nContent-Length: 0\r\n\r\n"
    with Peer(https(lab.server, answer, requests=requests)) as peer:
        looked = lab.look(untrusted("localhost", 20), peer.port, trust=False)
    assert len(requests) == 1
    assert looked and looked.unverified_left_at == "https://x.lab/"


def test_a_request_in_small_segments(lab: Lab, good: int) -> None:
    looked = lab.look(cut("localhost"), good)
    assert looked and looked.small_segments and looked.small_segments.status == 302


@pytest.mark.parametrize("address", [HERE, "::1"])
def test_small_segments_are_small(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:

        async def go() -> None:
            port = server.getsockname()[1]
            stream = await tcp.connect_in_small_segments(address, port, timeout=20)
            accepted, _ = server.accept()
            with accepted:
                size = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
                assert 0 < size <= tcp.SMALL_SEGMENT
                await stream.send(b"x")
                assert accepted.recv(1) == b"x"
            await stream.aclose()

        asyncio.run(go())


def test_it_ends_in_time(lab: Lab) -> None:
    with Peer(silent) as peer, within(0.5):
        looked = lab.look(cut("localhost"), peer.port, seconds=0.5)
    assert tried(looked) <= {"other_name", "same_name", "small_segments"}


# --- Downloads ------------------------------------------------------------------------------------


def test_a_download_over_several_connections(lab: Lab) -> None:
    body = bytes(50_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    found = lab.download(https(lab.server, answer))
    assert found and found.failure is None and found.connections > 1
    assert found.length == found.connections * len(body) and 0 < found.seconds < 20


def test_a_download_is_bounded(lab: Lab) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    endless = lab.download(https_without_end(lab.server, head, bytes(100_000)))
    assert endless and endless.length < 6 << 20
    with within(2):
        stalling = lab.download(https_without_end(lab.server, head + b"some", b""), seconds=60)
    assert stalling and stalling.length == 4 * stalling.connections
    assert stalling.seconds > 1.5


def test_a_download_that_never_begins(lab: Lab) -> None:
    found = lab.download(silent, seconds=0.5)
    assert found and (found.length, found.seconds) == (0, 0.0)
    refused = lab.download(reset)
    assert refused and refused.failure and refused.length == 0


def test_only_an_object_that_is_there_is_downloaded(lab: Lab) -> None:
    missing = reached("localhost", left_at="https://elsewhere.lab/")
    assert lab.download(silent, missing) is None
    assert lab.download(silent, connected("localhost")) is None
