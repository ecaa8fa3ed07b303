"""Docker's running containers, the ports they publish, and since when they run (Engine API)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: BioStudio's images, as `base_image` names them.
BIOSTUDIO_IMAGES = ("bioproxy", "biocolab", "biostudio")
_TIMEOUT = 2.0  # seconds; a name is worth no longer wait


class Container(Struct, frozen=True, kw_only=True):
    """A running container."""

    id: str
    name: str
    image: str  # as it was asked for, such as "postgres:15"
    ports: tuple[int, ...] = ()  # TCP ports of the host that lead into it

    @property
    def base_image(self) -> str:
        """The image's own name, without registry and tag."""
        return base_image(self.image)


def base_image(image: str) -> str:
    """An image's own name, without registry and tag."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def running(host: Host) -> list[Container]:
    """The containers of the system's Docker Engine; none where it cannot be asked."""
    from biostudio_doctor.host.daemons import http_get
    from biostudio_doctor.host.docker import SYSTEM_SOCKET

    if not host.exists(SYSTEM_SOCKET):
        return []
    answer = http_get(host, SYSTEM_SOCKET, "/containers/json", _TIMEOUT)
    return parse_containers(answer.body) if answer.state == "answers" else []


class Startup(Struct, frozen=True, kw_only=True):
    """Since when a container runs."""

    name: str
    age: float  # seconds
    restarts: int  # by the engine, since it was last started by hand


def startup(host: Host, port: int, images: Collection[str]) -> Startup | None:
    """Of the container that publishes a port, or else is of one of these images; None if unknown.

    An image is named without registry and tag.
    """
    from biostudio_doctor.host.daemons import http_get
    from biostudio_doctor.host.docker import SYSTEM_SOCKET

    containers = running(host)
    publishing = [one for one in containers if port in one.ports]
    found = publishing or [one for one in containers if one.base_image in images]
    if not found:
        return None
    answer = http_get(host, SYSTEM_SOCKET, f"/containers/{found[0].id}/json", _TIMEOUT)
    now = datetime.now(UTC)
    return parse_startup(answer.body, found[0].name, now) if answer.state == "answers" else None


def parse_startup(body: bytes, name: str, now: datetime) -> Startup | None:
    """The reply to /containers/ID/json; None where it is no such reply."""
    try:
        reply = msgspec.json.decode(body, type=_Inspected)
        age = (now - reply.state.started_at).total_seconds()
    except (ValueError, TypeError, RecursionError):  # TypeError: a time without its zone
        return None
    return Startup(name=name, age=round(max(0.0, age), 1), restarts=reply.restart_count)


def parse_containers(body: bytes) -> list[Container]:
    """The reply to /containers/json; none where it is no such reply."""
    try:
        replies = msgspec.json.decode(body, type=list[_Reply])
    except (ValueError, RecursionError):
        return []
    return [
        Container(
            id=reply.id,
            name=(reply.names or [""])[0].lstrip("/"),
            image=reply.image,
            ports=tuple(sorted({port.public for port in reply.ports or () if port.is_published})),
        )
        for reply in replies
    ]


class _Port(Struct, frozen=True):
    public: int = msgspec.field(name="PublicPort", default=0)
    type: str = msgspec.field(name="Type", default="")

    @property
    def is_published(self) -> bool:
        return self.type == "tcp" and self.public > 0


class _Reply(Struct, frozen=True, rename="pascal"):
    id: str = ""
    names: list[str] | None = None
    image: str = ""
    ports: list[_Port] | None = None


class _State(Struct, frozen=True, rename="pascal"):
    started_at: datetime


class _Inspected(Struct, frozen=True, rename="pascal"):
    state: _State
    restart_count: int = 0
