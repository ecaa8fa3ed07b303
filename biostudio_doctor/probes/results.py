"""What probes measure: plain, serialisable facts.

They stand apart from the probes because whoever only names or judges them, as every run with
--offline does, must not wait for the network modules to be imported.
"""

from typing import Literal

from msgspec import Struct

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.probes import Failure, Phase

Record = Literal["A", "AAAA"]


class Lookup(Struct, frozen=True, kw_only=True):
    """A name as every program of this system sees it, /etc/hosts and search domains included."""

    name: str
    addresses: tuple[str, ...]
    seconds: float
    failure: Failure | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What one name server says of a name, for one type of record."""

    server: str
    record: Record
    seconds: float
    code: str = ""  # RCODE, such as NOERROR; '' if there was no answer
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # the CNAME chain
    over_tcp: bool = False  # the UDP answer was truncated
    extended: tuple[str, ...] = ()  # extended errors (RFC 8914), such as "DNSSEC Bogus"
    source: str = ""  # our own address towards the server; '' without a route
    failure: Failure | None = None


class Caa(Struct, frozen=True):
    """A CAA record (RFC 8659, 4.1)."""

    flags: int
    tag: str  # in lower case
    value: str


class CaaAnswer(Struct, frozen=True, kw_only=True):
    """What one name server says of the CAA records of a name; that it has none is no failure."""

    name: str
    server: str
    code: str = ""  # RCODE; '' if there was no answer
    records: tuple[Caa, ...] = ()
    extended: tuple[str, ...] = ()  # extended errors (RFC 8914)
    failure: Failure | None = None


class Attempt(Struct, frozen=True, kw_only=True):
    """One address, tried."""

    address: str
    family: Literal["IPv4", "IPv6"]
    seconds: float
    source: str  # our own address towards it, which the network team asks for; '' without a route
    failure: Failure | None = None


class Proxy(Struct, frozen=True, kw_only=True):
    """A proxy, without its user name and password."""

    scheme: str
    host: str
    port: int
    port_given: bool = True
    authenticated: bool = False  # the setting has a user name

    @property
    def url(self) -> str:
        """For a person."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Route(Struct, frozen=True, kw_only=True):
    """How a host is to be reached by the environment: through `proxy`, or directly without one."""

    variable: str = ""  # that names the proxy; '' if none does
    contradicted_by: str = ""  # the same variable in the other case, with another value
    proxy: Proxy | None = None
    exempt_for: tuple[str, ...] = ()  # the programs that NO_PROXY makes connect directly
    failure: Failure | None = None  # the setting makes no sense


class Reply(Struct, frozen=True, kw_only=True):
    """What a proxy said to CONNECT."""

    status: int
    phrase: str
    seconds: float
    schemes: tuple[str, ...] = ()  # of Proxy-Authenticate
    server: str = ""  # what it calls itself (Server or Via)


class TlsResult(Struct, frozen=True, kw_only=True):
    """A peer's TLS, measured."""

    server_name: str  # as asked for: a host name, sent as SNI, or an IP address
    version: str = ""  # TLSv1.3 ...; '' where no handshake came to its end, as the next two
    cipher: str = ""
    alpn: str = ""  # '' also where the peer chose none
    chain: tuple[CertificateFacts, ...] = ()  # as presented, the peer's own certificate first
    unread: str = ""  # why the rest of the chain is missing here
    verified: bool = False
    verify_code: int = 0  # X509_V_ERR_..., of openssl-verification-options(1)
    verify_error: str = ""  # the same in plain words
    seconds: float = 0.0  # of the first handshake, without connecting
    failure: Failure | None = None  # None only where all is well, trust included


class Hop(Struct, frozen=True, kw_only=True):
    """One request and its answer."""

    url: str  # without query and user info, which may be secret
    host: str
    seconds: dict[Phase, float]
    status: int | None = None
    phrase: str = ""
    headers: dict[str, str] = {}
    clock_offset: float | None = None  # seconds that the server's Date is ahead of our clock
    first: str = ""  # of the body
    length: int = 0  # bytes of the body that were read
    whole: bool = False  # the body ended within what is read
    failure: Failure | None = None


class Exchange(Struct, frozen=True, kw_only=True):
    """A request with all redirects that were followed."""

    hops: tuple[Hop, ...]
    left_at: str = ""  # where the last redirect leads, if it was not followed

    @property
    def answer(self) -> Hop:
        """What the host itself said; later hops are about others."""
        return self.hops[0]


class Path(Struct, frozen=True, kw_only=True):
    """The way to a host, as far as it led."""

    host: str
    port: int
    route: Route
    lookup: Lookup | None = None  # of the host or, with a proxy, of the proxy; so are the next
    answers: tuple[Answer, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    reply: Reply | None = None  # the proxy's, to CONNECT
    tls: TlsResult | None = None
    exchange: Exchange | None = None
    seconds: dict[Phase, float] = {}  # of the phases that were gone through
    failure: Failure | None = None

    @property
    def peer(self) -> str:
        """Whose name was looked up, and who was connected to: the proxy, or the host itself."""
        return self.route.proxy.host if self.route.proxy else self.host

    @property
    def undetermined(self) -> bool:
        """The environment names a proxy through which this tool cannot look."""
        problem = self.route.failure
        return problem is not None and problem.reason == "other"


class SecondLook(Struct, frozen=True, kw_only=True):
    """Experiments on a way that failed, or is odd; what was not tried is empty.

    Each differs from the first look in one thing only, so that its outcome tells what matters.
    """

    host: str
    port: int
    other_port: tuple[Attempt, ...] = ()  # the same addresses, on `tried_port`
    tried_port: int = 0
    again: tuple[Attempt, ...] = ()  # the addresses that did not connect, while another one did
    small_segments: Hop | None = None  # the request, in TCP segments of no more than 536 bytes
    same_name: TlsResult | None = None  # the handshake once more: is it always so?
    other_name: TlsResult | None = None  # the handshake, with another name in its first message
    unverified: Hop | None = None  # the answer without a look at the certificate
    unverified_left_at: str = ""  # where it redirects to


class Download(Struct, frozen=True, kw_only=True):
    """How fast an object came, over several connections at once, as package managers use them."""

    host: str
    connections: int
    length: int = 0  # bytes that came, of all together
    seconds: float = 0.0  # from the first answer on
    failure: Failure | None = None
