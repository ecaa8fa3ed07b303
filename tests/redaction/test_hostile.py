"""Input made to hurt: time stays linear, pieces may be cut anywhere, nothing is redacted twice."""

import random
import secrets
import time
from collections.abc import Iterator

import pytest

from biostudio_doctor.redaction.redactor import Redactor

from . import corpus
from .keys import private_key
from .material import ALNUM, b64, pick

RND = random.Random(11)
SMALL = 100_000  # bytes; a quadratic rule needs a minute for twice as many
ENGINE = Redactor(bytes(32))


def run(text: bytes, size: int = 1 << 16) -> bytes:
    return b"".join(ENGINE.stream((text[at : at + size] for at in range(0, len(text), size)), {}))


HOSTILE: dict[str, bytes] = {
    "one long line": b"lorem ipsum 4711 ",
    "brackets": b"[",
    "nested objects": b'{"a":',
    "closing": b"}",
    "equal signs": b"=",
    "colons": b":",
    "backslashes": b"\\",
    "quotes": b'"',
    "single quotes": b"'",
    "escaped quotes": b'\\"',
    "twice escaped quotes": b'\\\\\\"',
    "spaces": b" ",
    "tabs": b"\t",
    "line ends": b"\n",
    "CR LF": b"\r\n",
    "CR": b"\r",
    "zeros": b"\0",
    "high bytes": b"\xff",
    "password=": b"password=",
    "password= with spaces": b"password = ",
    "password:": b"password: ",
    "open quotes": b'password="',
    "open value": b'"password": "\\',
    "passwords": b"pass",
    "password lines": b"password\n",
    "long name": b"a_",
    "name of dots": b"password.",
    "dashes": b"-",
    "begin": b"-----BEGIN ",
    "key begins": b"-----BEGIN RSA PRIVATE KEY-----\n",
    "key begins, escaped": b"-----BEGIN PRIVATE KEY-----\\n",
    "key ends": b"-----END PRIVATE KEY-----",
    "authorization": b"Authorization: ",
    "bearers": b"Bearer ",
    "basic": b"Authorization: Basic Og==",
    "cookies": b"Cookie: a=b; ",
    "base64": b"QUJD",
    "hex": b"0f",
    "JWT heads": b"eyJ",
    "JWT dots": b"eyJhIjoxfQ.",
    "schemes": b"://",
    "user info": b"http://a:",
    "at signs": b"@",
    "URL without end": b"http://a:b",
    "queries": b"?token=",
    "ampersands": b"&a=b",
    "tokens": b"<redacted:",
    "token kinds": b"<redacted:password:",
    "redacted": b"<redacted:password:0a1b2c3d>",
    "XML": b"<password>",
    "XML names": b'<a name="password" ',
    "dollars": b"$",
    "hashes": b"$6$a",
    "vendor": b"ghp_",
    "vendors": b"xoxb-1-",
    "AWS": b"AKIA",
    "percent": b"%3D",
    "kind": b"kind: Secret\n",
    "data": b"kind: Secret\ndata:\n  a: ",
    "yaml": b"password: |\n  ",
    "indents": b"  password:\n",
    "pod env": b"- name: PASSWORD\n",
    "pod JSON": b'{"name":"PASSWORD",',
    "SQL": b"IDENTIFIED BY '",
    "options": b"--password ",
    "flags": b" -p",
    "machine": b"machine a login b ",
    "commas": b",",
    "CSV head": b"password,",
    "pipes": b"|",
    "continued": b"password=a\\\n",
    "UTF-16": b"=\0",
    "digits": b"1",
    "underscores": b"_",
    "semicolons": b";Password=",
    "AccountKey": b"AccountKey=",
    "connection": b"host=a password=",
    "age": b"AGE-SECRET-KEY-1",
    "one rule waits, one finds": b"redis-cli mysql -pabcd1 ",
    "of one program": b"mysqladmin password a ",
    "curl": b"curl -u a: ",
    "curl goes on": b"curl \\\nmysql -pabcd1 \\\n",
    "keys in an URL": b"http://a:sk_live_aaaaaaaaaaaaaaaa1b,",
    "groups": b"tokens:{",
    "groups of cookies": b'"cookies":{"sid":"',
    "groups of lines": b"secrets:\n  a\n",
    "hooks": b"https://hooks.x/hooks/",
    "rows": b"| password | aaaaaaa1 ",
}


def seconds(text: bytes) -> float:
    began = time.process_time()
    run(text)
    return time.process_time() - began


@pytest.mark.parametrize("name", HOSTILE)
def test_twice_the_input_takes_twice_the_time(name: str) -> None:
    unit = HOSTILE[name]
    seconds(unit * 100)
    for size in (SMALL // 10, SMALL):  # the small one first, so that a bad rule costs seconds
        once = unit * (size // len(unit))
        for _attempt in range(3):  # another process may have been in the way
            first, second = seconds(once), seconds(once * 2)
            if second < 3 * first + 0.01 or second > 2:
                break
        assert second < 3 * first + 0.01, f"{name}: {first:.3f} s, twice as much {second:.3f} s"
        assert second < 4 * size / 200_000, f"{name}: {second:.3f} s for {2 * size} bytes"


def test_a_line_of_ten_megabytes_is_read_at_some_speed() -> None:
    for unit in (b"row=4711 name=alpha ", b"[", b"="):
        assert seconds(unit * (10_000_000 // len(unit))) < 8


def hidden() -> Iterator[tuple[str, bytes]]:
    """Texts with secrets, and some hundred bytes around them."""
    made = list(corpus.cases(5))
    for case in RND.sample(made, 60):
        yield f"{case.form} in {case.filetype}", b"start 1\n" + case.text + b"\nend 2\n"


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_it_does_not_matter_how_the_input_is_cut(size: int) -> None:
    for name, text in hidden():
        assert run(text, size) == run(text, len(text)), name


def test_a_secret_on_the_border_of_pieces_is_caught() -> None:
    """Of the engine's own making, and of a size that makes it write in between."""
    secret = pick(RND, ALNUM, 24)
    key = private_key(RND, 2).entries[0].value.encode()
    filler = b"2026-11-24 08:00:00 INFO ordinary line number 4711 of the log\n"
    for size in (4096, 1 << 16, 1 << 18):
        for shift in (-30, -12, -1, 0, 1):
            pad = (filler * (size // len(filler) + 1))[: size + shift]
            for line in (f"\nPG_PASSWORD={secret}\n".encode(), b"\n" + key + b"\n"):
                text = pad + line + filler * 50
                after = run(text, size)
                assert secret.encode() not in after
                assert key[60:120] not in after
                assert run(text, len(text)) == after


def test_a_secret_in_a_line_of_megabytes_is_caught() -> None:
    secret = pick(RND, ALNUM, 24)
    noise = b"row=4711 " * 300_000
    after = run(noise + f'"password":"{secret}",'.encode() + noise)
    assert secret.encode() not in after
    assert after.count(b"row=4711") == 600_000


@pytest.mark.parametrize("before", [0, 2900, 3060, 4070, 4090, 7160])
def test_a_secret_on_the_border_of_stretches_is_caught(before: int) -> None:
    secret = secrets.token_hex(20)
    line = b"a" * before + b" mysql -uroot -p" + secret.encode() + b" " + b"b " * 5000
    assert secret[6:12].encode() not in run(line + b"\n")


def test_a_key_without_end_does_not_swallow_the_log() -> None:
    """A cut file: the body goes, the ordinary lines after it stay."""
    body = b64(RND.randbytes(300)).encode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    log = b"2026-11-24 08:00:00 INFO all is well\n" * 100
    after = run(b"-----BEGIN RSA PRIVATE " + b"KEY-----\n" + b"\n".join(lines) + b"\n" + log)
    assert not any(line in after for line in lines)
    assert after.count(b"all is well") == 100


def test_a_key_without_beginning_is_caught() -> None:
    """The tail of a cut file begins in the midst of a key."""
    body = b64(RND.randbytes(600)).encode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    after = run(b"\n".join(lines) + b"\n-----END RSA PRIVATE " + b"KEY-----\nport=5432\n")
    assert not any(line in after for line in lines)
    assert b"port=5432" in after


def test_noise_never_raises() -> None:
    for size in (0, 1, 2, 1000, 100_000):
        noise = RND.randbytes(size)
        for begin in (b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"):
            assert isinstance(run(begin + noise), bytes)
            assert isinstance(run(begin + b"a\0" * size + noise), bytes)
    assert run(b"") == b""


def test_a_byte_order_mark_is_no_cloak() -> None:
    """Who begins a log with the mark of UTF-16, or leaves it away, must not hide what follows."""
    secret = pick(RND, ALNUM, 24)
    line = f"PG_PASSWORD={secret}\n"
    for text in (
        b"\xff\xfe" + line.encode(),
        b"\xfe\xff" + line.encode(),
        b"\xff\xfe" + "plain\n".encode("utf-16-le") * 9 + line.encode(),
        b"\xff\xfe" + "a log\n".encode("utf-16-le") * 2000 + b"\n" + line.encode() * 3,
        b"\xef\xbb\xbf" + line.encode(),
        line.encode("utf-16-le"),
        b"ordinary\n" + line.encode("utf-16-le"),
    ):
        assert not corpus.remnants(secret, b"", corpus.blank(run(text))), text[:80]


def test_what_looks_like_a_token_hides_nothing() -> None:
    """Who can write into a log might dress a secret as one of our tokens."""
    secret = pick(RND, ALNUM, 24)
    for dressed in (
        f"password=<redacted:{secret}",
        f"password=<redacted:password:{secret}>",
        f"password=<redacted:password:0a1b2c3d>{secret}",
    ):
        assert secret.encode() not in run(dressed.encode() + b"\n")
