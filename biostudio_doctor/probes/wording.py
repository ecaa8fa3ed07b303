"""What a Path says, in plain words: where it ended and why, or how long each phase took."""

from biostudio_doctor import text
from biostudio_doctor.endpoints import Endpoint
from biostudio_doctor.probes import Failure, Phase, Reason
from biostudio_doctor.probes.results import Path

#: The phases as a person would call them.
PHASES: dict[Phase, str] = {
    "resolve": "name resolution",
    "connect": "the TCP connection",
    "proxy": "the proxy",
    "tls": "the TLS handshake",
    "request": "the HTTP request",
    "transfer": "the HTTP transfer",
}

_SHOWN = 2  # addresses that are named; of more, only the number is told


def duration(seconds: float) -> str:
    """0.4 ms, 12 ms, 1.5 s."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 1 else f"{milliseconds:.0f} ms"


def timings(path: Path) -> str:
    """resolve 12 ms, connect 20 ms, tls 35 ms, request 80 ms."""
    return ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in path.seconds.items())


def total(path: Path) -> str:
    """All phases together."""
    return duration(sum(path.seconds.values()))


def outcome(path: Path) -> str:
    """Whether the host was reached, in one sentence."""
    place = Endpoint(path.host, path.port)
    if path.failure:
        verb = "could not be probed" if path.undetermined else "cannot be reached"
        return f"{place} {verb}: {failed(path, path.failure)}."
    answer = path.exchange.answer if path.exchange else None
    said = f": HTTP {answer.status} {answer.phrase}".rstrip() if answer else ""
    return f"{place} answers after {total(path)}{said}."


def failed(path: Path, problem: Failure) -> str:
    """Which phase failed and why: "name resolution failed, the name does not exist, says ..."."""
    if problem.phase == "proxy":
        return _at_proxy(path, problem)
    if problem.phase == "resolve":
        why = _unresolved(path, problem)
    elif problem.phase == "connect":
        why = _unconnected(path, problem)
    elif problem.phase == "tls":
        why = _tls(path, problem)
    else:
        why = _http(problem)
    return f"{PHASES[problem.phase]} failed, {why}"


def servers(path: Path) -> str:
    """The name servers that gave this failure, or the system's resolver where none did."""
    reason = path.failure.reason if path.failure else None
    named = [
        answer.server
        for answer in path.answers
        if answer.failure and answer.failure.reason == reason
    ]
    return text.listing(dict.fromkeys(named)) if named else "the system's resolver"


def _unresolved(path: Path, problem: Failure) -> str:
    asked = servers(path)
    said: dict[Reason, str] = {
        "nxdomain": f"the name does not exist, says {asked}",
        "no-address": f"the name has no address, says {asked}",
        "servfail": f"{asked} could not find the name out (SERVFAIL{_extended(path)})",
        "refused": _refused(path, asked),
        "timeout": f"no answer came from {asked} {_waited(path)}",
        "unreachable": f"{asked} cannot be reached from here",
        "no-resolver": "/etc/resolv.conf names no name server",
    }
    return said.get(problem.reason, problem.detail or "the system's resolver gave no answer")


def _refused(path: Path, asked: str) -> str:
    if any(answer.code == "REFUSED" for answer in path.answers):
        return f"{asked} refuses to answer"
    return f"nothing listens on port 53 of {asked}"


def _unconnected(path: Path, problem: Failure) -> str:
    where = f"{_addresses(path)} on TCP port {path.port}"
    said: dict[Reason, str] = {
        "timeout": f"no answer came from {where}, as if a firewall drops the packets",
        "refused": f"{where} refused it",
        "reset": f"{where} cut it at once",
        "unreachable": f"no way leads to {where} ({problem.detail})",
        "no-address": "the name has no address",
    }
    return said.get(problem.reason, f"{where}: {problem.detail}")


def _tls(path: Path, problem: Failure) -> str:
    chain = path.tls.chain if path.tls else ()
    issuer = f"; it was issued by '{chain[0].issuer_name or chain[0].issuer}'" if chain else ""
    said: dict[Reason, str] = {
        "timeout": "no answer came to its first message",
        "reset": "the connection was reset after its first message",
        "closed": "the connection was closed after its first message",
        "tls-alert": f"the other end refused it ({problem.detail})",
        "untrusted": f"the certificate is not trusted: {problem.detail}{issuer}",
    }
    return said.get(problem.reason, problem.detail)


def _http(problem: Failure) -> str:
    said: dict[Reason, str] = {
        "timeout": "no answer came in time",
        "reset": "the connection was reset",
        "closed": "the connection was closed without an answer",
        "bad-response": f"what came back is no proper HTTP ({problem.detail})",
    }
    return said.get(problem.reason, problem.detail)


def _at_proxy(path: Path, problem: Failure) -> str:
    through = path.route.proxy
    if not through:  # the setting itself
        return f"the value of {path.route.variable} {problem.detail}"
    no_port = "" if through.port_given else ", which names no port"
    name = f"the proxy {through.url} (from {path.route.variable}{no_port})"
    if path.lookup and path.lookup.failure:
        return f"the name of {name} cannot be resolved: {_unresolved(path, problem)}"
    if all(attempt.failure for attempt in path.attempts):
        return f"{name} {_unreached(problem)}"
    return f"{name} {_unwilling(path, problem)}"


def _unreached(problem: Failure) -> str:
    said: dict[Reason, str] = {
        "timeout": "does not answer",
        "refused": "refuses the connection",
        "unreachable": f"cannot be reached ({problem.detail})",
    }
    return said.get(problem.reason, f"does not accept the connection ({problem.detail})")


def _unwilling(path: Path, problem: Failure) -> str:
    said: dict[Reason, str] = {
        "timeout": "accepts the connection and does not answer",
        "proxy-auth": f"wants a user name and a password ({problem.detail}{_schemes(path)})",
        "proxy-denied": f"refuses to connect to {path.host} ({problem.detail})",
        "tls-protocol": f"does not speak TLS, although {path.route.variable} says https://",
        "untrusted": f"has a certificate that is not trusted: {problem.detail}",
        "closed": "closes the connection without an answer",
        "reset": "resets the connection",
        "bad-response": f"does not answer as an HTTP proxy does ({problem.detail})",
    }
    if problem.reason == "proxy-auth" and path.route.proxy and path.route.proxy.authenticated:
        return f"does not accept the user name and password ({problem.detail}{_schemes(path)})"
    if problem.reason == "proxy-denied" and path.reply and path.reply.status >= 500:
        return f"could not connect to {path.host} itself ({problem.detail})"
    return said.get(problem.reason, problem.detail)


def _schemes(path: Path) -> str:
    offered = path.reply.schemes if path.reply else ()
    return f"; it offers {text.listing(offered)}" if offered else ""


def _addresses(path: Path) -> str:
    tried = [attempt.address for attempt in path.attempts]
    if len(tried) <= _SHOWN:
        return text.listing(tried)
    others = text.number(len(tried) - 1, "other address", "other addresses")
    return f"{tried[0]} and {others}"


def _extended(path: Path) -> str:
    told = next((answer.extended[0] for answer in path.answers if answer.extended), "")
    return f"; {told}" if told else ""


def _waited(path: Path) -> str:
    return f"within {path.lookup.seconds:.0f} s" if path.lookup else "in time"
