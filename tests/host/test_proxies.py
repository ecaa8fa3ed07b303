"""Where proxies are named, on made files; what is read of them holds no secret."""

import json
import secrets
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.host import proxies, proxy_files
from biostudio_doctor.host.proxies import ProxyFacts
from biostudio_doctor.probes.proxy import route
from tests.conftest import MakeHost, Tree

HTTPS = {"https_proxy": "http://p:1"}
ROUTES = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n"
)
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.20.0.0
        /16 link UNICAST
Local:
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 10.20.3.4
           /32 host LOCAL
        |-- 10.20.255.255
           /32 link BROADCAST
        |-- 169.254.9.9
           /32 host LOCAL
        |-- 172.17.0.1
           /32 host LOCAL
        |-- 10.20.3.4
           /32 host LOCAL
"""
LAN: Tree = {"/proc/1/net/route": ROUTES, "/proc/1/net/fib_trie": TRIE}


def named(facts: ProxyFacts) -> dict[str, str]:
    return {f"{one.name} in {one.place}": one.url for one in facts.elsewhere}


# --- Readers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https_proxy=http://p:1\n", {"https_proxy": "http://p:1"}),
        ('export HTTPS_PROXY="http://p:1" # x\n', {"HTTPS_PROXY": "http://p:1"}),
        ("export http_proxy=http://a:1 https_proxy=http://b:2", {"http_proxy": "http://a:1",
                                                                 "https_proxy": "http://b:2"}),
        ("if x; then all_proxy='http://p:1'; fi", {"all_proxy": "http://p:1"}),
        ("# https_proxy=http://p:1\n", {}),
        ("my_https_proxy=http://p:1\nno_proxy=a\nhttps_proxy=\n", {}),
        ("https_proxy=http://p:1\nhttps_proxy=http://q:2\n", {"https_proxy": "http://q:2"}),
    ],
)  # fmt: skip
def test_shell_files(text: str, found: dict[str, str]) -> None:
    assert proxy_files.parse_shell(text) == found


APT = [
    ('Acquire::http::Proxy "http://p:1";', {"Acquire::http::Proxy": "http://p:1"}),
    ('Acquire { http { Proxy "http://p:1"; }; https::Proxy "http://q:2"; };',
     {"Acquire::http::Proxy": "http://p:1", "Acquire::https::Proxy": "http://q:2"}),
    ('acquire::HTTP::proxy "http://p:1"; // not "x"\n', {"acquire::HTTP::proxy": "http://p:1"}),
    ('/* Acquire::http::Proxy "http://p:1"; */\n// Acquire::http::Proxy "http://q:1";\n', {}),
    ('Acquire::http::Proxy "DIRECT";', {}),
    ('Acquire::http::Proxy "false";', {}),
    ('Acquire::http::Proxy::deb.lab "http://p:1";', {}),
    ('Acquire::http::Timeout "5";\nAcquire::http { Proxy "http://p:1"; }',
     {"Acquire::http::Proxy": "http://p:1"}),
    ('Acquire::http::Proxy "http://p:1";\nAcquire::http::Proxy "http://q:1";',
     {"Acquire::http::Proxy": "http://q:1"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), APT)
def test_apt(text: str, found: dict[str, str]) -> None:
    assert proxy_files.parse_apt(text) == found


@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt-config")
@pytest.mark.parametrize(("text", "found"), APT)
def test_apt_itself_understands_the_same(tmp_path: Path, text: str, found: dict[str, str]) -> None:
    (tmp_path / "apt.conf").write_text(text)
    options = ["-o", f"Dir::Etc::parts={tmp_path}/none", "-c", str(tmp_path / "apt.conf")]
    for scheme in ("http", "https"):
        key = f"Acquire::{scheme}::Proxy"
        done = subprocess.run(
            ["apt-config", *options, "shell", "VALUE", key],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        said = done.stdout.strip().removeprefix("VALUE=").strip("'")
        ours = {name.lower(): value for name, value in found.items()}.get(key.lower(), "")
        assert ours == ("" if said.lower() in ("direct", "false") else said)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[main]\nproxy=http://p:1\nproxy_password=x\n", {"proxy": "http://p:1"}),
        ("[main]\nproxy = _none_\n", {}),
        ("[main]\ngpgcheck=1\ngpgcheck=1\nproxy=http://p:1\n", {"proxy": "http://p:1"}),
        ("[other]\nproxy=http://p:1\n", {}),
        ("proxy=http://p:1\n", {}),
    ],
)
def test_dnf(text: str, found: dict[str, str]) -> None:
    assert proxy_files.parse_dnf(text) == found


def test_suse() -> None:
    text = 'PROXY_ENABLED="{}"\nHTTP_PROXY="http://p:1"\nHTTPS_PROXY=""\nNO_PROXY="a"\n'
    assert proxy_files.parse_sysconfig(text.format("yes")) == {"HTTP_PROXY": "http://p:1"}
    assert proxy_files.parse_sysconfig(text.format("no")) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"proxies": {"default": {"httpsProxy": "http://p:1", "noProxy": "a"}}}',
         {"httpsProxy": "http://p:1"}),
        ('{"proxies": {"tcp://h:2376": {"httpProxy": "http://p:1"}}, "auths": {"x": {}}}',
         {"httpProxy": "http://p:1"}),
        ('{"proxies": null}', {}), ('{"auths": {}}', {}), ("[]", {}), ("", {}),
        ('{"proxies": {"default": {"httpsProxy": 5}}}', {}), ("[" * 100_000, {}),
    ],
)  # fmt: skip
def test_docker_config(text: str, found: dict[str, str]) -> None:
    assert proxy_files.parse_docker_config(text) == found


_WORDS = st.sampled_from(
    ["Acquire", "::", "http", "Proxy", '"http://p:1"', "{", "}", ";", "//", "/*", "*/", "#", "\n",
     " ", '"', "https_proxy=", "export ", "[main]", "proxy=", "%", "\x00", "é", "|-- 10.1.2.3\n",
     " /32 host LOCAL", "999.1.1.1"]
)  # fmt: skip


@given(st.lists(_WORDS, max_size=40).map("".join) | st.text(max_size=80))
@example("|-- 999.1.1.1\n /32 host LOCAL")
def test_any_text_is_read(text: str) -> None:
    for parse in (proxy_files.parse_apt, proxy_files.parse_shell, proxy_files.parse_dnf,
                  proxy_files.parse_sysconfig, proxy_files.parse_docker_config):  # fmt: skip
        assert all(parse(text).values())
    proxies.parse_local_addresses(text)


# --- Everything together --------------------------------------------------------------------------


def test_all_places(make_host: MakeHost) -> None:
    tree: Tree = {
        "/etc/environment": "https_proxy=http://p:1\n",
        "/etc/profile.d/proxy.sh": "export HTTPS_PROXY=http://$HOST:1\n",
        "/etc/profile.d/readme": "export HTTPS_PROXY=http://no:1\n",
        "/h/.bashrc": "export all_proxy=http://p:2\n",
        "/etc/apt/apt.conf.d/95proxy": 'Acquire::http::Proxy "http://p:3";',
        "/etc/dnf/dnf.conf": "[main]\nproxy=http://p:4\n",
        "/etc/yum.conf": "-> dnf/dnf.conf",
        "/h/.condarc": "proxy_servers:\n  https: http://p:5\n",
        "/etc/pip.conf": "[global]\nproxy = p:6\n",
        "/h/.curlrc": "proxy = ftp://p\n",
        "/h/.docker/config.json": '{"proxies": {"default": {"httpsProxy": "http://p:7"}}}',
    }
    facts = proxies.look(make_host(tree), {"HOME": "/h"})
    assert named(facts) == {
        "https_proxy in /etc/environment": "http://p:1",
        "HTTPS_PROXY in /etc/profile.d/proxy.sh": "",
        "all_proxy in /h/.bashrc": "http://p:2",
        "Acquire::http::Proxy in /etc/apt/apt.conf.d/95proxy": "http://p:3",
        "proxy in /etc/dnf/dnf.conf": "http://p:4",
        "proxy_servers.https in /h/.condarc": "http://p:5",
        "proxy in /etc/pip.conf": "http://p:6",
        "proxy in /h/.curlrc": "",
    }
    assert [one.url for one in facts.for_containers] == ["http://p:7"]
    assert facts.environment == () and facts.engine is None and facts.in_force is None


def test_no_secret_is_kept(make_host: MakeHost) -> None:
    secret = secrets.token_hex(8)
    url = f"http://user:{secret}@p:1"
    odd = f"http://user:{secret}@p:port"
    unit = "/lib/systemd/system/docker.service"
    tree: Tree = {
        "/etc/environment": f"https_proxy={url}\nall_proxy={odd}\n",
        "/etc/apt/apt.conf": f'Acquire::http::Proxy "{url}";',
        "/etc/yum.conf": f"[main]\nproxy={odd}\n",
        "/root/.condarc": f"proxy_servers:\n  https: {url}\n",
        "/etc/pip.conf": f"[global]\nproxy = {odd}\n",
        "/root/.curlrc": f"proxy = {url}\n",
        "/root/.docker/config.json": json.dumps({"proxies": {"default": {"httpProxy": url}}}),
        unit: f'[Service]\nEnvironment="HTTPS_PROXY={url}"\n',
        "/etc/profile.d/a.sh": f"https_proxy=http://user:{secret}@$HOST:1\n",
        **LAN,
    }
    environ = {"https_proxy": url, "HTTPS_PROXY": odd, "http_proxy": f"{secret}@p", "no_proxy": "a"}
    facts = proxies.look(make_host(tree), environ)
    assert len(facts.environment) == 3 and len(facts.elsewhere) == 8
    assert facts.engine and facts.engine.setting and facts.engine.setting.url == "http://p:1"
    assert secret not in repr(facts) and secret.encode() not in msgspec.json.encode(facts)


def test_both_cases(make_host: MakeHost) -> None:
    def contradictions(**environ: str) -> tuple[str, ...]:
        return proxies.look(make_host({}), environ).contradictions

    assert contradictions(https_proxy="http://p:1", HTTPS_PROXY="http://q:1") == ("https_proxy",)
    assert contradictions(no_proxy="a", NO_PROXY="b") == ("no_proxy",)
    assert contradictions(https_proxy="", HTTPS_PROXY="http://q:1") == ("https_proxy",)
    assert contradictions(https_proxy="http://p:1", HTTPS_PROXY="http://p:1") == ()
    assert contradictions(HTTPS_PROXY="http://q:1") == ()
    secret, other = secrets.token_hex(4), secrets.token_hex(4)  # which no one sees
    both = {"https_proxy": f"http://u:{secret}@p:1", "HTTPS_PROXY": f"http://u:{other}@p:1"}
    assert contradictions(**both) == ("https_proxy",)


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "https_proxy"),
        ({"HTTPS_PROXY": "http://q:1", "all_proxy": "http://p:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://q:1"}, None),
        ({"https_proxy": "", "HTTPS_PROXY": "http://q:1", "ALL_PROXY": "http://p:1"}, "ALL_PROXY"),
        ({"http_proxy": "http://p:1"}, None),
    ],
)
def test_which_one_counts(make_host: MakeHost, environ: dict[str, str], name: str | None) -> None:
    found = proxies.look(make_host({}), environ).in_force
    assert (found and found.name) == name
    assert route(environ, "a.lab", 443).variable == (name or "")  # as egress.hosts goes by it


@pytest.mark.parametrize(
    ("no_proxy", "missed"),
    [
        ("", {"localhost": ("curl", "conda"), "127.0.0.1": ("curl", "conda"),
              "10.20.3.4": ("curl", "conda", "docker")}),
        ("localhost,127.0.0.1", {"10.20.3.4": ("curl", "conda", "docker")}),
        ("localhost,127.0.0.1,10.20.3.4", {}),
        ("localhost,127.0.0.1,10.0.0.0/8", {}),
        ("localhost,127.0.0.1,192.168.10.0/24", {"10.20.3.4": ("curl", "conda", "docker")}),
        ("localhost,127.0.0.1,10.", {"10.20.3.4": ("curl", "conda", "docker")}),
        ("*", {}),
    ],
)  # fmt: skip
def test_this_very_host(
    make_host: MakeHost, no_proxy: str, missed: dict[str, tuple[str, ...]]
) -> None:
    facts = proxies.look(make_host(LAN), {**HTTPS, "no_proxy": no_proxy})
    assert {one.address: one.proxied_by for one in facts.reaches if one.proxied_by} == missed
    assert [one.address for one in facts.reaches] == ["localhost", "127.0.0.1", "10.20.3.4"]
    assert [one.address for one in facts.reaches if one.by_range] == (
        ["10.20.3.4"] if "10.0.0.0/8" in no_proxy else []
    )


def test_this_machines_own_addresses() -> None:
    """By ip(8), whatever there is."""
    if not shutil.which("ip"):
        pytest.skip("needs ip")
    done = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True)
    theirs = {
        entry["local"]
        for link in json.loads(done.stdout)
        for entry in link.get("addr_info", ())
        if not entry["local"].startswith(("127.", "169.254."))
    }
    from biostudio_doctor.host import Host

    assert set(proxies.parse_local_addresses(Host().read("/proc/net/fib_trie"))) == theirs


UNIT, DROP_IN = "/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service.d/p.conf"
SERVICE = "[Service]\nExecStart=/usr/bin/dockerd\n"


@pytest.mark.parametrize(
    ("tree", "url", "place"),
    [
        ({UNIT: SERVICE}, None, ""),
        ({UNIT: SERVICE, DROP_IN: "[Service]\nEnvironment=HTTPS_PROXY=http://p:1\n"}, "http://p:1",
         "docker.service"),
        ({UNIT: SERVICE, DROP_IN: "[Service]\nEnvironment=ALL_PROXY=http://p:1\n"}, None, ""),
        ({UNIT: SERVICE + "EnvironmentFile=-/etc/default/docker\n",
          "/etc/default/docker": "https_proxy=http://p:1\n"}, "http://p:1", "docker.service"),
        ({UNIT: SERVICE, "/etc/default/docker": "https_proxy=http://p:1\n"}, None, ""),
        ({"/usr/bin/dockerd": "", "/etc/default/docker": "export https_proxy=http://p:1\n"},
         "http://p:1", "docker.service"),
        ({UNIT: SERVICE, DROP_IN: "[Service]\nEnvironment=HTTPS_PROXY=http://p:1\n",
          "/etc/docker/daemon.json": '{"proxies": {"https-proxy": "http://q:2"}}'}, "http://q:2",
         "/etc/docker/daemon.json"),
        ({UNIT: SERVICE, "/etc/docker/daemon.json": '{"proxies": 5}'}, None, ""),
        ({UNIT: SERVICE, "/etc/docker/daemon.json": "{"}, None, ""),
    ],
)  # fmt: skip
def test_an_engines_proxy(make_host: MakeHost, tree: Tree, url: str | None, place: str) -> None:
    engine = proxies.look(make_host(tree), {}).engine
    assert engine and engine.name == "dockerd" and engine.running is None
    said = (engine.setting.url, engine.setting.place) if engine.setting else (None, "")
    assert said == (url, place)


def test_containerd_alone(make_host: MakeHost) -> None:
    unit = "/lib/systemd/system/containerd.service"
    tree: Tree = {unit: "[Service]\nEnvironment=https_proxy=http://p:1\n"}
    engine = proxies.look(make_host(tree), {}).engine
    assert engine and engine.name == "containerd" and engine.setting
    assert engine.setting.url == "http://p:1"
