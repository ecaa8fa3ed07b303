"""Commands of the host, whose output and time are bounded while they run."""

import contextlib
import os
import selectors
import signal
import subprocess  # without a shell
import time
from collections.abc import Callable, Iterator

from biostudio_doctor.bundle.pieces import PIECE, Cut
from biostudio_doctor.collector import Ask
from biostudio_doctor.host import command_environment

_ERRORS = 1 << 16  # bytes of the other output, first and last
_LAST_WORDS = 0.5  # seconds for what is still in the pipes of a command that was ended


class Asked:
    """A command under way."""

    def __init__(self, ask: Ask, on_group: Callable[[int], None]) -> None:
        """Begin it; its process group is told, for whoever has to end it in our place.

        Raises:
            OSError: if it does not exist or cannot be run.
        """
        self.errors = b""
        self.status: int | None = None  # None while it runs, and if it did not end
        self._ask = ask
        self._on_group = on_group
        self._process = subprocess.Popen(
            ask.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=command_environment(),
            process_group=0,
        )
        on_group(self._process.pid)

    def pieces(self, cut: Cut) -> Iterator[bytes]:
        """Its output as it comes, until it ends, or its time does, or nobody wants more."""
        process = self._process
        assert process.stdout and process.stderr
        deadline = time.monotonic() + self._ask.seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            try:
                while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                    for key, _ in selector.select(left):
                        data = os.read(key.fd, PIECE)
                        if not data:
                            selector.unregister(key.fileobj)
                        elif key.fileobj is process.stdout:
                            yield data
                        else:
                            self._hear(data)
                if selector.get_map():
                    cut.ended = f"it did not end within {self._ask.seconds:g} s"
            finally:
                self._end(bool(selector.get_map()))

    def problem(self, root: bool, printed: bool) -> str:
        """Why that is not all it could have printed, in a line; '' if it is."""
        said = self.errors.decode("utf-8", "replace").strip().partition("\n")[0]
        status = self.status or 0
        if status < 0:
            return f"it was ended by signal {-status}"
        if status and not printed:
            needed = "it needs root: " if self._ask.needs_root and not root else ""
            return f"{needed}exit status {status}: {said}"
        return said if self._ask.whole_if_silent else ""

    def last_words(self) -> bytes:
        """The other output, and the exit status if that is none of success."""
        status = f"\n[exit status {self.status}]\n" if self.status else ""
        return self.errors + status.encode()

    def _hear(self, data: bytes) -> None:
        self.errors += data
        if len(self.errors) > 2 * _ERRORS:
            self.errors = self.errors[:_ERRORS] + b"\n[...]\n" + self.errors[-_ERRORS:]

    def _end(self, early: bool) -> None:
        process = self._process
        if early:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may be unkillable
            status = process.wait(_LAST_WORDS)
            self.status = None if early else status
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        self._on_group(0)
