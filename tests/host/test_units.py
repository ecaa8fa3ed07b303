"""The environment that systemd gives to a service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import units
from tests.conftest import MakeHost

NAMES = ("HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")
UNIT = "[Unit]\nEnvironment=HTTPS_PROXY=no\n[Service]\nExecStart=/usr/bin/dockerd\n"
LIB, ETC = "/usr/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Environment=HTTPS_PROXY=http://p:1", {"HTTPS_PROXY": "http://p:1"}),
        ('Environment="HTTPS_PROXY=http://p:1" "NO_PROXY=a,b"',
         {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a,b"}),
        ("Environment = 'NO_PROXY=a b'", {"NO_PROXY": "a b"}),
        ("Environment=NO_PROXY=a \\\n  HTTPS_PROXY=b", {"NO_PROXY": "a", "HTTPS_PROXY": "b"}),
        ("Environment=HTTPS_PROXY=http://u:a%%40b@p:1", {"HTTPS_PROXY": "http://u:a%40b@p:1"}),
        ("Environment=NO_PROXY=a\nEnvironment=\nEnvironment=HTTPS_PROXY=b", {"HTTPS_PROXY": "b"}),
        ('Environment="NO_PROXY=a', {}),
        ("#Environment=NO_PROXY=a", {}),
        ("[Install]\nEnvironment=NO_PROXY=a", {}),
    ],
)  # fmt: skip
def test_lines(line: str, found: dict[str, str]) -> None:
    assert units.parse_environment(f"[Service]\n{line}\n", "Service", "Environment") == found


def test_the_last_one_counts(make_host: MakeHost) -> None:
    tree = {
        LIB: UNIT + "Environment=HTTPS_PROXY=unit NO_PROXY=unit OTHER=x\n",
        f"{LIB}.d/50-a.conf": "[Service]\nEnvironment=HTTPS_PROXY=lib\n",
        f"{ETC}.d/50-a.conf": "[Service]\nEnvironment=NO_PROXY=replaced\n",
        f"{ETC}.d/90-b.conf": "[Service]\nEnvironmentFile=-/etc/default/docker\n",
        f"{ETC}.d/90-c.txt": "[Service]\nEnvironment=NO_PROXY=txt\n",
        "/etc/default/docker": 'SSL_CERT_FILE="/ca.pem"\n',
        "/etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=SSL_CERT_FILE=/manager\n",
    }
    found = units.environment(make_host(tree), "docker.service", NAMES)
    assert found == {"HTTPS_PROXY": "unit", "NO_PROXY": "replaced", "SSL_CERT_FILE": "/ca.pem"}


def test_a_reset_in_a_drop_in(make_host: MakeHost) -> None:
    tree = {
        LIB: UNIT + "Environment=HTTPS_PROXY=unit\n",
        f"{ETC}.d/a.conf": "[Service]\nEnvironment=\nEnvironment=NO_PROXY=a\n",
        "/etc/systemd/system.conf.d/p.conf": "[Manager]\nDefaultEnvironment=HTTPS_PROXY=all\n",
    }
    found = units.environment(make_host(tree), "docker.service", NAMES)
    assert found == {"HTTPS_PROXY": "all", "NO_PROXY": "a"}


def test_a_unit_in_etc_replaces_that_of_the_package(make_host: MakeHost) -> None:
    tree = {LIB: UNIT + "Environment=NO_PROXY=lib\n", ETC: UNIT + "Environment=NO_PROXY=etc\n"}
    host = make_host(tree)
    assert units.environment(host, "docker.service", NAMES) == {"NO_PROXY": "etc"}
    assert units.exists(host, "docker.service") and not units.exists(host, "other.service")
    assert units.environment(host, "other.service", NAMES) == {}


def test_which_engine_pulls_images(make_host: MakeHost) -> None:
    def engine(*paths: str) -> tuple[str, str] | None:
        return units.engine(make_host(dict.fromkeys(paths, "")))

    assert engine() is None
    assert engine("/usr/bin/containerd") == ("containerd", "containerd.service")
    snap = "snap.docker.dockerd.service"
    assert engine(f"/etc/systemd/system/{snap}") == ("dockerd", snap)
    assert engine(LIB) == ("dockerd", "docker.service")  # both are there now


def test_what_cannot_be_read_is_told(make_host: MakeHost) -> None:
    host = make_host({LIB: UNIT, f"{ETC}.d/p.conf": "-> p.conf"})
    assert list(units.unreadable(host, "docker.service")) == [f"{ETC}.d/p.conf"]


@given(st.text(st.sampled_from("[]Service\nEnvironment=\"' \\%aAX_#\t\0é"), max_size=200))
def test_any_text_is_read(text: str) -> None:
    for name in units.parse_environment(f"[Service]\n{text}", "Service", "Environment"):
        assert name.isidentifier()
