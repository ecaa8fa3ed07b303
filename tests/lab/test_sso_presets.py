"""sso.providers on the providers' own names, as a user has it: real resolution, proxy and trust.

The names lead to nginx in a network of the lab; what Google publishes stands there as made.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.sso import providers
from tests.lab import idp, network
from tests.lab.faults import prepare
from tests.lab.world import ODD4, World

pytestmark = pytest.mark.skipif(bool(network.why_not()), reason=network.why_not() or "")

_GOOGLE = idp.discovery(
    "https://accounts.google.com", jwks_uri="https://www.googleapis.com/oauth2/v3/certs"
)


def hosts(*names: str) -> set[str]:
    found = [providers.find(name) for name in names]
    return {
        url.split("/")[2]
        for one in found
        for url in (*one.server, *one.former, *one.browser, *filter(None, [one.discovery]))
    }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    for program in ("dnsmasq", "nginx", "nft"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    tmp_path.chmod(0o755)
    lab = network.Network(tmp_path)
    try:
        yield prepare(lab)
    finally:
        lab.close()


def ask(world: World, *arguments: str) -> dict[str, Any]:
    done = world.doctor("check", "sso.providers", "--output", "json", *arguments)
    (result,) = json.loads(done.stdout)["results"]
    return {one["subject"]: one for one in result["findings"]}


def test_presets_at_their_own_names(world: World) -> None:
    world.names = sorted({*hosts("google", "github"), "www.googleapis.com"})
    world.resolver(answers={"api.github.com": [ODD4]})
    documents = {
        "accounts.google.com": ("/.well-known/openid-configuration", _GOOGLE),
        "www.googleapis.com": ("/oauth2/v3/certs", {"keys": [idp.rsa_key(alg="RS256", use="sig")]}),
    }
    world.web(
        body="location / { return 404; }",
        bodies={
            host: f"location = {path} {{ default_type application/json; "
            f"return 200 '{json.dumps(document)}'; }}"
            for host, (path, document) in documents.items()
        },
    )
    world.network.firewall(f"ip daddr {ODD4} drop")
    found = ask(world, "--provider", "google", "--provider", "github")
    statuses = {subject: one["status"] for subject, one in found.items()}
    assert statuses.pop("GitHub api.github.com") == "fail"
    assert set(statuses.values()) == {"pass"}, found
    assert set(statuses) == {
        "Google", "Google keys", "Google oauth2.googleapis.com", "Google accounts.google.com",
        "Google openidconnect.googleapis.com", "GitHub github.com",
    }  # fmt: skip
    assert found["GitHub api.github.com"]["cause"] == "sso.no-connection"
