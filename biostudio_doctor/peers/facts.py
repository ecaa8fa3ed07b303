"""What the check of the peers finds: plain, serialisable facts, without the code."""

from msgspec import Struct

from biostudio_doctor.probes import Failure


class Place(Struct, frozen=True):
    """An end of a TCP connection."""

    address: str
    port: int


class Proof(Struct, frozen=True, kw_only=True):
    """What a listener says, with the code as its witness."""

    role: str
    client: Place  # as it looks from there
    listener: Place  # where our hello arrived
    ports: tuple[int, ...]  # that it has open, for IPv4 or IPv6, by which we came


class Stop(Struct, frozen=True):
    """An ICMP message that ended a connection before it began."""

    sender: str
    says: str  # such as "administratively prohibited"


class Knock(Struct, frozen=True, kw_only=True):
    """One port of a peer at one of its addresses, tried."""

    port: int
    service: str
    source: str = ""  # our own address towards it; '' without a route
    seconds: float = 0.0  # from our hello to the proof, or until it ended
    failure: Failure | None = None  # of the connection, or of the answer (phase "request")
    stop: Stop | None = None
    heard: str = ""  # what else answered, in plain words
    proof: Proof | None = None


class Visit(Struct, frozen=True, kw_only=True):
    """One address of a peer."""

    role: str
    name: str  # as it was given
    address: str  # '' where the name has none
    failure: Failure | None = None  # of the name
    knocks: tuple[Knock, ...] = ()

    @property
    def place(self) -> str:
        """For a person: 10.0.0.5, or db1 (10.0.0.5)."""
        if self.name == self.address or not self.address:
            return self.name
        return f"{self.name} ({self.address})"

    @property
    def source(self) -> str:
        """Our own address towards it."""
        return next((knock.source for knock in self.knocks if knock.source), "")


class PeersFacts(Struct, frozen=True, kw_only=True):
    """All peers as they look from this host."""

    hostname: str
    visits: tuple[Visit, ...] = ()
    unasked: str = ""  # why nobody was asked
