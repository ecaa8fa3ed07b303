"""What Docker says of its containers; that it says it for real is tried with the ports."""

import json

from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host.containers import Container, parse_containers

ID = "3f" * 32
#: As Docker 20.10 replies, shortened.
REPLY = [
    {
        "Id": ID,
        "Names": ["/bioproxy", "/web/bioproxy"],
        "Image": "bioturing/bioproxy:1.0.28",
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"PrivatePort": 5432, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 111, "PublicPort": 111, "Type": "udp"},
        ],
    }
]


def test_a_reply() -> None:
    assert parse_containers(json.dumps(REPLY).encode()) == [
        Container(id=ID, name="bioproxy", image="bioturing/bioproxy:1.0.28", ports=(80,))
    ]


@given(st.one_of(st.binary(), st.text().map(lambda text: json.dumps([{"Id": text}]).encode())))
def test_no_reply_raises(body: bytes) -> None:
    parse_containers(body)


def test_replies_that_are_none() -> None:
    for body in (b"", b"{}", b"[1]", b'[{"Ports": 1}]', b"[" * 100_000, b'[{"Names": []}]'):
        assert [item.name for item in parse_containers(body)] in ([], [""])
