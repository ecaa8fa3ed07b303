"""What is known beforehand: secrets that the configuration points to, and names to replace."""

import os

import pytest

from biostudio_doctor import config as configuration
from biostudio_doctor.bundle import known, pseudonyms
from biostudio_doctor.config import Config
from tests.conftest import MakeHost


def config(**data: object) -> Config:
    return configuration.convert(data, Config, "test")


def test_secrets(make_host: MakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host({
        "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "/run/redis": "of-redis\r\n", "/run/s3": b"of-\xff-s3",
        "/etc/web.yml": "basic_auth_users:\n  me: '$2b$12$abcdefghijklmnopqrstuv'\n",
    })  # fmt: skip
    monkeypatch.setenv("OF_POSTGRES", "of-postgres")
    monkeypatch.delenv("OF_NOBODY", raising=False)
    monkeypatch.setenv("BIOSTUDIO_DOCTOR_CODE", "of-listen")
    found = known.secrets_of(
        config(
            services={"redis": {"password": {"file": "/run/redis"}},
                      "postgresql": {"password": {"env": "OF_POSTGRES"}}},
            datasources={"s3": [{"bucket": "b", "access_key": {"file": "/run/s3"},
                                 "secret_key": {"file": "/run/none"}}]},
            activation={"token": {"env": "OF_NOBODY"}},
            daemon={"web_config": "/etc/web.yml"},
        ),
        host,
    )  # fmt: skip
    assert set(found.literals) == {
        "0123456789abcdef0123456789abcdef", "of-redis", "of-postgres", "of-listen",
        os.fsdecode(b"of-\xff-s3"), "$2b$12$abcdefghijklmnopqrstuv",
    }  # fmt: skip
    assert found.unread == ("/run/none", "the environment variable OF_NOBODY")


def test_names(make_host: MakeHost) -> None:
    host = make_host({
        "/proc/sys/kernel/hostname": "gpu17.corp.example.org\n",
        "/etc/hosts": "127.0.0.1 localhost\n192.168.7.9 vault.corp.example.org vaulthost # x\n",
        "/etc/resolv.conf": "search corp.example.org\nnameserver 192.168.7.1\n",
        "/etc/passwd": "root:x:0:0::/:/x\nalice:x:1004:1::/:/x\nnobody:x:65534:1::/:/x\nbad\n",
    })  # fmt: skip
    settled = config(
        datasources={"ecosystem": [{"url": "https://talk.other.example.net:8443/x"}]},
        nodes=["nodeseven"],
    )
    obfuscator = pseudonyms.obfuscator(("hosts", "users"), b"k" * 32, host, settled)
    assert obfuscator
    text = (
        b"gpu17 vault.corp.example.org vaulthost new.corp.example.org talk.other.example.net "
        b"nodeseven alice root nobody localhost cdn.bioturing.com 192.168.7.9"
    )
    list(obfuscator.find(text))
    replaced = obfuscator.map()
    assert set(replaced["hosts"]) == {
        "gpu17", "vault.corp.example.org", "vaulthost", "new.corp.example.org",
        "talk.other.example.net", "nodeseven",
    }  # fmt: skip
    assert set(replaced["users"]) == {"alice"} and "ips" not in replaced
    assert pseudonyms.obfuscator((), b"k", host, settled) is None
