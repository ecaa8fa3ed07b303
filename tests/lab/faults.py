"""Faults of a network, each put into the lab by real components, and what each must be called.

`FAULTS` is the table: a name, the cause that `check egress.hosts` must name (and no other beside
it), and the function that makes the fault. A function gets a lab whose client has a resolver
configured and nothing else started, and returns how the program is to be run there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import trustme

from tests.lab.network import CLIENT, ROUTER, ROUTER4, WORLD, Network
from tests.lab.world import ODD4, RESOLVER, RESOLVER2, WEB4, World

#: The published host that single-host faults are put on, and an unrelated one.
HOST, ELSEWHERE = "conda.anaconda.org", "cdn.bioturing.com"
PROXY = f"http://{ROUTER4}:3128"


class Setting(NamedTuple):
    """How biostudio-doctor is run on the client."""

    env: Mapping[str, str] = {}
    before: Sequence[str] = ()


class Fault(NamedTuple):
    """A row of the table."""

    name: str
    cause: str  # '' where all is well
    make: Callable[[World], Setting | None]
    needs: str = ""  # a program that must be there


# --- Names ----------------------------------------------------------------------------------------


def silent_resolvers(world: World) -> None:
    world.web()
    world.network.firewall("udp dport 53 drop\ntcp dport 53 drop")


def one_bad_resolver(world: World) -> None:
    healthy(world)
    world.network.firewall(f"ip daddr {RESOLVER2} drop")
    world.network.resolvers(RESOLVER, RESOLVER2)


def one_refusing_resolver(world: World) -> None:
    healthy(world)
    world.network.resolvers(RESOLVER, RESOLVER2)
    world.script(WORLD, "refusing", _DNS_SERVER, RESOLVER2, "REFUSED")
    world.network.wait_for(WORLD, RESOLVER2, 53)


def one_name_filtered(world: World) -> None:
    world.web()
    world.resolver(answers={HOST: []})


def no_public_names(world: World) -> None:
    world.web()
    world.resolver(answers={name: [] for name in world.names})


def broken_dnssec(world: World) -> None:
    world.web()
    world.script(WORLD, "servfail", _DNS_SERVER, RESOLVER, "SERVFAIL")
    world.network.wait_for(WORLD, RESOLVER, 53)


def sink_hole(world: World) -> None:
    world.web()
    world.resolver(answers={HOST: ["0.0.0.0"]})


def private_answer(world: World) -> None:
    world.web()
    world.resolver(answers={HOST: ["10.66.66.66"]})
    world.network.firewall("ip daddr 10.66.66.66 drop")


def ipv6_leads_nowhere(world: World) -> None:
    healthy(world)
    world.network.firewall("meta nfproto ipv6 drop")


# --- TCP ------------------------------------------------------------------------------------------


def refused(world: World) -> None:
    healthy(world)
    world.network.firewall("tcp dport { 80, 443 } reject with tcp reset")


def one_host_refused(world: World) -> None:
    world.web()
    world.resolver(answers={HOST: [ODD4]})
    world.network.firewall(f"ip daddr {ODD4} reject with tcp reset")


def dropped(world: World) -> None:
    healthy(world)
    world.network.firewall("tcp dport { 80, 443 } drop")


def one_host_dropped(world: World) -> None:
    world.web()
    world.resolver(answers={HOST: [ODD4]})
    world.network.firewall(f"ip daddr {ODD4} drop")


def prohibited(world: World) -> None:
    healthy(world)
    world.network.firewall("tcp dport { 80, 443 } reject with icmpx type admin-prohibited")


def https_port_only(world: World) -> None:
    healthy(world)
    world.network.firewall("tcp dport 443 drop")


def ipv4_blocked(world: World) -> None:
    healthy(world)
    world.network.firewall("meta nfproto ipv4 tcp dport { 80, 443 } drop")


def mtu_black_hole(world: World) -> None:
    healthy(world)
    # One packet is one segment, so that the router drops by the size that is on the wire.
    world.network.run(WORLD, ["ip", "link", "set", "eth0", "gso_max_segs", "1"])
    world.network.firewall("tcp sport 443 meta length > 1000 drop")


# --- Proxies --------------------------------------------------------------------------------------


def proxy_not_set(world: World) -> None:
    healthy(world)
    world.network.firewall("drop")
    world.network.resolvers(RESOLVER)
    place = Path("/etc/netns") / world.network.namespace(CLIENT)
    (place / "environment").write_text(f"https_proxy={PROXY}\n")


def proxy_gone(world: World) -> Setting:
    healthy(world)
    return Setting({"https_proxy": f"http://{ROUTER4}:3999"})


def proxy_wants_password(world: World) -> Setting:
    _squid(world, "auth_param basic program /bin/true\nacl known proxy_auth REQUIRED\n"
                  "http_access allow known")  # fmt: skip
    return Setting({"https_proxy": PROXY})


def proxy_wants_ntlm(world: World) -> Setting:
    _squid(world, "auth_param ntlm program /bin/cat\nacl known proxy_auth REQUIRED\n"
                  "http_access allow known")  # fmt: skip
    return Setting({"https_proxy": PROXY})


def proxy_denies_one_host(world: World) -> Setting:
    _squid(world, f"acl blocked dstdomain {HOST}\nhttp_access deny blocked\nhttp_access allow all")
    return Setting({"https_proxy": PROXY})


def proxy_with_wrong_scheme(world: World) -> Setting:
    _squid(world, "http_access allow all")
    return Setting({"https_proxy": PROXY.replace("http:", "https:")})


def healthy_proxy(world: World) -> Setting:
    _squid(world, "http_access allow all")
    return Setting({"https_proxy": PROXY})


def _squid(world: World, rules: str) -> None:
    healthy(world)
    world.network.firewall("drop")
    directory = world.directory / "squid"
    directory.mkdir()
    shutil.chown(directory, "proxy", "proxy")
    conf = world.directory / "squid.conf"
    conf.write_text(
        f"http_port {ROUTER4}:3128\npid_filename none\ncache deny all\nnetdb_filename none\n"
        f"access_log none\ncache_log /dev/null\ncoredump_dir {directory}\n"
        f"shutdown_lifetime 0 seconds\nvisible_hostname proxy.lab\n"
        f"dns_nameservers {RESOLVER}\n{rules}\n"
    )
    world.network.start(ROUTER, ["squid", "-N", "-f", str(conf)])
    world.network.wait_for(ROUTER, ROUTER4, 3128)


# --- TLS ------------------------------------------------------------------------------------------


def intercepted(world: World) -> None:
    """mitmproxy in the router's path takes every TLS connection apart."""
    healthy(world)
    world.network.run(ROUTER, ["nft", "-f", "-"], input=_REDIRECT.format(port=8080))
    conf = world.directory / "mitm"
    bundle = world.directory / "certs/ca-certificates.crt"
    world.network.start(
        ROUTER,
        ["mitmdump", "--mode", "transparent", "--listen-port", "8080", "--quiet",
         "--set", f"confdir={conf}", "--set", f"ssl_verify_upstream_trusted_ca={bundle}"],
    )  # fmt: skip
    world.network.wait_for(ROUTER, "0.0.0.0", 8080)


def intercepted_and_trusted(world: World) -> None:
    """The same where somebody has installed the device's authority."""
    intercepted(world)
    device = (world.directory / "mitm/mitmproxy-ca-cert.pem").read_bytes()
    with (world.directory / "certs/ca-certificates.crt").open("ab") as bundle:
        bundle.write(device)


def certificate_of_a_box(world: World) -> None:
    """A device answers for all with the certificate of its own name."""
    world.resolver()
    authority = trustme.CA(organization_name="Box Inc.")
    world.web(certificate=world.issue("box", authority, ["box.hospital.example"]))


def wrong_bundle(world: World) -> None:
    """The system's authorities are none that the internet uses, as after a broken update."""
    healthy(world)
    world.trust_store([trustme.CA(organization_name="Old Authority")])


def wrong_clock(world: World) -> Setting:
    healthy(world)
    return Setting(before=("faketime", "-f", "+800d"))


def sni_filter(world: World) -> None:
    """A filter in the router reads the name in the ClientHello and resets the connection."""
    healthy(world)
    world.network.run(ROUTER, ["nft", "-f", "-"], input=_REDIRECT.format(port=8443))
    world.script(ROUTER, "sni_filter", _SNI_FILTER, HOST)
    world.network.wait_for(ROUTER, "0.0.0.0", 8443)


def old_protocol(world: World) -> None:
    world.resolver(ipv6=False)
    world.web(protocols="TLSv1 TLSv1.1", ciphers="DEFAULT:@SECLEVEL=0")


# --- HTTP -----------------------------------------------------------------------------------------


def captive_portal(world: World) -> None:
    world.resolver()
    world.web(body="location / { return 302 http://portal.hospital.example/login; }")


def block_page(world: World) -> None:
    world.resolver()
    page = (
        "<html><title>Access denied</title>This site is blocked by your organisation's web filter"
    )
    body = f'location / {{ default_type text/html; return 200 "{page}</html>"; }}'
    world.web(bodies={HOST: body})


def forbidden_by_one_device(world: World) -> None:
    world.resolver()
    world.web(body='location / { return 403 "no"; }')


def refused_by_the_cdn(world: World) -> None:
    world.resolver()
    body = 'location / { add_header CF-RAY "8a1b2c3d4e5f-FRA" always; return 403 "error 1020"; }'
    world.web(bodies={HOST: body})


def redirect_to_a_blocked_host(world: World) -> None:
    world.resolver(answers={"binstar-cio-packages-prod.s3.amazonaws.com": [ODD4]})
    target = "https://binstar-cio-packages-prod.s3.amazonaws.com/x"
    world.web(bodies={HOST: f"location / {{ return 302 {target}; }}"})
    world.network.firewall(f"ip daddr {ODD4} drop")


def slow_line(world: World) -> None:
    healthy(world)
    world.network.run(
        ROUTER,
        ["tc", "qdisc", "add", "dev", "lan", "root", "tbf", "rate", "400kbit", "burst", "16kb",
         "latency", "2000ms"],
    )  # fmt: skip


# --- Health ---------------------------------------------------------------------------------------


def healthy(world: World) -> None:
    """Everything answers; the download that throughput is measured by is 4 MB."""
    world.resolver()
    blob = world.directory / "www/cdn.bioturing.com/documentation"
    blob.mkdir(parents=True)
    (blob / "adm.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4 << 20))
    body = f"root {world.directory}/www; location / {{ try_files $uri =404; }}"
    bucket = "s3.us-west-2.amazonaws.com"
    world.web(bodies={bucket: body})


def far_away(world: World) -> None:
    healthy(world)
    world.network.resolvers(RESOLVER, attempts=2)  # as resolv.conf(5) has it, since some get lost
    world.network.slow_down(delay=0.15, loss=0.03)


HEALTHY = (
    Fault("healthy", "", healthy),
    Fault("healthy, through a proxy", "", healthy_proxy, "squid"),
    Fault("healthy, 300 ms and 3 % loss", "", far_away),
)

FAULTS = (
    Fault("no resolver answers", "dns.silent", silent_resolvers),
    Fault("one of two resolvers is silent", "dns.bad-resolver", one_bad_resolver),
    Fault("one of two resolvers refuses", "dns.bad-resolver", one_refusing_resolver),
    Fault("one name does not exist", "dns.filtered", one_name_filtered),
    Fault("no public name exists", "dns.no-public-names", no_public_names),
    Fault("DNSSEC fails", "dns.servfail", broken_dnssec),
    Fault("a name leads into a sink hole", "dns.sinkhole", sink_hole),
    Fault("a name leads into private space", "dns.sinkhole", private_answer),
    Fault("IPv6 leads nowhere", "tcp.ipv6", ipv6_leads_nowhere),
    Fault("all hosts refused", "tcp.refused", refused),
    Fault("one host refused", "tcp.refused", one_host_refused),
    Fault("all hosts dropped", "tcp.dropped", dropped),
    Fault("one host dropped", "tcp.dropped", one_host_dropped),
    Fault("administratively prohibited", "tcp.unreachable", prohibited),
    Fault("only port 443 blocked", "tcp.port", https_port_only),
    Fault("IPv4 blocked", "tcp.ipv4", ipv4_blocked),
    Fault("MTU black hole", "tcp.mtu", mtu_black_hole),
    Fault("a proxy is needed and not set", "proxy.needed", proxy_not_set),
    Fault("the proxy is gone", "proxy.unreachable", proxy_gone),
    Fault("the proxy wants a password", "proxy.auth", proxy_wants_password, "squid"),
    Fault("the proxy wants NTLM", "proxy.auth-scheme", proxy_wants_ntlm, "squid"),
    Fault("the proxy denies one host", "proxy.denied", proxy_denies_one_host, "squid"),
    Fault("https:// given for an http:// proxy", "proxy.scheme", proxy_with_wrong_scheme, "squid"),
    Fault("TLS is intercepted", "tls.intercepted", intercepted, "mitmdump"),
    Fault("intercepted, trusted", "tls.intercepted-trusted", intercepted_and_trusted, "mitmdump"),
    Fault("the certificate of a box", "tls.name", certificate_of_a_box),
    Fault("wrong system CA bundle", "tls.bundle", wrong_bundle),
    Fault("this host's clock is wrong", "tls.clock", wrong_clock, "faketime"),
    Fault("a filter by SNI", "tls.sni", sni_filter),
    Fault("old TLS only", "tls.old", old_protocol),
    Fault("captive portal", "http.portal", captive_portal),
    Fault("block page", "http.block-page", block_page),
    Fault("the same 403 from everyone", "http.block-page", forbidden_by_one_device),
    Fault("refused by the CDN", "http.cdn", refused_by_the_cdn),
    Fault("redirect to a blocked host", "http.redirect", redirect_to_a_blocked_host),
    Fault("a slow line", "http.slow", slow_line),
)

_REDIRECT = """
table ip lab_nat {{
  chain prerouting {{
    type nat hook prerouting priority -100;
    iifname "lan" tcp dport 443 redirect to :{port}
  }}
}}
table ip6 lab_nat {{
  chain forward {{
    type filter hook forward priority 0;
    tcp dport 443 reject with tcp reset
  }}
}}
"""

#: No packaged resolver answers SERVFAIL or REFUSED on demand, so dnspython speaks for it.
_DNS_SERVER = """
import socket, sys, threading
import dns.edns, dns.message, dns.rcode

address, code = sys.argv[1:]

def answer(data):
    reply = dns.message.make_response(dns.message.from_wire(data))
    reply.set_rcode(dns.rcode.from_text(code))
    if code == "SERVFAIL":
        reply.use_edns(0, options=[dns.edns.EDEOption(6, "signature expired")])
    return reply.to_wire()

def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            data, client = server.recvfrom(4096)
            server.sendto(answer(data), client)

threading.Thread(target=udp, daemon=True).start()
with socket.create_server((address, 53)) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            wire = answer(connection.recv(4096)[2:])
            connection.sendall(len(wire).to_bytes(2, "big") + wire)
"""

#: What a filter by SNI does: pass the connection on, unless the first message has the name in it.
_SNI_FILTER = """
import asyncio, socket, struct, sys

blocked = sys.argv[1].encode()

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()

async def serve(reader, writer):
    channel = writer.get_extra_info("socket")
    hello = await reader.read(65536)
    if blocked in hello:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return
    if not hello:
        writer.close()
        return
    raw = channel.getsockopt(socket.SOL_IP, 80, 16)  # SO_ORIGINAL_DST
    port, address = struct.unpack(">H4s", raw[2:8])
    onward = await asyncio.open_connection(socket.inet_ntoa(address), port)
    onward[1].write(hello)
    await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))

async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8443)
    await server.serve_forever()

asyncio.run(main())
"""


def prepare(network: Network) -> World:
    """A fresh world, and a client that asks its first resolver."""
    world = World(network)
    network.resolvers(RESOLVER)
    return world


__all__ = ["FAULTS", "HEALTHY", "WEB4", "Fault", "Setting", "prepare"]
