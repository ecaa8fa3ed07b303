"""The daemon's log: one event a line on stderr, in logfmt or JSON, at transitions only.

A reader that has stopped reading costs lines, never time: how many were lost is told afterwards.
"""

import contextlib
import os
import select
from datetime import UTC, datetime

import msgspec

_PRIORITIES = {"error": 3, "warning": 4, "notice": 5, "info": 6}  # sd-daemon(3)
_VALUE_LIMIT = 500  # characters
#: Bytes that poll(2) promises a pipe has room for where it is writable: PIPE_BUF of Linux.
_LINE_LIMIT = 4096

Value = str | int | float


class Log:
    """Writes events to a descriptor."""

    def __init__(self, form: str = "logfmt", descriptor: int = 2) -> None:
        self.form = form
        self._descriptor = descriptor
        self._lost = 0
        self._journal = _is_journal(descriptor)

    def error(self, event: str, **values: Value) -> None:
        """Something does not work, and somebody must mend it."""
        self._write("error", event, values)

    def warning(self, event: str, **values: Value) -> None:
        """Something is worse than it was."""
        self._write("warning", event, values)

    def info(self, event: str, **values: Value) -> None:
        """Something has changed."""
        self._write("info", event, values)

    def take_over(self) -> None:
        """Have what libraries and other modules tell `logging` in this log, from warnings on."""
        import logging

        class Handler(logging.Handler):
            def emit(handler, record: logging.LogRecord) -> None:  # noqa: N805
                with contextlib.suppress(Exception):
                    level = "error" if record.levelno >= logging.ERROR else "warning"
                    self._write(level, record.name, {"message": record.getMessage()})

        logging.basicConfig(level=logging.WARNING, handlers=[Handler()])

    def _write(self, level: str, event: str, values: dict[str, Value]) -> None:
        lost = {"lines_lost": self._lost} if self._lost else {}
        line = render(self.form, level, event, {**values, **lost})
        if self._journal:
            line = f"<{_PRIORITIES[level]}>{line}"
        data = line.encode("utf-8", "replace")[: _LINE_LIMIT - 1] + b"\n"
        self._lost += 1
        poll = select.poll()
        with contextlib.suppress(OSError):  # nobody reads any more
            poll.register(self._descriptor, select.POLLOUT)
            if any(happened & select.POLLOUT for _, happened in poll.poll(0)):
                os.write(self._descriptor, data)
                self._lost = 0


def render(form: str, level: str, event: str, values: dict[str, Value]) -> str:
    """One line, without its end."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, Value] = {"time": now, "level": level, "event": event}
    for key, value in values.items():
        # One line, whatever a peer has said.
        record[key] = " ".join(value.split())[:_VALUE_LIMIT] if isinstance(value, str) else value
    if form == "json":
        return msgspec.json.encode(record).decode("utf-8", "replace")
    return " ".join(f"{key}={_logfmt(value)}" for key, value in record.items())


def _logfmt(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    if text and text.isprintable() and not any(character in text for character in ' "=\\'):
        return text
    return msgspec.json.encode(text).decode()


def _is_journal(descriptor: int) -> bool:
    """Whether it leads to the journal, as systemd tells in JOURNAL_STREAM (systemd.exec(5))."""
    try:
        there = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
