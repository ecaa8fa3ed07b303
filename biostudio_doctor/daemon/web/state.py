"""What the web process was last told."""

import time
from typing import TYPE_CHECKING

from biostudio_doctor.daemon.messages import Beat, Reloaded, Snapshot, ToWeb
from biostudio_doctor.model import Status

if TYPE_CHECKING:
    from biostudio_doctor.daemon.web.link import Link

#: Seconds without a Beat after which the schedule is taken to stand still.
PATIENCE = 10.0


class State:
    """What was last told, for whoever answers."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.link: Link | None = None
        self.web_config_problem = ""  # when it was read last; what was before is in force then
        self._last_beat = time.monotonic()

    def hear(self, message: ToWeb) -> None:
        """Take a message of the supervisor."""
        if isinstance(message, Snapshot):
            self.snapshot = message
        elif isinstance(message, Beat):
            self._last_beat = time.monotonic()
        elif isinstance(message, Reloaded) and self.link:
            self.link.reloaded(message)

    @property
    def alive(self) -> bool:
        """Whether the schedule moves."""
        return time.monotonic() - self._last_beat < PATIENCE

    def missing(self) -> list[str] | None:
        """The checks without a result yet, by id; None if not even these are known."""
        if self.snapshot is None:
            return None
        results = self.snapshot.report.results
        return [result.id for result in results if result.status is Status.UNKNOWN]
