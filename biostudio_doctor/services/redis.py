"""Redis: PING, and where it lets us in what it says of itself (INFO).

Its first reply tells who answers and whether it wants a password, so that is known without the
client library too. Replies are described in Redis' documentation, "RESP protocol" and "Security".
"""

import re
import socket
from typing import Any

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Answer, Login, State, Target, connection
from biostudio_doctor.services.connection import ForeignError
from biostudio_doctor.services.loan import Loan
from biostudio_doctor.services.streams import exchange

_QUOTED = 160

#: From the first word of an error reply to a state.
_STATES: dict[str, State] = {
    "NOAUTH": "password-needed",
    "WRONGPASS": "password-wrong",
    "DENIED": "denied",  # protected mode: only its own host
    "NOPERM": "denied",
    "LOADING": "unwell",
    "MASTERDOWN": "unwell",
    "BUSY": "unwell",
    "ERR": "unwell",  # such as "max number of clients reached"
}

#: What is told of INFO, by its names there.
_NUMBERS = {
    "maxmemory": "maxmemory",  # bytes, as the next; 0 means no limit
    "used_memory": "used_memory",
    "maxclients": "maxclients",
    "connected_clients": "connected_clients",
    "connected_slaves": "replicas",
    "uptime_in_seconds": "uptime",
}
_WORDS = {
    "maxmemory_policy": "maxmemory_policy",
    "role": "role",  # master or slave
    "master_link_status": "master_link",
    "rdb_last_bgsave_status": "last_save",  # ok or err
    "aof_last_write_status": "last_append",
}


async def ask(target: Target) -> Answer:
    """Ask anonymously; with a login, or where everybody is let in, ask how it is as well."""
    return await connection.ask(target, "redis", _talk)


async def _talk(dial: Dialler, target: Target) -> Answer:
    reply = await exchange(
        lambda: connection.secured(dial, target), b"PING\r\n", limit=512, enough=_is_line
    )
    state, words = understand(reply)
    anonymous = {"healthy": True, "password-needed": False}.get(state)
    if state not in ("healthy", "password-needed"):
        return _answer(target, state, detail=words)
    if state == "password-needed" and not (target.login and target.login.password):
        return _answer(target, state, anonymous=False)
    try:
        state, words, told = await Loan().lend(dial, target, lambda end: _look(end, target))
    except ImportError:
        if state == "healthy" and not target.login:  # it said PONG, which is what was asked
            return _answer(target, state, anonymous=True)
        raise
    version = told.pop("version", "")
    return _answer(
        target,
        state,
        detail=words,
        version=version,
        anonymous=anonymous,
        logged_in=bool(target.login) and state == "healthy",
        told=told,
    )


def _answer(target: Target, state: State, **more: Any) -> Answer:
    return Answer(host=target.host, port=target.port, state=state, identity="Redis", **more)


def _is_line(heard: bytes) -> bool:
    return b"\n" in heard


def understand(reply: bytes) -> tuple[State, str]:
    """A state and Redis' own words, from its reply to PING.

    Raises:
        EOFError: if nothing came.
        ForeignError: if it is no reply of Redis.
    """
    if not reply:
        raise EOFError
    line = reply.partition(b"\n")[0].decode("utf-8", "replace").strip()
    if line == "+PONG":
        return "healthy", ""
    error = re.match(r"-([A-Z]+) +(.*)", line)
    if not error:
        raise ForeignError
    if error[2] == "operation not permitted":  # how NOAUTH was said before 2.8
        return "password-needed", ""
    return _STATES.get(error[1], "unwell"), _own_words(error[2])


def _own_words(words: str) -> str:
    """The first sentence: what follows is advice for whoever runs it, in several lines at once."""
    return one_line(re.split(r"\.\s", words)[0], _QUOTED)


def _look(end: socket.socket, target: Target) -> tuple[State, str, dict[str, Any]]:
    """Log in if there is a login, and ask for INFO, on a connection that is there already."""
    import redis

    class Lent(redis.Connection):
        def _connect(self) -> socket.socket:
            return end

    login = target.login
    line: Any = Lent(  # type: ignore[no-untyped-call]
        username=(login.user or None) if login else None,
        password=(login.password or None) if login else None,
        socket_timeout=target.timeout,
        protocol=2,
    )
    try:
        line.connect()
        line.send_command("PING")
        line.read_response()
        return "healthy", "", _told(_info(line))
    except redis.exceptions.RedisError as error:
        return (*_refusal(error, login or Login()), {})


def _info(line: Any) -> str:
    """The text of INFO; '' where this user may not ask for it."""
    import redis

    try:
        line.send_command("INFO")
        reply = line.read_response()
    except redis.exceptions.NoPermissionError:
        return ""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)


def _told(info: str) -> dict[str, Any]:
    """What is worth telling of INFO: lines of name:value."""
    lines = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    told: dict[str, Any] = {
        name: int(lines[key]) for key, name in _NUMBERS.items() if lines.get(key, "").isdecimal()
    }
    told |= {name: one_line(lines[key], 30) for key, name in _WORDS.items() if key in lines}
    told["version"] = one_line(lines.get("redis_version", ""), 20)
    return told


def _refusal(error: Exception, login: Login) -> tuple[State, str]:
    """What a login met. redis-py takes some words off the beginning, and names its errors."""
    import redis

    words = _own_words(login.hide(str(error)))
    if isinstance(error, redis.exceptions.AuthenticationError) or "AUTH" in words:
        if "without any password" in words or "no password is set" in words:
            return "password-wrong", "it has no password set, and lets anyone in"
        return "password-wrong", ""
    if isinstance(error, redis.exceptions.NoPermissionError):
        return "denied", words
    if isinstance(error, redis.exceptions.TimeoutError | redis.exceptions.ConnectionError) and not (
        isinstance(error, redis.exceptions.BusyLoadingError)
    ):
        raise EOFError
    return "unwell", words
