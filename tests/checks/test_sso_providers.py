"""sso.providers: presets that lead to lab servers, and the command line as a user has it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from click.testing import CliRunner

from biostudio_doctor.checks.sso_providers import ProvidersFacts, SsoProviders
from biostudio_doctor.cli import cli
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.sso import providers
from tests.conftest import context, judge, observed
from tests.lab import idp
from tests.lab.certificates import proper
from tests.lab.idp import Reply, Site
from tests.lab.network import free_port

OK = Status.PASS


class Lab:
    """A provider `lab`: its own site, one that browsers need, and one of its former name."""

    def __init__(self, own: Site, browser: Site, data: Path, ca_file: str) -> None:
        self.own, self.browser, self.ca_file = own, browser, ca_file
        self._data = data
        self.preset: dict[str, Any] = {
            "title": "Lab", "source": "made", "server": [f"{own.url}/token"],
            "browser": [f"{own.url}/authorize", f"{browser.url}/authorize"],
            "discovery": f"{own.url}/.well-known/openid-configuration", "issuer": own.url,
        }  # fmt: skip
        own.json("/.well-known/openid-configuration", idp.discovery(own.url))
        own.json("/keys", {"keys": [idp.rsa_key()]})

    def ask(self, **changes: Any) -> dict[str, Finding]:
        """The findings by what follows the title: '' is the discovery document."""
        preset = {**self.preset, **changes}
        self._data.write_text(
            tomli_w.dumps({"lab": {k: v for k, v in preset.items() if v is not None}})
        )
        trust = {"egress.hosts": {"ca_file": self.ca_file}}
        check = SsoProviders(context(sso={"providers": ["lab"]}, checks=trust, timeout=4))
        carried = msgspec.json.decode(msgspec.json.encode(observed(check)), type=ProvidersFacts)
        found = judge(check, carried)
        for finding in found.values():
            assert finding.status is OK or finding.remedy, finding
        return {subject.removeprefix("Lab").strip(): one for subject, one in found.items()}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> Iterator[Lab]:
    trusted = idp.trust(tmp_path)
    monkeypatch.setattr(providers, "DATA_FILE", tmp_path / "providers.toml")
    with idp.site(trusted.context) as own, idp.site(trusted.context) as browser:
        yield Lab(own, browser, tmp_path / "providers.toml", trusted.ca_file)


def at(site: Site) -> str:
    return site.url.removeprefix("https://")


def test_a_provider_that_is_reached(lab: Lab) -> None:
    found = lab.ask()
    assert {subject: one.status for subject, one in found.items()} == dict.fromkeys(
        ["", "keys", at(lab.own), at(lab.browser)], OK
    )
    assert "HTTP 404" in found[at(lab.own)].summary  # whatever it answers to no parameters
    assert "cannot be seen from here" in found[""].summary
    assert set(lab.own.requests) == {"/.well-known/openid-configuration", "/keys", "/token"}
    assert lab.own.requests.count("/token") == 1
    assert lab.browser.requests == ["/authorize"]


def test_one_without_a_discovery_document(lab: Lab) -> None:
    found = lab.ask(discovery=None, issuer=None)
    assert set(found) == {at(lab.own), at(lab.browser)}
    assert {one.status for one in found.values()} == {OK}


def test_authorities_that_cannot_be_had(lab: Lab) -> None:
    for file, words in (("/nowhere/ca.pem", "No such file"), (__file__, "no certificate")):
        lab.ca_file = file
        found = lab.ask()[""]
        assert (found.status, found.cause) == (Status.ERROR, "sso.configuration")
        assert file in found.summary and words in found.summary
        assert "egress.hosts" in str(found.remedy)
    assert not lab.own.requests


def test_what_this_host_needs_and_what_others_need(lab: Lab) -> None:
    gone = f"127.0.0.1:{free_port()}"
    own = lab.ask(server=[f"https://{gone}/token"])[gone]
    assert (own.status, own.cause) == (Status.FAIL, "sso.no-connection")
    browser = lab.ask(browser=[f"https://{gone}/a"])[gone]
    assert browser.status is Status.WARN and "Only the browsers of users" in browser.summary
    former = lab.ask(former=[f"https://{gone}/a"])[gone]
    assert former.status is Status.WARN and "by its former name" in former.summary


def test_failures_of_the_provider(lab: Lab) -> None:
    lab.browser.replies["/authorize"] = Reply(status="503 Busy")
    found = lab.ask()[at(lab.browser)]
    assert (found.status, found.cause) == (Status.WARN, "sso.provider-fails")
    lab.browser.replies["/authorize"] = Reply(
        status="302 Found", headers=("Location: https://portal.invalid/in",)
    )
    led = lab.ask()[at(lab.browser)]
    assert led.status is OK and "leads to https://portal.invalid/in" in led.summary


def test_documents(lab: Lab) -> None:
    other = lab.ask(issuer="https://known.lab")[""]
    assert (other.status, other.cause) == (Status.WARN, "sso.other-issuer")
    starred = lab.own.url + "/{tenantid}/v2.0"
    lab.own.json("/.well-known/openid-configuration",
                 idp.discovery(lab.own.url, issuer=starred))  # fmt: skip
    assert lab.ask(issuer=f"{lab.own.url}/*/v2.0")[""].status is OK
    lab.own.json("/keys", {"keys": []})
    assert lab.ask()["keys"].status is Status.FAIL
    lab.own.replies["/.well-known/openid-configuration"] = Reply(
        b'{"error":"invalid_tenant"}', status="400 Bad Request"
    )
    unknown = lab.ask()[""]
    assert (unknown.status, unknown.cause) == (Status.FAIL, "sso.not-found")
    lab.own.replies["/.well-known/openid-configuration"] = Reply(b"<html>blocked")
    assert lab.ask()[""].cause == "sso.html"


def test_trust(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(proper("Other", ca=True, names=()).pem)
    lab.ca_file = str(tmp_path / "other.pem")
    found = lab.ask()
    assert found[at(lab.own)].cause == "sso.untrusted"
    assert 'checks."egress.hosts"' in str(found[at(lab.own)].remedy)


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["github", "GitHub", "google", "apple", "linkedin", "twitter", "x", "azuread", "entra",
     "azuread=contoso.onmicrosoft.com", "azuread=0f8fad5b-d9cb-469f-a165-70867728950e",
     "okta=example.okta.com", " okta = id.example.org "],
)  # fmt: skip
def test_names_that_are_known(name: str) -> None:
    found = providers.find(name)
    for url in (*found.server, *found.browser, *found.former, found.discovery or "https://x"):
        assert url.startswith("https://") and "{" not in url and "*" not in url


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("myspace", "known are azuread[=TENANT], okta=DOMAIN, apple"),
        ("", "is unknown"),
        ("okta", "expected okta=DOMAIN"),
        ("okta=example", "expected okta=DOMAIN"),
        ("okta=https://example.okta.com", "expected okta=DOMAIN"),
        ("okta=a.b/c", "expected okta=DOMAIN"),
        ("okta=id.example.org/oauth2/default", "authorization server under [[sso.oidc]]"),
        ("azuread=a b", "expected azuread=TENANT"),
        ("github=me", "takes no value"),
    ],
)
def test_names_that_are_not(name: str, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        providers.find(name)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_star_stands_for_one_part_of_a_path() -> None:
    pattern = "https://login.lab/*/v2.0"
    for issuer, is_it in (
        ("https://login.lab/{tenantid}/v2.0", True),
        ("https://login.lab/a/b/v2.0", False),
        ("https://login.lab//v2.0", False),
        ("https://loginxlab/a/v2.0", False),
        ("https://login.lab/a/v2.0/", False),
    ):
        assert providers.is_issuer(pattern, issuer) is is_it


def test_every_provider_of_the_document_is_known() -> None:
    assert set(providers.load()) == {
        "azuread", "okta", "apple", "twitter", "linkedin", "google", "github",
    }  # fmt: skip
    for preset in providers.load().values():
        assert bool(preset.discovery) == bool(preset.issuer) and preset.source


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "biostudio_doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line(tmp_path: Path) -> None:
    wrong = doctor("check", "sso.providers", "--provider", "myspace")
    assert wrong.returncode == 2 and "--provider: 'myspace' is unknown; known are" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1 and not wrong.stdout
    file = tmp_path / "c.toml"
    file.write_text('[sso]\nproviders = ["myspace"]\n')
    configured = doctor("check", "sso.providers", "--config", str(file))
    assert configured.returncode == 2
    assert f"{file}: sso: providers: 'myspace' is unknown" in configured.stderr
    file.write_text('[sso]\nproviders = ["github"]\n')
    offline = doctor("check", "sso.*", "--config", str(file), "--offline")
    assert offline.returncode == 0 and "--offline" in offline.stdout


def test_the_command_line_goes_before_the_configuration(lab: Lab, tmp_path: Path) -> None:
    """In this process and those that it forks: the file of presets is the lab's."""
    lab.ask()
    other = {**lab.preset, "title": "Other", "server": ["https://127.0.0.1:1/"]}
    (tmp_path / "providers.toml").write_text(tomli_w.dumps({"lab": lab.preset, "other": other}))
    file = tmp_path / "c.toml"
    file.write_text(
        f'timeout = 5\n[sso]\nproviders = ["other"]\n[checks."egress.hosts"]\n'
        f'ca_file = "{lab.ca_file}"\n'
    )
    done = CliRunner().invoke(
        cli,
        ["check", "sso.providers", "--config", str(file), "--provider", "lab", "--output", "json"],
    )
    assert done.exit_code == 0, done.output
    assert '"Lab keys"' in done.output and "Other" not in done.output
