"""Which authorities programs use: what is said of curl, git and pip is tried with the real ones."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from biostudio_doctor.host import Host, trust
from biostudio_doctor.host.trust import Program
from tests.conftest import MakeHost, Tree
from tests.lab.certificates import make
from tests.lab.peers import Peer, server_context
from tests.lab.web import https

AUTHORITY = make("Site CA", ca=True)
OTHER = make("Other CA", ca=True)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Site(NamedTuple):
    """A server whose authority is in `good` and not in `other`; `requests` that reached it."""

    url: str
    home: Path
    requests: list[bytes]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = make("localhost", names=("localhost",), issuer=AUTHORITY)
    (tmp_path / "good.pem").write_bytes(AUTHORITY.pem)
    (tmp_path / "other.pem").write_bytes(OTHER.pem)
    (tmp_path / "empty.pem").write_bytes(b"")
    requests: list[bytes] = []
    with Peer(https(server_context(tmp_path, made), NOT_FOUND, requests=requests)) as peer:
        yield Site(f"https://localhost:{peer.port}/", tmp_path, requests)


def program(host: Host, environ: Mapping[str, str], name: str) -> Program:
    return next(one for one in trust.look(host, environ).programs if one.name == name)


def said_to_verify(found: Program, home: Path) -> bool:
    """What the facts say of a server whose authority is in good.pem only."""
    if found.off:
        return True
    paths = [one.bundle.path for one in found.uses]
    good = all(one.bundle.is_good for one in found.uses)
    return good and bool(paths) and paths[0] == str(home / "good.pem")


def verifies(site: Site, command: list[str], environ: Mapping[str, str]) -> bool:
    """Whether a program's request reached the server."""
    subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", **environ},
        cwd=site.home,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return bool(site.requests)


def settings(site: Site, case: str) -> dict[str, str]:
    """NAME=file of the site's home, one after the other; .curlrc=... is that file's content."""
    environ = {"HOME": str(site.home)}
    for word in case.split("; "):
        name, _, value = word.partition("=")
        value = value.replace("@", f"{site.home}/")
        if name.startswith("."):
            (site.home / name).write_text(value + "\n")
        elif name:
            environ[name] = value
    return environ


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(
    "case",
    [
        "",
        "CURL_CA_BUNDLE=@good.pem",
        "CURL_CA_BUNDLE=@other.pem; SSL_CERT_FILE=@good.pem",
        "CURL_CA_BUNDLE=@good.pem; SSL_CERT_FILE=@none.pem",
        "CURL_CA_BUNDLE=; SSL_CERT_FILE=@good.pem",
        "CURL_CA_BUNDLE=@none.pem",
        "CURL_CA_BUNDLE=@empty.pem",
        "SSL_CERT_FILE=@none.pem",
        "REQUESTS_CA_BUNDLE=@good.pem",
        ".curlrc=insecure",
        ".curlrc=insecure; CURL_CA_BUNDLE=@none.pem",
        ".curlrc=-k",
        ".curlrc=cacert = @good.pem; CURL_CA_BUNDLE=@other.pem",
        ".curlrc=cacert = @other.pem; CURL_CA_BUNDLE=@good.pem",
    ],
)
def test_curl(site: Site, case: str) -> None:
    environ = settings(site, case)
    found = program(Host(), environ, "curl")
    command = ["curl", "-s", "--noproxy", "*", site.url]
    assert said_to_verify(found, site.home) == verifies(site, command, environ)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
@pytest.mark.parametrize(
    "case",
    [
        "GIT_SSL_CAINFO=@good.pem",
        "GIT_SSL_CAINFO=@none.pem",
        "GIT_SSL_CAINFO=@other.pem; SSL_CERT_FILE=@good.pem",
        "GIT_SSL_NO_VERIFY=0",
        "GIT_SSL_NO_VERIFY=; GIT_SSL_CAINFO=@none.pem",
    ],
)
def test_git(site: Site, case: str) -> None:
    environ = settings(site, case)
    found = program(Host(), environ, "git")
    command = ["git", "ls-remote", f"{site.url}x.git"]
    assert said_to_verify(found, site.home) == verifies(site, command, environ)


@pytest.mark.parametrize(
    "case",
    [
        "PIP_CERT=@good.pem",
        "PIP_CERT=@other.pem; REQUESTS_CA_BUNDLE=@good.pem",
        "PIP_CERT=@good.pem; CURL_CA_BUNDLE=@other.pem",
        "REQUESTS_CA_BUNDLE=@other.pem; CURL_CA_BUNDLE=@good.pem",
        "REQUESTS_CA_BUNDLE=@none.pem",
        "PIP_CONFIG_FILE=@.pip.conf; .pip.conf=[global]\ncert = @good.pem",
    ],
)
def test_pip(site: Site, case: str) -> None:
    environ = {"PIP_CONFIG_FILE": "/dev/null", **settings(site, case)}
    found = program(Host(), environ, "pip")
    options = ["--isolated"] if "PIP" not in case else []
    command = [sys.executable, "-m", "pip", *options, "--disable-pip-version-check", "download"]
    command += ["--retries", "0", "--no-cache-dir", "--index-url", site.url, "nothing-there"]
    assert said_to_verify(found, site.home) == verifies(site, command, environ)


# --- conda: requests' rules, as tried above with pip, and its own settings ------------------------

CA: Tree = {"/ca.pem": AUTHORITY.pem, "/other.pem": OTHER.pem, "/root/.condarc": ""}


@pytest.mark.parametrize(
    ("condarc", "environ", "uses", "off"),
    [
        ("", {}, [], ""),
        ("ssl_verify: /ca.pem", {}, ["/ca.pem"], ""),
        ("ssl_verify: $WHERE/ca.pem", {"WHERE": ""}, ["$WHERE/ca.pem"], ""),
        ("ssl_verify: ${WHERE}.pem", {"WHERE": "/ca"}, ["/ca.pem"], ""),
        ("ssl_verify: /none.pem", {}, ["/none.pem"], ""),
        ("ssl_verify: false", {}, [], "ssl_verify in /root/.condarc"),
        ("ssl_verify: true", {}, [], ""),
        ("ssl_verify: false", {"CONDA_SSL_VERIFY": "/ca.pem"}, ["/ca.pem"], ""),
        ("ssl_verify: /ca.pem", {"CONDA_SSL_VERIFY": "no"}, [], "CONDA_SSL_VERIFY"),
        ("ssl_verify: false", {"REQUESTS_CA_BUNDLE": "/ca.pem"}, ["/ca.pem"], ""),
        ("ssl_verify: /ca.pem", {"CURL_CA_BUNDLE": "/other.pem"}, ["/other.pem"], ""),
        ("ssl_verify: /none.pem", {"CURL_CA_BUNDLE": "/ca.pem"}, ["/ca.pem", "/none.pem"], ""),
        ("ssl_verify: truststore", {}, [], ""),
    ],
)
def test_conda(
    make_host: MakeHost, condarc: str, environ: dict[str, str], uses: list[str], off: str
) -> None:
    host = make_host({**CA, "/root/.condarc": condarc})
    found = program(host, environ, "conda")
    assert ([one.bundle.path for one in found.uses], found.off) == (uses, off)
    assert bool(found.system) == ("truststore" in condarc)


# --- Engines --------------------------------------------------------------------------------------


def test_an_engine_goes_by_its_own_unit(make_host: MakeHost) -> None:
    tree: Tree = {
        **CA,
        "/usr/bin/dockerd": "",
        "/usr/bin/containerd": "",
        "/lib/systemd/system/docker.service": "[Service]\nEnvironment=SSL_CERT_FILE=/ca.pem\n",
        "/etc/systemd/system/docker.service.d/d": "",
        "/run/systemd/system/docker.service.d/d.conf": "[Service]\nEnvironment=SSL_CERT_DIR=/a:/b",
        "/etc/docker/certs.d/registry.lab:5000/ca.crt": AUTHORITY.pem,
        "/etc/docker/certs.d/registry.lab:5000/client.key": "",
    }
    found = trust.look(make_host(tree), {"SSL_CERT_FILE": "/other.pem"}).programs
    assert [one.name for one in found] == ["curl", "pip", "conda", "dockerd"]
    assert [(one.setting, one.bundle.path) for one in found[-1].uses] == [
        ("SSL_CERT_FILE of docker.service", "/ca.pem"),
        ("SSL_CERT_DIR of docker.service", "/a"),
        ("SSL_CERT_DIR of docker.service", "/b"),
        ("for registry.lab:5000", "/etc/docker/certs.d/registry.lab:5000/ca.crt"),
    ]
