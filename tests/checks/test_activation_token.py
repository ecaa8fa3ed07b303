"""activation.token: what looks like a token, what does not, and that nothing of it is told."""

import base64
import json
import secrets
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.checks.activation_token import ActivationToken, TokenFacts
from biostudio_doctor.checks.activation_token_form import oddity
from biostudio_doctor.host import Host
from biostudio_doctor.model import NOT_CONFIGURED, Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, context, judge
from tests.lab.timing import within


def some() -> str:
    """A token as it might be; none that anybody has."""
    return secrets.token_urlsafe(32)


def utf8(words: str) -> bytes:
    return words.encode()


def jwt() -> str:
    parts = (json.dumps({"alg": "HS256"}), json.dumps({"sub": secrets.token_hex(8)}))
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, secrets.token_urlsafe(32)))


GOOD: dict[str, Callable[[], bytes]] = {
    "hexadecimal, 32": lambda: utf8(secrets.token_hex(16)),
    "hexadecimal, 64, upper case": lambda: utf8(secrets.token_hex(32).upper()),
    "URL-safe base64": lambda: utf8(some()),
    "base64 with its padding": lambda: base64.b64encode(secrets.token_bytes(31)),
    "base32": lambda: base64.b32encode(secrets.token_bytes(20)),
    "UUID": lambda: utf8(str(uuid.uuid4())),
    "UUID without its dashes": lambda: utf8(uuid.uuid4().hex),
    "signed, in three parts": lambda: utf8(jwt()),
    "with a prefix": lambda: utf8(f"bst_live_{secrets.token_hex(20)}"),
    "in groups": lambda: utf8("-".join(secrets.token_hex(2).upper() for _ in range(5))),
    "a line end after it": lambda: utf8(some() + "\n"),
    "a line end of Windows after it": lambda: utf8(some() + "\r\n"),
    "digits only": lambda: utf8("8" + str(secrets.randbelow(10**18)).zfill(18) + "17"),
    "short, as licence keys are": lambda: utf8(secrets.token_hex(5)),
    "beginning with a slash": lambda: utf8("/" + secrets.token_hex(8) + "/" + some()),
    "with an equals sign in it": lambda: utf8(secrets.token_hex(8) + "=="),
}

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "a line end": (lambda: b"\n", "empty"),
    "blanks": (lambda: b"  \t \r\n", "empty"),
    "an unbreakable blank": (lambda: utf8("\xa0\n"), "empty"),
    "a byte-order mark before it": (lambda: b"\xef\xbb\xbf" + utf8(some()), "byte-order-mark"),
    "UTF-16": (lambda: some().encode("utf-16"), "byte-order-mark"),
    "UTF-16, the other way": (lambda: b"\xfe\xff" + some().encode("utf-16-be"), "byte-order-mark"),
    "UTF-16 without a mark": (lambda: some().encode("utf-16-be"), "control"),
    "Latin-1": (lambda: utf8(some()) + b"\xe9", "encoding"),
    "random bytes": (lambda: b"\x80" + secrets.token_bytes(40), "encoding"),
    "double quotes": (lambda: utf8(f'"{some()}"\n'), "quotes"),
    "single quotes": (lambda: utf8(f"'{some()}'"), "quotes"),
    "backticks": (lambda: utf8(f"`{some()}`"), "quotes"),
    "curly quotes": (lambda: utf8(f"\u201c{some()}\u201d"), "quotes"),
    "a quote at its end only": (lambda: utf8(f'{some()}"'), "quotes"),
    "two lines": (lambda: utf8(f"{secrets.token_hex(16)}\n{secrets.token_hex(16)}\n"), "lines"),
    "a comment above": (lambda: utf8(f"# for the server\n{some()}\n"), "lines"),
    "PEM": (lambda: utf8(f"-----BEGIN TOKEN-----\n{some()}\n-----END TOKEN-----\n"), "lines"),
    "a line break before it": (lambda: utf8(f"\n{some()}"), "blanks"),
    "blank before": (lambda: utf8(f" {some()}"), "blanks"),
    "blank after": (lambda: utf8(f"{some()} \n"), "blanks"),
    "tab after": (lambda: utf8(f"{some()}\t\n"), "blanks"),
    "blank in it": (lambda: utf8(f"{secrets.token_hex(8)} {secrets.token_hex(8)}"), "blanks"),
    "Bearer": (lambda: utf8(f"Bearer {some()}"), "blanks"),
    "an unbreakable blank after": (lambda: utf8(f"{some()}\xa0"), "blanks"),
    "a NUL byte": (lambda: utf8(f"{some()}\0"), "control"),
    "an escape sequence": (lambda: utf8(f"\x1b[31m{some()}"), "control"),
    "a zero-width space": (lambda: utf8(f"{some()}\u200b"), "non-ascii"),
    "a letter with an accent": (lambda: utf8(f"{some()}\xe9{secrets.token_hex(4)}"), "non-ascii"),
    "a long dash": (lambda: utf8(f"{secrets.token_hex(8)}\u2013{some()}"), "non-ascii"),
    "COLAB_TOKEN=": (lambda: utf8(f"COLAB_TOKEN={some()}"), "assignment"),
    "token:": (lambda: utf8(f"token: {some()}"), "assignment"),
    "export": (lambda: utf8(f"export COLAB_TOKEN={some()}"), "assignment"),
    "a line of an env file": (lambda: utf8(f"BIOSTUDIO_KEY={some()}\n"), "assignment"),
    "$COLAB_TOKEN": (lambda: b"$COLAB_TOKEN", "variable"),
    "${COLAB_TOKEN}": (lambda: b"${COLAB_TOKEN}", "variable"),
    "%COLAB_TOKEN%": (lambda: b"%COLAB_TOKEN%", "variable"),
    "a template": (lambda: b"{{biostudio.token", "variable"),
    "<token>": (lambda: b"<token>", "placeholder"),
    "<words>": (lambda: b"<paste the token that you got>", "placeholder"),
    "[token]": (lambda: b"[token]", "placeholder"),
    "{token}": (lambda: b"{token}", "placeholder"),
    "TOKEN": (lambda: b"TOKEN\n", "placeholder"),
    "your_token": (lambda: b"your_token", "placeholder"),
    "YOUR-TOKEN-HERE": (lambda: b"YOUR-TOKEN-HERE", "placeholder"),
    "YourActivationToken123": (lambda: b"YourActivationToken123", "placeholder"),
    "your token here": (lambda: b"your token here", "placeholder"),
    "changeme": (lambda: b"changeme", "placeholder"),
    "xxxx": (lambda: b"xxxx", "placeholder"),
    "x in groups": (lambda: b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "placeholder"),
    "stars": (lambda: b"****************", "placeholder"),
    "dots": (lambda: b"................", "placeholder"),
    "zeros": (lambda: b"00000000-0000-0000-0000-000000000000", "placeholder"),
    "1234567890": (lambda: b"1234567890", "placeholder"),
    "abcdefgh": (lambda: b"abcdefgh", "placeholder"),
    "todo": (lambda: b"TODO", "placeholder"),
    "none": (lambda: b"None", "placeholder"),
    "a URL": (lambda: b"https://studio.bioturing.com/activate?x=1", "url"),
    "a host": (lambda: b"studio.bioturing.com", "url"),
    "www": (lambda: b"www.bioturing-studio.example/x", "url"),
    "a path": (lambda: b"/root/biostudio.token", "path"),
    "a path of home": (lambda: b"~/biostudio.token", "path"),
    "a path from here": (lambda: b"./biostudio.token", "path"),
    "a path of Windows": (lambda: b"C:\\Users\\admin\\licence.txt", "path"),
    "e-mail": (lambda: b"admin@acme-university.edu", "email"),
    "shortened by dots": (lambda: utf8(f"{secrets.token_hex(6)}..."), "cut"),
    "shortened by an ellipsis": (lambda: utf8(f"{secrets.token_hex(6)}\u2026"), "cut"),
    "masked": (lambda: utf8(f"{secrets.token_hex(4)}********{secrets.token_hex(2)}"), "cut"),
    "a comma after it": (lambda: utf8(f"{some()},"), "punctuation"),
    "five characters": (lambda: b"k3T9z", "short"),
    "a whole file": (lambda: utf8("kT3" * 9000), "long"),
}  # fmt: skip


def test_the_tables_are_long_enough() -> None:
    assert len(GOOD) >= 10 and len(BAD) >= 30


@pytest.mark.parametrize("name", GOOD)
def test_a_good_one(name: str) -> None:
    for _ in range(200):
        kept = GOOD[name]()
        assert oddity(kept) is None, kept


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one(name: str, make_host: MakeHost) -> None:
    make, wanted = BAD[name]
    kept = make()
    assert oddity(kept) == wanted
    finding = look(make_host, kept)["token"]
    perhaps = wanted in ("punctuation", "short", "long")
    assert finding.status is (Status.WARN if perhaps else Status.FAIL)
    assert finding.cause == f"activation.token-{wanted}" and finding.remedy


def observed(
    make_host: MakeHost, kept: bytes, mode: int = 0o600
) -> tuple[ActivationToken, TokenFacts]:
    host = make_host({"/token": kept})
    Path(host.path("/token")).chmod(mode)
    check = ActivationToken(context(activation={"token": {"file": "/token"}}))
    return check, check.observe(host)


def look(make_host: MakeHost, kept: bytes, mode: int = 0o600) -> dict[str, Finding]:
    check, facts = observed(make_host, kept, mode)
    assert msgspec.json.decode(msgspec.json.encode(facts), type=TokenFacts) == facts
    return judge(check, facts)


def test_what_was_verified_and_what_was_not(make_host: MakeHost) -> None:
    found = look(make_host, utf8(some()))
    assert [finding.status for finding in found.values()] == [Status.PASS, Status.PASS]
    assert "looks like one" in found["token"].summary
    assert "accepts it is not known" in found["token"].summary


@pytest.mark.parametrize("around", ["{}", '"{}"', " {}", "COLAB_TOKEN={}", "{}...", "{},", "{}\0"])
def test_nothing_of_it_is_told(around: str, make_host: MakeHost) -> None:
    token = some()
    kept = utf8(around.format(token))
    check, facts = observed(make_host, kept, 0o644)
    findings = list(check.judge(facts, check.context.requirements))
    told = (
        msgspec.json.encode(facts) + msgspec.json.encode(findings) + repr(facts).encode()
    ).decode()
    for start in range(len(token) - 7):
        assert token[start : start + 8] not in told
    # Not even its length: another one of other length gives the very same words.
    other = look(make_host, utf8(around.format(secrets.token_hex(50))), 0o644)
    assert list(other.values()) == findings


ANY = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
    st.text(alphabet="aA1 .-_/=@\"'<>%${}:*\\\u2028\x85\0", max_size=30).map(str.encode),
)


@given(ANY)
@example(b"\xe2\x80\xa8")
@example("\u3000".encode())
def test_no_bytes_raise(kept: bytes) -> None:
    oddity(kept)
    if not kept.strip():
        assert oddity(kept) == "empty"


@pytest.mark.parametrize(
    "unit", [b"a", b"a.", b"a@", b"@.", b"%a", b"\xf0\x9f\x98\x80", b"token", b"none", b"\n", b"A="]
)
def test_it_takes_no_time(unit: bytes) -> None:
    with within(1):  # what takes a time that grows with the square takes minutes
        oddity((unit * 65536)[:65536])


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o600, ""), (0o400, ""), (0o640, ""),
        (0o644, "every user of this host may read"), (0o660, "its whole group may change"),
        (0o666, "every user of this host may read"), (0o602, "every user of this host may change"),
    ],
)  # fmt: skip
def test_who_may_read_it(mode: int, said: str, make_host: MakeHost) -> None:
    finding = look(make_host, utf8(some()), mode)["token file"]
    assert finding.status is (Status.WARN if said else Status.PASS)
    assert said in finding.summary
    if said:
        assert finding.remedy and finding.remedy.commands == ("chmod 600 /token",)


def missing(config: dict[str, str], host: Host, machine: Machine = DEBIAN) -> Finding:
    check = ActivationToken(context(machine, activation={"token": config}))
    (finding,) = judge(check, check.observe(host)).values()
    assert finding.status is Status.ERROR and finding.cause == "activation.token-missing"
    return finding


def test_no_such_file(make_host: MakeHost) -> None:
    finding = missing({"file": "/none"}, make_host({}))
    assert "/none cannot be read: No such file" in finding.summary


def test_a_directory_and_a_pipe(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host({"/d": None})
    missing({"file": "/d"}, host)
    import os

    os.mkfifo(host.path("/pipe"))
    missing({"file": "/pipe"}, host)


def test_without_root_it_says_so(make_host: MakeHost) -> None:
    user = msgspec.structs.replace(DEBIAN, root=False)
    finding = missing({"file": "/none"}, make_host({}), user)
    assert finding.remedy and "as root" in finding.remedy.text


def test_an_environment_variable(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_TOKEN", raising=False)
    finding = missing({"env": "LAB_TOKEN"}, make_host({}))
    assert finding.remedy and "--preserve-env=LAB_TOKEN" in finding.remedy.text
    check = ActivationToken(context(activation={"token": {"env": "LAB_TOKEN"}}))
    for value, status in (
        (some(), Status.PASS),
        (f"'{some()}'", Status.FAIL),
        ("\udce9\udc80abcdefghij", Status.FAIL),
    ):
        monkeypatch.setenv("LAB_TOKEN", value)
        (found,) = judge(check, check.observe(make_host({}))).values()
        assert found.status is status and "the environment variable LAB_TOKEN" in found.summary


@pytest.mark.parametrize("phase", ["preinstall", "running"])
def test_none_is_configured(phase: str, make_host: MakeHost) -> None:
    check = ActivationToken(context(phase=phase))
    (finding,) = judge(check, check.observe(make_host({}))).values()
    assert (finding.status, finding.cause) == (Status.SKIP, NOT_CONFIGURED)
    assert finding.remedy and "[activation]" in finding.remedy.text
    assert "entered later" in finding.remedy.text


@pytest.mark.parametrize("kept", ["status", "activation.token", "summary", "findings"])
def test_a_token_that_is_a_word_of_the_report_breaks_nothing(kept: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(kept)
    config = tmp_path / "config.toml"
    config.write_text(f'[activation]\ntoken = {{ file = "{tmp_path}/token" }}\n')
    command = ["check", "activation.token", "--config", str(config), "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "biostudio_doctor", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    (result,) = json.loads(done.stdout)["results"]
    assert result["id"] == "activation.token" and len(result["findings"]) == 2, done.stderr
