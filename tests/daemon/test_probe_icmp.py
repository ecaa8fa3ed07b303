"""The module icmp of /probe, in network namespaces where a ping is allowed, forbidden or lost."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import NoReturn

import pytest

from biostudio_doctor.daemon.allow import Allowed, Target
from biostudio_doctor.daemon.web import asking_icmp
from tests.daemon.probing import BLACKBOX, asked, names, samples, value, why
from tests.lab import network

ALL_GROUPS = "0 2147483647"
NOBODY = "1 0"
NAMESPACES = network.why_not() or ("" if shutil.which("unshare") else "needs unshare")


def pinged(*arguments: str, groups: str = ALL_GROUPS, setup: str = "true") -> list[list[str]]:
    """What each target answered, in a namespace with nothing but its loopback interface."""
    if NAMESPACES:
        pytest.skip(NAMESPACES)
    script = (
        "[ -w /proc/sys/net/ipv4/ping_group_range ] || exit 77; ip link set lo up && "
        f'echo {groups} > /proc/sys/net/ipv4/ping_group_range && {setup} && exec "$@"'
    )
    command = [sys.executable, "-m", "tests.daemon.pinging", *arguments]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", *command],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("/proc/sys is read-only here")
    assert done.returncode == 0, done.stderr
    pages: list[list[str]] = json.loads(done.stdout)
    return pages


def test_the_answers_are_those_of_the_blackbox_exporter() -> None:
    if not BLACKBOX:
        pytest.skip("needs prometheus-blackbox-exporter, which tests/run installs")
    targets = ("127.0.0.1", "::1", "192.0.2.1")
    for target, (ours, theirs) in zip(targets, pinged("--beside", *targets), strict=True):
        assert names(ours) == names(theirs)
        for key, number in samples(theirs).items():
            if "seconds" not in key[0]:
                assert samples(ours)[key] == number, (target, key)
        assert value(ours, "probe_success") == (target != "192.0.2.1")


def test_an_answer_has_its_times() -> None:
    ((page,), (bracketed,)) = pinged("::1", "[::1]")
    assert value(page, "probe_icmp_duration_seconds", phase="rtt") > 0
    assert value(page, "probe_icmp_reply_hop_limit") == 64
    assert value(bracketed, "probe_success") == 1


def test_no_way_there_and_no_answer_are_told_apart() -> None:
    silence = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    ((unreachable,), (silent,)) = pinged("192.0.2.1", "127.0.0.1", setup=silence)
    assert why(unreachable) == ("connect", "unreachable")
    assert why(silent) == ("request", "timeout")


def test_an_answer_to_another_question_is_none() -> None:
    silence = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all"
    ((page,),) = pinged("--forged", "127.0.0.1", setup=silence)
    assert why(page) == ("request", "timeout")


def test_a_host_that_forbids_it_is_no_fault_of_the_target() -> None:
    ((said,),) = pinged("127.0.0.1", groups=NOBODY)
    assert "probe_success" not in said and "net.ipv4.ping_group_range" in said


def test_a_kernel_that_knows_no_such_socket_is_one_failed_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made up: every kernel here knows it."""

    def unknown(*_: object) -> NoReturn:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))

    without = SimpleNamespace(**{**vars(socket), "socket": unknown})
    monkeypatch.setattr(asking_icmp, "socket", without)
    answer = asked("192.0.2.1", "icmp", "192.0.2.1")
    assert answer.status_code == 200 and why(answer.text)[0] == "connect"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("127.0.0.1:80", "leave out the port"),
        ("http://127.0.0.1/", "host"),
        ("[::1]:1", "no IPv6 address"),
        ("127.1", "four decimal numbers"),
        ("a/b", "no proper host name"),
    ],
)
def test_what_is_no_host(target: str, words: str) -> None:
    answer = asked(target, "icmp", "127.0.0.1")
    assert answer.status_code == 400 and words in answer.text


@pytest.mark.parametrize("entry", ["127.0.0.1:80", "http://127.0.0.1/", "127.0.0.2"])
def test_only_an_entry_of_every_port_admits_it(entry: str) -> None:
    target = Target(host="127.0.0.1", port=0)
    assert not Allowed([entry]).target(target)
    assert Allowed([entry, "127.0.0.1"]).target(target)
