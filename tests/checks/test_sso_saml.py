"""sso.saml, on metadata in files and on such that nginx or a lab server has over HTTPS."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from biostudio_doctor.checks.sso_saml import SamlFacts, SsoSaml
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from tests.conftest import MakeHost, context, judge, observed
from tests.lab import idp
from tests.lab.certificates import make, proper
from tests.lab.idp import Reply, Site, Trust, key_descriptor, sign_on
from tests.lab.peers import Peer, saying, silent
from tests.lab.timing import within
from tests.lab.tls_servers import Site as NginxSite
from tests.lab.tls_servers import nginx

OK = Status.PASS
SIGNER = make("idp signer", days=(-100, 900))
GOOD = idp.entity(key_descriptor(SIGNER))

pytestmark = pytest.mark.usefixtures("no_proxy")


def when(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return idp.trust(tmp_path_factory.mktemp("idp"))


@pytest.fixture
def site(trusted: Trust) -> Iterator[Site]:
    with idp.site(trusted.context) as served:
        yield served


def ask(metadata: str, host: Host | None = None, **more: Any) -> dict[str, Finding]:
    """The findings by what follows the metadata's place: '' is the document."""
    timeout = more.pop("timeout", 4)
    check = SsoSaml(context(sso={"saml": [{"metadata": metadata, **more}]}, timeout=timeout))
    carried = msgspec.json.decode(msgspec.json.encode(observed(check, host)), type=SamlFacts)
    found = judge(check, carried)
    for finding in found.values():
        assert finding.status in (OK, Status.SKIP) or finding.remedy, finding
    shown = metadata.partition("?")[0]
    return {subject.removeprefix(shown).strip(): one for subject, one in found.items()}


@pytest.fixture
def of(tmp_path: Path) -> Any:
    """Ask for metadata in a file."""

    def of_text(text: str | bytes, **more: Any) -> dict[str, Finding]:
        return ask(idp.write(tmp_path / "metadata.xml", text), **more)

    return of_text


def test_good_metadata_from_nginx(trusted: Trust) -> None:
    served = NginxSite(
        [proper(names=("127.0.0.1",), issuer=trusted.root)],
        "location = /metadata { default_type application/samlmetadata+xml; "
        f"return 200 '{GOOD}'; }}".replace("\n", ""),
    )  # fmt: skip
    with nginx({"idp": served}) as ports:
        found = ask(f"https://127.0.0.1:{ports['idp']}/metadata?appid=7", ca_file=trusted.ca_file)
    assert {subject: one.status for subject, one in found.items()} == {
        "": OK, "entity": OK, "sign-on": OK, "certificate 1": OK, "validity": OK,
        "signature": Status.SKIP,
    }  # fmt: skip
    assert (
        "The certificate 'idp signer' of signatures in https://" in found["certificate 1"].summary
    )
    assert "cannot be seen from here" in found["entity"].summary
    assert "not signed" in found["signature"].summary


def test_good_files(of: Any) -> None:
    assert of(GOOD)["entity"].status is OK
    assert of(f'<?xml version="1.0" encoding="UTF-16"?>{GOOD}'.encode("utf-16"))[""].status is OK
    assert of(b"\xef\xbb\xbf" + GOOD.encode())[""].status is OK
    signed = of(idp.entity(key_descriptor(SIGNER), inner=idp.SIGNATURE))["signature"]
    assert signed.status is Status.SKIP and "was not verified" in signed.summary
    both = idp.entities(idp.service(), GOOD)
    assert of(both)["entity"].status is OK
    named = of(idp.entities(idp.entity(id="https://b"), GOOD), entity_id="https://idp.lab/saml")
    assert named["entity"].status is OK and named["sign-on"].status is OK


_KEYED = key_descriptor(SIGNER)
_BOMB = '<!DOCTYPE a [<!ENTITY x "y">]>'


@pytest.mark.parametrize(
    ("text", "subject", "status", "cause", "words"),
    [
        ("", "", "fail", "no-xml", "no well-formed XML"),
        ("<EntityDescriptor", "", "fail", "no-xml", "no well-formed XML"),
        ('{"issuer": "x"}', "", "fail", "no-xml", "no well-formed XML"),
        ("<!DOCTYPE html><title>Sign in</title>", "", "fail", "html", "HTML page"),
        ("<rss/>", "", "fail", "no-metadata", "its root is <rss>"),
        (GOOD.replace(":2.0:metadata", ":1.1:metadata"), "", "fail", "no-metadata", "namespace"),
        (_BOMB + GOOD, "", "fail", "document-type", "DOCTYPE"),
        (f"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>{GOOD}", "", "fail", "document-type",
         "read files"),
        (GOOD + " " * (2 << 20), "", "error", "too-large",
         "was not judged: it is larger than 2 MiB"),
        (idp.service(), "entity", "fail", "no-provider", "describes a service that users sign in"),
        (idp.entity(_KEYED, id=""), "entity", "fail", "no-provider", "it has no name"),
        (idp.entity(_KEYED, protocols="urn:oasis:names:tc:SAML:1.1:protocol"), "entity", "fail",
         "no-provider", "not of SAML 2.0"),
        (idp.entities(), "entity", "fail", "no-entity", "no entity at all"),
        (idp.entities(GOOD, idp.entity(id="https://b")), "entity", "error", "several-entities",
         "https://idp.lab/saml, https://b"),
        (idp.entity(_KEYED, services=""), "sign-on", "fail", "no-sign-on", "names no address"),
        (idp.entity(_KEYED, services=sign_on("https://x", "urn:x:SOAP")), "sign-on", "fail",
         "no-sign-on", "only such by SOAP"),
        (idp.entity(_KEYED, services=sign_on("http://idp.lab/sso")), "sign-on", "fail", "not-https",
         "http://idp.lab/sso"),
        (idp.entity(), "certificate", "fail", "no-certificate",
         "no certificate for its signatures"),
        (idp.entity(key_descriptor(SIGNER, ' use="encryption"')), "certificate", "fail",
         "no-certificate", "no certificate for its signatures"),
        (idp.entity(key_descriptor(b"0123456789")), "certificate", "fail", "bad-certificate",
         "cannot be read"),
        (idp.entity(_KEYED + key_descriptor(b"0123456789")), "certificate", "warn",
         "bad-certificate", "cannot be read"),
        (idp.entity(_KEYED, attributes=' validUntil="soon"'), "validity", "warn", "odd-validity",
         "validUntil 'soon'"),
        (idp.entity(_KEYED, attributes=' cacheDuration="6 hours"'), "validity", "warn",
         "odd-validity", "cacheDuration '6 hours'"),
        (idp.entity(_KEYED, attributes=f' validUntil="{when(days=-1)}"'), "validity", "fail",
         "expired", "ended on"),
        (idp.entity(_KEYED, attributes=f' validUntil="{when(days=10)}"'), "validity", "warn",
         "expiring", "end soon"),
        (idp.entity(_KEYED, attributes=f' validUntil="{when(days=90)}" cacheDuration="P1D"'),
         "validity", "pass", "", "valid until"),
        (idp.entities(GOOD, attributes=f' validUntil="{when(days=-1)}"'), "validity", "fail",
         "expired", "ended on"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_bad_files(of: Any, text: str, subject: str, status: str, cause: str, words: str) -> None:
    finding = of(text)[subject]
    assert (finding.status, finding.cause) == (status, f"sso.{cause}" if cause else "")
    assert words in finding.summary + finding.observed


@pytest.mark.parametrize(
    ("days", "status", "cause"),
    [
        ((-100, 900), "pass", ""),
        ((-400, 20), "warn", "certificate.expiring"),
        ((-400, 3), "fail", "certificate.expiring"),
        ((-400, -3), "fail", "certificate.expired"),
        ((5, 300), "fail", "certificate.not-yet-valid"),
    ],
)
def test_certificates_that_end(of: Any, days: Any, status: str, cause: str) -> None:
    one = make("signer", days=days)
    alone = of(idp.entity(key_descriptor(one)))["certificate 1"]
    assert (alone.status, alone.cause) == (status, cause)
    found = of(idp.entity(key_descriptor(one) + _KEYED))
    softened = {"fail": "warn"}.get(status, status)
    assert found["certificate 1"].status == softened and found["certificate 2"].status is OK
    if cause in ("certificate.expired", "certificate.expiring"):
        assert "side by side" in str(alone.remedy) and "Update SSL" not in str(alone.remedy)


def test_a_weak_key(of: Any) -> None:
    weak = make("weak", key=rsa.generate_private_key(65537, 1024))
    found = of(idp.entity(key_descriptor(weak)))
    assert (found["key 1"].status, found["key 1"].cause) == (Status.WARN, "sso.weak-key")


def test_entities_to_the_letter(of: Any) -> None:
    slashed = of(GOOD, entity_id="https://idp.lab/saml/")["entity"]
    assert (slashed.status, slashed.cause) == (Status.FAIL, "sso.other-entity")
    assert "https://idp.lab/saml is nearly the same" in slashed.summary
    other = of(idp.entities(GOOD, idp.service()), entity_id="x")["entity"]
    assert "https://idp.lab/saml, https://studio.lab/saml" in str(other.remedy)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply(status="404 Not Found"), "not-found"),
        (Reply(status="302 Found", headers=("Location: https://login.invalid/",)), "redirected"),
        (Reply(b"<html><form>Sign in"), "html"),
        (Reply(b""), "empty"),
        (Reply(b'{"issuer": 1}'), "no-xml"),
        (Reply(b"hello"), "no-xml"),
        (Reply(b"<a>" + b"x" * (2 << 20)), "too-large"),
        (Reply(f"{_BOMB}{GOOD}".encode()), "document-type"),
    ],
)
def test_bad_addresses(trusted: Trust, site: Site, reply: Reply, cause: str) -> None:
    site.replies["/m"] = reply
    (finding,) = ask(f"{site.url}/m", ca_file=trusted.ca_file).values()
    status = Status.ERROR if cause == "too-large" else Status.FAIL  # that limit is ours
    assert (finding.status, finding.cause) == (status, f"sso.{cause}")


def test_a_certificate_that_the_next_one_replaces(of: Any) -> None:
    old, soon = make("old", days=(-900, -5)), make("soon", days=(-1000, 12))
    for first in (old, soon):
        found = of(idp.entity(key_descriptor(first) + _KEYED))
        assert found["certificate 2"].status is OK
        ending = found["certificate 1"]
        assert ending.status is Status.WARN and "these same metadata" in str(ending.remedy)
    alone = of(idp.entity(key_descriptor(old)))["certificate 1"]
    assert alone.status is Status.FAIL and "its next certificate" in str(alone.remedy)


def test_fetched_metadata_may_end_sooner(trusted: Trust, site: Site) -> None:
    """Federations publish such as last two days only, anew every hour."""
    for days, status in ((7, OK), (1.9, OK), (0.9, Status.WARN)):
        text = idp.entity(_KEYED, attributes=f' validUntil="{when(days=days)}"')
        site.replies["/m"] = Reply(text.encode())
        assert ask(f"{site.url}/m", ca_file=trusted.ca_file)["validity"].status is status


def test_places_that_cannot_be_read(make_host: MakeHost, trusted: Trust) -> None:
    missing = ask("/etc/idp.xml", make_host({}))[""]
    assert missing.status is Status.ERROR and "No such file" in missing.summary
    assert "directory" in ask("/etc", make_host({"etc": None}))[""].summary
    assert ask("idp.xml")[""].cause == "sso.configuration"
    plain = ask("http://idp.lab/metadata")[""]
    assert (plain.status, plain.cause) == (Status.FAIL, "sso.address")
    assert ask("https://nowhere.invalid/m")[""].cause == "sso.no-name"


def test_nothing_else_is_asked_for(trusted: Trust, site: Site, tmp_path: Path) -> None:
    """Whatever the metadata name, only they themselves are fetched."""
    with Peer(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as peer:
        there = f"http://127.0.0.1:{peer.port}/x"
        for dtd in (f"<!DOCTYPE a SYSTEM '{there}'>", f"<!DOCTYPE a [<!ENTITY % p SYSTEM '{there}'>"
                    "%p;]>", f"<!DOCTYPE a [<!ENTITY x SYSTEM '{there}'>]>"):  # fmt: skip
            site.replies["/m"] = Reply((dtd + GOOD.replace("idp.lab", "&x;", 1)).encode())
            (finding,) = ask(f"{site.url}/m", ca_file=trusted.ca_file).values()
            assert finding.cause == "sso.document-type"
        assert peer.connections == 0
    assert set(site.requests) == {"/m"}


def test_many_side_by_side(trusted: Trust, site: Site, tmp_path: Path) -> None:
    site.replies["/m"] = Reply(GOOD.encode())
    with Peer(silent) as peer:
        providers = [
            {"metadata": f"https://127.0.0.1:{peer.port}/"},
            {"metadata": f"{site.url}/m", "ca_file": trusted.ca_file},
            {"metadata": idp.write(tmp_path / "m.xml", GOOD)},
            {"metadata": str(tmp_path / "m.xml")},
        ]
        check = SsoSaml(context(sso={"saml": providers}, timeout=3))

        async def observe() -> Any:
            return await check.observe(Host())  # type: ignore[misc]

        with within(3):
            found = judge(check, anyio.run(observe))
    assert found[f"{site.url}/m entity"].status is OK
    assert found[f"{tmp_path}/m.xml (2) entity"].status is OK


def test_without_the_library(of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "defusedxml.common", None)
    (finding,) = of(GOOD).values()
    assert (finding.status, finding.cause) == (Status.ERROR, "sso.no-library")
    assert "biostudio-doctor[sso]" in str(finding.remedy)
