"""egress.proxy, on facts and on made file trees; a real socket stands for the engine's."""

import secrets
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from biostudio_doctor.checks.egress_proxy import EgressProxy
from biostudio_doctor.host import Host, proxies, units
from biostudio_doctor.host.proxies import EngineProxy, ProxyFacts, Reach, Setting
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.host.test_proxies import LAN
from tests.lab import engines as lab

URL = "http://proxy.lab:3128"
ALPINE = structs.replace(DEBIAN, os_id="alpine", os_like=(), systemd=False)
UNIT, DROP_IN = "/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service.d/p.conf"
EXEMPT = "localhost,127.0.0.1,10.20.3.4"


def found(
    make_host: MakeHost, environ: Mapping[str, str], tree: Tree | None = None
) -> dict[str, Finding]:
    host = make_host({**LAN, **(tree or {})})
    return judge(EgressProxy(context()), proxies.look(host, {"HOME": "/root", **environ}))


def engine(
    setting: str = "", running: str | None = None, *, shell: str = URL, machine: Machine = DEBIAN,
    **changes: object,
) -> Finding:  # fmt: skip
    """What is said of dockerd with this proxy by its files, and by its own word."""
    own = Setting(name="HTTPS_PROXY", place="docker.service", url=setting) if setting else None
    environment = (Setting(name="https_proxy", place="this environment", url=shell),)
    facts = ProxyFacts(
        environment_seen=True,
        environment=environment if shell else (),
        no_proxy="localhost",
        reaches=(Reach(address="10.20.3.4", proxied_by=("docker",)),),
        engine=EngineProxy(name="dockerd", unit="docker.service", setting=own, running=running),
    )
    return judge(EgressProxy(context(machine)), structs.replace(facts, **changes))["engine"]


# --- This environment -----------------------------------------------------------------------------


def test_no_proxy_at_all(make_host: MakeHost) -> None:
    findings = found(make_host, {})
    assert list(findings) == ["proxy"] and findings["proxy"].status is Status.PASS


def test_another_systems_tree(make_host: MakeHost) -> None:
    check = EgressProxy(context())
    findings = judge(check, check.observe(make_host({"/etc/environment": f"https_proxy={URL}"})))
    assert findings["environment"].status is Status.SKIP
    assert findings["elsewhere"].status is Status.PASS and URL in findings["elsewhere"].summary


def test_all_in_order(make_host: MakeHost) -> None:
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
    environ = {**dict.fromkeys(names, URL), "no_proxy": EXEMPT, "NO_PROXY": EXEMPT}
    tree: Tree = {UNIT: "[Service]\n", DROP_IN: f"[Service]\nEnvironment=HTTPS_PROXY={URL}\n"}
    findings = found(make_host, environ, tree)
    assert set(findings) == {"https_proxy", "http_proxy", "own addresses", "engine"}
    assert {finding.status for finding in findings.values()} == {Status.PASS}
    assert findings["https_proxy"].summary == (f"https_proxy and HTTPS_PROXY name the proxy {URL}.")


def test_a_password_in_the_environment(make_host: MakeHost) -> None:
    secret = secrets.token_hex(8)
    environ = {"https_proxy": f"http://user:{secret}@proxy.lab:3128", "no_proxy": EXEMPT}
    tree: Tree = {UNIT: "[Service]\n"}
    findings = found(make_host, environ, tree)
    assert findings["https_proxy"].status is Status.PASS
    assert "that root and all processes of this user can read" in findings["https_proxy"].summary
    assert secret not in repr(findings) and "user" not in findings["https_proxy"].observed
    remedy = findings["engine"].remedy
    assert remedy and "http://USER:PASSWORD@proxy.lab:3128" in remedy.commands[1]
    assert "each % in them doubled" in remedy.text


@pytest.mark.parametrize(
    ("environ", "subject", "status", "cause"),
    [
        ({"https_proxy": URL, "HTTPS_PROXY": "http://q:1"}, "https_proxy", Status.WARN,
         "proxy.contradiction"),
        ({"https_proxy": "", "HTTPS_PROXY": URL}, "https_proxy", Status.WARN,
         "proxy.contradiction"),
        ({"https_proxy": URL, "no_proxy": EXEMPT, "NO_PROXY": "a"}, "no_proxy", Status.WARN,
         "proxy.contradiction"),
        ({"https_proxy": "https://proxy.lab:3128"}, "https_proxy", Status.WARN, "proxy.scheme"),
        ({"HTTPS_PROXY": "socks5://proxy.lab:1080"}, "https_proxy", Status.WARN, "proxy.socks"),
        ({"https_proxy": "http://proxy.lab:port"}, "https_proxy", Status.FAIL,
         "proxy.bad-setting"),
        ({"ALL_PROXY": "http://"}, "all_proxy", Status.FAIL, "proxy.bad-setting"),
        ({"https_proxy": "http://proxy;reboot;"}, "https_proxy", Status.FAIL,
         "proxy.bad-setting"),
        ({"http_proxy": "ftp://p"}, "http_proxy", Status.FAIL, "proxy.bad-setting"),
        ({"http_proxy": URL}, "https_proxy", Status.WARN, "proxy.elsewhere"),
        ({"https_proxy": URL, "no_proxy": "localhost,127.0.0.1"}, "own addresses", Status.WARN,
         "proxy.no-proxy-lan"),
        ({"https_proxy": URL, "no_proxy": "10.20.3.4"}, "own addresses", Status.WARN,
         "proxy.no-proxy-lan"),
    ],
)  # fmt: skip
def test_faults_of_the_environment(
    make_host: MakeHost, environ: dict[str, str], subject: str, status: Status, cause: str
) -> None:
    finding = found(make_host, environ)[subject]
    assert (finding.status, finding.cause) == (status, cause) and finding.remedy


def test_https_is_corrected_to_http(make_host: MakeHost) -> None:
    finding = found(make_host, {"https_proxy": "https://proxy.lab:3128"})["https_proxy"]
    assert finding.remedy and finding.remedy.commands == (
        f"export https_proxy={URL} HTTPS_PROXY={URL}",
    )


def test_the_exact_value_to_set(make_host: MakeHost) -> None:
    environ = {"https_proxy": URL, "no_proxy": "192.168.10.0/24, .lab,localhost"}
    finding = found(make_host, environ)["own addresses"]
    wanted = "192.168.10.0/24,.lab,localhost,127.0.0.1,10.20.3.4"
    assert finding.expected == wanted and "127.0.0.1 and 10.20.3.4" in finding.summary
    assert finding.remedy and finding.remedy.commands == (
        f"export no_proxy={wanted} NO_PROXY={wanted}",
    )
    assert "bioproxy must have no proxy" in finding.remedy.text
    mended = {**environ, "no_proxy": wanted, "NO_PROXY": wanted}
    assert found(make_host, mended)["own addresses"].status is Status.PASS


def test_a_range_is_not_for_an_old_curl(make_host: MakeHost) -> None:
    environ = {"https_proxy": URL, "no_proxy": "localhost,127.0.0.1,10.0.0.0/8"}
    finding = found(make_host, environ)["own addresses"]
    assert finding.status is Status.PASS and "before 7.86" in finding.summary
    reach = Reach(address="10.20.3.4", proxied_by=("curl",), by_range=True)
    facts = proxies.look(make_host(LAN), environ)
    old = judge(EgressProxy(context()), structs.replace(facts, reaches=(reach,)))["own addresses"]
    assert old.status is Status.WARN and "too old to understand a range" in old.summary


#: Values of NO_PROXY that would do something in a shell, or that systemd would read otherwise.
HOSTILE = [
    "';touch made;'", "$(touch made)", "`touch made`", "a;touch made", 'a" "b', "a\\\\b\\n",
    "50%n%%", "a b", "$HOME", "a,*", "-n", "!x", "#",
]  # fmt: skip


def shell(directory: Path, commands: Sequence[str], variables: Sequence[str]) -> list[str]:
    """What a real sh has in variables after some commands, which must leave no file `made`."""
    show = " ".join(f'"${name}"' for name in variables)
    script = "\n".join([*commands, f"printf '%s\\0' {show}"])
    done = subprocess.run(
        ["sh", "-euc", script], cwd=directory, capture_output=True, text=True, check=True, timeout=9
    )
    assert not (directory / "made").exists()
    return done.stdout.split("\0")[:-1]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_no_proxy_stays_a_value(make_host: MakeHost, tmp_path: Path, value: str) -> None:
    finding = found(make_host, {"https_proxy": URL, "no_proxy": value})["own addresses"]
    wanted = f"{value},localhost,127.0.0.1,10.20.3.4"
    assert finding.remedy and finding.expected == wanted
    (command,) = finding.remedy.commands
    assert shlex.split(command) == ["export", f"no_proxy={wanted}", f"NO_PROXY={wanted}"]
    assert shell(tmp_path, [command], ["no_proxy", "NO_PROXY"]) == [wanted, wanted]


def test_a_line_end_is_no_part_of_an_entry(make_host: MakeHost) -> None:
    finding = found(make_host, {"https_proxy": URL, "no_proxy": "x.lab,y\nreboot\n,\udcff"})
    assert finding["own addresses"].expected == "x.lab,localhost,127.0.0.1,10.20.3.4"


# --- Other places ---------------------------------------------------------------------------------


def test_a_proxy_elsewhere_only(make_host: MakeHost) -> None:
    tree: Tree = {"/etc/apt/apt.conf.d/95p": f'Acquire::http::Proxy "{URL}";'}
    finding = found(make_host, {}, tree)["elsewhere"]
    assert (finding.status, finding.cause) == (Status.WARN, "proxy.elsewhere")
    assert f"Acquire::http::Proxy in /etc/apt/apt.conf.d/95p ({URL})" in finding.summary
    assert finding.remedy and f"export https_proxy={URL}" in finding.remedy.commands[0]
    assert "sudo has removed" not in finding.remedy.text
    by_sudo = found(make_host, {"SUDO_USER": "x"}, tree)["elsewhere"].remedy
    assert by_sudo and "sudo has removed" in by_sudo.text


def test_many_places_are_counted(make_host: MakeHost) -> None:
    tree: Tree = {f"/etc/profile.d/{name}.sh": f"https_proxy={URL}\n" for name in "abcdef"}
    assert "and 2 more" in found(make_host, {}, tree)["elsewhere"].summary


def test_proxies_for_containers(make_host: MakeHost) -> None:
    tree: Tree = {
        "/root/.docker/config.json": f'{{"proxies":{{"default":{{"httpProxy":"{URL}"}}}}}}'
    }
    finding = found(make_host, {}, tree)["containers"]
    assert (finding.status, finding.cause) == (Status.WARN, "proxy.containers")
    assert finding.remedy and "--env HTTPS_PROXY= --env https_proxy=" in finding.remedy.commands[0]


# --- Engines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "running", "shell", "status", "said"),
    [
        (URL, None, URL, Status.PASS, "as this shell does"),
        (URL, URL, URL, Status.PASS, "as this shell does"),
        ("", URL, URL, Status.PASS, "as this shell does"),
        (URL, None, "https://proxy.lab:3128", Status.PASS, "as this shell does"),
        ("", None, URL, Status.WARN, "dockerd has no proxy"),
        ("", "", URL, Status.WARN, "dockerd has no proxy"),
        ("http://q:1", None, URL, Status.WARN, "while this shell goes through"),
        (URL, "http://q:1", URL, Status.WARN, "goes out through http://q:1, while"),
        (URL, "", URL, Status.WARN, "not restarted since"),
        (URL, "", "", Status.WARN, "not restarted since"),
        (URL, URL, "", Status.WARN, "but this shell has none"),
    ],
)
def test_engines(setting: str, running: str | None, shell: str, status: Status, said: str) -> None:
    finding = engine(setting, running, shell=shell)
    assert finding.status is status and said in finding.summary
    assert finding.cause == ("proxy.engine" if status is Status.WARN else "")


def test_the_drop_in_to_write() -> None:
    remedy = engine().remedy
    assert remedy and remedy.commands == (
        "mkdir -p /etc/systemd/system/docker.service.d",
        f"printf '%s\\n' '[Service]' 'Environment=\"HTTP_PROXY={URL}\"' "
        f"'Environment=\"HTTPS_PROXY={URL}\"' 'Environment=\"NO_PROXY=localhost,10.20.3.4\"' "
        "> /etc/systemd/system/docker.service.d/http-proxy.conf",
        "systemctl daemon-reload",
        "systemctl restart docker",
    )


def test_the_drop_in_does_what_it_should(make_host: MakeHost) -> None:
    """Run by a real shell, and read back."""
    host = make_host({UNIT: "[Service]\n"})
    remedy = engine().remedy
    assert remedy
    for command in remedy.commands[:2]:
        subprocess.run(command.replace("/etc/", f"{host.root}/etc/"), shell=True, check=True)
    facts = proxies.look(host, {"https_proxy": URL})
    assert facts.engine and facts.engine.setting and facts.engine.setting.url == URL


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("machine", [DEBIAN, ALPINE], ids=["systemd", "OpenRC"])
def test_a_hostile_no_proxy_stays_a_value_for_the_engine(
    make_host: MakeHost, tmp_path: Path, value: str, machine: Machine
) -> None:
    host = make_host({UNIT: "[Service]\n", "/etc/conf.d/docker": ""})
    remedy = engine(no_proxy=value, machine=machine).remedy
    assert remedy
    inside = [
        command.replace("/etc/", f"{host.root}/etc/")
        for command in remedy.commands
        if "/etc/" in command
    ]
    names, wanted = ["HTTPS_PROXY", "NO_PROXY"], [URL, f"{value},10.20.3.4"]
    if machine.systemd:
        shell(tmp_path, inside, [])
        assert units.environment(host, "docker.service", names) == dict(
            zip(names, wanted, strict=True)
        )
    else:
        start = f". {host.root}/etc/conf.d/docker"
        assert shell(tmp_path, [*inside, start], names) == wanted


def test_the_word_of_an_engine_stays_a_value(tmp_path: Path) -> None:
    said = "http://x;touch made"
    remedy = engine("", said, shell="").remedy
    assert remedy and shell(tmp_path, remedy.commands, ["https_proxy", "HTTPS_PROXY"]) == [
        said, said,
    ]  # fmt: skip


def test_without_systemd() -> None:
    remedy = engine(machine=ALPINE).remedy
    assert remedy and remedy.commands[0].endswith(">> /etc/conf.d/docker")
    assert remedy.commands[-1] == "rc-service docker restart"


def test_other_troubles_of_an_engine() -> None:
    bad = Setting(name="HTTPS_PROXY", place="docker.service", problem="names no host")
    finding = engine(engine=EngineProxy(name="dockerd", unit="docker.service", setting=bad))
    assert (finding.status, finding.cause) == (Status.FAIL, "proxy.bad-setting")
    hidden = EngineProxy(name="dockerd", unit="docker.service", unread=("/etc/secret.conf",))
    assert engine(engine=hidden).status is Status.ERROR
    assert engine(engine=structs.replace(hidden, running=URL)).status is Status.PASS
    assert engine(engine=None).status is Status.SKIP


@pytest.mark.skipif(lab.why_not() is not None, reason=str(lab.why_not()))
def test_a_real_engine_says_what_it_runs_with() -> None:
    secret = secrets.token_hex(8)
    shell = f"http://user:{secret}@proxy.lab:3128"
    engines = lab.Engines()
    try:
        engines.write("/usr/sbin/dockerd", "")
        engines.containerd()
        engines.dockerd(before=f"export HTTPS_PROXY={shell}")
        facts = proxies.look(Host(str(engines.root)), {"https_proxy": shell})
    finally:
        engines.close()
    assert facts.engine and (facts.engine.setting, facts.engine.running) == (None, URL)
    finding = judge(EgressProxy(context()), facts)["engine"]
    assert finding.status is Status.PASS and "as this shell does" in finding.summary
    assert secret not in repr(facts) and secret not in repr(finding)


def test_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", URL)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    check = EgressProxy(context())
    assert URL in judge(check, check.observe(Host()))["https_proxy"].summary
