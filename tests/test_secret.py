"""Secrets are had from where they are kept, and say why not without themselves."""

import base64
import secrets
from urllib.parse import quote

import pytest

from biostudio_doctor.config import Secret
from biostudio_doctor.model import Finding, Result, Status, Table
from biostudio_doctor.observer import without_secrets
from biostudio_doctor.secret import SecretError, hide, hide_in, raw, reveal
from tests.conftest import MakeHost


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_file_with_or_without_a_line_end(end: str, make_host: MakeHost) -> None:
    value = secrets.token_hex(12)
    host, place = make_host({"/secret": value + end}), Secret(file="/secret")
    assert reveal(place, host) == value
    assert raw(place, host) == (value + end).encode()
    assert hide(f"x{value}x") == "x[hidden]x"


def test_an_environment_variable_is_taken_as_it_is(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = secrets.token_hex(12) + "\n"
    monkeypatch.setenv("LAB_SECRET", value)
    assert reveal(Secret(env="LAB_SECRET"), make_host({})) == value


def test_what_is_only_looked_at_is_not_taken_out_of_the_report(make_host: MakeHost) -> None:
    word = f"word{secrets.token_hex(4)}"
    raw(Secret(file="/secret"), make_host({"/secret": word}))
    assert hide(word) == word


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00", None])
def test_it_is_not_to_be_had(content: bytes | None, make_host: MakeHost) -> None:
    tree = {} if content is None else {"/secret": content}
    with pytest.raises(SecretError, match="its file /secret"):
        reveal(Secret(file="/secret"), make_host(tree))


def test_a_variable_that_is_no_text(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "\udce9\udc80"):
        monkeypatch.setenv("LAB_SECRET", value)
        with pytest.raises(SecretError, match="the environment variable LAB_SECRET"):
            reveal(Secret(env="LAB_SECRET"), make_host({}))


def test_it_is_hidden_in_every_form(make_host: MakeHost) -> None:
    value = f'p{secrets.token_hex(6)}+/ \u00e9"{secrets.token_hex(3)}'
    reveal(Secret(file="/secret"), make_host({"/secret": value}))
    encoded = value.encode()
    for before in range(4):
        for after in range(4):
            whole = base64.b64encode(b"u" * before + encoded + b"x" * after).decode()
            assert "[hidden]" in hide(whole)
    assert hide(f"https://user:{quote(value, safe='')}@host") == "https://user:[hidden]@host"
    assert hide_in({"a": [value, 1, None, {value: f"<{value}>"}]}) == {
        "a": ["[hidden]", 1, None, {"[hidden]": "<[hidden]>"}]
    }


def test_a_password_that_is_a_word_stays_in_longer_words(make_host: MakeHost) -> None:
    reveal(Secret(file="/secret"), make_host({"/secret": "postgres"}))
    assert hide("PostgreSQL, postgresql, postgres_x") == "PostgreSQL, postgresql, [hidden]_x"
    assert hide("user:postgres@host, 'postgres'") == "user:[hidden]@host, '[hidden]'"
    assert hide_in({"postgres": "postgres"}) == {"postgres": "[hidden]"}, "a field's name stays"


def test_a_report_stays_whole_whatever_the_password_is(make_host: MakeHost) -> None:
    reveal(Secret(file="/secret"), make_host({"/secret": "findings"}))
    finding = Finding(Status.ERROR, "x", "It said findings.", cause="service.findings")
    result = Result(
        id="lab.findings", title="findings", status=Status.ERROR, findings=(finding,),
        observation={"findings": "findings"}, tables=(Table("t", ("a",), (("findings",),)),),
    )  # fmt: skip
    hidden = without_secrets(result)
    assert hidden.id == "lab.findings"
    assert hidden.findings[0].summary == "It said [hidden]."
    assert hidden.findings[0].cause == "service.findings"
    assert hidden.observation == {"findings": "[hidden]"}
    assert hidden.tables[0].rows == (("[hidden]",),)
