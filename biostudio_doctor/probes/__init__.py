"""Reusable network measurements, one module a protocol. No judgement is made in them.

Each probe is a coroutine that returns a serialisable Struct and never raises for what the network
does: a failure is part of the measurement, with the phase it happened in and a bounded reason.
"""

from typing import Literal

from msgspec import Struct

Phase = Literal["resolve", "connect", "proxy", "tls", "request", "transfer"]

#: Bounded, so that it can become the label of a metric.
Reason = Literal[
    "timeout",  # nothing came back in time
    "refused",  # an answer that nobody listens (TCP RST to a SYN, DNS REFUSED)
    "reset",  # an established connection was cut
    "closed",  # the peer ended the connection where it should have spoken
    "unreachable",  # no route, or an ICMP answer that says so
    "nxdomain",  # the name does not exist
    "no-address",  # the name exists without the address asked for
    "servfail",  # the resolver could not answer
    "no-resolver",  # no resolver is configured
    "bad-proxy",  # the proxy setting makes no sense
    "proxy-auth",  # 407
    "proxy-denied",  # any other refusal of CONNECT
    "tls-alert",  # the peer ended the handshake with an alert
    "tls-protocol",  # what came back is no TLS, or no version in common
    "untrusted",  # the certificate does not verify
    "bad-response",  # what came back is no such protocol
    "too-large",  # more was sent than is read
    "not-allowed",  # the configuration does not let it be asked
    "other",  # told by the detail only
]


#: How filters end a TLS handshake.
CUT: tuple[Reason, ...] = ("timeout", "reset", "closed", "tls-alert")


class Failure(Struct, frozen=True):
    """Where and why a measurement ended early."""

    phase: Phase
    reason: Reason
    detail: str = ""  # for a person, one line, without secrets
