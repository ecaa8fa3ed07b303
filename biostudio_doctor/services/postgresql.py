"""PostgreSQL: TLS offered or not, what it asks for, and with credentials how it is.

The first words are exchanged by postgresql_wire, and tell without a password and without psycopg
who answers, and what it wants. All that needs a password is left to psycopg.
"""

import os
import re
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from anyio.abc import ByteStream

from biostudio_doctor import ca_bundles
from biostudio_doctor.endpoints import is_loopback
from biostudio_doctor.probes import tls
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Answer, Login, State, Target, connection, postgresql_account
from biostudio_doctor.services.connection import answer, in_thread, wrap
from biostudio_doctor.services.postgresql_wire import FirstWord, begin_tls, log_in_on

_QUOTED = 160
_NAMED = 10  # replicas that are told
_LIMIT = 16 << 20  # bytes of one session; what is asked brings a few thousand
_TURN = 0.02  # seconds between two looks at how many came
_RECEIVED = slice(128, 136)  # tcpi_bytes_received in struct tcp_info, of Linux since 4.1

#: SQLSTATEs of the first answer (PostgreSQL, "Error Codes"); others are `denied`.
_STATES: dict[str, State] = {
    "57P03": "unwell",  # cannot_connect_now: starting up, shutting down, recovering
    "57P01": "unwell",  # admin_shutdown
    "57P02": "unwell",  # crash_shutdown
    "53300": "unwell",  # too_many_connections
    "53200": "unwell",  # out_of_memory
    "53100": "unwell",  # disk_full
    "28P01": "password-wrong",
}
_NO_ENTRY = "28000"  # invalid_authorization_specification, as of who is not in pg_hba.conf

#: The same from the server's sentence, where a code cannot be had.
_SAYINGS: tuple[tuple[str, State], ...] = (
    (r"password authentication failed|authentication failed for user", "password-wrong"),
    (r"certificate verify failed|root certificate", "untrusted"),
    (r"starting up|shutting down|recovery mode|not yet accepting", "unwell"),
    (r"too many (clients|connections)|connection slots", "unwell"),
    (r"no pg_hba.conf entry|does not exist|permission denied|not permitted|not currently accepting",
     "denied"),
)  # fmt: skip


async def ask(target: Target, *, rights: bool = False) -> Answer:
    """Ask anonymously and, where there is a login, log in and look around, read-only.

    With `rights` it is told as well what the account may read and write.
    """
    return await connection.ask(target, "postgresql", partial(_talk, rights))


async def _talk(rights: bool, dial: Dialler, target: Target) -> Answer:
    offers_tls = await _offers_tls(dial)
    if target.tls:
        problem = await _look_at_tls(dial, target, offers_tls)
        if problem:
            return problem
    word = await _first_word(dial, target)
    if word.kind == "error":
        return await _refusal(dial, target, word, offers_tls)
    password = target.login.password if target.login else ""
    if not password:
        return _anonymous(target, word, offers_tls)
    if word.readable and not target.tls and not is_loopback(dial.address):
        return answer(target, "plain", identity="PostgreSQL", detail=_WITHHELD)
    try:
        said = await _Session(target, dial.address, rights).bounded_look()
    except _LoginError as error:
        return answer(target, error.state, detail=error.detail, identity="PostgreSQL")
    said["offers_tls"] = offers_tls
    return Answer(
        host=target.host,
        port=target.port,
        state="healthy",
        identity="PostgreSQL",
        version=said.pop("version"),
        anonymous=True if word.kind == "welcome" else None,
        logged_in=True,
        told=said,
    )


_WITHHELD = "it wants the password itself instead of a proof, which is only sent over TLS"


def _anonymous(target: Target, word: FirstWord, offers_tls: bool) -> Answer:
    return Answer(
        host=target.host,
        port=target.port,
        state="healthy" if word.kind == "welcome" else "password-needed",
        identity="PostgreSQL",
        anonymous=word.kind == "welcome",
        told={"offers_tls": offers_tls},
    )


async def _refusal(dial: Dialler, target: Target, word: FirstWord, offers_tls: bool) -> Answer:
    """No login is possible. Without one configured, somebody else may be let in all the same."""
    state = _STATES.get(word.code, "denied")
    no_entry = word.code == _NO_ENTRY and "pg_hba.conf" in word.message
    if no_entry and offers_tls and not target.tls and await _by_tls(dial, target):
        state = "tls"
    elif state == "denied" and not target.login:
        state = "password-needed"
    return Answer(
        host=target.host,
        port=target.port,
        state=state,
        identity="PostgreSQL",
        detail=word.message,
        told={"offers_tls": offers_tls},
    )


async def _by_tls(dial: Dialler, target: Target) -> bool:
    """Whether who has no entry in pg_hba.conf would have one with TLS; no password is sent."""
    stream = await dial()
    try:
        if not await begin_tls(stream):
            return False
        secured = await connection.wrap(stream, target, verify=False)
        return (await log_in_on(secured, target)).kind != "error"
    except EOFError:
        return False
    finally:
        await anyio.aclose_forcefully(stream)


async def _offers_tls(dial: Dialler) -> bool:
    stream = await dial()
    try:
        return await begin_tls(stream)
    finally:
        await anyio.aclose_forcefully(stream)


async def _look_at_tls(dial: Dialler, target: Target, offers_tls: bool) -> Answer | None:
    """Why the TLS that is expected will not do, or None if it will."""
    if not offers_tls:
        return answer(target, "plain", identity="PostgreSQL")

    async def connect() -> ByteStream:
        stream = await dial()
        if not await begin_tls(stream):
            raise EOFError
        return stream

    found = await tls.probe(
        connect, target.host, timeout=target.timeout / 3, ca_file=target.ca_file
    )
    if not found.failure:
        return None
    detail = found.verify_error or found.failure.detail
    return answer(target, "untrusted", identity="PostgreSQL", detail=detail, failure=found.failure)


async def _first_word(dial: Dialler, target: Target) -> FirstWord:
    """Ask to log in, without a password, and hang up."""
    stream = await dial()
    try:
        if not target.tls:
            return await log_in_on(stream, target)
        if not await begin_tls(stream):
            raise EOFError
        return await log_in_on(await wrap(stream, target), target)
    finally:
        await anyio.aclose_forcefully(stream)


# --- Logged in ------------------------------------------------------------------------------------


class _LoginError(Exception):
    """Carries a state; psycopg's own exceptions hold the password, and stay where they are."""

    def __init__(self, state: State, detail: str) -> None:
        super().__init__(detail)
        self.state: State = state
        self.detail = detail


class _Session:
    """One login, made and used in a thread.

    libpq waits without bounds for what a query brings, and keeps all of it: the session is hung up
    from outside if it takes too long, or too much comes.
    """

    def __init__(self, target: Target, address: str, rights: bool) -> None:
        self._target = target
        self._login = target.login or Login()
        self._address = address
        self._rights = rights
        self._channel: socket.socket | None = None
        self._flooded = False

    async def bounded_look(self) -> dict[str, Any]:
        """Log in and ask how it is."""
        outcome: dict[str, Any] | Exception
        try:
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._hang_up_on_flood)
                try:
                    outcome = await in_thread(self._look)
                except Exception as error:  # carried out of the group of tasks, which wraps it
                    outcome = error
                watching.cancel_scope.cancel()
        finally:
            self._hang_up()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _look(self) -> dict[str, Any]:
        import psycopg

        problem = None
        try:
            parameters = _parameters(self._target, self._address, psycopg.pq.version())
            with psycopg.connect(**parameters) as session:
                session.read_only = True
                self._channel = socket.socket(fileno=os.dup(session.fileno()))
                said = _look_around(session, self._target.timeout)
                return said | (postgresql_account.look(session) if self._rights else {})
        except psycopg.errors.InsufficientPrivilege as error:
            problem = _LoginError("denied", self._words(error))
        except psycopg.Error as error:
            words = "it answers without end" if self._flooded else self._words(error)
            problem = _LoginError(_state_of(words), words)
        raise problem

    def _words(self, error: Exception) -> str:
        """The server's own sentence of psycopg's message: what stands after FATAL, in one line."""
        said = self._login.hide(str(error))
        return one_line(re.split(r"\b[A-Z]{4,}: +", said)[-1], _QUOTED)

    async def _hang_up_on_flood(self) -> None:
        while not self._channel or _received(self._channel) < _LIMIT:
            await anyio.sleep(_TURN)
        self._flooded = True
        self._hang_up()

    def _hang_up(self) -> None:
        if self._channel:
            with suppress(OSError), self._channel:
                self._channel.shutdown(socket.SHUT_RDWR)


def _parameters(target: Target, address: str, libpq: int) -> dict[str, Any]:
    """What libpq is told; what it would take from the environment otherwise is named as well."""
    login = target.login
    secure = {"sslmode": "disable"}
    if target.tls:
        secure = {"sslmode": "verify-full", "sslrootcert": target.ca_file or _system_authorities()}
    elif libpq >= 160000 and not is_loopback(address):  # the server may have changed its mind
        secure["require_auth"] = "!password"
    return {
        "host": target.host,
        "hostaddr": address,
        "port": target.port,
        "user": login.user if login and login.user else "postgres",
        "password": login.password if login else "",
        "dbname": target.database or "postgres",
        "connect_timeout": max(2, int(target.timeout)),  # libpq takes 1 for 2
        "application_name": "biostudio-doctor",
        "options": "",
        "target_session_attrs": "any",
        "gssencmode": "disable",
        **secure,
    }


def _received(channel: socket.socket) -> int:
    """Bytes that came so far; 0 where the system does not count them."""
    told = channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.stop)
    return int.from_bytes(told[_RECEIVED], sys.byteorder)


def _system_authorities() -> str:
    """The system's file, since libpq may bring an OpenSSL with other ideas; or its own word."""
    return next((file for file in ca_bundles.SYSTEM_BUNDLES if os.path.isfile(file)), "system")


def _look_around(session: Any, timeout: float) -> dict[str, Any]:
    """All that a user without any rights may ask.

    What is set holds for this transaction only: a pooler may give the session to somebody else.
    """
    with session.cursor() as cursor:

        def one(query: str) -> tuple[Any, ...]:
            return tuple(cursor.execute(query).fetchone() or ())

        cursor.execute(f"set local statement_timeout = {int(timeout * 500)}")
        one("select 1")
        version, limit, in_recovery = one(
            "select current_setting('server_version'), current_setting('max_connections')::int,"
            " pg_is_in_recovery()"
        )
        # Others' rows of pg_stat_activity are hidden from who has no rights; their number is not.
        (used,) = one("select sum(numbackends)::int from pg_stat_database where datid <> 0")
        replicas = cursor.execute(
            f"select application_name, state from pg_stat_replication limit {_NAMED}"
        ).fetchall()
    return {
        "version": re.sub(r" .*", "", str(version))[:20],
        "max_connections": limit,
        "used_connections": used,
        "in_recovery": in_recovery,
        "behind_seconds": _behind(session) if in_recovery else None,
        "replicas": [{"name": one_line(str(name), 40), "state": state} for name, state in replicas],
    }


def _behind(session: Any) -> float | None:
    """Seconds that a replica is late; None where it receives nothing, or is older than 10."""
    import psycopg

    with suppress(psycopg.Error), session.transaction():
        found = session.execute(
            "select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0"
            " when pg_last_wal_receive_lsn() is not null"
            " then extract(epoch from now() - pg_last_xact_replay_timestamp()) end::float"
        ).fetchone()
        return found[0] if found else None
    return None


def _state_of(words: str) -> State:
    for pattern, state in _SAYINGS:
        if re.search(pattern, words):
            return state
    return "unwell"
