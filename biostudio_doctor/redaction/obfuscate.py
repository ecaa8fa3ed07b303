"""Hosts, addresses and users under other names, the same everywhere in one bundle.

A pseudonym depends on nothing but the key and the name, so that processes that share the key agree
without talking. Each remembers what it replaced; `map` tells it.
"""

import hashlib
import hmac
import re
import string
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from biostudio_doctor.endpoints import private_suffix
from biostudio_doctor.redaction import engine
from biostudio_doctor.redaction.addresses import Addresses
from biostudio_doctor.redaction.spans import Span

KINDS = ("hosts", "ips", "users")
#: As what a true name is told that was found again.
_LEFT = {"hosts": "host", "ips": "address", "users": "user"}
_PORTION = 10_000  # names
_LONGEST_NAME = 253  # bytes (RFC 1035, 2.3.4, less those of the wire)
_IN_LABELS = f"{string.ascii_letters}{string.digits}_-.".encode()

#: Also at the end of one of IPv6, as a socket for both has it (::ffff:10.1.2.3, RFC 4291).
_V4 = rb"(?:[0-9A-Fa-f:]{0,40}:)?\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"
_GROUPS = rb"(?:[0-9A-Fa-f]{1,4}:)"
_V6 = rb"%b{0,7}[0-9A-Fa-f]{0,4}::%b{0,7}[0-9A-Fa-f]{0,4}|\b%b{7}[0-9A-Fa-f]{1,4}" % (
    _GROUPS,
    _GROUPS,
    _GROUPS,
)
_ANY = b"(?:" + _V4 + b")|(?:" + _V6 + b")"
#: What stands before a version: the word, a letter, or a package's name as dpkg's log has it.
_VERSION_FOLLOWS = re.compile(
    rb"(?i)(?:\bver|version)[ =:]*v?$|[a-z]$|:(?:amd64|arm64|i386|all)\b[^\n]*$"
)
#: Names that are no names of anyone.
_NOBODY = frozenset({
    "localhost", "localdomain", "localhost.localdomain", "local", "home", "lan", "internal", "host",
    "broadcasthost", "ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-allrouters", "ubuntu",
    "ip6-localnet", "ip6-mcastprefix", "root", "user", "users", "nobody", "debian", "none",
    "docker", "kubernetes", "kubernetes.default", "cluster.local", "com", "org", "net", "example",
})  # fmt: skip


class Obfuscator:
    """Replaces names and addresses.

    Args:
        key: of the bundle; another label keeps pseudonyms apart from tokens.
        hosts: names of machines and domains; the domains of these and all names below are theirs.
        users: names of accounts.
        ips: whether addresses are replaced.
        keep: hosts of vendors, whose domains stay with all below them.
    """

    def __init__(
        self,
        key: bytes,
        hosts: Iterable[str] = (),
        users: Iterable[str] = (),
        ips: bool = False,
        keep: Collection[str] = (),
    ) -> None:
        self._key = hmac.digest(key, b"obfuscate", hashlib.sha256)
        self._keep = {".".join(name.lower().split(".")[-2:]) for name in keep}
        self._ips = Addresses(self._key) if ips else None
        names = {one for name in hosts if self._usable(name) for one in (name, _domain(name))}
        self._hosts = {one for name in names if (one := self._usable(name)) and not self._kept(one)}
        self._users = {one for name in users if (one := self._usable(name))} - self._hosts
        self._pattern = _pattern(self._hosts | self._users)
        self._map: dict[str, dict[str, str]] = {}
        self._others: set[str] = set()  # of the map
        self._untold: deque[tuple[str, str]] = deque()

    def map(self) -> dict[str, dict[str, str]]:
        """What was replaced so far: by kind, the true name and the other."""
        return {kind: dict(sorted(names.items())) for kind, names in sorted(self._map.items())}

    def news(self) -> dict[str, dict[str, str]]:
        """What of it was not told by this before, in portions; empty if all was."""
        count = min(len(self._untold), _PORTION)
        told: dict[str, dict[str, str]] = {}
        for kind, name in (self._untold.popleft() for _ in range(count)):
            told.setdefault(kind, {})[name] = self._map[kind][name]
        return told

    def learn(self, names: Mapping[str, Mapping[str, str]]) -> None:
        """Add to the map what another process replaced."""
        for kind, others in names.items():
            for name, other in others.items():
                self._remember(kind, name, other)

    def find(self, text: bytes) -> Iterator[Span]:
        """What is to be replaced, and by what."""
        for start, end, kind, name in self._named(text):
            other = self._other(kind, name)
            if other != name and self._remember(kind, name, other):
                self._untold.append((kind, name))
            yield Span(start, end, kind, instead=other.encode("utf-8", "surrogateescape"))

    def _remember(self, kind: str, name: str, other: str) -> bool:
        """Whether it was not known before."""
        known = self._map.setdefault(kind, {})
        if name in known:
            return False
        known[name] = other
        self._others.add(other)
        return True

    def left(self, text: bytes) -> Iterator[Span]:
        """True names in a text that should be free of them.

        An address may be what stands for another one: then it is taken for that.
        """
        for start, end, kind, name in self._named(text):
            if kind != "ips" or (name in self._map.get(kind, {}) and name not in self._others):
                yield Span(start, end, _LEFT[kind])

    def _named(self, text: bytes) -> Iterator[tuple[int, int, str, str]]:
        """Where a name of which kind is."""
        if self._ips:
            yield from self._addresses(text)
        if not self._pattern:
            return
        for start, end in self._words(text):
            name = text[start:end].decode("utf-8", "surrogateescape").lower()
            if name in self._users:
                yield start, end, "users", name
            elif not self._kept(name):
                yield start, end, "hosts", name

    def _words(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where one of the names is; of a domain with what stands below it."""
        pattern = engine.compiled(self._pattern, groups=True)
        held: list[tuple[int, int]] = []  # which a domain behind them may take in
        at = 0
        while found := pattern.search(text, at):
            start, at = found.span(1)
            if b"." in text[start:at]:
                start = _first_label(text, start)
            while held and held[-1][0] >= start:
                held.pop()
            if held and held[-1][1] + _LONGEST_NAME < start:
                yield from held
                held = []
            held.append((max(start, held[-1][1] if held else 0), at))
        yield from held

    def _addresses(self, text: bytes) -> Iterator[tuple[int, int, str, str]]:
        for found in engine.compiled(_ANY).finditer(text):
            start, end = found.span()
            if b"." in text[start:end]:
                start += text[start:end].rfind(b":") + 1
            is_one = _is_v6 if b":" in text[start:end] else _is_v4
            if is_one(text, start, end):
                yield start, end, "ips", text[start:end].decode()

    def _other(self, kind: str, name: str) -> str:
        known = self._map.get(kind, {}).get(name)
        if known:
            return known
        if kind == "ips":
            return self._v6(name) if ":" in name else self._v4(name)
        return self._user(name) if kind == "users" else self._host(name)

    def _v4(self, address: str) -> str:
        assert self._ips
        return ".".join(map(str, self._ips.v4(tuple(map(int, address.split("."))))))

    def _v6(self, address: str) -> str:
        assert self._ips
        true = IPv6Address(address)
        other = self._ips.v6(true)
        return address if other == true else str(other)  # 0:: is not made :: either

    def _user(self, name: str) -> str:
        return f"user-{self._digits('user', name)}"

    def _host(self, name: str) -> str:
        """A domain becomes one label, and each label below it another."""
        domains = (one for one in self._hosts if "." in one and name.endswith(f".{one}"))
        domain = min(domains, key=len, default="")
        labels = name.removesuffix(f".{domain}") if domain else name
        if not domain and name in self._hosts and "." in name:
            return self._for_domain(name)
        below = [f"host-{self._digits('host', label)}" for label in labels.split(".")]
        return ".".join([*below, self._for_domain(domain)] if domain else below)

    def _for_domain(self, domain: str) -> str:
        """What is no public name stays none: judgements ask for that."""
        other, suffix = f"domain-{self._digits('domain', domain)}", private_suffix(domain)
        tells = "." in suffix or suffix in self._hosts or suffix in self._users
        return f"{other}.{suffix}" if suffix and not tells else other

    def _digits(self, kind: str, name: str) -> str:
        return hmac.new(self._key, f"{kind}\0{name}".encode(), hashlib.sha256).hexdigest()[:8]

    def _kept(self, name: str) -> bool:
        return any(name == one or name.endswith(f".{one}") for one in self._keep)

    def _usable(self, name: str) -> str:
        name = name.strip().strip(".").lower()
        no_name = len(name) < 3 or name in _NOBODY or name.isdigit() or _looks_as_address(name)
        return "" if no_name else name


def _pattern(names: Iterable[str]) -> bytes:
    """Any of the names, where no word goes on."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    if not ordered:
        return b""
    alternatives = "|".join(map(re.escape, ordered))
    return rf"(?i)(?:^|[^a-z0-9<])({alternatives})(?:\b|_|$)".encode("utf-8", "surrogateescape")


def _first_label(text: bytes, start: int) -> int:
    """Where the labels begin that stand directly before a domain."""
    before = text[max(0, start - _LONGEST_NAME) : start]
    labels = before[len(before.rstrip(_IN_LABELS)) :].rpartition(b"..")[2].lstrip(b".")
    return start - len(labels) if labels.endswith(b".") else start


def _domain(name: str) -> str:
    """The domain of a.b.c; of a.b there is none that one could tell from others'."""
    domain = name.strip(".").partition(".")[2]
    return domain if "." in domain else ""


def _is_v4(text: bytes, start: int, end: int) -> bool:
    octets = text[start:end].split(b".")
    if any(int(one) > 255 or (len(one) > 1 and one.startswith(b"0")) for one in octets):
        return False
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    if before == b"." or (after[:1] == b"." and after[1:].isdigit()) or after[:1] in (b"+", b"~"):
        return False
    if before == b"-" and not IPv4Address(text[start:end].decode()).is_private:
        return False  # of a package, whose version begins with such numbers less often
    line = text[max(0, start - 120) : start].rpartition(b"\n")[2]
    return not _VERSION_FOLLOWS.search(line)


def _is_v6(text: bytes, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if before.isalnum() or before == b":" or after in (b".", b":") or after.isalnum():
        return False
    return _looks_as_address(text[start:end].decode())


def _looks_as_address(name: str) -> bool:
    try:
        IPv6Address(name)
    except AddressValueError:
        return bool(re.fullmatch(r"\d+(?:\.\d+){3}", name))
    return True
