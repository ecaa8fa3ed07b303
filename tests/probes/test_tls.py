"""The TLS probe against real servers, and against peers that no server should be."""

import socket
import ssl
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from anyio.abc import ByteStream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes import tls as probe_tls
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.probes.tls import host_name, oldest_version, probe, verifying_context
from tests.lab.certificates import Made, make
from tests.lab.network import free_port
from tests.lab.peers import (
    Peer,
    dripping,
    endless,
    reset,
    saying,
    server_context,
    silent,
    tls,
)
from tests.lab.timing import within

NAME = "studio.lab"


@pytest.fixture(scope="module")
def authority() -> Made:
    return make("Lab Root", ca=True, days=(-400, 400))


@pytest.fixture(scope="module")
def ca_file(authority: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("authority") / "root.pem"
    file.write_bytes(authority.pem)
    return str(file)


@pytest.fixture(scope="module")
def good(authority: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    made = make(issuer=authority, names=(NAME, "127.0.0.1", "xn--bcher-kva.lab"))
    context = server_context(tmp_path_factory.mktemp("good"), made)
    context.set_alpn_protocols(["http/1.1"])
    with Peer(tls(context)) as peer:
        yield peer


def ask(peer: Peer | int, name: str = NAME, *, timeout: float = 20, **options: Any) -> TlsResult:
    port = peer if isinstance(peer, int) else peer.port

    async def connect() -> ByteStream:
        return await anyio.connect_tcp("127.0.0.1", port)

    async def run() -> TlsResult:
        return await probe(connect, name, timeout=timeout, **options)

    result = anyio.run(run)
    assert msgspec.json.decode(msgspec.json.encode(result), type=TlsResult) == result
    return result


def test_a_good_server(good: Peer, ca_file: str) -> None:
    before = good.connections
    result = ask(good, ca_file=ca_file, alpn=("h2", "http/1.1"))
    assert result.verified and result.failure is None and result.verify_error == ""
    assert (result.version, result.alpn) == ("TLSv1.3", "http/1.1") and result.cipher
    assert [one.common_name for one in result.chain] == [NAME]
    assert 0 < result.seconds < 20 and good.connections == before + 1


@pytest.mark.parametrize("name", ["127.0.0.1", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.lab",
                                  "STUDIO.lab."])  # fmt: skip
def test_other_ways_to_write_the_name(good: Peer, ca_file: str, name: str) -> None:
    assert ask(good, name, ca_file=ca_file).verified


@pytest.mark.parametrize(
    "name", ["", ".lab", "a..b", "x" * 64 + ".lab", "\u2603\u0000.lab", "a\0.lab"]
)
def test_what_is_no_name(good: Peer, name: str) -> None:
    failure = ask(good, name).failure
    assert failure and failure.reason == "other" and failure.detail


def test_names_as_sent() -> None:
    assert host_name("[fe80::1%eth0]") == "fe80::1" and host_name("my_host.lab") == "my_host.lab"


def untrusted(result: TlsResult, code: int) -> TlsResult:
    """Not verified, for this reason; and yet it is known what was presented."""
    assert not result.verified and result.verify_code == code and result.verify_error
    assert result.failure == Failure("tls", "untrusted", result.verify_error)
    assert result.chain and result.version == "TLSv1.3" and result.cipher
    return result


def test_untrusted_is_presented_all_the_same(
    authority: Made, good: Peer, ca_file: str, tmp_path: Path
) -> None:
    untrusted(ask(good), 20)
    untrusted(ask(good, "other.lab", ca_file=ca_file), 62)
    untrusted(ask(good, "127.0.0.2", ca_file=ca_file), 64)
    for made, code in (
        (make(issuer=authority, days=(-90, -1)), 10),
        (make(issuer=authority, days=(1, 90)), 9),
        (make(), 18),
    ):
        with Peer(tls(server_context(tmp_path, made))) as peer:
            (leaf,) = untrusted(ask(peer, ca_file=ca_file), code).chain
            assert leaf.not_after == made.certificate.not_valid_after_utc
            assert peer.connections == 2


def test_the_whole_chain_as_presented(authority: Made, ca_file: str, tmp_path: Path) -> None:
    middle = make("Lab Intermediate", issuer=authority, ca=True)
    leaf = make(issuer=middle)
    with Peer(tls(server_context(tmp_path, leaf, middle, authority))) as peer:
        result = ask(peer, ca_file=ca_file)
        assert result.verified
        names = ["studio.lab", "Lab Intermediate", "Lab Root"]
        assert [one.common_name for one in result.chain] == names
        untrusted(ask(peer), 19)
    with Peer(tls(server_context(tmp_path, leaf))) as peer:
        assert len(untrusted(ask(peer, ca_file=ca_file), 20).chain) == 1


def old_friend(peer: Peer) -> None:
    """Whether a client that takes everything can shake hands at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", peer.port), 5) as plain:
        context.wrap_socket(plain).close()


@pytest.mark.parametrize(
    ("version", "ciphers", "said"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", "neither TLS 1.2 nor 1.3: it offers no better "
         "than TLSv1.1 with"),
        (ssl.TLSVersion.TLSv1, "ALL:@SECLEVEL=0", "no better than TLSv1 with"),
        (ssl.TLSVersion.TLSv1_2, "AES128-SHA:@SECLEVEL=0", "than TLSv1.2 with AES128-SHA"),
    ],
)  # fmt: skip
def test_only_what_is_no_longer_safe(
    version: ssl.TLSVersion, ciphers: str, said: str, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = make(key=rsa.generate_private_key(65537, 2048))
    context = server_context(
        tmp_path, made, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=version
    )
    with Peer(tls(context)) as peer:
        try:
            context.set_ciphers(ciphers)
            old_friend(peer)
        except OSError as error:
            pytest.skip(f"this OpenSSL does not speak it any more: {error}")
        result = ask(peer)
    assert result.failure and result.failure.reason == "tls-protocol"
    assert said in result.failure.detail and not result.verified
    assert [one.common_name for one in result.chain] == ["studio.lab"]


def test_a_server_that_wants_a_client_certificate(authority: Made, tmp_path: Path) -> None:
    context = server_context(
        tmp_path, make(issuer=authority), maximum_version=ssl.TLSVersion.TLSv1_2
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem.decode())
    with Peer(tls(context)) as peer:
        result = ask(peer)
    assert result.chain, "it presents its own before it refuses us"


ALERT = b"\x15\x03\x03\x00\x02\x02"
PEERS = {
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls-protocol",
             "no TLS: it says 'HTTP/1.1 400 Bad Request'"),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "tls-protocol",
            "'SSH-2.0-OpenSSH_9.2'"),
    "binary": (saying(b"\x4a\x00\x00\x00\x0a5.5.5"), "tls-protocol", "bytes 4a 00 00 00"),
    "reset": (reset, "reset", ""),
    "closed": (saying(b""), "closed", ""),
    "half a message": (saying(b"\x16\x03\x03\x00\x50\x02"), "closed", ""),
    "unrecognised name": (saying(ALERT + b"\x70"), "tls-alert", "unrecognized name"),
    "handshake failure": (saying(ALERT + b"\x28"), "tls-alert", "handshake failure"),
    "version": (saying(ALERT + b"\x46"), "tls-protocol", "it speaks neither TLS 1.2 nor 1.3"),
    "garbage for ever": (endless(b"A" * 4096), "tls-protocol", "no TLS"),
    "small messages for ever": (endless(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 500), "too-large",
                                "more than 256 KiB"),
    "a message of 16 MiB": (endless(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff" + bytes(16380)),
                            "too-large", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", PEERS)
def test_peers_that_shake_no_hands(case: str) -> None:
    behaviour, reason, detail = PEERS[case]
    with Peer(behaviour) as peer:
        failure = ask(peer).failure
    assert failure and (failure.phase, failure.reason) == ("tls", reason), failure
    assert detail in failure.detail and failure.detail.isprintable()


@pytest.mark.parametrize("behaviour", [silent, dripping])
def test_a_peer_that_says_too_little_costs_the_timeout_and_no_more(behaviour: Any) -> None:
    started = time.monotonic()
    with Peer(behaviour) as peer, within(1):
        failure = ask(peer, timeout=1).failure
    assert failure and (failure.phase, failure.reason) == ("tls", "timeout")
    assert time.monotonic() - started > 0.9


def test_the_second_handshake_has_only_the_time_that_is_left(tmp_path: Path) -> None:
    """Trust fails at the first, and at the second the server has gone to sleep."""
    serve = tls(server_context(tmp_path, make()))
    turns = iter([serve])
    with Peer(lambda connection: next(turns, silent)(connection)) as peer, within(1.5):
        result = ask(peer, timeout=1.5)
    assert result.verify_code == 18 and not result.version


def test_a_chain_of_10_megabytes_costs_little_memory(tmp_path: Path) -> None:
    big = make("big", names=[f"host-{number}.{'x' * 60}.lab" for number in range(12000)])
    context = server_context(tmp_path, make(), *[big] * 10)
    verifying_context()  # the system's authorities are no part of it
    tracemalloc.start()
    with Peer(tls(context)) as peer:
        failure = ask(peer).failure
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert failure and failure.reason == "too-large", failure
    assert peak < 4 << 20


def test_what_connecting_raises_is_part_of_the_measurement() -> None:
    async def tunnel() -> ByteStream:
        raise ProbeError(Failure("proxy", "proxy-auth", "407"))

    async def never() -> ByteStream:
        await anyio.sleep(60)
        raise AssertionError

    async def run(connect: Any) -> TlsResult:
        return await probe(connect, NAME, timeout=0.2)

    closed = ask(free_port()).failure
    assert closed and (closed.phase, closed.reason) == ("connect", "refused")
    assert anyio.run(run, tunnel).failure == Failure("proxy", "proxy-auth", "407")
    late = anyio.run(run, never).failure
    assert late and (late.phase, late.reason) == ("connect", "timeout")


def test_it_can_be_cancelled() -> None:
    async def run(port: int) -> bool:
        async def connect() -> ByteStream:
            return await anyio.connect_tcp("127.0.0.1", port)

        with anyio.move_on_after(0.3) as scope:
            await probe(connect, NAME, timeout=30)
        await hung_up(peer)
        return scope.cancelled_caught

    with Peer(silent) as peer:
        assert anyio.run(run, peer.port)


async def hung_up(peer: Peer) -> None:
    """Until the peer has seen the end of every connection."""
    with anyio.fail_after(20):
        while peer.open or not peer.connections:
            await anyio.sleep(0.01)


def test_it_hangs_up_whatever_happened(good: Peer, ca_file: str) -> None:
    async def run(peer: Peer, timeout: float) -> None:
        async def connect() -> ByteStream:
            streams.append(await anyio.connect_tcp("127.0.0.1", peer.port))
            return streams[-1]

        streams: list[ByteStream] = []  # kept, so that nothing but closing ends them
        await probe(connect, NAME, timeout=timeout, ca_file=ca_file)
        await hung_up(peer)

    anyio.run(run, good, 20)
    with Peer(silent) as peer:
        anyio.run(run, peer, 0.5)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unusable_authorities(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OSError, match=r"no certificate|No such file"):
        verifying_context(str(file))


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x16\x03\x03\x01\x00", b"\x15\x03\x01\x00\x02"]),
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_answer(data: bytes, start: bytes) -> None:
    with Peer(saying(start + data)) as peer:
        result = ask(peer)
    assert result.failure and result.failure.phase == "tls" and not result.chain


def test_old_versions_that_we_must_not_speak_are_not_taken_for_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where cryptographic policies of the host forbid them: nothing is sent at all (made)."""

    def forbidden(_: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.create_default_context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    monkeypatch.setattr(probe_tls, "old_context", forbidden)
    with Peer(silent) as peer:

        async def ask() -> str | None:
            async def connect() -> ByteStream:
                return await anyio.connect_tcp("127.0.0.1", peer.port)

            return await oldest_version(connect, NAME, timeout=20)

        assert anyio.run(ask) is None
