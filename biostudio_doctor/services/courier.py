"""Carries botocore's requests, within bounded time and size, and keeps what the answers tell.

botocore's own way of sending waits as long as bytes trickle in, and reads as much as comes.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from biostudio_doctor.probes import Failure, Phase, Reason
from biostudio_doctor.probes.failures import ProbeError, failure
from biostudio_doctor.probes.tls import verifying_context

_CONNECT_SECONDS, _READ_SECONDS = 3.0, 5.0
_SIZE_LIMIT = 1 << 20
_REDIRECTS = (301, 302, 307)
_REGION = "x-amz-bucket-region"
_RESOLVER_REASONS: dict[int, Reason] = {
    socket.EAI_NONAME: "nxdomain",
    socket.EAI_NODATA: "no-address",
    socket.EAI_AGAIN: "servfail",
}


class Courier:
    """Sends requests in place of botocore (its event `before-send`)."""

    def __init__(self, ca_file: str | None, seconds: float) -> None:
        self._trust = verifying_context(ca_file, ("http/1.1",))
        self._deadline = time.monotonic() + seconds
        self.only_host = ""  # how the host's name must begin, else nothing is sent
        self.refused_style = False
        self.host = ""  # that was asked last
        self.status = 0  # of HTTP, in the last answer: botocore makes 500 of what it cannot read
        self.region = ""  # that the bucket was last said to be in
        self.clock: float | None = None  # seconds by which the server's clock is ahead
        self.through_proxy = False

    def send(self, request: Any, **_event: Any) -> Any:
        """Send a prepared request.

        Raises:
            ProbeError: for whatever the network does.
        """
        from botocore.awsrequest import AWSResponse, HeadersDict

        place = urlsplit(request.url)
        if not (place.hostname or "").startswith(self.only_host):
            self.refused_style = True
            raise ProbeError(Failure("request", "other"))
        self.host = place.netloc.rpartition("@")[2]
        proxy = _proxy(request.url)
        self.through_proxy = bool(proxy)
        try:
            status, headers, body = self._exchange(request, proxy)
        except ImportError:  # of httpx, which needs a library for SOCKS
            raise ProbeError(Failure("proxy", "other")) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise ProbeError(_failure(error, proxy)) from None
        if proxy and status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            raise ProbeError(Failure("proxy", "proxy-auth"))
        if request.method == "HEAD" and status in _REDIRECTS and _REGION not in headers:
            status = 404  # botocore asks so where a bucket is, and after a redirect without end
        else:
            self.status = status
        self.region = headers.get(_REGION) or self.region
        return AWSResponse(request.url, status, HeadersDict(headers), _Raw(body))

    def _exchange(self, request: Any, proxy: str | None) -> tuple[int, dict[str, str], bytes]:
        body = request.body.read() if hasattr(request.body, "read") else request.body
        # Of waiting for "100 Continue" httpx knows nothing, and nothing here is worth it.
        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else value
            for name, value in request.headers.items()
            if name.lower() != "expect"
        }
        headers["Accept-Encoding"] = "identity"  # botocore unpacks nothing
        left = self._still_time()
        limits = httpx.Timeout(min(_READ_SECONDS, left), connect=min(_CONNECT_SECONDS, left))
        with httpx.Client(verify=self._trust, trust_env=False, proxy=proxy, timeout=limits) as way:
            sent = time.time()
            with way.stream(request.method, request.url, headers=headers, content=body) as answer:
                self._note_clock(answer.headers.get("date", ""), sent, time.time())
                parts, size = [], 0
                for part in answer.iter_raw():
                    size += len(part)
                    if size > _SIZE_LIMIT:
                        raise ProbeError(Failure("transfer", "too-large"))
                    self._still_time()
                    parts.append(part)
                return answer.status_code, dict(answer.headers), b"".join(parts)

    def allow(self, seconds: float) -> None:
        """Give what follows at least so much time: what was begun is to be cleared up."""
        self._deadline = max(self._deadline, time.monotonic() + seconds)

    def _still_time(self) -> float:
        """The seconds that are left.

        Raises:
            ProbeError: if none are.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ProbeError(Failure("request", "timeout"))
        return left

    def _note_clock(self, date: str, sent: float, received: float) -> None:
        """Compare the Date header, which has whole seconds, with our clock around the request."""
        try:
            moment = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        if moment > received:
            self.clock = round(moment - received, 1)
        else:
            self.clock = round(min(0.0, moment + 1 - sent), 1)


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, amount: int = 65536, **_options: Any) -> Iterator[bytes]:
        """All that is left, piece by piece."""
        while part := self.read(amount):
            yield part


def _proxy(url: str) -> str | None:
    """The proxy that boto3 would use by the environment, None for none."""
    from botocore.utils import get_environ_proxies

    proxy = get_environ_proxies(url).get(urlsplit(url).scheme)
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _failure(error: BaseException, proxy: str | None) -> Failure:
    if isinstance(error, httpx.ProxyError):
        refused: Reason = "proxy-auth" if str(error).startswith("407") else "proxy-denied"
        return Failure("proxy", refused)
    if isinstance(error, httpx.TimeoutException):
        return Failure("connect" if isinstance(error, httpx.ConnectTimeout) else "request",
                       "timeout")  # fmt: skip
    if isinstance(error, httpx.LocalProtocolError):
        return Failure("request", "other", "the keys hold characters that cannot be sent")
    if isinstance(error, httpx.InvalidURL | ValueError) and not isinstance(error, OSError):
        if proxy:
            return Failure("proxy", "bad-proxy")
        return Failure("request", "other", "the endpoint is no URL")
    root = _root(error)
    if isinstance(root, socket.gaierror):
        return Failure("resolve", _RESOLVER_REASONS.get(root.errno or 0, "other"))
    if isinstance(root, ssl.SSLError):
        return failure("tls", root)
    phase: Phase = "connect" if isinstance(error, httpx.ConnectError) else "request"
    if isinstance(root, OSError):
        return failure(phase, root)
    hung_up = "disconnected" in str(error) or "peer closed" in str(error)
    return Failure(phase, "closed" if hung_up else "bad-response")


def _root(error: BaseException) -> BaseException:
    """The system's own error below those of the libraries."""
    while not isinstance(error, OSError) and (below := error.__cause__ or error.__context__):
        error = below
    return error
