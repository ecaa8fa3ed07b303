"""Docker's running containers and the ports they publish (Engine API, GET /containers/json)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_TIMEOUT = 2.0  # seconds; a name is worth no longer wait


class Container(Struct, frozen=True, kw_only=True):
    """A running container."""

    id: str
    name: str
    image: str  # as it was asked for, such as "postgres:15"
    ports: tuple[int, ...] = ()  # TCP ports of the host that lead into it


def running(host: Host) -> list[Container]:
    """The containers of the system's Docker Engine; none where it cannot be asked."""
    from biostudio_doctor.host.daemons import http_get
    from biostudio_doctor.host.docker import SYSTEM_SOCKET

    if not host.exists(SYSTEM_SOCKET):
        return []
    answer = http_get(host, SYSTEM_SOCKET, "/containers/json", _TIMEOUT)
    return parse_containers(answer.body) if answer.state == "answers" else []


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
