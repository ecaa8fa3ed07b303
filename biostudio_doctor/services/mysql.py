"""MySQL and MariaDB: the greeting, a login, and what the account may do.

Nobody is hung up on in the middle of a login where that can be helped: both servers count that, and
after a hundred times (max_connect_errors) let nobody in from this host any more. So even who only
knocks tries to log in, as nobody and without a password, and takes the refusal.

The session is read-only, never loads a local file, and hands the password itself over only to a
server whose certificate verifies; what is proved with a hash goes to any.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import anyio
from msgspec import Struct, structs

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.dns import lookup
from biostudio_doctor.probes.failures import ProbeError, failure, one_line
from biostudio_doctor.probes.tcp import socket_address
from biostudio_doctor.probes.tls import (
    VERIFY_ERRORS,
    host_name,
    lenient_context,
    verifying_context,
)
from biostudio_doctor.services import Answer, Login, State, Target, mysql_account
from biostudio_doctor.services.connection import ForeignError, answer, in_thread
from biostudio_doctor.services.connection import ask as ask_kind

PORT = 3306
#: As whom is knocked: both servers' logs name it.
NOBODY = Login("biostudio-doctor")

_STATES: dict[int, State] = {  # MySQL, "Server Error Message Reference"; MariaDB has the same
    1040: "unwell",  # ER_CON_COUNT_ERROR
    1044: "denied",  # ER_DBACCESS_DENIED_ERROR
    1049: "denied",  # ER_BAD_DB_ERROR
    1053: "unwell",  # ER_SERVER_SHUTDOWN
    1129: "denied",  # ER_HOST_IS_BLOCKED
    1130: "denied",  # ER_HOST_NOT_PRIVILEGED
    1203: "unwell",  # ER_TOO_MANY_USER_CONNECTIONS
    1226: "unwell",  # ER_USER_LIMIT_REACHED
    1862: "denied",  # ER_MUST_CHANGE_PASSWORD_LOGIN
    2026: "plain",  # CR_SSL_CONNECTION_ERROR: no TLS is offered
    3118: "denied",  # ER_ACCOUNT_HAS_BEEN_LOCKED
    3159: "tls",  # ER_SECURE_TRANSPORT_REQUIRED
    4151: "denied",  # ER_ACCOUNT_HAS_BEEN_LOCKED, of MariaDB
}
_ACCESS_DENIED = (1045, 1698)  # ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
_LOST = (2006, 2013)  # CR_SERVER_GONE_ERROR, CR_SERVER_LOST
_NO_PLUGIN = (1251, 2059)  # ER_NOT_SUPPORTED_AUTH_MODE, CR_AUTH_PLUGIN_CANNOT_LOAD
_SSL_OFFERED = 1 << 11  # CLIENT_SSL


async def ask(target: Target) -> Answer:
    """Ask for the version; with a login, log in and look at the account."""
    return await ask_kind(target, "mysql", _talk)


async def _talk(_dial: Dialler, target: Target) -> Answer:
    """One session, or two where the server wants the password itself, and may be trusted."""
    talked = await _session(target, verifying_context(target.ca_file) if target.tls else None)
    if not isinstance(talked, _Withheld):
        return talked
    why = _WITHHELD
    if talked.offers_tls:
        secured = await _session(target, verifying_context(target.ca_file))
        if isinstance(secured, Answer) and secured.state != "untrusted":
            return secured
        if isinstance(secured, Answer):
            why += f", and of this one it does not: {secured.detail}"
    return structs.replace(
        answer(target, "unasked", detail=why),
        identity=mysql_account.product(talked.greeted_as),
        version=mysql_account.version(talked.greeted_as),
        told={"offers_tls": talked.offers_tls},
    )


_WITHHELD = (
    "it wants the password itself instead of a proof, which is only sent by TLS with a "
    "certificate that verifies"
)


class _Withheld(Struct, frozen=True):
    """The password was not given to a server that asked for it."""

    greeted_as: str
    offers_tls: bool


async def _session(target: Target, trusting: ssl.SSLContext | None) -> Answer | _Withheld:
    """Connect, and let PyMySQL talk in a thread; `trusting` demands TLS that verifies."""

    channel = await _connected(target)
    session = _Session(target, channel, trusting)
    try:
        return await in_thread(session.talk)
    finally:
        session.hang_up()


async def _connected(target: Target) -> socket.socket:
    """A socket to whichever address answers first; the other connections come to nothing.

    Raises:
        ProbeError: with the phase `resolve` or `connect`.
    """
    found = await lookup(target.host, timeout=target.timeout)
    if found.failure:
        raise ProbeError(found.failure)
    winners: list[socket.socket] = []
    problems: list[Failure] = []

    async def attempt(address: str) -> None:
        family, where = socket_address(address, target.port)
        channel = socket.socket(family, socket.SOCK_STREAM)
        try:
            channel.setblocking(False)
            with anyio.fail_after(target.timeout):
                await asyncio.get_running_loop().sock_connect(channel, where)
        except BaseException as error:
            channel.close()
            if not isinstance(error, OSError):
                raise
            problems.append(failure("connect", error))
            return
        winners.append(channel)
        race.cancel_scope.cancel()

    async with anyio.create_task_group() as race:
        for address in found.addresses:
            race.start_soon(attempt, address)
    for late in winners[1:]:
        late.close()
    if not winners:
        telling = (problem for problem in problems if problem.reason != "unreachable")
        raise ProbeError(next(telling, problems[0]))
    return winners[0]


class _Session:
    """One connection, talked over in a thread, and ended from outside when time is up."""

    def __init__(
        self, target: Target, channel: socket.socket, trusting: ssl.SSLContext | None
    ) -> None:
        from biostudio_doctor.services.mysql_wire import Guarded

        self._target = target
        self._channel = channel
        self._end = channel.dup()  # PyMySQL, and TLS, make the other one their own
        self._source = str(channel.getsockname()[0])
        self._login = target.login or NOBODY
        self._started = time.perf_counter()
        self.connection = Guarded(
            host=host_name(target.host),
            user=self._login.user,
            password=self._login.password.encode(),  # as text it would have to be Latin-1
            database=target.database or None,
            ssl=trusting,
            unverified=lenient_context(()) if target.login and not trusting else None,
            read_timeout=target.timeout,
            write_timeout=target.timeout,
        )

    def talk(self) -> Answer | _Withheld:
        """Log in and look around.

        Raises:
            ForeignError, EOFError: if it was no MySQL, or hung up.
        """
        from pymysql import Error

        from biostudio_doctor.services.mysql_wire import ForeignGreeting, WithheldError

        self._channel.settimeout(self._target.timeout)
        try:
            self.connection.connect(self._channel)
            told = mysql_account.look(self.connection)
            return self._answer("healthy", told=told, logged_in=True)
        except WithheldError:
            offers_tls = bool(self.connection.capabilities & _SSL_OFFERED)
            return _Withheld(self.connection.greeted_as, offers_tls)
        except ForeignGreeting as error:
            raise ForeignError from error
        except Error as error:
            return self._refusal(error)
        except Exception as error:  # PyMySQL takes what a server says for what it should have said
            if "'pynacl'" in str(error):
                return structs.replace(self._answer("unasked"), library="nacl")
            return self._answer("unwell", detail="it does not keep to the protocol")
        finally:
            with suppress(Exception):
                self.connection.close()  # in order, where it is still open
            self._channel.close()
            self._end.close()

    def hang_up(self) -> None:
        """Wake the thread up, if it still waits."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def _refusal(self, error: Exception) -> Answer:
        """What an error of PyMySQL means.

        Raises:
            EOFError: if it only means that the server hung up.
        """
        cause = getattr(error, "original_exception", None)
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = VERIFY_ERRORS.get(cause.verify_code, one_line(cause.verify_message))
            return self._answer("untrusted", detail=why)
        if isinstance(cause, OSError):
            problem = failure("tls", cause)
            return self._answer("unwell", detail=problem.detail or problem.reason)
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if code in _LOST:
            raise EOFError from None
        words = one_line(str(error.args[-1])) if error.args else type(error).__name__
        if code in _ACCESS_DENIED:
            return self._answer(
                "password-wrong" if self._login.password else "password-needed", code, words
            )
        if code in _NO_PLUGIN:
            return self._answer("unasked", code, words)
        return self._answer(_STATES.get(code, "unwell"), code, words)

    def _answer(
        self,
        state: State,
        code: int = 0,
        detail: str = "",
        *,
        told: dict[str, Any] | None = None,
        logged_in: bool = False,
    ) -> Answer:
        anonymous = logged_in if self._target.login is None else None
        return Answer(
            host=self._target.host,
            port=self._target.port,
            state=state,
            seconds=round(time.perf_counter() - self._started, 6),
            identity=mysql_account.product(self.connection.greeted_as, detail),
            version=mysql_account.version(self.connection.greeted_as),
            detail=detail,
            anonymous=anonymous,
            logged_in=logged_in and not anonymous,
            told={
                "source": self._source,  # our address: what the database must let in
                "offers_tls": bool(self.connection.capabilities & _SSL_OFFERED),
                "tls": self.connection.tls_version,
                **({"code": code} if code else {}),
                **(told or {}),
            },
        )
