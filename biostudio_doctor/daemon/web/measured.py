"""What one probe measured, as metrics by the names of the Prometheus blackbox exporter."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from ssl import SSLObject

from prometheus_client.core import GaugeMetricFamily

from biostudio_doctor.certificates import CertificateError, CertificateFacts, from_der
from biostudio_doctor.probes import Failure, tls

#: The names, with their labels, are the blackbox exporter's; only the last one is our own.
_HELP: dict[str, tuple[str, tuple[str, ...]]] = {
    "probe_success": ("Whether the probe succeeded.", ()),
    "probe_duration_seconds": ("How long the whole probe took.", ()),
    "probe_dns_lookup_time_seconds": ("How long the lookup of the target's name took.", ()),
    "probe_ip_protocol": ("The IP version used, 4 or 6; 0 without an address.", ()),
    "probe_ip_addr_hash": ("FNV-1a hash of the IP address, to see it change.", ()),
    "probe_failed_due_to_regex": ("Whether an answer was not as the module expects it.", ()),
    "probe_http_duration_seconds": ("Seconds by phase, of all redirects together.", ("phase",)),
    "probe_http_status_code": ("The status of the last answer; 0 without one.", ()),
    "probe_http_ssl": ("Whether the last answer came by TLS.", ()),
    "probe_http_version": ("The version of HTTP of the last answer.", ()),
    "probe_http_redirects": ("How many redirects there were.", ()),
    "probe_http_content_length": ("The length that the answer announced; -1 if none.", ()),
    "probe_http_uncompressed_body_length": ("Bytes of the body that were read.", ()),
    "probe_http_last_modified_timestamp_seconds": ("The time in Last-Modified.", ()),
    "probe_ssl_earliest_cert_expiry": ("The first end of a certificate that was sent.", ()),
    "probe_ssl_last_chain_expiry_timestamp_seconds": ("The first end in the verified chain.", ()),
    "probe_ssl_last_chain_info": (
        "The server's certificate.",
        ("fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"),
    ),
    "probe_tls_version_info": ("The version of TLS.", ("version",)),
    "probe_tls_cipher_info": ("The cipher suite.", ("cipher",)),
    "probe_dns_duration_seconds": ("Seconds by phase of the DNS request.", ("phase",)),
    "probe_dns_answer_rrs": ("Records in the answer section.", ()),
    "probe_dns_authority_rrs": ("Records in the authority section.", ()),
    "probe_dns_additional_rrs": ("Records in the additional section.", ()),
    "probe_dns_query_succeeded": ("Whether an answer came, of whatever kind.", ()),
    "probe_icmp_duration_seconds": ("Seconds by phase of the echo request.", ("phase",)),
    "probe_icmp_reply_hop_limit": ("The hop limit (TTL) that the answer came with.", ()),
    "biostudio_target_failure_info": ("Where and why the probe failed.", ("phase", "reason")),
}

#: The names that IANA gives to suites which OpenSSL calls otherwise; TLS 1.3 has one name for each.
_SUITES = {
    f"ECDHE-{key}-{ours}": f"TLS_ECDHE_{key}_WITH_{theirs}"
    for key in ("RSA", "ECDSA")
    for ours, theirs in (
        ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
        ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
        ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    )
}


class Measured:
    """The metrics of one probe; a collector of prometheus_client."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {}

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a metric of `_HELP`; its labels in the order that stands there."""
        self._values.setdefault(name, {})[labels] = value

    def zero(self, *names: str) -> None:
        """Set metrics that are 0 until something better is known."""
        for name in names:
            self.set(name, 0)

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a metric."""
        self.set(name, value + self._values.get(name, {}).get(labels, 0.0), *labels)

    def address(self, address: IPv4Address | IPv6Address) -> None:
        """Which address is asked."""
        self.set("probe_ip_protocol", address.version)
        self.set("probe_ip_addr_hash", _fnv1a(address.packed))

    def failure(self, failure: Failure) -> None:
        """Why the probe failed. The words of the peer are left out."""
        self.set("biostudio_target_failure_info", 1, failure.phase, failure.reason)

    def tls(self, peer: SSLObject) -> None:
        """What a handshake that verified has shown."""
        suite = (peer.cipher() or ("unknown",))[0]
        self.set("probe_tls_version_info", 1, (peer.version() or "unknown").replace("TLSv", "TLS "))
        self.set("probe_tls_cipher_info", 1, _SUITES.get(suite, suite))
        sent, chain = _facts(tls.presented(peer)), _facts(tls.verified(peer))
        if sent:
            earliest = min(one.not_after for one in sent)
            self.set("probe_ssl_earliest_cert_expiry", earliest.timestamp())
        if chain:
            first = min(one.not_after for one in chain)
            self.set("probe_ssl_last_chain_expiry_timestamp_seconds", first.timestamp())
            own = chain[0]
            self.set(
                "probe_ssl_last_chain_info", 1, own.sha256, own.subject, own.issuer,
                ",".join(own.dns_names), own.serial,
            )  # fmt: skip

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As prometheus_client asks for them, in the order of `_HELP`."""
        for name, (words, labels) in _HELP.items():
            if name in self._values:
                family = GaugeMetricFamily(name, words, labels=labels)
                for values, value in self._values[name].items():
                    family.add_metric(values, value)
                yield family


def _facts(chain: tuple[bytes, ...]) -> list[CertificateFacts]:
    """Of a chain that OpenSSL has verified: should one be unreadable, none of it is told."""
    try:
        return [from_der(der) for der in chain]
    except CertificateError:
        return []


def _fnv1a(data: bytes) -> int:
    """The hash of 32 bits by Fowler, Noll and Vo (RFC 9923)."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
