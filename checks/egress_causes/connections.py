"""TCP connections that do not come about, or that lose large packets."""

from shlex import quote

from biostudio_doctor import text
from biostudio_doctor.model import Remedy
from biostudio_doctor.probes import Phase, wording
from biostudio_doctor.probes.results import Path, SecondLook

from ..egress_facts import Evidence, ended, family_state, is_routed, shook_hands
from .case import Case

_STALLING: tuple[Phase, ...] = ("tls", "request", "transfer")


# --- Evidence -------------------------------------------------------------------------------------


def no_route(path: Path, evidence: Evidence) -> bool:
    """This host itself knows no way to any of the addresses, or to any name server."""
    if ended(path, "resolve", "unreachable"):
        return bool(path.answers) and not any(answer.source for answer in path.answers)
    return ended(path, "connect", "unreachable") and not any(one.source for one in path.attempts)


def port_blocked(path: Path, evidence: Evidence) -> bool:
    """The same addresses connect on another port."""
    return ended(path, "connect") and any(
        not attempt.failure for attempt in evidence.look(path).other_port
    )


def unreachable(path: Path, evidence: Evidence) -> bool:
    """An ICMP answer says so; or silence beside others' ICMP answers.

    Routers send only some of these a second (RFC 1812, 4.3.2.8), so that many hosts that are
    forbidden at once are mostly or partly met with silence.
    """
    if not ended(path, "connect", "timeout"):
        return ended(path, "connect", "unreachable")
    told = len(evidence.failed("connect", "unreachable"))
    none_connects = all(ended(one, "connect") for one in evidence.direct)
    return bool(told) and (none_connects or told > 3 * len(evidence.failed("connect", "timeout")))


def refused(path: Path, evidence: Evidence) -> bool:
    """A TCP reset, from the host or from a firewall that speaks for it."""
    return ended(path, "connect", "refused", "reset")


def dropped(path: Path, evidence: Evidence) -> bool:
    """Silence."""
    return ended(path, "connect", "timeout")


def unconnected(path: Path, evidence: Evidence) -> bool:
    """Any other trouble with the connection."""
    return ended(path, "connect")


def large_packets_vanish(path: Path, evidence: Evidence) -> bool:
    """It stalls, and passes in small segments.

    Splitting the first message also gets past simple filters by name; so where another name passes
    as well, other hosts must not have shown that large packets come through.
    """
    look = evidence.look(path)
    if not (any(ended(path, phase, "timeout") for phase in _STALLING) and _passed(look)):
        return False
    others_pass = any(one.tls and one.tls.chain for one in evidence.direct if one is not path)
    return not (shook_hands(look.other_name) and others_pass)


def _passed(look: SecondLook) -> bool:
    hop = look.small_segments
    return hop is not None and (not hop.failure or hop.failure.reason == "untrusted")


def ipv4_dead(path: Path, evidence: Evidence) -> bool:
    """IPv6 connects, and IPv4, to which there is a route, does not, the second time either."""
    again = evidence.look(path).again
    return _one_family_dead(path, "IPv4", "IPv6") and any(one.failure for one in again)


def ipv6_dead(path: Path, evidence: Evidence) -> bool:
    """IPv4 connects, and IPv6, to which there is a route, is silent.

    Where it is refused, programs turn to IPv4 at once, and nobody waits.
    """
    return _one_family_dead(path, "IPv6", "IPv4") and _silent_twice(path, evidence)


def _one_family_dead(path: Path, dead: str, alive: str) -> bool:
    states = family_state(path, dead), family_state(path, alive)
    return _direct_success(path) and states == (False, True)


def some_addresses_dead(path: Path, evidence: Evidence) -> bool:
    """Of the addresses of one family some connect, and others are silent."""
    dual = False in (family_state(path, "IPv4"), family_state(path, "IPv6"))
    return _direct_success(path) and not dual and _silent_twice(path, evidence)


def _silent_twice(path: Path, evidence: Evidence) -> bool:
    """Whether an address gave no connection, and was silent the second time, too."""
    return any(
        one.failure and one.failure.reason in ("timeout", "unreachable") and is_routed(one)
        for one in evidence.look(path).again
    )


def _direct_success(path: Path) -> bool:
    return path.failure is None and path.route.proxy is None


# --- What was seen --------------------------------------------------------------------------------


def dropped_seen(case: Case) -> str:
    """For how long nothing came."""
    waited = max((one.seconds for path in case.paths for one in path.attempts), default=0)
    return (
        f"no answer comes from {case.ports} within {wording.duration(waited)}, as if a firewall "
        "drops the packets"
    )


def some_addresses_seen(case: Case) -> str:
    """Which of them are silent, and which connect."""
    tried = [one for path in case.paths for one in path.attempts]
    dead = dict.fromkeys(one.address for one in tried if one.failure)
    alive = dict.fromkeys(one.address for one in tried if not one.failure)
    return (
        "only some of the addresses of a name connect, so downloads fail by chance: no answer "
        f"comes from {text.listing(dead)}, while {text.listing(alive)} "
        f"{'connects' if len(alive) == 1 else 'connect'}"
    )


def port_seen(case: Case) -> str:
    """Which other port connects."""
    other = case.evidence.look(case.first).tried_port
    return f"{case.ports} is blocked, while port {other} of the same addresses connects"


# --- What to do -----------------------------------------------------------------------------------


def add_route(case: Case) -> Remedy:
    """No route leads out of this host."""
    return Remedy(
        "Give this host a default route by a gateway of its network; the network team knows it."
        f"{case.proxy_hint}",
        ("ip route", "ip -6 route"),
        as_root=False,
    )


def ask_for_rule(case: Case) -> Remedy:
    """A firewall stands in the way."""
    return Remedy(
        f"Have a firewall rule made.{case.proxy_hint}\n"
        + case.request(
            f"allow {case.ports} outbound from this host to these hosts, by name: their addresses "
            "change",
        ),
        case.curl,
        as_root=False,
    )


def ask_for_family(case: Case) -> Remedy:
    """One of the two address families is blocked."""
    return Remedy(
        "Programs get through by the other family, but some wait or fail first. If IPv6 is not "
        "meant to work here, take this host's IPv6 route away instead.\n"
        + case.request(f"allow {case.ports} outbound in both families, IPv4 and IPv6"),
        ("ip route", "ip -6 route"),
        as_root=False,
    )


def mend_mtu(case: Case) -> Remedy:
    """Large packets vanish."""
    host = quote(case.first.host)
    return Remedy(
        "Find the size that passes, and set it as the MTU of this host's interface, or have it "
        "mended on the way (MSS clamping, or ICMP 'fragmentation needed' let through).\n"
        + case.request("let ICMP 'fragmentation needed' pass, or clamp the TCP MSS"),
        (f"tracepath -n {host}", f"ping -c 3 -M do -s 1472 {host}"),
        as_root=False,
    )
