"""Asking a service: connect within bounded time, let its client talk, name whatever goes wrong.

A client is one coroutine that speaks its protocol with the help of a `Dialler` and returns an
`Answer`. It need not care for the network: what it raises becomes a state here, and where it heard
something else than its protocol, or nothing, what really answers is found out.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio.abc import ByteStream
from msgspec import structs

from biostudio_doctor.probes import Failure, tls
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError, failure, one_line
from biostudio_doctor.services import Answer, Login, State, Target, identify
from biostudio_doctor.services.identify import Kind

#: Of the time there is, at most: for the name, and for connecting.
_CONNECT_SHARE = 0.4
#: And what is kept for finding out what else answers.
_IDENTIFY_SHARE = 0.4

_LEAST = 0.5  # seconds for the same, however late it is
#: That begin TLS within their own protocols.
_OWN_TLS: tuple[Kind, ...] = ("postgresql", "mysql")

#: What a client returns, given fresh connections and a target.
Talk = Callable[[Dialler, Target], Awaitable[Answer]]
ResultT = TypeVar("ResultT")

#: How a connection ends under a client.
ENDED = (
    EOFError,
    ConnectionError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


class ForeignError(Exception):
    """Raised by a client that heard something else than its protocol."""


async def ask(target: Target, kind: Kind, talk: Talk) -> Answer:
    """Let a client talk to a service that should be of this kind.

    Where TLS is expected, the client is called only once a verified handshake was seen, and never
    gets to send a password without. Clients that begin TLS within their own protocol see to that
    themselves. The client may raise ForeignError, TimeoutError, the network's errors, and
    ImportError for its library.
    """
    started = time.perf_counter()
    answer = await _ask(target, kind, talk)
    seconds = answer.seconds or round(time.perf_counter() - started, 6)
    hide = (target.login or Login()).hide
    return structs.replace(
        answer, seconds=seconds, detail=hide(answer.detail), identity=hide(answer.identity)
    )


async def _ask(target: Target, kind: Kind, talk: Talk) -> Answer:
    deadline = anyio.current_time() + target.timeout
    dial = Dialler(target.host, target.port, timeout=target.timeout * _CONNECT_SHARE)
    try:
        return await _reach_and_talk(dial, target, kind, talk, deadline)
    except ImportError as error:  # psycopg's, without libpq, names no module
        return answer(target, "unasked", library=(error.name or kind).partition(".")[0])
    except (ProbeError, ForeignError, OSError, *ENDED) as error:
        if isinstance(error, OSError) and target.ca_file and error.filename == target.ca_file:
            return answer(target, "ca-file", detail=f"{target.ca_file}: {error.strerror}")
        problem = _failure(error)
    if problem.phase in ("resolve", "connect"):
        state: State = "refused" if problem.reason == "refused" else "unreachable"
        return answer(target, state, detail=problem.detail, failure=problem)
    if problem.reason == "untrusted":
        return answer(target, "untrusted", detail=problem.detail, failure=problem)
    patience = max(_LEAST, deadline - anyio.current_time())
    found = await identify.identify(dial, target.host, timeout=patience)
    return _something_else(target, kind, found, problem)


async def _reach_and_talk(
    dial: Dialler, target: Target, kind: Kind, talk: Talk, deadline: float
) -> Answer:
    if kind != "mysql":  # which locks out who often connects for nothing
        await anyio.aclose_forcefully(await dial())  # from here on it is known to be reached
    kept = target.timeout * _IDENTIFY_SHARE
    with anyio.fail_after(max(kept / 2, deadline - kept - anyio.current_time())):
        if target.tls and kind not in _OWN_TLS:
            found = await tls.probe(
                dial, target.host, timeout=target.timeout / 3, ca_file=target.ca_file
            )
            if found.failure:
                raise ProbeError(found.failure)
        return await talk(dial, target)


def _failure(error: BaseException) -> Failure:
    if isinstance(error, ForeignError):
        return Failure("request", "bad-response", one_line(str(error)))
    return failure("request", error)


def answer(
    target: Target,
    state: State,
    *,
    detail: str = "",
    failure: Failure | None = None,
    identity: str = "",
    library: str = "",
) -> Answer:
    """An answer that is no more than its state and a reason."""
    return Answer(
        host=target.host,
        port=target.port,
        state=state,
        detail=detail,
        failure=failure,
        identity=identity,
        library=library,
    )


def _something_else(target: Target, kind: Kind, found: identify.Spoken, problem: Failure) -> Answer:
    """What to say of a service that did not talk as its client wanted."""
    state: State
    if found.kind == kind:
        state = "plain" if target.tls else "unwell"
    elif found.kind == "tls":
        state = "unwell" if target.tls else "tls"
    elif found.kind in ("silent", "closed"):
        state = "silent" if found.kind == "silent" else "closed"
    else:
        state = "foreign"
    detail = problem.detail or {"timeout": "it did not answer in time"}.get(problem.reason, "")
    return answer(target, state, identity=found.words, detail=detail, failure=problem)


async def secured(dial: Dialler, target: Target) -> ByteStream:
    """A fresh connection, with TLS where the target expects it.

    Raises:
        ProbeError, OSError: if there is none.
        EOFError: if the handshake fails, although it was possible a moment ago.
    """
    stream = await dial()
    return await wrap(stream, target) if target.tls else stream


async def wrap(stream: ByteStream, target: Target, *, verify: bool = True) -> ByteStream:
    """Begin TLS on a connection; it is closed if that fails, as in `secured`."""
    import ssl

    from anyio.streams.tls import TLSStream

    try:
        return await TLSStream.wrap(
            stream,
            hostname=tls.host_name(target.host),
            ssl_context=tls.verifying_context(target.ca_file)
            if verify
            else tls.lenient_context(()),
            standard_compatible=False,
        )
    except ssl.SSLError:
        await anyio.aclose_forcefully(stream)
        raise EOFError from None
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


async def in_thread(function: Callable[[], ResultT]) -> ResultT:
    """Run a blocking library's call; if time is up it is left behind, with its own timeouts."""
    return await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
