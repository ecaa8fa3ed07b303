"""Real services as private, unprivileged processes on free loopback ports."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.lab.network import free_port

_READY = 60.0  # seconds
_NOBODY = 65534


def unprivileged(command: Sequence[str]) -> list[str]:
    """The command as a user of its own (PostgreSQL refuses root), ended with who started it."""
    ending = ["setpriv", "--pdeathsig=TERM"]
    if os.geteuid() == 0:
        ending += [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    return [*ending, *command]


@contextmanager
def directory() -> Iterator[Path]:
    """A short path that the unprivileged user may write to: sockets have paths of 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="bd-") as name:
        path = Path(name)
        give(path)
        yield path


def give(path: Path) -> Path:
    """Let the servers' user have a file or directory."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)
    return path


def program(name: str) -> str:
    """The path of a server's program, wherever Debian puts it."""
    places = ["/usr/sbin", "/usr/local/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    if not found:
        pytest.skip(f"needs {name}, which tests/run installs")
    return found


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    log: Path,
    stop: signal.Signals = signal.SIGTERM,
    ready: Callable[[], bool] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server, from when it takes connections on `port` (or is `ready`) until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            unprivileged(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _READY
        while not (ready() if ready else listens(port)):
            said = f"{command[0]}:\n{log.read_text(errors='replace')[-2000:]}"
            assert process.poll() is None, f"it ended by itself: {said}"
            assert time.monotonic() < deadline, f"it is not ready: {said}"
            time.sleep(0.02)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether a connection is taken there."""
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A server that hangs: the kernel still takes connections for it."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


class Authority:
    """An authority of one test run, with a certificate for the loopback address."""

    def __init__(self, place: Path) -> None:
        authority = trustme.CA()
        own = authority.issue_cert("127.0.0.1", "localhost")
        self.ca_file = place / "ca.pem"
        self.certificate = place / "server.pem"
        self.key = place / "server.key"
        authority.cert_pem.write_to_path(str(self.ca_file))
        own.private_key_pem.write_to_path(str(self.key))
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in own.cert_chain_pems))
        for file in (self.ca_file, self.certificate, self.key):
            file.chmod(0o600 if file == self.key else 0o644)
            give(file)


# --- PostgreSQL -----------------------------------------------------------------------------------

#: Which database asks what of whom; the one named "closed" has no entry at all.
_HBA = """
host     open     all  127.0.0.1/32  trust
hostssl  secure   all  127.0.0.1/32  scram-sha-256
host     postgres all  127.0.0.1/32  scram-sha-256
local    all      all                trust
"""


class Server(NamedTuple):
    """Where it answers, what can be stopped, and what it logs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path


class Postgresql(NamedTuple):
    """A server with databases postgres, open, secure and closed, and roles owner and reader."""

    port: int
    password: str  # of both
    directory: Path


@contextmanager
def postgresql(
    authority: Authority | None = None, *settings: str, standby: bool = False
) -> Iterator[Postgresql]:
    """PostgreSQL, with TLS where an authority is given; `settings` are name=value.

    A standby waits for a primary that never comes, and is read-only until then.
    """
    with directory() as place:
        port, password = free_port(), secrets.token_hex(8)
        data = place / "data"
        as_user([program("initdb"), "-D", str(data), "-U", "super", "-A", "trust", "-N", "-E",
                  "UTF8", "--locale", "C.UTF-8"])  # fmt: skip
        (data / "pg_hba.conf").write_text(_HBA)
        chosen = ["listen_addresses=127.0.0.1", f"unix_socket_directories={place}", "fsync=off",
                  "log_min_messages=fatal", *settings]  # fmt: skip
        if authority:
            chosen += ["ssl=on", f"ssl_cert_file={authority.certificate}",
                       f"ssl_key_file={authority.key}"]  # fmt: skip
        command = [program("postgres"), "-D", str(data), "-p", str(port)]
        command += [word for setting in chosen for word in ("-c", setting)]
        server = Postgresql(port, password, place)
        if standby:
            with _answering(command, server):
                _populate(server)
            (data / "standby.signal").touch()
            give(data / "standby.signal")
        with _answering(command, server, refuses="hot_standby=off" in settings):
            if not standby:
                _populate(server)
            yield server


@contextmanager
def _answering(
    command: Sequence[str], server: Postgresql, *, refuses: bool = False
) -> Iterator[None]:
    """PostgreSQL, from when it takes connections, or `refuses` them as pg_isready(1) says."""
    asked = [program("pg_isready"), "-q", "-h", str(server.directory), "-p", str(server.port)]

    def is_ready() -> bool:
        return subprocess.run(asked, check=False).returncode == int(refuses)

    log = server.directory / "postgres.log"
    with running(command, server.port, log=log, stop=signal.SIGINT, ready=is_ready):
        yield


def _populate(server: Postgresql) -> None:
    import psycopg

    with psycopg.connect(
        host=str(server.directory),
        port=server.port,
        user="super",
        dbname="postgres",
        autocommit=True,
    ) as session:
        for database in ("open", "secure", "closed"):
            session.execute(f"create database {database}")
        for role in ("owner", "reader"):
            session.execute(f"create role {role} login password '{server.password}'")
        session.execute("create role outsider login")  # without a password
        session.execute("revoke connect on database postgres from public")
        session.execute("grant connect on database postgres to owner, reader")


def as_user(command: Sequence[str]) -> None:
    """Run a program that prepares a server's files; if it fails, say what it said."""
    done = subprocess.run(
        unprivileged(command), cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


# --- Redis, memcached -----------------------------------------------------------------------------


@contextmanager
def redis(
    authority: Authority | None = None, *arguments: str, password: str = ""
) -> Iterator[Server]:
    """Redis, with TLS only where an authority is given."""
    with directory() as place:
        port = free_port()
        lines = [f"port {0 if authority else port}", "bind 127.0.0.1", 'save ""', f"dir {place}"]
        if authority:
            lines += [f"tls-port {port}", f"tls-cert-file {authority.certificate}",
                      f"tls-key-file {authority.key}", "tls-auth-clients no",
                      f"tls-ca-cert-file {authority.ca_file}"]  # fmt: skip
        if password:
            lines.append(f"requirepass {password}")
        file = place / "redis.conf"
        file.write_text("\n".join(lines) + "\n")
        give(file)
        command = [program("redis-server"), str(file), *arguments]
        log = place / "redis.log"
        with running(command, port, log=log) as process:
            yield Server(port, process, log)


@contextmanager
def memcached(*arguments: str) -> Iterator[Server]:
    """Memcached."""
    with directory() as place:
        port = free_port()
        command = [program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0"]
        log = place / "memcached.log"
        with running([*command, *arguments], port, log=log) as process:
            yield Server(port, process, log)
