"""The code, the hello and the proof: forgiving to people, and to nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.peers import parse, protocol
from biostudio_doctor.peers.facts import Place

CODE = protocol.new_code()
KEY = protocol.key(CODE)
CLIENT, LISTENER = Place("192.0.2.7", 40000), Place("2001:db8::5", 6379)
ports = st.integers(1, 65535)


def proof(greeting: bytes, key: bytes = KEY) -> bytes:
    return protocol.proof(
        key, greeting, role="bioproxy", client=CLIENT, listener=LISTENER, ports=(443, 80)
    )


def test_a_code_has_80_bits_and_no_letter_that_is_misread() -> None:
    codes = {protocol.new_code() for _ in range(200)}
    assert len(codes) == 200 and all(len(protocol.key(code)) == 10 for code in codes)
    assert not set("".join(codes)) & set("ILOU")
    assert {letter for code in codes for letter in code} == set(protocol._ALPHABET + "-")


def test_how_a_code_is_typed_is_forgiven() -> None:
    assert protocol.key("0123-4567-89ab-cdef") == protocol.key("OI23 4567_89AB cdef")
    assert protocol.key("l1-1111-1111-1111-11") == protocol.key("1" * 16)


@given(st.text(max_size=40))
def test_what_is_no_code_is_one_line_that_does_not_repeat_it(words: str) -> None:
    try:
        assert len(protocol.key(words)) == 10
    except ValueError as error:
        said = str(error)
        assert "\n" not in said and (len(words) < 12 or words not in said)


@given(ports)
def test_a_hello_is_fixed_in_size_fresh_and_half_a_line(port: int) -> None:
    first, second = protocol.hello(KEY, port), protocol.hello(KEY, port)
    assert first != second and len(first) == len(second) == protocol.SIZE
    assert protocol.is_hello(KEY, first) and not protocol.is_hello(bytes(10), first)
    assert not set(first) & set(b"\r\n")


def test_a_proof_is_no_longer_than_its_hello_and_says_what_it_should() -> None:
    greeting = protocol.hello(KEY, 6379)
    answer = proof(greeting)
    assert len(answer) == len(greeting)
    told = protocol.understood(KEY, greeting, answer)
    assert told and (told.role, told.client, told.listener) == ("bioproxy", CLIENT, LISTENER)
    assert told.ports == (80, 443)


def test_a_proof_holds_for_its_own_hello_only() -> None:
    greeting, other = protocol.hello(KEY, 6379), protocol.hello(KEY, 6379)
    assert protocol.understood(KEY, other, proof(greeting)) is None
    assert protocol.understood(bytes(10), greeting, proof(greeting)) is None
    assert protocol.understood(KEY, greeting, proof(greeting, bytes(10))) is None
    assert protocol.understood(KEY, greeting, greeting) is None  # sent back


def test_all_ports_fit() -> None:
    greeting = protocol.hello(KEY, 1)
    many = protocol.proof(
        KEY, greeting, role="all-in-one", client=CLIENT, listener=CLIENT, ports=range(1, 60)
    )
    told = protocol.understood(KEY, greeting, many)
    assert len(many) == protocol.SIZE and told and len(told.ports) == protocol.PORTS


@given(st.integers(0, protocol.SIZE - 1), st.integers(1, 255))
def test_one_changed_byte_spoils_either(place: int, change: int) -> None:
    greeting = protocol.hello(KEY, 80)
    for frame in (bytearray(greeting), bytearray(proof(greeting))):
        frame[place] ^= change
        assert not protocol.is_hello(KEY, bytes(frame))
        assert protocol.understood(KEY, greeting, bytes(frame)) is None


@given(st.binary(max_size=300))
def test_garbage_is_neither(data: bytes) -> None:
    assert not protocol.is_hello(KEY, data)
    assert protocol.understood(KEY, protocol.hello(KEY, 80), data) is None


@pytest.mark.parametrize(
    ("given_as", "address"),
    [
        ("bioproxy=10.0.0.5", "10.0.0.5"),
        ("biostudio = node-2.lan.example.", "node-2.lan.example."),
        ("all-in-one=2001:db8::5", "2001:db8::5"),
        ("bioproxy=[2001:db8::5]", "2001:db8::5"),
        ("bioproxy=fe80::1%eth0", "fe80::1%eth0"),
        ("bioproxy=db_1", "db_1"),
    ],
)
def test_a_peer(given_as: str, address: str) -> None:
    assert parse(given_as).address == address


@pytest.mark.parametrize(
    "given_as",
    ["", "=", "bioproxy", "bioproxy=", "proxy=10.0.0.5", "bioproxy=a b", "bioproxy=10.0.0.5:80",
     "bioproxy=-x", "bioproxy=1.2.3", "bioproxy=http://x", "bioproxy=[10.0.0.5", "bioproxy=x\n"
     "y", f"bioproxy={'a' * 64}", "bioproxy=0.0.0.0", "bioproxy=::", "bioproxy=224.0.0.1",
     "bioproxy=fe80::1", "bioproxy=fe80::1%\x1b[31m", "bioproxy=fe80::1%eth0 x"],
)  # fmt: skip
def test_no_peer(given_as: str) -> None:
    with pytest.raises(ValueError, match="ROLE="):
        parse(given_as)


@given(st.text(max_size=100))
def test_any_words_are_a_peer_or_one_line(words: str) -> None:
    try:
        parse(f"bioproxy={words}")
    except ValueError as error:
        assert "\n" not in str(error)
