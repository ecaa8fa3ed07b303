"""No secret is told: canaries in every place where one can be configured, and all output searched.

The places are found in the configuration's own classes, so a new one is planted without a word
here. Every service is a peer that says back what it was told, as the worst of servers would.
"""

import gzip
import json
import os
import secrets
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import psutil
import pytest
import tomli_w

from biostudio_doctor import config as configuration
from biostudio_doctor import registry
from biostudio_doctor.bundle.known import secrets_of
from biostudio_doctor.config import Config, LdapDirectory, Secret, StorageConfig
from biostudio_doctor.host import Host
from tests.lab.peers import Peer

DOCTOR = [sys.executable, "-m", "biostudio_doctor"]
CODE = "BIOSTUDIO_DOCTOR_CODE"


def echo(connection: Any) -> None:
    """Say back all that comes."""
    while data := connection.recv(65536):
        connection.sendall(data)


class Planted:
    """A configuration with a canary in every place, in files or in the environment."""

    def __init__(self, kind: Literal["file", "env"], directory: Path, port: int) -> None:
        self.kind = kind
        self.directory = directory
        self.port = port
        self.canaries: list[str] = []
        self.environment: dict[str, str] = {}
        self.file = directory / "config.toml"
        data = {**self._table(Config), "phase": "running", "platform": "docker"}
        data.pop("checks", None)
        self.file.write_text(tomli_w.dumps(data))

    def _secret(self) -> dict[str, str]:
        canary = f"canary-{secrets.token_hex(12)}"
        self.canaries.append(canary)
        name = f"CANARY_{len(self.canaries)}"
        if self.kind == "env":
            self.environment[name] = canary
            return {"env": name}
        file = self.directory / name
        file.write_text(canary + "\n")
        return {"file": str(file)}

    def _table(self, table: type[msgspec.Struct]) -> dict[str, Any]:
        values = {
            item.encode_name: self._value(
                "ldap" if table is LdapDirectory and item.required else item.encode_name, item.type
            )
            for item in msgspec.structs.fields(table)
        }
        return {key: value for key, value in values.items() if value is not None}

    def _value(self, name: str, annotation: Any) -> Any:
        """What is planted at a key; None leaves it to its default."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._value(name, arguments[0])
        if origin in (Union, types.UnionType):
            tables = [one for one in arguments if isinstance(one, type)]
            found = [one for one in tables if issubclass(one, msgspec.Struct)]
            return self._value(name, found[0] if found else arguments[0])
        if origin is tuple:
            inner = self._value(name, arguments[0])
            return [inner] if isinstance(inner, dict) else None
        if annotation is Secret:
            return self._secret()
        if annotation is StorageConfig:  # whose keys are named as others are, and hold no secret
            return None
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            return self._table(annotation)
        place = f"127.0.0.1:{self.port}"
        known = {
            "host": "127.0.0.1", "server": "127.0.0.1", "port": self.port, "http": self.port,
            "https": self.port, "user": "someone", "endpoint": f"http://{place}",
            "ldap": f"ldap://{place}", "url": f"https://{place}", "at": place,
            "issuer": f"https://{place}", "metadata": f"https://{place}/metadata",
            "export": "/export", "write": True, "bucket": "some-bucket", "volume": "some-volume",
        }  # fmt: skip
        return known.get(name)


@pytest.fixture(params=["file", "env"])
def planted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Planted]:
    with Peer(echo) as peer:
        yield Planted(request.param, tmp_path, peer.port)


def run(planted: Planted, *arguments: str) -> str:
    """All that a command wrote."""
    return subprocess.run(
        [*DOCTOR, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**planted.environment, CODE: "", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        timeout=90,
        check=False,
    ).stdout


@contextmanager
def watching() -> Iterator[set[str]]:
    """The command lines of all processes that are begun meanwhile, by ours."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for one in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    seen.add(" ".join((one.name(), *one.cmdline())))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_every_place_of_a_secret_is_planted(planted: Planted) -> None:
    assert len(planted.canaries) >= 10
    configuration.load(planted.file)


def test_no_canary_in_anything_that_is_written(planted: Planted, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    config = ("--config", str(planted.file))
    checks = ("services.*", "datasources.*", "certificate.*", "activation.*", "sso.*")
    check = ("check", *checks, *config, "--output")
    commands = [
        (*check, "json", "--output-file", str(report)),
        *((*check, exporter) for exporter in registry.find(registry.EXPORTERS)),
        ("config", "show", str(planted.file)),
        ("config", "validate", str(planted.file)),
    ]
    with watching() as titles, ThreadPoolExecutor(len(commands)) as pool:
        written = list(pool.map(lambda command: run(planted, *command), commands))
    assert report.exists(), written[0]
    results = json.loads(report.read_text())["results"]
    assert {result["id"].partition(".")[0] for result in results} >= {"services", "datasources"}
    assert sum("biostudio_doctor check" in title for title in titles) >= len(commands) - 2
    everything = "\n".join((*written, report.read_text(), *titles))
    found = [canary for canary in planted.canaries if canary in everything]
    assert not found
    assert "Traceback" not in everything


def test_no_canary_in_a_bundle(planted: Planted, tmp_path: Path) -> None:
    """Every one is known to the bundle's maker, so each is taken out even where it stands alone."""
    path = tmp_path / "bundle.tar.gz"
    config = ("--config", str(planted.file), "--offline")
    with watching() as titles:
        said = run(planted, "bundle", *config, "--output", str(path))
    assert path.exists(), said
    said += gzip.decompress(path.read_bytes()).decode("latin-1") + "\n".join(titles)
    assert not [canary for canary in planted.canaries if canary in said]
    settled = configuration.load(planted.file)
    os.environ.update(planted.environment)
    try:
        known = secrets_of(settled, Host())
    finally:
        for name in planted.environment:
            del os.environ[name]
    assert set(planted.canaries) <= set(known.literals) and not known.unread


def test_a_canary_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    """People write the secret itself where its place is wanted."""
    canary = f"canary-{secrets.token_hex(12)}"
    file = tmp_path / "config.toml"
    for text in (
        f'[services.redis]\npassword = "{canary}"\n',
        f'[[datasources.s3]]\nbucket = "b"\nsecret_key = ["{canary}"]\n',
        f'[services.redis.password]\nvalue = "{canary}"\n',
        f'[services.redis.password]\nfile = "{canary}"\n',
        f'[activation]\ntoken = "{canary}"\n',
    ):
        file.write_text(text)
        done = subprocess.run(
            [*DOCTOR, "check", "--config", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert canary not in done.stdout + done.stderr
