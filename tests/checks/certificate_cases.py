"""The table of certificate cases: one row a case, with just what all checks find of it."""
# ruff: noqa: E501 - a row is a line

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.lab.certificates import Made, make, proper
from tests.lab.pki import DER, PEM, Pki, curve, edwards

CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
OWN = "/biocolab/configs/tls.crt"
PASSWORD = secrets.token_hex(8)

#: What a file with a good chain gives, and one that says that it is for a name.
FINE = "chain=pass expiry=pass key=pass trust=pass"
#: What is found of a good endpoint.
LIVE = f"{FINE} name=pass tls=pass"


class Case(NamedTuple):
    """One row. `at` is what the configuration watches, `expected` is `check[/kind]=status[:cause]`.

    What the file system of the host holds is made by `tree`, with the modes of keys besides. In
    `at`, {name} stands for the port of a live server.
    """

    name: str
    tree: Callable[[Pki], dict[str, Any]]
    at: Any
    expected: str
    modes: Mapping[str, int] = {}
    config: Mapping[str, Any] = {}
    offline: bool = False


def one(make_it: Callable[[Pki], bytes]) -> Callable[[Pki], dict[str, Any]]:
    """A single file, /tls.crt."""
    return lambda p: {"/tls.crt": make_it(p)}


def pair(certificate: Callable[[Pki], bytes], key: Callable[[Pki], bytes]) -> Any:
    """A directory with tls.crt and tls.key."""
    return lambda p: {"/d/tls.crt": certificate(p), "/d/tls.key": key(p)}


def nothing(_: Pki) -> dict[str, Any]:
    return {}


def short(days: tuple[float, float]) -> Callable[[Pki], dict[str, Any]]:
    return one(lambda p: p.chain(days=days))


F = "/tls.crt"
SECRET = {"file": "/password"}
CLOSED = {"/d/tls.key": 0o600}

FILES = [
    # Dates
    Case("good chain", one(lambda p: p.chain()), F, FINE),
    Case("expired", short((-90, -2)), F, "chain=pass expiry=fail:expired key=pass trust=pass"),
    Case("not yet valid", short((2, 92)), F, "chain=pass expiry=fail:not-yet-valid key=pass trust=pass"),
    Case("20 of 90 days left", short((-70, 20)), F, "chain=pass expiry=warn:expiring key=pass trust=pass"),
    Case("5 of 90 days left", short((-85, 5)), F, "chain=pass expiry=fail:expiring key=pass trust=pass"),
    Case("of 6 days, 4 left", short((-2, 4)), F, FINE),
    Case("of 6 days, 1 left", short((-5, 1)), F, "chain=pass expiry=warn:expiring key=pass trust=pass"),
    Case("of 24 hours, 12 left", short((-0.5, 0.5)), F, FINE),
    Case("of 24 hours, 1 left", short((-23 / 24, 1 / 24)), F, "chain=pass expiry=fail:expiring key=pass trust=pass"),
    Case("expired intermediate", one(lambda p: (s := p.authority("Old", days=(-90, -1))) and p.leaf(issuer=s).pem + s.pem), F, "chain=pass expiry=fail:expired key=pass trust=pass"),
    Case("an older self of the root has expired, sent along", one(lambda p: p.chain() + p.crossed.pem), F, "chain=pass expiry=warn:expired-needless key=pass trust=pass"),
    Case("the same, of the intermediate", one(lambda p: p.good.pem + p.authority("Lab Sub", key=p.sub.key, days=(-90, -1)).pem + p.sub.pem), F, "chain=pass expiry=warn:expired-needless key=pass trust=pass"),
    Case("an expired stranger in between", one(lambda p: p.chain() + p.leaf(days=(-90, -1)).pem), F, f"{FINE} chain/extra=warn:unrelated"),
    Case("the authority above has expired", lambda p: {F: (r := p.old_root) and p.leaf(issuer=r).pem, "/x.pem": r.pem}, {"at": F, "ca_file": "/x.pem"}, "chain=pass expiry=fail:expired key=pass trust=pass"),
    # Chains
    Case("root sent along", one(lambda p: p.chain() + p.root.pem), F, FINE),
    Case("issued by the root itself", one(lambda p: p.leaf(issuer=p.root).pem), F, FINE),
    Case("two intermediates", one(lambda p: (s := p.authority("Low", issuer=p.sub)) and p.leaf(issuer=s).pem + s.pem + p.sub.pem), F, FINE),
    Case("intermediate missing, address given", one(lambda p: p.leaf(aia=p.aia).pem), F, "chain=fail:intermediate-missing expiry=pass key=pass trust=skip:incomplete"),
    Case("intermediate missing, no address", one(lambda p: p.leaf().pem), F, "chain=warn:intermediate-missing expiry=pass key=pass trust=skip:incomplete"),
    Case("upper intermediate missing", one(lambda p: (s := p.authority("Low", issuer=p.sub, aia=p.aia)) and p.leaf(issuer=s, aia=p.aia).pem + s.pem), F, "chain=warn:intermediate-missing expiry=pass key=pass trust=skip:incomplete"),
    Case("misordered", one(lambda p: (s := p.authority("Low", issuer=p.sub)) and p.leaf(issuer=s).pem + p.sub.pem + s.pem), F, f"{FINE} chain/order=warn:misordered"),
    Case("the server's comes last", one(lambda p: p.sub.pem + p.good.pem), F, f"{FINE} chain/order=fail:leaf-not-first"),
    Case("a stranger in between", one(lambda p: p.chain() + p.stranger.pem), F, f"{FINE} chain/extra=warn:unrelated"),
    Case("the wrong intermediate", one(lambda p: p.good.pem + p.strange_sub.pem), F, "chain=warn:intermediate-missing chain/extra=warn:unrelated expiry=pass key=pass trust=skip:incomplete"),
    Case("same name, another key above", one(lambda p: p.good.pem + p.authority("Lab Sub").pem), F, "chain=warn:intermediate-missing chain/extra=warn:unrelated expiry=pass key=pass trust=skip:incomplete"),
    Case("twice the same", one(lambda p: p.chain() + p.sub.pem), F, FINE),
    Case("missing, misplaced and strange at once", one(lambda p: p.stranger.pem + p.good.pem), F, "chain=warn:intermediate-missing chain/order=fail:leaf-not-first chain/extra=warn:unrelated expiry=pass key=pass trust=skip:incomplete"),
    Case("authorities and no server", one(lambda p: p.root.pem + p.stranger.pem), F, "chain=skip:authorities expiry=pass"),
    # Trust
    Case("self-signed", one(lambda p: p.self_signed.pem), F, "expiry=pass key=pass trust=warn:self-signed"),
    Case("self-signed as openssl req makes it", one(lambda p: make(ca=True).pem), F, "expiry=pass key=pass trust=warn:self-signed"),
    Case("self-signed with a common name alone", one(lambda p: make(names=()).pem), {"at": F, "server_name": "studio.lab"}, "expiry=pass key=pass name=warn:no-names trust=warn:self-signed"),
    Case("self-signed and expired", one(lambda p: proper(days=(-90, -1)).pem), F, "expiry=fail:expired key=pass trust=warn:self-signed"),
    Case("self-signed and given as authority", one(lambda p: p.self_signed.pem), {"at": F, "ca_file": F}, "expiry=pass key=pass trust=pass"),
    Case("private authority, root sent", one(lambda p: p.leaf(issuer=p.strange_sub).pem + p.strange_sub.pem + p.stranger.pem), F, "chain=pass expiry=pass key=pass trust=warn:private-authority"),
    Case("private authority, root not sent", one(lambda p: p.leaf(issuer=p.strange_sub).pem + p.strange_sub.pem), F, "chain=warn:intermediate-missing expiry=pass key=pass trust=skip:incomplete"),
    Case("private authority, its root given", lambda p: {F: p.leaf(issuer=p.stranger).pem, "/x.pem": p.stranger.pem}, {"at": F, "ca_file": "/x.pem"}, FINE),
    Case("issued by a server's certificate", one(lambda p: (s := p.leaf(name="no authority")) and p.leaf(issuer=s).pem + s.pem + p.sub.pem), F, "chain=pass expiry=pass key=pass trust=fail:refused"),
    Case("made for clients", one(lambda p: p.chain(purpose=CLIENT_AUTH)), F, "chain=pass expiry=pass key=pass trust=fail:refused"),
    Case("extensions missing", one(lambda p: make(issuer=p.root).pem), F, "chain=pass expiry=pass key=pass trust=warn:strict"),
    Case("authorities that are none", lambda p: {F: p.chain(), "/x.pem": p.good.key_pem}, {"at": F, "ca_file": "/x.pem"}, "chain=warn:intermediate-missing expiry=pass expiry/ca_file=error:bad-authorities key=pass trust=skip:incomplete"),
    # Names
    Case("the name it must be for", one(lambda p: p.chain()), {"at": F, "server_name": "studio.lab"}, f"{FINE} name=pass"),
    Case("another name", one(lambda p: p.chain()), {"at": F, "server_name": "other.lab"}, f"{FINE} name=fail:other-name"),
    Case("a wildcard", one(lambda p: p.chain(names=("*.site.lab",))), {"at": F, "server_name": "studio.site.lab"}, f"{FINE} name=pass"),
    Case("a wildcard for a whole domain", one(lambda p: p.chain(names=("*.lab",))), {"at": F, "server_name": "studio.lab"}, f"{FINE} name=fail:other-name"),
    Case("a wildcard for two labels", one(lambda p: p.chain(names=("*.site.lab",))), {"at": F, "server_name": "a.studio.site.lab"}, f"{FINE} name=fail:other-name"),
    Case("a wildcard for none", one(lambda p: p.chain(names=("*.studio.lab",))), {"at": F, "server_name": "studio.lab"}, f"{FINE} name=fail:other-name"),
    Case("an address", one(lambda p: p.chain(names=("192.0.2.7",))), {"at": F, "server_name": "192.0.2.7"}, f"{FINE} name=pass"),
    Case("an IPv6 address in other words", one(lambda p: p.chain(names=("2001:db8::1",))), {"at": F, "server_name": "2001:0db8:0:0::1"}, f"{FINE} name=pass"),
    Case("a wildcard is for no address", one(lambda p: p.chain(names=("*.0.2.7",))), {"at": F, "server_name": "192.0.2.7"}, f"{FINE} name=fail:other-name"),
    Case("an internationalised name", one(lambda p: p.chain(names=("xn--bcher-kva.lab",))), {"at": F, "server_name": "b\u00fccher.lab"}, f"{FINE} name=pass"),
    Case("only a common name", one(lambda p: p.chain(names=())), {"at": F, "server_name": "studio.lab"}, "chain=pass expiry=pass key=pass name=fail:no-names trust=pass"),
    Case("the domain of bioproxy's own", pair(lambda p: p.chain(), lambda p: p.good.key_pem), "/d", f"{FINE} name=pass key/key=fail:other-key", CLOSED, {"domain": "studio.lab", "checks": {"certificate.expiry": {"bioproxy_certificate": "/d/tls.crt", "ca_file": "/ca.pem"}}}),
    Case("another domain than bioproxy's own", lambda p: {OWN: p.chain()}, None, f"{FINE} name=fail:other-name", {}, {"domain": "other.lab"}),
    # Keys
    Case("the key beside it", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.good.key_pem), "/d", f"{FINE}", CLOSED),
    Case("another key beside it", pair(lambda p: p.chain(), lambda p: p.sub.key_pem), "/d", f"{FINE} key/key=fail:other-key", CLOSED),
    Case("a key that all may read", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.good.key_pem), "/d", f"{FINE} key/key-file=warn:key-open", {"/d/tls.key": 0o644}),
    Case("a key that all may read, in a directory of its own", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.good.key_pem), "/d", f"{FINE}", {"/d/tls.key": 0o644, "/d": 0o750}),
    Case("a key that its group may read", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.good.key_pem), "/d", f"{FINE}", {"/d/tls.key": 0o640}),
    Case("a key that its group may change", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.good.key_pem), "/d", f"{FINE} key/key-file=warn:key-open", {"/d/tls.key": 0o660}),
    Case("a key that is none", pair(lambda p: p.chain(), lambda p: b"?"), "/d", f"{FINE} key/key=error:key-bad", CLOSED),
    Case("a key that is not there", one(lambda p: p.chain()), {"at": F, "key": "/absent.key"}, f"{FINE} key/key=error:key-missing"),
    Case("a key with a password", pair(lambda p: p.good.pem + p.sub.pem, lambda p: p.locked_key(p.good, PASSWORD)), "/d", f"{FINE} key/key=error:key-locked", CLOSED),
    Case("a key with the right password", lambda p: {F: p.good.pem + p.sub.pem, "/k": p.locked_key(p.good, PASSWORD), "/password": PASSWORD}, {"at": F, "key": "/k", "password": SECRET}, f"{FINE}", {"/k": 0o600}),
    Case("RSA of 2048 bits", one(lambda p: p.chain(key=p.rsa)), F, FINE),
    Case("RSA of 1024 bits", one(lambda p: p.chain(key=p.weak_rsa)), F, "chain=pass expiry=pass key=fail:weak-key trust=pass"),
    Case("a curve of 224 bits", one(lambda p: p.chain(key=curve(224))), F, "chain=pass expiry=pass key=fail:weak-key trust=pass"),
    Case("a curve of 384 bits", one(lambda p: p.chain(key=curve(384))), F, FINE),
    Case("Ed25519, which browsers refuse", one(lambda p: p.chain(key=edwards())), F, "chain=pass expiry=pass key=warn:unusual-key trust=pass"),
    Case("signed with SHA-1", one(lambda p: p.sha1.pem), F, "chain=pass expiry=pass key/signature=fail:weak-signature trust=skip:weak-signature"),
    # Kinds of files
    Case("PEM with its key", one(lambda p: p.chain(key=p.rsa) + p.sha1.key_pem), F, FINE, {F: 0o600}),
    Case("PEM with its key, open to all", one(lambda p: p.good.pem + p.sub.pem + p.good.key_pem), F, f"{FINE} key/key-file=warn:key-open", {F: 0o644}),
    Case("PEM with another key", one(lambda p: p.chain() + p.good.key_pem), F, f"{FINE} key/key=fail:other-key", {F: 0o600}),
    Case("DER", one(lambda p: p.leaf(issuer=p.root).der), F, FINE),
    Case("PKCS#7 in PEM", one(lambda p: p.p7(PEM, p.good, p.sub)), F, FINE),
    Case("PKCS#7 in DER", one(lambda p: p.p7(DER, p.good, p.sub)), F, FINE),
    Case("PKCS#12 with a password", lambda p: {F: p.p12(PASSWORD, p.good, p.sub), "/password": PASSWORD + "\n"}, {"at": F, "password": SECRET}, f"{FINE}", {F: 0o600}),
    Case("PKCS#12 without one", one(lambda p: p.p12("", p.good, p.sub)), F, f"{FINE}", {F: 0o600}),
    Case("PKCS#12, password not given", one(lambda p: p.p12(PASSWORD, p.good)), F, "expiry=error:unread"),
    Case("PKCS#12, password wrong", lambda p: {F: p.p12(PASSWORD, p.good), "/password": "else"}, {"at": F, "password": SECRET}, "expiry=error:unread"),
    Case("PKCS#12, password file missing", one(lambda p: p.p12(PASSWORD, p.good)), {"at": F, "password": SECRET}, "expiry=error:unread"),
    Case("a Kubernetes secret in JSON", one(lambda p: p.secret(p.good, p.sub)), F, f"{FINE}", {F: 0o600}),
    Case("a Kubernetes secret with another key", one(lambda p: p.secret(p.good, p.sub, key=p.sub.key_pem)), F, f"{FINE} key/key=fail:other-key", {F: 0o600}),
    Case("a Kubernetes secret of another kind", one(lambda p: p.secret(p.good, kind="ConfigMap")), F, "expiry=error:unread"),
    Case("a Kubernetes secret in YAML", one(lambda p: b"kind: Secret\ndata:\n  tls.crt: LS0t\n"), F, "expiry=error:unread"),
    Case("a mounted secret with its authority", lambda p: {"/s/tls.crt": p.leaf(issuer=p.stranger).pem, "/s/ca.crt": p.stranger.pem}, "/s", FINE, {}, {"checks": {}}),
    Case("bioproxy's own", lambda p: {OWN: p.good.pem + p.sub.pem, "/biocolab/configs/tls.key": p.good.key_pem}, None, f"{FINE}", {"/biocolab/configs/tls.key": 0o600}),
    Case("a directory without a certificate", lambda p: {"/s": None}, "/s", "expiry=error:unread"),
    Case("a file that is not there", nothing, F, "expiry=error:unread"),
    Case("a Java keystore", one(lambda p: bytes.fromhex("feedfeed00000002")), F, "expiry=error:unread"),
    Case("a key instead", one(lambda p: p.good.key_pem), F, "expiry=error:unread"),
    Case("nothing at all", nothing, None, ""),
    # Revocation, by lists that the lab serves
    Case("not revoked", one(lambda p: p.chain(crl=f"{p.lists_at}/good.crl")), F, f"{FINE} revocation=pass"),
    Case("revoked", one(lambda p: REVOKED(p).pem + p.sub.pem), F, f"{FINE} revocation=fail:revoked"),
    Case("a list out of date", one(lambda p: p.chain(crl=f"{p.lists_at}/old.crl")), F, f"{FINE} revocation=warn:stale-crl"),
    Case("a list signed by somebody else", one(lambda p: p.chain(crl=f"{p.lists_at}/forged.crl")), F, f"{FINE} revocation=error:foreign-crl"),
    Case("a list that is none", one(lambda p: p.chain(crl=f"{p.lists_at}/junk.crl")), F, f"{FINE} revocation=error:bad-crl"),
    Case("a list without end", one(lambda p: p.chain(crl=f"{p.lists_at}/endless.crl")), F, f"{FINE} revocation=error:crl-unreached"),
    Case("a list that is packed where that is allowed", one(lambda p: p.chain(crl=f"{p.lists_at}/packed.crl")), F, f"{FINE} revocation=pass"),
    Case("no list there", one(lambda p: p.chain(crl=f"{p.lists_at}/404")), F, f"{FINE} revocation=error:crl-unreached"),
    Case("a list by ldap only", one(lambda p: p.chain(crl="ldap://pki.lab/x")), F, FINE),
    Case("a list, offline", one(lambda p: p.chain(crl=f"{p.lists_at}/good.crl")), F, f"{FINE} revocation/revocation-lists=skip:offline", offline=True),
    Case("an endpoint, offline", nothing, "127.0.0.1:1", "expiry=skip:offline", offline=True),
]  # fmt: skip


def at(url: str, name: str = "studio.lab", **more: Any) -> dict[str, Any]:
    return {"at": url, "server_name": name, **more}


ENDPOINTS = [
    Case("nginx, good", nothing, at("https://127.0.0.1:{good}"), LIVE),
    Case("nginx, as host:port", nothing, at("127.0.0.1:{good}"), LIVE),
    Case("nginx, expired", nothing, at("https://127.0.0.1:{expired}"), LIVE.replace("expiry=pass", "expiry=fail:expired")),
    Case("nginx, not yet valid", nothing, at("https://127.0.0.1:{early}"), LIVE.replace("expiry=pass", "expiry=fail:not-yet-valid")),
    Case("nginx, self-signed", nothing, at("https://127.0.0.1:{self}"), LIVE.replace("chain=pass ", "").replace("trust=pass", "trust=warn:self-signed")),
    Case("nginx, self-signed, expired and for another name", nothing, at("https://127.0.0.1:{dead}"), "expiry=fail:expired key=pass name=fail:other-name tls=pass trust=warn:self-signed"),
    Case("nginx, private authority", nothing, at("https://127.0.0.1:{private}"), LIVE.replace("trust=pass", "trust=warn:private-authority")),
    Case("nginx, made for clients", nothing, at("https://127.0.0.1:{clients}"), LIVE.replace("trust=pass", "trust=fail:refused")),
    Case("nginx, intermediate missing", nothing, at("https://127.0.0.1:{leaf}"), LIVE.replace("chain=pass", "chain=fail:intermediate-missing").replace("trust=pass", "trust=skip:incomplete")),
    Case("nginx, misordered", nothing, at("https://127.0.0.1:{misordered}"), f"{LIVE} chain/order=warn:misordered"),
    Case("nginx, a stranger in the chain", nothing, at("https://127.0.0.1:{extra}"), f"{LIVE} chain/extra=warn:unrelated"),
    Case("nginx, another name", nothing, at("https://127.0.0.1:{good}", "other.lab"), LIVE.replace("name=pass", "name=fail:other-name")),
    Case("nginx, by an address it is not for", nothing, "https://127.0.0.1:{good}", LIVE.replace("name=pass", "name=warn:other-name")),
    Case("nginx, a weak key", nothing, at("https://127.0.0.1:{weak}"), LIVE.replace("key=pass", "key=fail:weak-key")),
    Case("nginx, SHA-1", nothing, at("https://127.0.0.1:{sha1}"), LIVE.replace("key=pass", "key/signature=fail:weak-signature").replace("trust=pass", "trust=skip:weak-signature")),
    Case("nginx, TLS 1.0 still offered", nothing, at("https://127.0.0.1:{old}"), LIVE.replace("tls=pass", "tls=warn:old-tls")),
    Case("nginx, TLS 1.0 and 1.2 without 1.1", nothing, at("https://127.0.0.1:{gap}"), LIVE.replace("tls=pass", "tls=warn:old-tls")),
    Case("nginx, nothing but TLS 1.1", nothing, at("https://127.0.0.1:{oldest}"), LIVE.replace("tls=pass", "tls=fail:old-tls-only")),
    Case("nginx, TLS 1.2 only", nothing, at("https://127.0.0.1:{tls12}"), LIVE),
    Case("nginx, a client certificate wanted", nothing, at("https://127.0.0.1:{client}"), LIVE),
    Case("a client certificate demanded (made)", nothing, at("https://127.0.0.1:{demanding}"), LIVE.replace("tls=pass", "tls=warn:handshake")),
    Case("nginx, revoked", nothing, at("https://127.0.0.1:{revoked}"), f"{LIVE} revocation=fail:revoked"),
    Case("on disk and served alike", lambda p: {F: p.good.pem + p.sub.pem}, [F, at("https://127.0.0.1:{good}")], f"{LIVE} expiry=pass key=pass served=pass"),
    Case("renewed, but not loaded", lambda p: {F: p.chain(days=(-1, 89))}, [F, at("https://127.0.0.1:{good}")], f"{LIVE} {FINE} served=warn:not-loaded"),
    Case("served newer than on disk", lambda p: {F: p.chain(days=(-40, 50))}, [F, at("https://127.0.0.1:{good}")], f"{LIVE} {FINE} served=warn:other-served"),
    Case("an old copy beside the one served", lambda p: {F: p.good.pem + p.sub.pem, "/old.crt": p.chain(days=(-40, 50))}, [F, "/old.crt", at("https://127.0.0.1:{good}")], f"{LIVE} {FINE} expiry=pass key=pass served=pass"),
    Case("bioproxy's own and its domain", lambda p: {OWN: p.chain(days=(-1, 89), names=("localhost",))}, None, f"{LIVE} {FINE} name=pass served=warn:not-loaded", {}, {"domain": "localhost", "phase": "running", "ports": {"https": "{local}"}}),
    Case("one of two backends is down", nothing, at("https://two.lab:{tls12}"), f"{LIVE} served/backends=warn:backend-silent"),
    Case("two backends alike", nothing, at("https://two.lab:{good}"), f"{LIVE} served/backends=pass"),
    Case("two backends that differ", nothing, at("https://two.lab:{differing}"), f"{LIVE} served/backends=warn:backends-differ"),
    Case("two backends, one with a chain that is not complete", nothing, at("https://two.lab:{partial}"), LIVE.replace("chain=pass", "chain=warn:intermediate-missing").replace("trust=pass", "trust=skip:incomplete") + " served/backends=pass"),
    Case("two backends, the second one expired", nothing, at("https://two.lab:{late}"), LIVE.replace("expiry=pass", "expiry=fail:expired") + " served/backends=warn:backends-differ"),
    Case("PostgreSQL", nothing, "postgresql://127.0.0.1:{postgresql}/db", LIVE),
    Case("PostgreSQL, user and password in the URL", nothing, "postgres://u:p@127.0.0.1:{postgresql}", LIVE),
    Case("PostgreSQL without TLS", nothing, "postgresql://127.0.0.1:{plain_postgresql}", "expiry=error:no-tls"),
    Case("PostgreSQL asked for TLS at once", nothing, "127.0.0.1:{postgresql}", "expiry=error:no-tls"),
    Case("Mosquitto", nothing, at("mqtts://127.0.0.1:{mqtt}"), LIVE),
    Case("Mosquitto, expired", nothing, at("mqtts://127.0.0.1:{mqtt_expired}"), LIVE.replace("expiry=pass", "expiry=fail:expired")),
    Case("Redis", nothing, at("rediss://127.0.0.1:{redis}"), LIVE),
    Case("Redis without TLS", nothing, at("rediss://127.0.0.1:{plain_redis}"), "expiry=error:no-tls"),
    Case("SMTP (made)", nothing, at("smtp://127.0.0.1:{smtp}"), LIVE),
    Case("SMTP without STARTTLS (made)", nothing, at("smtp://127.0.0.1:{plain_smtp}"), "expiry=error:no-tls"),
    Case("SMTP that is busy (made)", nothing, at("smtp://127.0.0.1:{busy_smtp}"), "expiry=error:no-tls"),
    Case("LDAP (made)", nothing, at("ldap://127.0.0.1:{ldap}"), LIVE),
    Case("LDAP, long lengths (made)", nothing, at("ldap://127.0.0.1:{long_ldap}"), LIVE),
    Case("LDAP without StartTLS (made)", nothing, at("ldap://127.0.0.1:{plain_ldap}"), "expiry=error:no-tls"),
    Case("LDAPS, which is just TLS", nothing, at("ldaps://127.0.0.1:{good}"), LIVE),
    Case("nobody listens", nothing, "https://127.0.0.1:{closed}", "expiry=error:no-connection"),
    Case("nobody answers", nothing, "https://127.0.0.1:{silent}", "expiry=error:no-tls", {}, {"timeout": 4}),
    Case("SMTP that is silent", nothing, "smtp://127.0.0.1:{silent}", "expiry=error:no-tls", {}, {"timeout": 4}),
    Case("no such name", nothing, "https://nowhere.invalid", "expiry=error:no-name"),
]  # fmt: skip


def REVOKED(p: Pki) -> Made:  # noqa: N802 - a certificate of the table
    if "revoked" not in p.__dict__:
        p.__dict__["revoked"] = p.leaf(crl=f"{p.lists_at}/good.crl")
    found: Made = p.__dict__["revoked"]
    return found
