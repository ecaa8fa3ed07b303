"""What a service tells systemd: sd_notify(3), a datagram to the socket that NOTIFY_SOCKET names."""

import contextlib
import os
import socket
import time


class Notifier:
    """Tells nothing where nobody listens. The variables are taken out of the environment."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        meant = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watched = meant and microseconds.isdecimal() and int(microseconds) > 0
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        """It serves, and any reload is done."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reads its configuration again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for a person, in `systemctl status`."""
        self._tell(f"STATUS={words}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self.watched:
            self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if self._socket:
            with contextlib.suppress(OSError):  # a full queue must not hold us up
                self._socket.sendto(message.encode("utf-8", "replace"), self._address)
