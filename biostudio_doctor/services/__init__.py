"""Clients of the services, one module a protocol: what answers at a port, and in which state.

Each asks anonymously, and with credentials where it is given some. It returns an `Answer` and never
raises for what the network or the service does. No judgement is made here. The client libraries
are optional (the extra `services`); each module imports its own when it asks.
"""

from typing import Any, Literal

from msgspec import Struct, field

from biostudio_doctor.probes import Failure

State = Literal[
    "healthy",
    "refused",  # an answer that nobody listens
    "unreachable",  # no answer to connecting, no route, or no such name
    "silent",  # it takes the connection, and says nothing
    "closed",  # it takes the connection, and hangs up
    "foreign",  # something else answers: `identity` says what
    "tls",  # it speaks TLS, and plain was expected
    "plain",  # it speaks without TLS, and TLS was expected
    "untrusted",  # its certificate does not verify
    "ca-file",  # not known: the authorities to trust besides the system's cannot be used
    "password-needed",  # alive; without credentials it says no more
    "password-wrong",  # the credentials are not accepted
    "denied",  # the credentials are right, and not enough for what was asked
    "unwell",  # the service itself says that it cannot serve (starting, loading, full, read-only)
    "unasked",  # it takes connections: for more, a library lacks, or a safe way to log in
]


class Login(Struct, frozen=True):
    """Whom to log in as. It is never serialised, and its password is never shown."""

    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, password={'***' if self.password else ''!r})"

    def hide(self, words: str) -> str:
        """A service's words, which may repeat what it was told; before they are cut or cleaned."""
        return words.replace(self.password, "[hidden]") if self.password else words


class Target(Struct, frozen=True, kw_only=True):
    """Where and how to ask. Timeouts are in seconds and cover everything."""

    host: str
    port: int
    timeout: float = 4.0
    tls: bool = False
    ca_file: str | None = None
    login: Login | None = None
    database: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """How a service answered."""

    host: str
    port: int
    state: State
    seconds: float = 0.0  # until it was answered
    identity: str = ""  # what answers, in plain words: "an SSH server", "nginx" ...
    version: str = ""  # of the service, as it says
    detail: str = ""  # for a person, one line, without secrets
    failure: Failure | None = None  # of the network
    anonymous: bool | None = None  # it lets anyone in without credentials; None if not tried
    logged_in: bool = False
    library: str = ""  # the client library that is missing
    told: dict[str, Any] = field(default_factory=dict)  # what else the service says of itself


class Presented(Struct, frozen=True, kw_only=True):
    """The certificate of a service, as far as its trust goes."""

    name: str  # that it was verified for
    verified: bool
    code: int = 0  # X509_V_ERR_..., of openssl-verification-options(1)
    error: str = ""  # the same in plain words, or why no safe handshake could be had
    made_for: tuple[str, ...] = ()
    issuer_urls: tuple[str, ...] = ()  # where the issuer's certificate can be had
