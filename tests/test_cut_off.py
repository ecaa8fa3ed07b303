"""With the network cut off the whole `check` still ends in time and names the failing phase."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from biostudio_doctor import registry, requirements
from tests.lab.timing import SLACK

HOSTS = {endpoint.host for endpoint in requirements.load().hosts}

#: Packets leave by a pair of devices in the namespace itself and are for nobody: silence.
_BLACK_HOLE = """
ip link set lo up
ip link add out type veth peer name nowhere
ip address add 192.0.2.2/24 dev out
ip link set out up
ip link set nowhere up
ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out
ip route add default via 192.0.2.1
mount --bind "$0" /etc/resolv.conf
mount --bind "$1" /etc/hosts
shift
exec "$@"
"""


def why_not() -> str:
    try:
        done = subprocess.run(
            ["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"needs unshare, of util-linux: {error.strerror}"
    return f"namespaces are not allowed here: {done.stderr.strip()}" if done.returncode else ""


pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


def check(*before: str, arguments: tuple[str, ...] = (), proxy: str = "") -> tuple[dict, float]:  # type: ignore[type-arg]
    """The report of `check` in a network namespace of its own, and the seconds it took."""
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = ["unshare", "--net", "--mount", *before, sys.executable, "-m", "biostudio_doctor"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "check", "--output", "json", *arguments],
        env=environ | ({"HTTPS_PROXY": proxy} if proxy else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    seconds = time.monotonic() - started
    assert done.stderr == "" and "Traceback" not in done.stdout
    return json.loads(done.stdout), seconds


def egress(report: dict) -> dict[str, dict[str, str]]:  # type: ignore[type-arg]
    (result,) = [result for result in report["results"] if result["id"] == "egress.hosts"]
    return {finding["subject"]: finding for finding in result["findings"]}


def phases(found: dict[str, dict[str, str]]) -> set[str]:
    assert set(found) > HOSTS and all(
        finding["status"] in ("fail", "warn") for finding in found.values()
    )
    return {found[host]["observed"].partition(",")[0] for host in HOSTS}


def largest_timeout() -> float:
    loaded = []
    for plugin in registry.find(registry.CHECKS).values():
        try:
            loaded.append(registry.load_check(plugin))
        except registry.PluginError:
            continue
    return max(check.timeout.total_seconds() for check in loaded)


def test_without_any_network() -> None:
    report, seconds = check()
    assert seconds < largest_timeout() + SLACK
    found = egress(report)
    assert phases(found) <= {"resolve: unreachable", "resolve: no-resolver", "resolve: refused"}
    assert all("name resolution failed" in found[host]["summary"] for host in HOSTS)


@pytest.fixture
def black_hole(tmp_path: Path) -> tuple[str, ...]:
    """The command under which everything is silence; some hosts have addresses all the same."""
    (tmp_path / "resolv.conf").write_text("nameserver 198.51.100.53\n")
    known = "\n".join(f"198.51.100.7 {host}\n2001:db8::7 {host}" for host in sorted(HOSTS)[:5])
    (tmp_path / "hosts").write_text(known + "\n")
    return ("sh", "-ec", _BLACK_HOLE, *(str(tmp_path / name) for name in ("resolv.conf", "hosts")))


def test_with_silent_name_servers_and_firewalls(black_hole: tuple[str, ...]) -> None:
    report, seconds = check(*black_hole, arguments=("egress.hosts",))
    assert seconds < 9 + SLACK
    found = egress(report)
    assert phases(found) == {"resolve: timeout", "connect: timeout"}
    for number, host in enumerate(sorted(HOSTS)):
        said = found[host]["summary"]
        if number < 5:
            assert "no answer came from 198.51.100.7 and 2001:db8::7 on TCP port 443" in said
        else:
            assert "name resolution failed, no answer came from 198.51.100.53 within 6 s" in said


def test_with_a_timeout_that_is_given(black_hole: tuple[str, ...]) -> None:
    report, seconds = check(*black_hole, arguments=("egress.hosts", "--timeout", "5"))
    assert seconds < 5 + SLACK
    found = egress(report)
    assert phases(found) == {"resolve: timeout", "connect: timeout"}
    unresolved = found[sorted(HOSTS)[-1]]["summary"]
    assert "no answer came from 198.51.100.53 within" in unresolved, "what was learnt is kept"


def test_with_a_silent_proxy(black_hole: tuple[str, ...]) -> None:
    report, seconds = check(
        *black_hole, arguments=("egress.hosts",), proxy="http://lab:word@198.51.100.9:3128"
    )
    assert seconds < 7 + SLACK
    found = egress(report)
    assert phases(found) == {"proxy: timeout"}
    assert all("http://198.51.100.9:3128 (from" in found[host]["summary"] for host in HOSTS)
    assert "word" not in json.dumps(report)
