"""beanstalkd: the job queue, asked for its `stats`. It knows no logins and no TLS.

greenstalk has no timeouts and reads without bounds, so it works on a lent connection.
"""

import socket
from collections.abc import Mapping
from typing import Any

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Answer, Target, connection
from biostudio_doctor.services.loan import Loan

_VERSION_LIMIT = 40  # characters

#: What is told on, by the name that beanstalkd has for it.
_COUNTS = {
    "ready": "current-jobs-ready",
    "delayed": "current-jobs-delayed",
    "reserved": "current-jobs-reserved",
    "buried": "current-jobs-buried",
    "connections": "current-connections",
    "workers": "current-workers",
    "waiting": "current-waiting",
    "uptime": "uptime",  # seconds
}


async def ask(target: Target) -> Answer:
    """Its version, jobs and connections; `unwell` where it takes no new jobs (draining)."""
    return await connection.ask(target, "beanstalkd", _talk)


async def _talk(dial: Dialler, target: Target) -> Answer:
    import greenstalk

    def stats(end: socket.socket) -> Mapping[str, Any]:
        return greenstalk.Client(end, encoding=None).stats()

    loan = Loan()
    try:
        told = await loan.lend(dial, target, stats)
    except (greenstalk.InternalError, greenstalk.OutOfMemoryError) as error:
        said = "it has run out of memory" if "Memory" in type(error).__name__ else "it has a defect"
        return connection.answer(target, "unwell", detail=f"by its own words {said}")
    except (greenstalk.Error, AssertionError, ValueError, OverflowError, MemoryError):
        raise connection.ForeignError from None  # how greenstalk takes what is no such reply
    except ConnectionError:
        if loan.heard:  # it hangs up in the middle of its reply, or talks for ever
            raise connection.ForeignError from None
        raise
    counts = {name: told[key] for name, key in _COUNTS.items() if isinstance(told.get(key), int)}
    if "connections" not in counts:
        raise connection.ForeignError
    draining = told.get("draining") == "true"
    return Answer(
        host=target.host,
        port=target.port,
        state="unwell" if draining else "healthy",
        detail="it is draining: it takes no new jobs until it is restarted" if draining else "",
        identity="beanstalkd",
        version=one_line(str(told.get("version", "")), _VERSION_LIMIT),
        told=counts,
    )
