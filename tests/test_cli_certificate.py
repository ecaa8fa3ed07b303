"""`certificate inspect`: what a person and a program see of files and real servers."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from biostudio_doctor import reference
from biostudio_doctor.certificates.inspection import Inspection
from biostudio_doctor.cli.certificate import sources
from biostudio_doctor.errors import DoctorError
from tests.lab import tls_servers
from tests.lab.peers import Peer, server_context, silent
from tests.lab.pki import PEM, Pki
from tests.lab.servers import directory, postgresql, redis
from tests.lab.timing import within
from tests.lab.tls_servers import Identity, Site, nginx
from tests.test_cli import doctor, on_terminal

PASSWORD = secrets.token_hex(8)
#: This environment's own settings would decide what curl and conda say.
PLAIN = dict.fromkeys(("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"), "")


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def place(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("files")
    volume = at / "volume"
    volume.mkdir()
    other = pki.self_signed
    files = {
        "ca.pem": pki.root.pem,
        "good.pem": pki.chain(),
        "good.p7b": pki.p7(PEM, pki.good, pki.sub),
        "good.p12": pki.p12(PASSWORD, pki.good, pki.sub),
        "secret.json": pki.secret(pki.good, pki.sub),
        "self.pem": pki.self_signed.pem,
        "password": PASSWORD.encode() + b"\n",
        "wrong": secrets.token_hex(8).encode(),
        "empty": b"",
        "junk": secrets.token_bytes(500),
        "bundle.pem": b"".join(one.pem for one in (pki.root, pki.stranger, pki.strange_sub)),
        "volume/tls.crt": pki.good.pem + pki.sub.pem,
        "volume/tls.key": pki.good.key_pem,
        "mixed/tls.crt": pki.good.pem + pki.sub.pem,
        "mixed/tls.key": other.key_pem,
    }
    (at / "mixed").mkdir()
    for name, content in files.items():
        (at / name).write_bytes(content)
    return at


@pytest.fixture(scope="module")
def ports(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    local = [pki.leaf(names=("127.0.0.1", "studio.lab")), pki.sub]
    with ExitStack() as stack:
        identity: Any = Identity(stack.enter_context(directory()), "server", local)
        found = dict(stack.enter_context(nginx({"web": Site(local)})))
        found |= stack.enter_context(tls_servers.mosquitto({"mqtt": local}))
        found["database"] = stack.enter_context(postgresql(identity)).port
        found["cache"] = stack.enter_context(redis(identity)).port
        served = server_context(tmp_path_factory.mktemp("made"), *local)
        found["mail"] = stack.enter_context(Peer(tls_servers.smtp(served))).port
        found["directory"] = stack.enter_context(Peer(tls_servers.ldap(served))).port
        found["silent"] = stack.enter_context(Peer(silent)).port
        with Peer(silent) as gone:
            found["closed"] = gone.port
        yield found


def inspect(*arguments: str, cwd: Path | None = None, code: int) -> str:
    done = doctor("certificate", "inspect", *arguments, cwd=cwd, **PLAIN, COLUMNS="80")
    assert done.returncode == code, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def as_json(*arguments: str, cwd: Path, code: int) -> list[dict[str, Any]]:
    whole = json.loads(inspect(*arguments, "--output", "json", cwd=cwd, code=code))
    jsonschema.validate(whole, reference.schema(Inspection))
    assert whole["schema_version"] == "1.0"
    found: list[dict[str, Any]] = whole["inspected"]
    return found


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("good.pem", "PEM"),
        ("good.p7b", "PKCS#7"),
        ("good.p12", "PKCS#12"),
        ("secret.json", "Kubernetes secret"),
        ("volume", "PEM"),
    ],
)
def test_every_kind_of_file(place: Path, file: str, kind: str) -> None:
    options = ["--ca-file", "ca.pem", "--password-file", "password"]
    (one,) = as_json(file, *options, cwd=place, code=0)
    assert (one["kind"], one["state"], one["anchor"]) == (kind, "fine", "Lab Root")
    assert [link["role"] for link in one["chain"]] == ["server", "intermediate"]
    assert [verdict["says"] for verdict in one["verdicts"]] == ["accepts"] * 3
    keyed = file in ("good.p12", "secret.json", "volume")
    assert one["key"] == ("matches" if keyed else "")


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:{web}", "https://127.0.0.1:{web}/path", "postgresql://127.0.0.1:{database}/x",
     "mqtts://127.0.0.1:{mqtt}", "rediss://127.0.0.1:{cache}", "smtp://127.0.0.1:{mail}",
     "ldap://127.0.0.1:{directory}", "ldaps://127.0.0.1:{web}"],
)  # fmt: skip
def test_every_kind_of_endpoint(place: Path, ports: dict[str, int], target: str) -> None:
    (one,) = as_json(target.format(**ports), "--ca-file", "ca.pem", cwd=place, code=0)
    assert (
        one["kind"] == "TLS" and one["spoken"].startswith("TLSv1.") and one["name"] == "127.0.0.1"
    )


def test_the_name_that_it_must_be_for(place: Path, ports: dict[str, int]) -> None:
    target = f"127.0.0.1:{ports['web']}"
    inspect(target, "--ca-file", "ca.pem", "--name", "studio.lab", cwd=place, code=0)
    said = inspect(target, "--ca-file", "ca.pem", "--name", "other.lab", cwd=place, code=1)
    assert "asked for other.lab" in said
    assert "does not" not in said and "SSL_ERROR_BAD_CERT_DOMAIN" in said


def test_several_are_looked_at_concurrently(place: Path, ports: dict[str, int]) -> None:
    hung = [f"https://127.0.0.1:{ports['silent']}/{number}" for number in range(6)]
    with within(5):  # one after the other: 30 s
        found = as_json(
            "good.pem", f"127.0.0.1:{ports['closed']}", *hung, "--ca-file", "ca.pem",
            "--timeout", "5", cwd=place, code=3,
        )  # fmt: skip
    states = [one["state"] for one in found]
    assert states == ["fine", *["unreached"] * 7]
    assert "the port is closed" in found[1]["problem"]
    assert "nothing came back in time" in found[2]["problem"]


def test_exit_codes_of_several(place: Path, ports: dict[str, int]) -> None:
    closed = f"127.0.0.1:{ports['closed']}"
    ca = ["--ca-file", "ca.pem"]
    inspect("good.pem", closed, *ca, cwd=place, code=3)
    inspect("good.pem", closed, "empty", *ca, cwd=place, code=2)
    inspect("good.pem", closed, "empty", "self.pem", *ca, cwd=place, code=1)


def test_a_key_of_another(place: Path) -> None:
    said = " ".join(inspect("mixed", "--ca-file", "ca.pem", cwd=place, code=1).split())
    assert "but it has a fault" in said and "belongs to another one" in said


def test_a_bundle_of_authorities_has_no_verdict(place: Path) -> None:
    said = inspect("bundle.pem", cwd=place, code=0)
    assert "holds 3 authorities to trust" in " ".join(said.split()) and "curl" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty"], "no certificate could be read: it is empty."),
        (["junk"], "no certificate could be read: it "),
        (["good.p12"], "which wants a password; name its file: --password-file."),
        (["good.p12", "--password-file", "wrong"], "which the password given does not open."),
        (["/nowhere.pem"], "/nowhere.pem: no certificate could be read: there is no such file."),
        (["volume/.."], "it is a directory without tls.crt"),
        (["nonsense"], "TARGET: 'nonsense': there is no such file, and as an endpoint: "),
        (["ftp://x"], "ftp:// is no way to a certificate"),
        (["https://me:hidden@"], "'https://': there is no such file"),
        (["good.pem", "--ca-file", "junk"], "--ca-file: "),
        (["good.pem", "--ca-file", "nowhere"], "--ca-file: nowhere is no file"),
        (["good.p12", "--password-file", "nowhere"], "--password-file: nowhere is no file"),
        (["good.pem", "--name", "a..b"], "--name: 'a..b' is no host name"),
        (["good.pem", "--timeout", "-1"], "timeout"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_clear_line(place: Path, arguments: list[str], said: str) -> None:
    shown = inspect(*arguments, cwd=place, code=2)
    assert said in " ".join(shown.split())
    assert "hidden" not in shown


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_it_reads_well_at_any_width(place: Path, columns: int) -> None:
    done = doctor(
        "certificate", "inspect", "good.pem", "self.pem", "--name", "other.lab", cwd=place,
        COLUMNS=str(columns), **PLAIN,
    )  # fmt: skip
    assert max(map(len, done.stdout.splitlines())) <= min(columns, 110)
    prints = re.findall(r"sha256 +([0-9a-f]+)", done.stdout)
    assert len(prints) == 3 and (columns < 80 or all(len(one) == 64 for one in prints))


def test_colours_only_on_a_terminal(place: Path) -> None:
    command = ("certificate", "inspect", str(place / "self.pem"))
    shown = on_terminal(*command)
    assert "\x1b[31m" in shown
    assert "\x1b[" not in on_terminal(*command, "--no-color")
    assert "\x1b[" not in inspect(str(place / "self.pem"), code=1)


def test_schema_is_printed() -> None:
    printed = json.loads(doctor("schema", "certificate").stdout)
    assert printed == json.loads(json.dumps(reference.schema(Inspection)))


def test_targets_as_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio.lab:443").write_text("a file is meant where there is one")
    named = ["./studio.lab:443", "studio.lab:443", "https://u:p@studio.lab", "https://studio.lab"]
    found = [one.at for one in sources(named, None, None)]
    assert found == [str(tmp_path / "studio.lab:443"), "https://studio.lab"]
    with pytest.raises(DoctorError, match="1000 at most"):
        sources([f"h{number}:1" for number in range(1001)], None, None)
