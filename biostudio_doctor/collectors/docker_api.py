"""Docker's API, as collectors ask it: data, streams, logs. Only GET, so nothing is changed."""

from __future__ import annotations

import errno
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

import msgspec

from biostudio_doctor.collector import Window
from biostudio_doctor.host import docker
from biostudio_doctor.host.containers import BIOSTUDIO_IMAGES, Container, parse_containers
from biostudio_doctor.host.daemons import Answer, http_get, http_stream
from biostudio_doctor.host.docker import DockerEngine

if TYPE_CHECKING:
    from biostudio_doctor.collector import Surroundings

CONTAINERS = 60  # of which is told, BioStudio's first
_HEADER = 8  # bytes: stream, three zeros, length


class Engine:
    """The Docker Engine of this host, if it answers."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._host = surroundings.host
        given = surroundings.config.checks.get("runtime.engine", {}).get("socket")
        environment = os.environ if self._host.is_local else {}
        self.found: DockerEngine | None = docker.find(self._host, environment, given)

    @property
    def problem(self) -> str:
        """Why it cannot be asked, in a clause; '' if it can."""
        if self.found is None:
            return "no Docker Engine was found running here"
        if self.found.podman:
            return "Podman stands in for Docker here, and is not asked"
        if self.found.state != "answers":
            detail = f" ({self.found.detail})" if self.found.detail else ""
            return f"Docker at {self.found.socket}: {self.found.state}{detail}"
        return ""

    def refusal(self) -> OSError:
        """The same, for whoever has to be told."""
        return OSError(errno.EREMOTEIO, self.problem)

    @property
    def source(self) -> str:
        """For the manifest."""
        return f"Docker's API at {self.found.socket}" if self.found else "Docker's API"

    def containers(self) -> list[Container]:
        """All that there are, running or not: BioStudio's first, then the newest.

        Raises:
            OSError: if the engine does not tell.
        """
        if self.problem:
            raise self.refusal()
        answer = self._ask("/containers/json?all=1", 5)
        found = parse_containers(answer.body)
        return sorted(found, key=lambda one: one.base_image not in BIOSTUDIO_IMAGES)[:CONTAINERS]

    def data(self, route: str, seconds: float = 5) -> Any:
        """What a route answers.

        Raises:
            OSError: if it cannot be had.
        """
        try:
            return msgspec.json.decode(self._ask(route, seconds).body)
        except (ValueError, RecursionError):
            raise OSError(errno.EPROTO, f"the answer to {route} is no JSON") from None

    def stream(self, route: str, seconds: float = 10, **query: object) -> Iterator[bytes]:
        """The same in pieces; `seconds` for each step."""
        assert self.found
        return http_stream(self._host, self.found.socket, f"{route}?{urlencode(query)}", seconds)

    def logs(self, container: str, window: Window, lines: int) -> Iterator[bytes]:
        """What a container wrote, both outputs, with times."""
        terminal = self.data(f"/containers/{container}/json")["Config"].get("Tty", False)
        pieces = self.stream(
            f"/containers/{container}/logs",
            stdout=1,
            stderr=1,
            timestamps=1,
            tail=lines,
            since=int(window.since.timestamp()),
            until=int(window.until.timestamp()) + 1,
        )
        return pieces if terminal else demultiplexed(pieces)

    def listing(self, container: str, directory: str, seconds: float) -> Iterator[tarfile.TarInfo]:
        """What lies in a directory of a container: read past, as far as the time allows.

        Raises:
            OSError: if it cannot be had.
        """
        until = time.monotonic() + seconds
        with _archive(self.stream(f"/containers/{container}/archive", path=directory)) as archive:
            for entry in archive:
                yield entry
                if time.monotonic() > until:
                    return

    def file(self, container: str, path: str) -> Iterator[bytes]:
        """A regular file of a container, in pieces; a link is not followed.

        Raises:
            OSError: if it cannot be had, or is something else.
        """
        with _archive(self.stream(f"/containers/{container}/archive", path=path)) as archive:
            entry = archive.next()
            content = archive.extractfile(entry) if entry and entry.isreg() else None
            if content is None:
                raise OSError(errno.EINVAL, "not a regular file", path)
            while piece := content.read(1 << 16):
                yield piece

    def _ask(self, route: str, seconds: float) -> Answer:
        assert self.found
        answer = http_get(self._host, self.found.socket, quote(route, safe="/?=&"), seconds)
        if answer.state != "answers":
            raise OSError(errno.EREMOTEIO, answer.detail or answer.state)
        return answer


def demultiplexed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Both outputs as they came, from the frames that the Engine API sends them in."""
    header, left = b"", 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            if left:
                part = piece[at : at + left]
                left -= len(part)
                yield part
            else:
                part = piece[at : at + _HEADER - len(header)]
                header += part
                if len(header) == _HEADER:
                    left, header = int.from_bytes(header[4:], "big"), b""
            at += len(part)


class _Pieces:
    """An iterator of pieces, as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Fewer bytes only at the end."""
        parts = [self._rest]
        length = len(self._rest)
        while length < size and (piece := next(self._pieces, b"")):
            parts.append(piece)
            length += len(piece)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


@contextmanager
def _archive(pieces: Iterator[bytes]) -> Iterator[tarfile.TarFile]:
    """A tar that is read once, from its beginning; one that is broken is an OSError."""
    try:
        with tarfile.open(fileobj=cast("Any", _Pieces(pieces)), mode="r|") as archive:
            yield archive
    except tarfile.TarError as error:
        raise OSError(errno.EPROTO, f"what the engine sends is no tar: {error}") from None
