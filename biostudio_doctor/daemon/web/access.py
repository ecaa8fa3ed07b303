"""Who may ask for what: logins, and no orders from other people's web pages."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biostudio_doctor.daemon.web.security import WebConfig

#: What anyone may ask: whether this process lives.
OPEN = ("/healthz",)
_WAITING = 16  # passwords to be verified, at most; a bcrypt hash costs 50 ms and more
_REMEMBERED = 256  # passwords that were right
#: bcrypt looks at no more; those who made the hash may have had a longer one.
_BCRYPT_LENGTH = 72


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
        user, password = _credentials(authorization)
        seal = self._seal(user, password)
        if seal in self._known:
            return True
        # A user who is not there costs the same time as one who is.
        hashed = self._users.get(user, next(iter(self._users.values())))
        right = await self._verify(password, hashed) and user in self._users
        if right:
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[seal] = None
        return right

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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.configure(WebConfig())

    def configure(self, settings: WebConfig) -> None:
        """Heed these from now on."""
        self._logins = Logins(settings.basic_auth_users)
        named = settings.http_server_config.headers.named()
        self._headers = [(key.lower().encode(), value.encode()) for key, value in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have it answered."""
        if self._headers:
            send = self._with_headers(send)
        refusal = await self._refusal(scope) if self._logins else None
        await (refusal or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["path"] in OPEN:
            return None
        try:
            if await self._logins.admits(Headers(scope=scope).get("authorization", "")):
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
