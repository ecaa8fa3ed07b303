"""`egress trace`: what a person sees of one host, real servers at the other end."""

import asyncio
import json
import re
import secrets
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path as File

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import reference
from biostudio_doctor.cli import egress, waterfall
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.exporter import Style
from biostudio_doctor.probes import Failure, Phase, wording
from biostudio_doctor.probes.path import Surroundings, probe
from biostudio_doctor.probes.results import Answer, Attempt, Lookup, Path, Proxy, Reply, Route
from biostudio_doctor.trace import Trace
from tests.lab.certificates import Made, make
from tests.lab.network import free_port
from tests.lab.peers import Behaviour, Peer, reset, saying, server_context, silent
from tests.lab.timing import wait_until, within
from tests.lab.web import https, read_head
from tests.test_cli import doctor, on_terminal

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Lab:
    """A server with an intermediate authority, and who trusts the root above it."""

    def __init__(self, directory: File) -> None:
        root = make("Lab Root", ca=True, organisation="Lab Trust")
        self.ca_file = str(directory / "ca.pem")
        File(self.ca_file).write_bytes(root.pem)
        self._issuer = make("Lab R1", ca=True, issuer=root, organisation="Lab Trust")
        self._directory = directory
        self.server = self.context(make(
            "localhost", issuer=self._issuer, names=("localhost", "127.0.0.1", "::1"),
            days=(-10, 80.5),
        ))  # fmt: skip

    def context(self, made: Made) -> ssl.SSLContext:
        return server_context(self._directory, made, self._issuer)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def good(lab: Lab) -> Iterator[int]:
    with Peer(https(lab.server)) as peer:
        yield peer.port


def trace(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = dict.fromkeys(("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), "")
    return doctor("egress", "trace", *arguments, **{"COLUMNS": "80", **clean, **env})


def test_a_host_that_is_reached(lab: Lab, good: int) -> None:
    done = trace(f"localhost:{good}", "--ca-file", lab.ca_file)
    assert done.returncode == 0 and done.stderr == ""
    for said in (
        rf"^localhost:{good} answers after \d+ ms: HTTP 200 OK\.$",
        r"^proxy     none: no variable names one$",
        r"^name      localhost: .*127\.0\.0\.1.*, says this system \(",
        r"127\.0\.0\.1 \(IPv4\): connected after .* ms, from 127\.0\.0\.1$",
        r"^tls       TLSv1\.3, TLS_\w+; the certificate is trusted$",
        r"^chain     CN=localhost, by O=Lab Trust,CN=Lab R1; 80 days left, until",
        r"^          O=Lab Trust,CN=Lab R1, by O=Lab Trust,CN=Lab Root; 79 days left, until",
        rf"^http      https://localhost:{good}/: 200 OK, server lab, 3 bytes$",
    ):
        assert re.search(said, re.sub(r"\n {12}", " ", done.stdout), re.MULTILINE), said
    phases = re.findall(r"^(\w+) +[\d.]+ ms +█+$", done.stdout, re.MULTILINE)
    assert phases == ["resolve", "connect", "tls", "request", "transfer"]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_where_the_encoding_has_no_blocks(lab: Lab, good: int) -> None:
    done = trace(f"localhost:{good}", "--ca-file", lab.ca_file, PYTHONIOENCODING="ascii")
    assert done.stdout.isascii() and re.search(r"^tls +\S+ ms +#+$", done.stdout, re.MULTILINE)


def test_colour_on_a_terminal_only(lab: Lab, good: int) -> None:
    place = f"127.0.0.1:{good}"
    assert "\x1b[31m" in on_terminal("egress", "trace", place), "red, for it is not trusted"
    assert "\x1b[" not in on_terminal("egress", "trace", place, "--no-color")
    assert "\x1b[" not in trace(place).stdout


def test_json_by_its_schema(lab: Lab, good: int) -> None:
    done = trace(f"localhost:{good}", "--ca-file", lab.ca_file, "--output", "json")
    traced = json.loads(done.stdout)
    jsonschema.validate(traced, reference.schema(Trace))
    assert done.returncode == 0 and traced["schema_version"] == "1.0" and traced["reached"]
    assert traced["path"]["exchange"]["hops"][0]["status"] == 200
    assert doctor("schema", "trace").stdout == json.dumps(reference.schema(Trace), indent=2) + "\n"


@pytest.mark.parametrize(
    ("behaviour", "phase", "said"),
    [
        (None, "connect", "the TCP connection failed, 127.0.0.1 on TCP port"),
        (reset, "tls", "the TLS handshake failed, the connection was reset"),
        (silent, "tls", "no answer came to its first message."),
        (saying(b"HTTP/1.1 400 No\r\n\r\n"), "tls", "no TLS: it says 'HTTP/1.1 400 No'"),
    ],
    ids=["refused", "reset", "silent", "no TLS"],
)
def test_the_failing_phase_is_marked_and_told(behaviour, phase: str, said: str) -> None:  # type: ignore[no-untyped-def]
    with Peer(behaviour or silent) as peer:
        port = peer.port if behaviour else free_port()
        done = trace(f"127.0.0.1:{port}", "--timeout", "2" if behaviour is silent else "20")
    assert done.returncode == 1
    assert said in " ".join(done.stdout.partition("\n\n")[0].split())
    assert re.findall(r"^(\w+) .* x$", done.stdout, re.MULTILINE) == [phase]


def test_a_name_that_does_not_exist() -> None:
    done = trace("nowhere.invalid")
    assert done.returncode == 1 and "cannot be reached: name resolution failed" in done.stdout


def test_a_redirect_and_a_clock(lab: Lab) -> None:
    answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://portal.lab/login\r\n"
        b"Date: Tue, 24 Nov 2020 22:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    )
    with Peer(https(lab.server, answer)) as peer:
        done = trace(f"127.0.0.1:{peer.port}", "--ca-file", lab.ca_file)
    assert done.returncode == 0 and "HTTP 302 Found." in done.stdout
    assert "and on to http://portal.lab/login, which was not followed" in done.stdout
    assert re.search(r"its clock -\d{9}\.\d s", done.stdout)


def tunnel(port: int) -> Behaviour:
    """A proxy that opens a tunnel to a port of this host, whatever was asked for."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        with socket.create_connection(("127.0.0.1", port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ends = {connection: onward, onward: connection}
            while True:
                for end in select.select(list(ends), [], [], 20)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)

    return serve


def test_no_secret_is_shown_or_kept(lab: Lab) -> None:
    """Neither of the proxy's setting, nor of the URL; the server does get the query."""
    secret = secrets.token_hex(8)
    asked: list[bytes] = []
    with Peer(https(lab.server, requests=asked)) as peer, Peer(tunnel(peer.port)) as proxy:
        url = f"https://lab:{secret}@localhost:{peer.port}/a/b%40c?sig={secret}#{secret}"
        for output in ("text", "json"):
            done = trace(
                url, "--ca-file", lab.ca_file, "--output", output,
                HTTPS_PROXY=f"http://lab:{secret}@127.0.0.1:{proxy.port}",
                https_proxy=f"http://lab:{secret}@127.0.0.1:{proxy.port}",
            )  # fmt: skip
            assert done.returncode == 0 and secret not in done.stdout + done.stderr
    assert asked[0].startswith(f"GET /a/b%40c?sig={secret} HTTP/1.1".encode())
    path = json.loads(done.stdout)["path"]
    assert path["route"]["proxy"]["port"] == proxy.port
    assert path["exchange"]["hops"][0]["url"].endswith("/a/b%40c")


def test_a_proxy_that_cannot_be_looked_through_is_undetermined() -> None:
    done = trace("studio.lab", https_proxy="socks5://127.0.0.1:1")
    assert done.returncode == 3
    assert "studio.lab:443 could not be probed: the value of https_proxy names a SOCKS" in (
        " ".join(done.stdout.split())
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'HOST[:PORT]'"),
        ([""], "HOST[:PORT]: it is no host:port"),
        (["studio.lab:99999"], "after the host stands no port (1 to 65535)"),
        (["http://studio.lab"], "of URLs, only https:// can be traced"),
        (["https://lab:geheim@[::1"], "its host or port cannot be one"),
        (["https://lab:12/geheim@studio.lab/"], "write %2F, %3F, %23 in a password"),
        (["a..b"], "'a..b' is no host name"),
        (["studio.lab", "--timeout", "0"], "timeout: expected a number > 0"),
        (["studio.lab", "--timeout", "nan"], "timeout: expected a number > 0"),
        (["studio.lab", "--ca-file", "/nonexistent"], "--ca-file: /nonexistent: No such file"),
        (["studio.lab", "--ca-file", "/dev/null"], "--ca-file: /dev/null: it holds no cert"),
        (["studio.lab", "--output", "xml"], "Invalid value for '--output'"),
    ],
)  # fmt: skip
def test_wrong_usage(arguments: list[str], said: str) -> None:
    done = trace(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert said in done.stderr and "geheim" not in done.stderr


@pytest.mark.parametrize(
    ("place", "host", "port", "path"),
    [
        ("studio.lab", "studio.lab", 443, "/"),
        (" studio.lab:8443", "studio.lab", 8443, "/"),
        ("2001:db8::1", "2001:db8::1", 443, "/"),
        ("[2001:db8::1]", "2001:db8::1", 443, "/"),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443, "/"),
        ("HTTPS://studio.lab:8443/a?b=c#d", "studio.lab", 8443, "/a?b=c"),
        ("https://[::1]/a", "::1", 443, "/a"),
        ("https://studio.lab?b=c", "studio.lab", 443, "/?b=c"),
    ],
)
def test_what_can_be_traced(place: str, host: str, port: int, path: str) -> None:
    target = egress.target(place)
    assert (target.host, target.port, target.path) == (host, port, path)


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda words: f"https://{words}"))
def test_any_place(place: str) -> None:
    try:
        target = egress.target(place)
    except DoctorError as error:
        assert str(error).startswith("HOST[:PORT]: ")
        return
    assert target.host and 0 < target.port < 65536 and target.path.startswith("/")


def test_an_interrupt_is_quiet() -> None:
    with Peer(silent) as peer, subprocess.Popen(
        [sys.executable, "-m", "biostudio_doctor", "egress", "trace", f"127.0.0.1:{peer.port}",
         "--timeout", "60"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_until(lambda: peer.connections == 2, "waiting for TLS")
        process.send_signal(signal.SIGINT)
        with within(2):
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "\nbiostudio-doctor: interrupted\n")


# --- Paths handed to the picture ------------------------------------------------------------------


def shown(path: Path, width: int = 80) -> str:
    traced = Trace(tool_version="1", started_at=NOW, reached=not path.failure,
                   summary=wording.outcome(path), path=path)  # fmt: skip
    return waterfall.render(traced, Style(width=width))


def path_of(**changes: object) -> Path:
    return Path(**{"host": "studio.lab", "port": 443, "route": Route(), **changes})  # type: ignore[arg-type]


PHASES: list[Phase] = ["resolve", "connect", "tls", "request", "transfer"]


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=5), st.integers(60, 200),
    st.sampled_from([None, *PHASES]),
)  # fmt: skip
def test_bars_follow_each_other(seconds: list[float], width: int, failed: Phase | None) -> None:
    path = path_of(
        seconds=dict(zip(PHASES, seconds, strict=False)),
        failure=Failure(failed, "timeout") if failed else None,
    )
    lines = shown(path, width).splitlines()
    assert max(map(len, lines)) <= min(width, 110)
    bars = [(line.index("█"), line.rindex("█") + 1) for line in lines if "█" in line]
    assert len(bars) == len(seconds)
    for (start, end), (following, _) in pairwise(bars):
        assert start < end and following in (end, end - 1), "each begins where one ended"
    assert sum(line.endswith(" x") for line in lines) == (failed is not None)


def test_the_scale_is_common() -> None:
    lines = shown(path_of(seconds={"connect": 1.0, "tls": 2.0, "request": 1.0})).splitlines()
    connect, tls, request = (line.count("█") for line in lines if "█" in line)
    assert connect == request and tls == pytest.approx(2 * connect, abs=2)
    assert lines[5].endswith("4.0 s")


def test_each_name_server_by_itself() -> None:
    answer = Answer(server="10.0.0.1", record="A", seconds=0.004, code="NOERROR",
                    addresses=("192.0.2.1",), aliases=("cdn.lab", "edge.lab"))  # fmt: skip
    none = Failure("resolve", "no-address", "NOERROR")
    bogus = Failure("resolve", "servfail", "SERVFAIL")
    path = path_of(
        lookup=Lookup(name="studio.lab", addresses=("192.0.2.1",), seconds=0.02),
        answers=(
            answer,
            Answer(server="10.0.0.1", record="AAAA", seconds=0.004, code="NOERROR", failure=none),
            Answer(server="10.0.0.2", record="A", seconds=0.1, code="SERVFAIL", failure=bogus,
                   extended=("DNSSEC Bogus",)),
            Answer(server="10.0.0.2", record="AAAA", seconds=4,
                   failure=Failure("resolve", "timeout")),
        ),
    )  # fmt: skip
    words = " ".join(shown(path).split())
    assert "name studio.lab: 192.0.2.1, says this system (20 ms)" in words
    assert (
        "10.0.0.1 says: A 192.0.2.1, by way of cdn.lab, edge.lab (4 ms); AAAA none (4 ms)" in words
    )
    assert "10.0.0.2 says: A SERVFAIL: DNSSEC Bogus (100 ms); AAAA timeout (4.0 s)" in words


def test_addresses_of_both_families() -> None:
    away = Failure("connect", "unreachable", "Network is unreachable")
    path = path_of(attempts=(
        Attempt(address="192.0.2.1", family="IPv4", seconds=0.02, source="10.0.0.9"),
        Attempt(address="2001:db8::1", family="IPv6", seconds=0.1, source="", failure=away),
    ))  # fmt: skip
    words = shown(path)
    assert "addresses 192.0.2.1 (IPv4): connected after 20 ms, from 10.0.0.9\n" in words
    assert "2001:db8::1 (IPv6): unreachable (Network is unreachable) after 100 ms\n" in words


def test_what_a_proxy_said() -> None:
    route = Route(variable="https_proxy", contradicted_by="HTTPS_PROXY", exempt_for=("docker",),
                  proxy=Proxy(scheme="http", host="p.lab", port=3128))  # fmt: skip
    reply = Reply(status=407, phrase="No", seconds=0.003, schemes=("NTLM", "Basic"), server="squid")
    words = " ".join(shown(path_of(route=route, reply=reply)).split())
    assert (
        "proxy http://p.lab:3128, from https_proxy; HTTPS_PROXY has another value; NO_PROXY "
        "exempts this host for docker only; it (squid) answered CONNECT with 407 No after 3 ms; "
        "it offers NTLM and Basic" in words
    )
    exempt = Route(variable="https_proxy", exempt_for=("curl", "conda", "docker"))
    assert "none: NO_PROXY exempts this host from https_proxy" in shown(path_of(route=exempt))


@pytest.mark.parametrize(
    ("days", "said"),
    [((-90, -5), "expired 5 days ago, on 20"), ((2, 90), "not valid before 20"),
     ((-1, 1.5), "1 day left, until 20")],
)  # fmt: skip
def test_the_dates_of_a_certificate(lab: Lab, days: tuple[float, float], said: str) -> None:
    made = make("localhost", names=("localhost",), days=days)
    with Peer(https(lab.context(made))) as peer:
        target = egress.target(f"localhost:{peer.port}")
        found = asyncio.run(probe(target, Surroundings({}, (), lab.ca_file), timeout=5))
    traced = Trace(tool_version="1", started_at=datetime.now(UTC) + timedelta(seconds=1),
                   reached=False, summary="", path=found)  # fmt: skip
    words = " ".join(waterfall.render(traced, Style(width=80)).split())
    assert f"chain CN=localhost, by itself; {said}" in words
