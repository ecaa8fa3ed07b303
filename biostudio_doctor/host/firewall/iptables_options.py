"""What the options of iptables' rules ask of a packet (iptables-extensions(8))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from biostudio_doctor.host.firewall.model import CLIENT_PORTS, IpAddress, Packet, Test, overlap

_FLAGS = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
_ALL_BITS = 0xFFFFFFFF


def untold(packet: Packet) -> bool | None:
    """The answer to what is not known of a packet."""
    return None


def _protocol(value: str) -> Test:
    known = value.lower() in ("tcp", "6", "all", "0")
    return lambda packet: known


def _network(value: str) -> Callable[[IpAddress], bool]:
    address, _, mask = value.partition("/")
    if mask and not mask.isdecimal():  # one with holes
        bits, wanted = int(ip_address(mask)), int(ip_address(address))
        return lambda asked: int(asked) & bits == wanted & bits
    network = ip_network(value, strict=False)
    return lambda asked: asked in network


def _source(value: str) -> Test:
    within = _network(value)
    return lambda packet: within(packet.source)


def _destination(value: str) -> Test:
    within = _network(value)
    return lambda packet: within(packet.destination)


def _interface(value: str, name: str | None) -> bool | None:
    if name is None:
        return None
    return name.startswith(value[:-1]) if value.endswith("+") else name == value


def _ports(value: str, of_client: bool = False) -> Test:
    """Ports and ranges (80,443,8000:8100) that hold the one of this host, or of the client."""
    ranges = []
    for part in value.split(","):
        first, colon, last = part.partition(":")
        low = int(first or 0)
        ranges.append((low, int(last or 65535) if colon else low))

    def test(packet: Packet) -> bool | None:
        span = CLIENT_PORTS if of_client else (packet.port, packet.port)
        answers = [overlap(*span, *item) for item in ranges]
        return True if True in answers else None if None in answers else False

    return test


def _states(value: str) -> Test:
    wanted = set(value.upper().split(","))

    def test(packet: Packet) -> bool:
        return packet.state.upper() in wanted or ("DNAT" in wanted and packet.redirected)

    return test


def _status(value: str) -> Test:
    wanted = set(value.upper().split(","))
    if wanted & {"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"} == wanted:
        return lambda packet: False
    return untold


def _kinds(of_source: bool) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        wanted = set(value.lower().split(","))
        return lambda packet: (
            packet.kind_of(packet.source if of_source else packet.destination) in wanted
        )

    return make


def _range(of_source: bool) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        first, _, last = value.partition("-")
        low, high = int(ip_address(first)), int(ip_address(last or first))
        return lambda packet: (
            low <= int(packet.source if of_source else packet.destination) <= high
        )

    return make


def _marked(of_connection: bool) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        wanted, mask = _masked(value)

        def test(packet: Packet) -> bool | None:
            mark = packet.connection_mark if of_connection else packet.mark
            return None if mark is None else mark & mask == wanted

        return test

    return make


def _masked(value: str) -> tuple[int, int]:
    number, _, mask = value.partition("/")
    return int(number, 0), int(mask, 0) if mask else _ALL_BITS


def new_mark(option: str, values: list[str], old: int | None) -> int | None:
    """What an option of MARK makes of a mark; None where that cannot be told."""
    try:
        new, mask = _masked(values[0]) if values else (0, 0)
    except ValueError:
        return None
    if option not in ("--set-xmark", "--set-mark") or (old is None and mask != _ALL_BITS):
        return None
    kept = (old or 0) & ~mask & _ALL_BITS
    return kept ^ new if option == "--set-xmark" else kept | new


def flags(mask: str, wanted: str) -> Test:
    """Whether of the flags in the mask those wanted are set, and no others; a SYN has but one."""

    def names(words: str) -> set[str]:
        return _FLAGS if words == "ALL" else set(words.split(",")) - {"NONE"}

    answer = {"SYN"} & names(mask) == names(wanted)
    return lambda packet: answer


def _hits(value: str) -> Test:
    """Of `recent`: nobody who calls for the first time has been seen so often."""
    return (lambda packet: False) if int(value) > 1 else untold


def _original_address(value: str) -> Test:
    within = ip_network(value, strict=False)
    return lambda packet: packet.asked_for[0] in within


def _original_port(value: str) -> Test:
    low, _, high = value.partition(":")
    first, last = int(low), int(high or low)
    return lambda packet: first <= packet.asked_for[1] <= last


def _direction(value: str) -> Test:
    answer = value.upper() == "ORIGINAL"
    return lambda packet: answer


def _packet_type(value: str) -> Test:
    answer = value.lower() in ("unicast", "host")
    return lambda packet: answer


#: Options whose answer for the first packet of one connection is known.
CERTAIN: Mapping[str, bool] = {
    "--limit": True, "--hashlimit": True, "--hashlimit-upto": True, "--hashlimit-above": False,
    "--connlimit-above": False, "--connlimit-upto": True, "--set": True, "--syn": True,
    "--transparent": False, "--physdev-is-bridged": False, "--physdev-is-in": False,
    "--physdev-is-out": False, "--seconds": True, "--validmark": True, "-f": False,
    "--rt-type": False,  # no TCP connection begins with a routing header
}  # fmt: skip
#: Extensions that ask something of a packet without any option: is there a socket for it already?
ASKING = frozenset(("socket", "eui64"))
#: Options that only say how another one is meant.
ASIDE = frozenset((
    "--comment", "--limit-burst", "--hashlimit-burst", "--hashlimit-mode", "--hashlimit-name",
    "--hashlimit-htable-expire", "--hashlimit-htable-size", "--hashlimit-htable-max",
    "--hashlimit-htable-gcinterval", "--hashlimit-srcmask", "--hashlimit-dstmask",
    "--connlimit-mask", "--connlimit-saddr", "--connlimit-daddr", "--name", "--mask", "--rsource",
    "--rdest", "--rttl", "--reap", "--loose", "--accept-local", "--nowildcard", "-c",
))  # fmt: skip
TESTS: Mapping[str, Callable[[str], Test]] = {
    "-p": _protocol,
    "-s": _source,
    "-d": _destination,
    "-i": lambda value: lambda packet: _interface(value, packet.interface),
    "-o": lambda value: lambda packet: _interface(value, packet.out),
    "--dport": _ports,
    "--dports": _ports,
    "--sport": lambda value: _ports(value, of_client=True),
    "--sports": lambda value: _ports(value, of_client=True),
    "--state": _states,
    "--ctstate": _states,
    "--ctstatus": _status,
    "--ctdir": _direction,
    "--ctproto": _protocol,
    "--ctorigdst": _original_address,
    "--ctorigdstport": _original_port,
    "--ctorigsrc": _source,
    "--src-type": _kinds(True),
    "--dst-type": _kinds(False),
    "--src-range": _range(True),
    "--dst-range": _range(False),
    "mark:--mark": _marked(False),
    "connmark:--mark": _marked(True),
    "--hitcount": _hits,
    "--pkt-type": _packet_type,
    "--invert": lambda value: lambda packet: False,  # of rpfilter: answers go out where they came
}
#: Targets that are no chain and of which it cannot be told what they do.
EXTENSIONS = frozenset((
    "QUEUE", "NFQUEUE", "TPROXY", "SYNPROXY", "TARPIT", "DELUDE", "CHAOS", "NETMAP", "CLUSTERIP",
    "DNETMAP", "NPT", "SNPT", "DNPT", "MIRROR", "GEOIP",
))  # fmt: skip
