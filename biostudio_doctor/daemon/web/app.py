"""The routes of the web process."""

import gzip
import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from biostudio_doctor import registry
from biostudio_doctor.daemon.messages import Snapshot
from biostudio_doctor.daemon.web import metrics, page
from biostudio_doctor.daemon.web.access import is_foreign
from biostudio_doctor.daemon.web.metrics import Metrics
from biostudio_doctor.daemon.web.probe import probe
from biostudio_doctor.daemon.web.state import State
from biostudio_doctor.exporter import Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


#: Seconds to wait for the supervisor's answer.
RELOAD_PATIENCE = 10.0
_log = logging.getLogger("web.answer")  # its name is the event's


class App:
    """What is answered to whom asks."""

    def __init__(self, state: State, heed: "Callable[[], Awaitable[str]]") -> None:
        """`heed` reads web-config.yml again, and says what is wrong with it, or ''."""
        self._state = state
        self._heed = heed
        self._metrics = {exporter: Metrics(exporter, state) for exporter in metrics.TYPES}
        self._report: tuple[Snapshot, bytes] | None = None

    def starlette(self) -> Starlette:
        """The application for the server."""
        app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/metrics", self._serve_metrics),
                Route("/healthz", self._healthy),
                Route("/readyz", self._ready),
                Route("/api/v1/report", self._serve_report),
                Route("/-/reload", self._reload, methods=["POST"]),
                Route("/probe", probe),
            ],
            exception_handlers={Exception: _failed},
        )
        app.router.redirect_slashes = False
        app.state.doctor = self._state
        return app

    async def _page(self, request: Request) -> Response:
        asked = page.Filter.of(request.query_params)
        snapshot, alive = self._snapshot(), self._state.alive
        return _answer(request, page.render(snapshot.report, asked, alive), page.HEADERS)

    async def _serve_metrics(self, request: Request) -> Response:
        answer = self.scrape(*(_listed(request, name) for name in ("accept", "accept-encoding")))
        if answer is None:
            raise _nothing_yet()
        return Response(answer[1], headers=answer[0])

    def scrape(self, accept: str, accept_encoding: str) -> tuple[dict[str, str], bytes] | None:
        """/metrics for these headers: headers and body; None if nothing is known yet."""
        if self._state.snapshot is None:
            return None
        exporter, compressed = metrics.choose(accept), metrics.takes_gzip(accept_encoding)
        body = self._metrics[exporter].page(self._state.snapshot, compressed)
        told = {"content-type": metrics.TYPES[exporter], "vary": "accept, accept-encoding"}
        return told | (_GZIP if compressed else {}), body

    async def _healthy(self, request: Request) -> Response:
        if self._state.alive:
            return PlainTextResponse("The schedule moves.\n")
        return PlainTextResponse("The schedule stands still.\n", 503)

    async def _ready(self, request: Request) -> Response:
        missing = self._state.missing()
        if missing is None:
            return PlainTextResponse("Nothing is known yet.\n", 503)
        if missing:
            return PlainTextResponse(f"Without a result yet: {', '.join(missing)}\n", 503)
        return PlainTextResponse("Every check has a result.\n")

    async def _serve_report(self, request: Request) -> Response:
        snapshot = self._snapshot()
        if self._report is None or self._report[0] is not snapshot:
            exporter = registry.find(registry.EXPORTERS)["json"].load()
            self._report = (snapshot, exporter(snapshot.report, Style()).encode())
        return _answer(request, self._report[1], {"content-type": "application/json"})

    async def _reload(self, request: Request) -> Response:
        if is_foreign(request.headers):
            raise HTTPException(403, "Not for the web pages of others.")
        link = self._state.link
        if link is None:
            raise HTTPException(503, "The supervisor is gone.")
        try:
            problem = (await link.reload(RELOAD_PATIENCE)).problem
        except TimeoutError:
            raise HTTPException(504, "The supervisor did not answer in time.") from None
        if problem:
            return PlainTextResponse(f"{problem}\nThe configuration stays as it was.\n", 400)
        problem = await self._heed()
        if problem:
            return PlainTextResponse(f"{problem}\n", 400)
        return PlainTextResponse("The configuration was read again.\n")

    def _snapshot(self) -> Snapshot:
        if self._state.snapshot is None:
            raise _nothing_yet()
        return self._state.snapshot


def _nothing_yet() -> HTTPException:
    return HTTPException(503, "Nothing is known yet.", {"retry-after": "1"})


_GZIP = {"content-encoding": "gzip"}


def _listed(request: Request, name: str) -> str:
    """A header that is a list, of which there may be several lines (RFC 9110, 5.3)."""
    return ", ".join(request.headers.getlist(name))


def _answer(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    told = {"vary": "accept-encoding", "cache-control": "no-store", **headers}
    if metrics.takes_gzip(_listed(request, "accept-encoding")):
        body = gzip.compress(body, 5, mtime=0)
        told |= _GZIP
    return Response(body, headers=told)


async def _failed(request: Request, error: Exception) -> Response:
    """One line here, and no word of it for who asked."""
    _log.error("the answer to %s failed: %s", request.url.path, registry.describe(error))
    return PlainTextResponse("This answer failed; the log of biostudio-doctor says why.\n", 500)
