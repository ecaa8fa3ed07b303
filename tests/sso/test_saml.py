"""SAML metadata: any bytes are understood or refused, at little cost, and nothing is fetched."""

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.sso import saml
from biostudio_doctor.sso.facts import Metadata
from tests.lab import idp
from tests.lab.certificates import make
from tests.lab.peers import Peer, saying
from tests.sso.cost import cost

LIMIT = saml.SIZE_LIMIT


def read(text: str | bytes, entity_id: str | None = None) -> Metadata:
    return saml.read(text.encode() if isinstance(text, str) else text, entity_id)


def any_of_it(data: bytes) -> None:
    try:
        found = saml.read(data)
    except saml.SamlError as error:
        assert error.cause and error.problem and "\n" not in error.problem
    else:
        assert isinstance(found, Metadata)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    any_of_it(data)


_PIECES = st.sampled_from(
    [
        idp.entity(), idp.service(), idp.entities(), idp.SIGNATURE, idp.sign_on("https://x"), "<a>",
        "</a>", "&amp;", "&x;", "<!DOCTYPE a>", "<!--", "-->", "<![CDATA[", "]]>", "<?xml ",
        'validUntil="x"', idp.key_descriptor(b"\x30\x03abc"), "\x00", "\ufffe", "xmlns=''",
    ]
)  # fmt: skip


@given(st.lists(_PIECES | st.text(max_size=5), max_size=8), st.sampled_from(["utf-8", "utf-16"]))
def test_pieces_in_any_order(pieces: list[str], encoding: str) -> None:
    any_of_it("".join(pieces).encode(encoding, "surrogatepass"))


_GOOD = idp.entities(
    idp.entity(idp.key_descriptor(make(ca=False)), attributes=' validUntil="2030-01-01T00:00:00Z"'),
    idp.service(),
)


@given(st.integers(0, len(_GOOD) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_good_metadata_with_damage(at: int, put: bytes, out: int) -> None:
    data = _GOOD.encode()
    any_of_it(data[:at] + put + data[at + out :])


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_dates(valid: str, cached: str) -> None:
    from xml.sax.saxutils import quoteattr

    attributes = f" validUntil={quoteattr(valid)} cacheDuration={quoteattr(cached)}"
    any_of_it(idp.entity(attributes=attributes).encode("utf-8", "replace"))


_BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "data",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{_BILLION}]><a>&l9;</a>'.encode(),
        b'<!DOCTYPE a [<!ENTITY q "' + b"q" * 100_000 + b'">]><a>' + b"&q;" * 100_000 + b"</a>",
        b"<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><a/>",
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/x.dtd'><a/>",
        b"<!DOCTYPE md:EntityDescriptor><a/>",
        f"<!DOCTYPE a [<!ENTITY l0 'lol'>{_BILLION}]><a>&l9;</a>".encode("utf-16"),
    ],
)
def test_document_types_are_refused(data: bytes) -> None:
    with pytest.raises(saml.SamlError) as refused:
        saml.read(data)
    assert refused.value.cause == "document-type"
    seconds, mebibytes = cost("from tests.sso.test_saml import any_of_it as work", data)
    assert seconds < 5 and mebibytes < 20, (seconds, mebibytes)


def test_nothing_is_fetched_or_read(tmp_path: os.PathLike[str]) -> None:
    secret = os.path.join(tmp_path, "secret")
    with open(secret, "w") as file:
        file.write("hush-hush")
    before = os.stat(secret).st_atime_ns
    with Peer(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as peer:
        for where in (f"file://{secret}", f"http://127.0.0.1:{peer.port}/x"):
            for kind in (f"<!ENTITY x SYSTEM '{where}'>", f"<!ENTITY % x SYSTEM '{where}'> %x;"):
                document = f"<!DOCTYPE a [{kind}]><a>&x;</a>"
                with pytest.raises(saml.SamlError) as refused:
                    read(document)
                assert "hush-hush" not in refused.value.problem
        for include in (
            f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{secret}"/></a>',
            f'<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xsi:schemaLocation="x http://127.0.0.1:{peer.port}/s.xsd"/>',
            f'<?xml-stylesheet href="http://127.0.0.1:{peer.port}/s.xsl"?><a/>',
        ):
            with pytest.raises(saml.SamlError):
                read(include)
        assert peer.connections == 0
    assert os.stat(secret).st_atime_ns == before


def _filled(start: str, piece: str, end: str) -> bytes:
    room = (LIMIT - len(start) - len(end)) // len(piece)
    return (start + piece * room + end).encode()


_MD = f'xmlns="{idp.SAML2}:metadata"'


@pytest.mark.parametrize(
    "data",
    [
        _filled("<a>", "<b/>", "</a>"),
        _filled("", "<b>", ""),
        _filled(f"<EntitiesDescriptor {_MD}>", "<EntityDescriptor/>", "</EntitiesDescriptor>"),
        ("<a " + " ".join(f'a{n}=""' for n in range(190_000)) + "/>").encode(),
        ("<a " + " ".join(f'xmlns:a{n}="u"' for n in range(120_000)) + "/>").encode(),
        _filled("<a>", "&#65;", "</a>"),
        _filled("<a>", "<!-- -->", "</a>"),
        _filled("<a>", "<?p ?>", "</a>"),
        _filled("<a b='", "x", "'/>"),
        _filled("<", "a", "/>"),
        _filled("<a>", "text\n", "</a>"),
        _filled("<a>", "<![CDATA[]]>", "</a>"),
        idp.entity(idp.key_descriptor(b"\x30" * 1_000_000)).encode(),
        idp.entity("".join(idp.key_descriptor(make()) for _ in range(1500))).encode()[:LIMIT],
    ],
    ids=range(14),
)
def test_the_worst_that_fits_costs_little(data: bytes) -> None:
    assert len(data) <= LIMIT
    seconds, mebibytes = cost("from tests.sso.test_saml import any_of_it as work", data)
    assert seconds < 5 and mebibytes < 100, (seconds, mebibytes)


def test_many_certificates_are_not_all_read() -> None:
    descriptors = idp.key_descriptor(make()) * 300
    found = read(idp.entity(descriptors))
    assert found.entity and len(found.entity.certificates) == 1
    several = "".join(idp.key_descriptor(make()) for _ in range(20))
    found = read(idp.entity(several))
    assert found.entity and len(found.entity.certificates) == 16


def test_a_provider() -> None:
    found = read(
        '<?xml version="1.0"?>'
        + idp.entity(
            idp.key_descriptor(make()) + idp.key_descriptor(make(), ' use="encryption"')
            + idp.key_descriptor(make(), ""),
            inner=idp.SIGNATURE,
            attributes=' validUntil="2030-01-01T00:00:00+02:00" cacheDuration="PT6H"',
        )
    )  # fmt: skip
    one = found.entity
    assert one and one.id == "https://idp.lab/saml" and one.is_provider and one.speaks_saml2
    assert len(one.certificates) == 2 and one.signed and one.cache_duration == "PT6H"
    assert one.valid_until == datetime(2029, 12, 31, 22, tzinfo=UTC)
    assert [service.binding for service in one.sign_on] == ["HTTP-Redirect", "HTTP-POST"]


def test_which_of_several() -> None:
    both = idp.entities(idp.entity(id="a"), idp.entities(idp.entity(id="b")), idp.service())
    found = read(both)
    assert found.entity is None and found.providers == ("a", "b") and found.count == 3
    named = read(both, "b").entity
    assert named and named.id == "b"
    assert read(both, "B").entity is None
    only = read(idp.entities(idp.service(), idp.entity(id="a"))).entity
    assert only and only.id == "a"
    first_end = read(
        idp.entities(
            idp.entity(attributes=' validUntil="2031-01-01T00:00:00"'),
            attributes=' validUntil="2030-01-01T00:00:00Z"',
        )
    ).entity
    assert first_end and first_end.valid_until == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"", "no-xml"),
        (b"not xml", "no-xml"),
        (b"<a>", "no-xml"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "no-xml"),
        (b"<!DOCTYPE html><html></html>", "html"),
        (b"<html/>", "no-metadata"),
        (b"<EntityDescriptor/>", "no-metadata"),
        (b"<rss/>", "no-metadata"),
        (b"<a>" + b"x" * LIMIT + b"</a>", "too-large"),
    ],
)
def test_what_else_it_may_be(text: bytes, cause: str) -> None:
    with pytest.raises(saml.SamlError) as refused:
        saml.read(text)
    assert refused.value.cause == cause
