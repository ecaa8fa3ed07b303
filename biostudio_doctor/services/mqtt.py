"""MQTT 3.1.1 over TCP and over WebSocket: is one let in, and which broker is it?

Asked for is no more than a session and the broker's own version; nothing is published. paho-mqtt
is used without its network thread, which would reconnect for ever, and on a lent connection, since
its WebSocket handshake knows no end to what it reads.
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Answer, Login, Target, connection
from biostudio_doctor.services.identify import Kind
from biostudio_doctor.services.loan import Loan

if TYPE_CHECKING:
    from paho.mqtt.client import Client

Transport = Literal["tcp", "websockets"]

_VERSION_TOPIC = "$SYS/broker/version"  # of mosquitto and others; not of the standard
_VERSION_PATIENCE = 0.5  # seconds; a broker without this topic says nothing
_VERSION_LIMIT = 80  # characters
_KEEPALIVE = 30  # seconds, more than any conversation here
_TURN = 0.1  # seconds between two looks at whether it goes on

#: Reasons of CONNACK (MQTT 5, 3.2.2.2), which paho gives for the codes of MQTT 3.1.1 too.
_ACCEPTED = 0
_NOT_WITHOUT_LOGIN = (134, 135)  # bad user name or password; not authorised
_REFUSALS = {
    132: "it does not speak MQTT 3.1.1",
    133: "it does not take the name that clients give themselves",
    136: "it says that it is unavailable",
    137: "it says that it is busy",
    138: "it has banned this host",
}
_OTHER_VERSION = bytes([0x20, 2, 0, 1])  # CONNACK: unacceptable protocol version
#: How the first bytes of a broker look: CONNACK (MQTT 3.1.1, 3.2), or the end of an HTTP upgrade.
_BEGINNINGS: dict[Transport, bytes] = {"tcp": b"\x20", "websockets": b"HTTP/1.1 101"}


class _Session(Struct):
    """How one attempt at a session went."""

    reason: int = -1  # of CONNACK; -1 where none came
    asked_at: float = 0.0  # when the version was asked for
    version: str = ""
    ended: bool = False


async def ask(target: Target, transport: Transport = "tcp") -> Answer:
    """Ask without a login and, where there is one, with it."""
    # What is found afterwards over WebSocket is any web server, which says nothing of a broker.
    kind: Kind = "mqtt" if transport == "tcp" else "http"
    answer = await connection.ask(target, kind, partial(_talk, transport))
    if kind == "http" and answer.state == "unwell" and answer.failure:
        return replace(answer, state="foreign")
    return answer


async def _talk(transport: Transport, dial: Dialler, target: Target) -> Answer:
    session = await _session(transport, dial, target, None)
    anonymous = session.reason == _ACCEPTED
    if target.login and (anonymous or session.reason in _NOT_WITHOUT_LOGIN):
        session = await _session(transport, dial, target, target.login)
    return replace(_answer(target, session), anonymous=anonymous)


def _answer(target: Target, session: _Session) -> Answer:
    if session.reason == _ACCEPTED:
        named = re.fullmatch(r"(\S+) version (\S+)", session.version)
        return Answer(
            host=target.host,
            port=target.port,
            state="healthy",
            identity=named[1] if named else "an MQTT broker",
            version=named[2] if named else session.version,
            logged_in=target.login is not None,
        )
    if session.reason in _NOT_WITHOUT_LOGIN:
        state = connection.answer(target, "password-wrong" if target.login else "password-needed")
        return replace(state, identity="an MQTT broker")
    detail = _REFUSALS.get(session.reason, f"it refuses a session, with reason {session.reason}")
    return connection.answer(target, "unwell", detail=detail, identity="an MQTT broker")


async def _session(
    transport: Transport, dial: Dialler, target: Target, login: Login | None
) -> _Session:
    """One session, from CONNECT to DISCONNECT.

    Raises:
        ForeignError, EOFError: where no broker answers.
    """
    from paho.mqtt.client import WebsocketConnectionError

    loan = Loan()
    try:
        session = await loan.lend(
            dial, target, lambda end: _converse(_client(transport, end, target, login), loan)
        )
    except (WebsocketConnectionError, ValueError, LookupError):  # paho, of what it cannot read
        session = _Session()
    if loan.heard.endswith(_OTHER_VERSION):  # which paho keeps to itself
        return _Session(reason=132)
    if session.reason >= 0:
        return session
    if not loan.heard:
        raise EOFError
    raise connection.ForeignError  # without its words, which may repeat the password


def _client(
    transport: Transport, end: socket.socket, target: Target, login: Login | None
) -> Client:
    """A client that has said CONNECT on a connection that is there already."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    class Lent(Client):
        def _create_socket_connection(self) -> socket.socket:
            return end

    client = Lent(
        CallbackAPIVersion.VERSION2,
        client_id=f"biostudio-doctor-{secrets.token_hex(3)}",  # 23 letters, which all brokers take
        protocol=MQTTProtocolVersion.MQTTv311,
        transport=transport,
        reconnect_on_failure=False,
    )
    client.connect_timeout = target.timeout
    if login:
        client.username_pw_set(login.user, login.password)
    client.connect(target.host, target.port, keepalive=_KEEPALIVE)
    return client


def _converse(client: Client, loan: Loan) -> _Session:
    """Go on until the version came, the broker refused, or it is clear that nothing will come."""
    session = _Session()

    def on_connect(
        _client: Client, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        session.reason = int(getattr(reason, "value", -1))
        if session.reason == _ACCEPTED:
            session.asked_at = time.monotonic()
            client.subscribe(_VERSION_TOPIC)
        else:
            session.ended = True

    def on_message(_client: Client, _data: object, message: object) -> None:
        payload = bytes(getattr(message, "payload", b""))[: 4 * _VERSION_LIMIT]
        session.version = one_line(payload.decode("utf-8", "replace"), _VERSION_LIMIT)
        session.ended = True

    client.on_connect = on_connect
    client.on_message = on_message
    beginning = _BEGINNINGS[client.transport]  # type: ignore[index]
    while not session.ended and client.loop(_TURN) == 0:
        if not loan.heard.startswith(beginning[: len(loan.heard)]):
            break
        if session.asked_at and time.monotonic() > session.asked_at + _VERSION_PATIENCE:
            break
    client.disconnect()
    return session
