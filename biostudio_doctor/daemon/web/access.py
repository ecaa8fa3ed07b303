"""Who may ask for what: logins, and neither orders nor questions from other people's web pages."""

import asyncio
import base64
import binascii
import functools
import hashlib
import hmac
import secrets
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biostudio_doctor import endpoints
from biostudio_doctor.daemon.web.protocol import Pairs
from biostudio_doctor.daemon.web.security import WebConfig

#: What anyone may ask: whether this process lives.
OPEN = ("/healthz",)
#: /metrics for Accept and Accept-Encoding: headers and body; None if nothing is known yet.
Scrape = Callable[[str, str], tuple[dict[str, str], bytes] | None]
_WAITING = 16  # passwords to be verified, at most; a bcrypt hash costs 50 ms and more
_REMEMBERED = 256  # passwords that were right
#: bcrypt looks at no more; those who made the hash may have had a longer one.
_BCRYPT_LENGTH = 72
_MISDIRECTED = (
    "On loopback, without TLS and logins, biostudio-doctor answers to addresses, localhost and\n"
    "the name of this host only, so that no web page can read it by a name of its own. Have the\n"
    "proxy before it send one of these as Host, or set up logins: daemon.web_config.\n"
)


class TooBusyError(Exception):
    """More passwords are to be verified than is good."""


class Logins:
    """Users and the bcrypt hashes of their passwords; a password that was right stays known."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, None] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._waiting = 0

    def __bool__(self) -> bool:
        return bool(self._users)

    async def admits(self, authorization: str) -> bool:
        """Whether this header of HTTP names a user and the right password.

        Raises:
            TooBusyError: if that cannot be found out now.
        """
        if not authorization:
            return False
        if self.knows(authorization):
            return True
        user, password = _credentials(authorization)
        seal = self._seal(user, password)
        # A user who is not there costs the same time as one who is.
        hashed = self._users.get(user, next(iter(self._users.values())))
        right = await self._verify(password, hashed) and user in self._users
        if right:
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[seal] = None
        return right

    def knows(self, authorization: str) -> bool:
        """Whether this header was right before."""
        return bool(authorization) and self._seal(*_credentials(authorization)) in self._known

    async def _verify(self, password: bytes, hashed: str) -> bool:
        import bcrypt

        if self._waiting >= _WAITING:
            raise TooBusyError
        self._threads = self._threads or ThreadPoolExecutor(1, "bcrypt")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, bcrypt.checkpw, password[:_BCRYPT_LENGTH], hashed.encode()
            )
        except ValueError:  # a password that bcrypt cannot have hashed
            return False
        finally:
            self._waiting -= 1

    def _seal(self, user: str, password: bytes) -> bytes:
        name = user.encode()
        told = b"%d:%b%b" % (len(name), name, password)
        return hmac.digest(self._salt, told, hashlib.sha256)


class Access:
    """An ASGI middleware that lets in who may come in, and sets the headers of web-config.yml."""

    def __init__(self, app: ASGIApp, scrape: Scrape, listen: str) -> None:
        self._app = app
        self._scrape = scrape
        self._on_loopback = endpoints.is_loopback(endpoints.parse(listen).host)
        self.configure(WebConfig())

    def configure(self, settings: WebConfig) -> None:
        """Heed these from now on."""
        self._logins = Logins(settings.basic_auth_users)
        # Elsewhere any name may be ours. A stranger's page has no login and no certificate of ours.
        self._names_count = self._on_loopback and not (
            settings.basic_auth_users or settings.tls_server_config
        )
        named = settings.http_server_config.headers.named()
        self._headers = [(key.lower().encode(), value.encode()) for key, value in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if self._headers:
            send = self._with_headers(send)
        refusal = await self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def ready(self, url: bytes, headers: Pairs) -> tuple[Pairs, bytes] | None:
        """The answer to a scrape by who may come in without being asked; else None."""
        if url != b"/metrics":
            return None
        said = {name: value.decode("latin-1") for name, value in headers}
        if len(said) < len(headers):  # which of two counts is not decided here
            return None
        if self._names_count and not is_here(said.get(b"host", "")):
            return None
        if self._logins and not self._logins.knows(said.get(b"authorization", "")):
            return None
        answer = self._scrape(said.get(b"accept", ""), said.get(b"accept-encoding", ""))
        if answer is None:
            return None
        told = [(name.encode(), value.encode()) for name, value in answer[0].items()]
        return told + self._headers, answer[1]

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["path"] in OPEN:
            return None
        headers = Headers(scope=scope)
        if self._names_count and not all(map(is_here, headers.getlist("host"))):
            return PlainTextResponse(_MISDIRECTED, status_code=421)
        try:
            if not self._logins or await self._logins.admits(headers.get("authorization", "")):
                return None
        except TooBusyError:
            return PlainTextResponse(
                "Too many logins at once.\n", status_code=429, headers={"retry-after": "1"}
            )
        asked = {"www-authenticate": 'Basic realm="biostudio-doctor", charset="UTF-8"'}
        return PlainTextResponse("Unauthorized\n", status_code=401, headers=asked)

    def _with_headers(self, send: Send) -> Send:
        ours = {name for name, _ in self._headers}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [one for one in message.get("headers", ()) if one[0] not in ours]
                message = {**message, "headers": [*others, *self._headers]}
            await send(message)

        return sending


@functools.lru_cache(64)
def is_here(host: str) -> bool:
    """Whether the header Host is an address, localhost, or the name of this host.

    Anyone may have a name of theirs lead to 127.0.0.1. A browser then takes us for their server and
    lets their pages read us (DNS rebinding); the name that it went to is all that tells.
    """
    name = host.strip().lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    name = name.strip("[]").removesuffix(".")
    if not name or endpoints.is_address(name):
        return True  # there is no name, so none can lead elsewhere
    own = socket.gethostname().lower()
    return name in ("localhost", own, own.partition(".")[0]) or name.endswith(".localhost")


def is_foreign(headers: Headers) -> bool:
    """Whether a browser sent this for a page of someone else's."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    place = origin.partition("://")[2].lower()
    return not place or place != headers.get("host", "").lower()


def _credentials(authorization: str) -> tuple[str, bytes]:
    """User and password of Basic authentication (RFC 7617); empty where there are none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return user.decode(), password
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", b""
