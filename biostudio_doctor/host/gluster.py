"""What the gluster program says of a pool of servers that this host is one of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from biostudio_doctor.host.numbers import whole
from biostudio_doctor.host.processes import named
from biostudio_doctor.host.programs import find
from biostudio_doctor.text import printable

if TYPE_CHECKING:
    from xml.etree import ElementTree

    from biostudio_doctor.host import Host

_WORDS = 200  # characters of a name or an error
_LIMIT = 1 << 20  # characters of XML


class Peer(Struct, frozen=True):
    """Another server of the pool."""

    host: str
    connected: bool


class Brick(Struct, frozen=True, kw_only=True):
    """A directory on a server, which a volume is made of."""

    host: str
    path: str
    port: int = 0  # 0 where it has none, since it is not served
    online: bool = False


class Pool(Struct, frozen=True, kw_only=True):
    """The pool, and one of its volumes."""

    peers: tuple[Peer, ...] = ()
    volumes: tuple[str, ...] = ()
    status: str = ""  # Started, Stopped, Created; '' where there is no such volume
    type: str = ""  # Replicate, Distribute ...
    group: int = 1  # so many bricks, one after the other, hold the same data together
    redundancy: int = 0  # of a dispersed volume: so many of them may lack
    bricks: tuple[Brick, ...] = ()
    problem: str = ""  # why it could not be told

    @property
    def data_lost(self) -> bool:
        """Whether so many bricks of one group are down that their data cannot be read."""
        size = max(1, self.group)
        groups = [self.bricks[start : start + size] for start in range(0, len(self.bricks), size)]
        most = max((sum(not brick.online for brick in group) for group in groups), default=0)
        return most > self.redundancy if self.redundancy else most >= size


class _Untold(Exception):  # noqa: N818 - it is no error of this program
    pass


def ask(host: Host, volume: str, seconds: float) -> Pool | None:
    """The pool and this volume; None where no gluster server runs here. `seconds` for a question.

    Nothing is changed by it, and the program is told to keep no log.
    """
    program = find(host, "gluster")
    if not host.is_local or not program or not named(host, ["glusterd"]):
        return None
    if not volume.replace("-", "").replace("_", "").isalnum() or volume.startswith("-"):
        return Pool(problem="that is no name of a volume")

    def say(*words: str) -> str:
        command = [program, "--mode=script", "--xml", "--log-file=/dev/null", *words]
        return host.run(command, timeout=seconds).stdout

    try:
        pool = parse_info(say("volume", "info"), volume)
        peers = parse_peers(say("peer", "status"))
        bricks = pool.bricks
        if pool.status == "Started":
            bricks = parse_bricks(say("volume", "status", volume), bricks)
    except (_Untold, OSError) as error:
        return Pool(problem=_clean(getattr(error, "strerror", None) or str(error)))
    return structs.replace(pool, peers=peers, bricks=bricks)


def parse_info(xml: str, volume: str) -> Pool:
    """`gluster volume info --xml`: which volumes there are, and what this one is made of."""
    volumes = list(_parsed(xml).iter("volume"))
    names = tuple(_clean(one.findtext("name", "")) for one in volumes)
    for one in volumes:
        if one.findtext("name") == volume:
            return Pool(
                volumes=names,
                status=_clean(one.findtext("statusStr", "")),
                type=_clean(one.findtext("typeStr", "")),
                group=max(
                    whole(one.findtext(count, "")) or 1
                    for count in ("replicaCount", "disperseCount")
                ),
                redundancy=whole(one.findtext("redundancyCount", "")) or 0,
                bricks=tuple(
                    Brick(host=_clean(server), path=_clean(path))
                    for brick in one.iter("brick")
                    for server, _, path in [brick.findtext("name", "").partition(":")]
                ),
            )
    return Pool(volumes=names)


def parse_peers(xml: str) -> tuple[Peer, ...]:
    """`gluster peer status --xml`: the others."""
    return tuple(
        Peer(_clean(peer.findtext("hostname", "")), peer.findtext("connected") == "1")
        for peer in _parsed(xml).iter("peer")
    )


def parse_bricks(xml: str, known: tuple[Brick, ...]) -> tuple[Brick, ...]:
    """`gluster volume status VOLUME --xml`: which of the bricks run.

    A server that is away is not listed there; its bricks are known from the volume's info.
    """
    running: dict[tuple[str, str], Brick] = {}
    for node in _parsed(xml).iter("node"):
        brick = Brick(
            host=_clean(node.findtext("hostname", "")),
            path=_clean(node.findtext("path", "")),
            port=whole(node.findtext("port", "")) or 0,
            online=node.findtext("status") == "1",
        )
        running[brick.host, brick.path] = brick
    return tuple(running.get((brick.host, brick.path), brick) for brick in known)


def _parsed(xml: str) -> ElementTree.Element:
    """The answer, which is of a program of this host; one that defines entities is not read."""
    from xml.etree import ElementTree

    if len(xml) > _LIMIT or "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise _Untold("gluster's answer is none")
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        raise _Untold("gluster answered with something that is no XML") from None
    if root.findtext("opRet", "0") != "0":
        raise _Untold(root.findtext("opErrstr") or "gluster gave no reason")
    return root


def _clean(words: str | None) -> str:
    return printable(" ".join((words or "").split()))[:_WORDS]
