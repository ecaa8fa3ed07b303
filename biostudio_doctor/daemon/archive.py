"""The history that is in force, and what the log says of it."""

from collections.abc import Callable

from biostudio_doctor.daemon.history import History
from biostudio_doctor.daemon.log import Log
from biostudio_doctor.model import Run


class Archive:
    """One history at a time. Before `open`, nothing is remembered."""

    def __init__(self, log: Log, changed: Callable[[], None]) -> None:
        self._log = log
        self._changed = changed  # called when `problem` is another
        self._history: History | None = None

    @property
    def problem(self) -> str:
        """Why runs are kept in memory only; '' while they are not."""
        return self._history.problem if self._history else ""

    def open(self, directory: str) -> None:
        """From now on, that of this directory."""
        before = self.problem
        self.close()
        self._history = History.open(directory)
        self._say(before, "")

    def append(self, check_id: str, run: Run) -> None:
        """Remember a run."""
        if self._history:
            self._history.append(check_id, run)

    def past(self) -> dict[str, tuple[Run, ...]]:
        """The last runs of each check, oldest first."""
        return self._history.load() if self._history else {}

    def flush(self) -> None:
        """Write what was appended."""
        if self._history:
            before, aside = self._history.problem, self._history.moved_aside
            self._history.flush()
            self._say(before, aside)

    def close(self) -> None:
        """Write what was appended, and remember nothing more."""
        if self._history:
            self._history.close()
        self._history = None

    def _say(self, before: str, aside: str) -> None:
        assert self._history
        if self._history.moved_aside != aside:
            self._log.warning("history.moved-aside", to=self._history.moved_aside)
        if self.problem != before:
            self._changed()
            if self.problem:
                self._log.warning("history.memory-only", problem=self.problem)
            else:
                self._log.info("history.on-disk")
