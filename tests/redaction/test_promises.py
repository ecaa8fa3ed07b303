"""What the issue promises of redaction besides recall, seen from outside."""

import json
import re
from collections.abc import Iterator
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from biostudio_doctor.redaction.redactor import Redactor

from .corpus import remnants
from .material import ALNUM, CHANCE, b64, pick

TOKEN = re.compile(rb"<redacted:[a-z0-9-]+:[0-9a-f]{8}>")


def run(engine: Redactor, text: bytes) -> bytes:
    return b"".join(engine.stream([text], {}))


def fresh() -> str:
    return pick(CHANCE, ALNUM, 24)


def test_equal_secrets_are_equal_tokens_in_whatever_file() -> None:
    engine, secret = Redactor(CHANCE.randbytes(32)), fresh()
    texts = [f"PG_PASSWORD={secret}\n", f'{{"password": "{secret}"}}', f"db_password: '{secret}'\n",
             f"[a]\npassword = {secret}\n", f"postgresql://u:{secret}@h/d\n"]  # fmt: skip
    tokens = [TOKEN.findall(run(engine, text.encode())) for text in texts]
    assert all(len(found) == 1 for found in tokens)
    assert len({found[0].split(b":")[2] for found in tokens}) == 1
    other = TOKEN.findall(run(engine, f"PG_PASSWORD={fresh()}\n".encode()))
    assert other[0] != tokens[0][0]


def test_tokens_cannot_be_guessed_from_outside() -> None:
    text = f"PG_PASSWORD={fresh()}\n".encode()
    assert run(Redactor(CHANCE.randbytes(32)), text) != run(Redactor(CHANCE.randbytes(32)), text)
    key = CHANCE.randbytes(32)
    assert run(Redactor(key), text) == run(Redactor(key), text)


def test_a_thousand_secrets_have_a_thousand_tokens() -> None:
    engine = Redactor(CHANCE.randbytes(32))
    text = "".join(f"PASSWORD={fresh()}\n" for _ in range(1000)).encode()
    assert len(set(TOKEN.findall(run(engine, text)))) == 1000


def test_what_was_redacted_is_counted_by_kind() -> None:
    counts: dict[str, int] = {}
    engine = Redactor(CHANCE.randbytes(32))
    after = b"".join(
        engine.stream([f"PASSWORD={fresh()}\nport=1\nPASSWORD={fresh()}\n".encode()], counts)
    )
    assert sum(counts.values()) == len(TOKEN.findall(after)) == 2
    assert {kind.encode() for kind in counts} == {t.split(b":")[1] for t in TOKEN.findall(after)}


AWKWARD = ["", "ä漢", "ä\"'\\", "#&=%+/ \"'\\<>"]


def in_markup_and_code(secret: str) -> Iterator[str]:
    """By the libraries of XML and HTML, by hand, and as a Python program prints it."""
    element = ElementTree.Element("a", {"b": secret})
    element.text = secret
    for encoding in ("us-ascii", "utf-8"):
        written = ElementTree.tostring(element, encoding, xml_declaration=False).decode()
        yield from re.findall('b="(.*)">(.*)</a>', written)[0]
    for number in ("&#%d;", "&#x%x;", "&#x%X;"):
        for special in ("[&<>\"']", "[&<>\"']|[^ -~]"):
            yield re.sub(special, lambda found, as_=number: as_ % ord(found[0]), secret)
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], repr({"a": secret.encode()})[8:-2])


@pytest.mark.parametrize("extra", AWKWARD)
def test_a_known_literal_is_removed_wherever_it_stands(extra: str) -> None:
    secret = pick(CHANCE, ALNUM, 9) + extra + pick(CHANCE, ALNUM, 8)
    engine = Redactor(CHANCE.randbytes(32), literals=[secret])
    raw = secret.encode()
    percent = quote(secret, safe="")
    places = [
        raw, percent.encode(), re.sub("%..", lambda found: found[0].lower(), percent).encode(),
        json.dumps(secret)[1:-1].encode(), json.dumps(json.dumps(secret))[3:-3].encode(),
        json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        *(one.encode() for one in in_markup_and_code(secret)),
        *(b64(before.encode() + raw + b" end").encode() for before in ("", "a", "ab", "user:")),
    ]  # fmt: skip
    for place in places:
        for text in (b"the value " + place + b" was seen\n", b"x" + place + b"y", place):
            after = run(engine, text)
            assert not remnants(secret, b"the value  was seen\nxy", TOKEN.sub(b"\n", after)), text
    wide = f"note: {secret} end".encode("utf-16")
    assert not remnants(secret, b"", TOKEN.sub(b"\n", run(engine, wide).replace(b"\0", b"")))


def test_a_literal_is_found_across_any_border() -> None:
    secret = fresh()
    engine = Redactor(CHANCE.randbytes(32), literals=[secret])
    text = b"ordinary " * 20 + secret.encode() + b" ordinary" * 20
    for cut in range(150, 220):
        after = b"".join(engine.stream([text[:cut], text[cut:]], {}))
        assert secret.encode() not in after


def test_short_and_common_literals_do_not_eat_the_text() -> None:
    """A password that is a word of two letters would shred each file."""
    engine = Redactor(CHANCE.randbytes(32), literals=["", " ", "a", "\n"])
    assert run(engine, b"an ordinary line a day\n") == b"an ordinary line a day\n"


def test_rules_are_added_and_exempted() -> None:
    engine = Redactor(CHANCE.randbytes(32), rules={"sample": r"SMP-\d{6}"}, exempt=[r"fixture-\w+"])
    secret = fresh()
    text = f"sample SMP-123456 here\npassword=fixture-one\npassword={secret}\n"
    after = run(engine, text.encode())
    assert b"123456" not in after
    assert b"<redacted:sample:" in after
    assert b"password=fixture-one" in after
    assert secret.encode() not in after


def test_names_of_files_are_redacted_too() -> None:
    secret = fresh()
    engine = Redactor(CHANCE.randbytes(32), literals=[secret])
    assert secret not in engine.name(f"logs/dump-{secret}.txt")
    vendor = "ghp_" + pick(CHANCE, ALNUM, 36)
    assert vendor not in engine.name(f"logs/{vendor}.log")
    assert engine.name("logs/jupyterhub.log") == "logs/jupyterhub.log"
    named = engine.name(f"logs/{vendor}.log")
    assert "/" not in named.removeprefix("logs/")


def test_a_scan_tells_the_place_and_never_the_value() -> None:
    secret, other = fresh(), fresh()
    engine = Redactor(CHANCE.randbytes(32), literals=[secret])
    places = list(engine.scan([f"line one\nPG_PASSWORD={other}\nx {secret}\n".encode()]))
    assert [place.line for place in places] == [2, 3]
    assert places[1].column == 3
    assert not any(value in repr(places) for value in (secret, other))
    assert not list(engine.scan([b"line one\nport=5432\nPASSWORD=<redacted:password:0a1b2c3d>\n"]))


def test_neither_repr_nor_an_exception_holds_a_secret() -> None:
    secret = fresh()
    engine = Redactor(CHANCE.randbytes(32), literals=[secret])
    assert secret not in repr(engine)
    with pytest.raises(Exception) as caught:
        Redactor(CHANCE.randbytes(32), literals=[secret], rules={"bad": "("})
    assert secret not in str(caught.value)
