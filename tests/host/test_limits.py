"""Limits of processes as the kernel prints them, and systemd's defaults as its files show them."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.limits import (
    FileLimit,
    open_files,
    parse_limits,
    parse_nofile,
    service_default,
)
from tests.conftest import MakeHost, Tree

CONF = "/etc/systemd/system.conf"
CURRENT = "[Manager]\n#DefaultLimitNOFILE=1024:524288\n"  # systemd 252
OLD = "[Manager]\n#DefaultLimitNOFILE=\n"  # systemd 219


@given(st.text())
def test_any_text_holds_limits_or_none(text: str) -> None:
    for limit in (*parse_limits(text).values(), parse_nofile(text)):
        for number in (limit.soft, limit.hard) if limit else ():
            assert number is None or number >= 0


def test_our_own_limit_is_what_getrlimit_says() -> None:
    said = [
        None if number == resource.RLIM_INFINITY else number
        for number in resource.getrlimit(resource.RLIMIT_NOFILE)
    ]
    assert open_files(Host(), "/proc/self") == FileLimit(*said)


def test_no_limit() -> None:
    line = "Max open files            1024                 unlimited            files     \n"
    assert parse_limits(line) == {"Max open files": FileLimit(1024, None)}


@pytest.mark.parametrize(
    ("tree", "limit"),
    [
        ({CONF: CURRENT}, FileLimit(1024, 524288)),
        ({CONF: OLD}, FileLimit(1024, 4096)),
        ({CONF: OLD + "DefaultLimitNOFILE=65536\n"}, FileLimit(65536, 65536)),
        ({CONF: CURRENT + "DefaultLimitNOFILE=infinity\n"}, FileLimit(None, None)),
        ({"/usr/lib/systemd/system.conf": CURRENT}, FileLimit(1024, 524288)),
        (
            {CONF: CURRENT, "/etc/systemd/system.conf.d/50-x.conf": "DefaultLimitNOFILE=1:2\n",
             "/usr/lib/systemd/system.conf.d/90-y.conf": "DefaultLimitNOFILE=3:4\n"},
            FileLimit(3, 4),
        ),
        (  # the same name in /etc hides that in /usr/lib
            {CONF: CURRENT, "/etc/systemd/system.conf.d/90-y.conf": "\n",
             "/usr/lib/systemd/system.conf.d/90-y.conf": "DefaultLimitNOFILE=3:4\n"},
            FileLimit(1024, 524288),
        ),
        (  # an empty value goes back to the default
            {CONF: CURRENT + "DefaultLimitNOFILE=8\n",
             "/etc/systemd/system.conf.d/9.conf": "DefaultLimitNOFILE=\n"},
            FileLimit(1024, 524288),
        ),
        ({CONF: "[Manager]\n"}, None),
        ({CONF: "DefaultLimitNOFILE=many\n"}, None),
        ({"/etc": None}, None),
    ],
    ids=["252", "219", "set", "infinity", "usr", "drop-ins", "hidden", "reset", "silent", "wrong",
         "none"],
)  # fmt: skip
def test_what_services_get(make_host: MakeHost, tree: Tree, limit: FileLimit | None) -> None:
    assert service_default(make_host(tree)) == limit
