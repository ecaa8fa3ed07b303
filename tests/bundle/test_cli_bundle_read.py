"""`bundle inspect|verify|judge|diff|show`, as a person and a program use them."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import pyrage
import pytest
from markupsafe import Markup
from msgspec import structs

from biostudio_doctor import pages, reference
from biostudio_doctor.bundle.manifest import BundledFile, Collected, Manifest, Outcome
from biostudio_doctor.model import Report, Status
from tests.conftest import report
from tests.lab import bundles
from tests.test_cli import DOCTOR, doctor, on_terminal

COLORED = b"\x1b[31mred\x1b[0m\tand \xc2\x9b31m caf\xc3\xa9\n"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What our own maker writes of this machine."""
    path = tmp_path_factory.mktemp("real") / "b.tar.gz"
    done = doctor(
        "bundle", "--offline", "--only", "report", "--only", "host", "--output", str(path)
    )
    assert done.returncode == 0, done.stderr
    return path


def test_inspect_without_a_report(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    made = doctor("bundle", "--only", "egress", "--output", str(path))
    assert made.returncode == 0, made.stderr
    done = doctor("bundle", "inspect", str(path))
    assert done.returncode == 0, done.stderr
    assert "without a whole report" in " ".join(done.stdout.split())
    assert "egress: The way out" in done.stdout


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle of which much is missing."""
    files = {**bundles.contents(report(Status.FAIL, Status.PASS)), "logs/color.log": COLORED}
    told = [bundles.listed(name, content) for name, content in files.items()]
    told[2] = structs.replace(
        told[2],
        outcome=Outcome.CUT,
        left_out=12_000_000,
        reason="12 MB in the middle are left out",
        redactions={"password": 2, "jwt": 1},
    )
    told.append(
        BundledFile(
            path="logs/app.log", collector="logs", source="/x", outcome=Outcome.FAILED,
            reason="Permission denied",
        )
    )  # fmt: skip
    collectors = (
        Collected(id="logs", title="Logs", outcome=Outcome.PARTIAL, reason="20 s were over"),
        Collected(id="kubernetes", title="K8s", outcome=Outcome.SKIPPED, reason="no cluster"),
    )
    return bundles.write(
        tmp_path / "made.tar.gz", files, files=tuple(told), collectors=collectors,
        obfuscated=("ips",),
    )  # fmt: skip


def test_inspect_shows_what_is_wrong_and_what_is_missing_on_the_first_screen(made: Path) -> None:
    done = doctor("bundle", "inspect", str(made), COLUMNS="80")
    assert done.returncode == 0 and done.stderr == ""
    said = [
        "lab: Debian GNU/Linux 12 (bookworm), Linux ",
        "Bundle made 2026-11-24 00:00 UTC by biostudio-doctor 1.0",
        "Missing: partial: logs; skipped: kubernetes; 1 file failed or partial",
        "This host does not meet BioStudio's requirements yet.",
        "fail  lab.check: This is fail.",
        "1 failed and 1 passed; `bundle show FILE report.txt`",
        "- logs (partial): 20 s were over",
        "- logs/bioproxy.log (cut): 12 MB in the middle are left out\n",
        "- logs/app.log (failed): Permission denied",
        "- kubernetes (skipped): no cluster",
    ]
    screen = "\n".join(done.stdout.splitlines()[:24])
    places = [screen.find(one) for one in said]
    assert -1 not in places and places == sorted(places), screen
    for one in ("obfuscated: ips", "redacted: 2 password, 1 jwt", "- logs: Logs (2 files, "):
        assert one in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    done = doctor("bundle", "inspect", str(made), "--files", COLUMNS="80")
    assert "1.2 kB  logs/bioproxy.log; redacted: 2 password, 1 jwt" in done.stdout


def test_inspect_as_json_is_the_manifest(made: Path, real: Path) -> None:
    for path in (made, real):
        done = doctor("bundle", "inspect", str(path), "--output", "json")
        told = json.loads(done.stdout)
        jsonschema.validate(told, reference.schema(Manifest))
        assert json.loads(doctor("schema", "bundle").stdout) == reference.schema(Manifest)
    assert told["files"][0]["sha256"]


@pytest.mark.parametrize("columns", ["80", "200"])
def test_a_real_bundle(real: Path, columns: str) -> None:
    done = doctor("bundle", "inspect", str(real), "--files", COLUMNS=columns)
    assert done.returncode == 0 and "host/packages.txt" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= int(columns)


def test_the_page_in_a_bundle_has_the_style_that_its_policy_allows(real: Path) -> None:
    page = doctor("bundle", "show", str(real), "report.html").stdout
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert str(Markup.escape(pages.source(style))) in page


def test_verify(made: Path, real: Path, tmp_path: Path) -> None:
    for path in (made, real):
        done = doctor("bundle", "verify", str(path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("Whole: ")
    data = bytearray(made.read_bytes())
    data[len(data) // 2] ^= 8
    made.write_bytes(data)
    done = doctor("bundle", "verify", str(made))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert f"biostudio-doctor: {made}: " in done.stderr


def test_verify_finds_what_looks_like_a_secret_and_does_not_repeat_it(tmp_path: Path) -> None:
    secret = f"{secrets.token_hex(9)}Xq"
    files = {**bundles.contents(), "logs/bad.log": f"fine\nPASSWORD={secret}\n".encode()}
    path = bundles.write(tmp_path / "b.tar.gz", files)
    done = doctor("bundle", "verify", str(path))
    assert done.returncode == 1
    assert "- logs/bad.log:2:10: password\n1 place looks like a secret." in done.stdout
    assert secret not in done.stdout + done.stderr
    allowed = ("logs/bad.log:2:10: password",)
    done = doctor("bundle", "verify", str(bundles.write(path, files, allowed=allowed)))
    assert done.returncode == 0 and "(its maker allowed it)" in done.stdout
    assert "of which its maker allowed 1" in done.stdout


def test_judge_tells_the_same_and_what_is_otherwise(real: Path, tmp_path: Path) -> None:
    done = doctor("bundle", "judge", str(real))
    assert "Nothing is judged otherwise" in done.stdout and done.stderr == ""
    told = doctor("bundle", "judge", str(real), "--output", "json")
    again = msgspec.json.decode(told.stdout, type=Report)
    jsonschema.validate(json.loads(told.stdout), reference.schema(Report))
    shown = doctor("bundle", "show", str(real), "report.json").stdout
    then = msgspec.json.decode(shown, type=Report)
    assert again.summary == then.summary
    expected = 1 if again.summary[Status.FAIL] else 3 if again.summary[Status.ERROR] else 0
    assert done.returncode == told.returncode == expected
    results = []
    for result in then.results:
        flipped = [structs.replace(one, status=Status.FAIL) for one in result.findings]
        known = result.id == "cpu.count"
        results.append(structs.replace(result, findings=tuple(flipped)) if known else result)
    old = bundles.contents(structs.replace(then, results=tuple(results)))
    path = bundles.write(tmp_path / "b.tar.gz", old)
    done = doctor("bundle", "judge", str(path))
    end = done.stdout.split("Judged otherwise than in the bundle\n")[1]
    assert end.startswith("- fail -> ") and "cpu.count, CPUs: " in end
    done = doctor("bundle", "judge", str(path), "--output", "json")
    assert "- fail -> " in done.stderr and json.loads(done.stdout)


def test_judge_tells_how_far_what_is_obfuscated_can_be_judged(made: Path) -> None:
    done = doctor("bundle", "judge", str(made))
    assert "In this bundle ips are obfuscated. Trust its own findings where" in done.stdout


def test_judge_without_a_configuration_that_is_understood(tmp_path: Path) -> None:
    files = bundles.contents(report(Status.PASS), {"role": "king"})
    done = doctor("bundle", "judge", str(bundles.write(tmp_path / "b", files)))
    assert done.returncode == 0
    assert "judged by the default configuration: config.json: " in done.stderr


def test_diff(made: Path, tmp_path: Path) -> None:
    other = bundles.contents(report(Status.PASS, Status.PASS))
    new = bundles.write(tmp_path / "new.tar.gz", other)
    done = doctor("bundle", "diff", str(made), str(new), COLUMNS="80")
    assert done.returncode == 1 and done.stderr == ""
    for said in (
        "- fail -> pass  lab.check, subject 0: This is pass.",
        "~ logs: partial: 20 s were over -> whole",
        "- kubernetes: skipped: no cluster",
        "- logs/app.log: failed: Permission denied",
    ):
        assert said in done.stdout, said
    done = doctor("bundle", "diff", str(new), str(new))
    assert done.returncode == 0 and "Nothing changed." in done.stdout


def test_show(made: Path) -> None:
    raw = subprocess.run(
        [*DOCTOR, "bundle", "show", made, "logs/color.log"], capture_output=True, check=True
    )
    assert raw.stdout == COLORED
    seen = on_terminal("bundle", "show", str(made), "logs/color.log")
    assert "\x1b" not in seen and "\x9b" not in seen
    assert "\ufffd[31mred\ufffd[0m" in seen and "café" in seen
    assert doctor("bundle", "show", str(made), "*/bio*.log").stdout == "all is well\n" * 100
    for path, said in (
        ("logs/*", "logs/* fits several files: logs/bioproxy.log, logs/color.log"),
        ("nosuch\x1b[31m", "the bundle has no file nosuch\ufffd[31m; see"),
        ("logs/app.log", "logs/app.log could not be collected: Permission denied"),
    ):
        done = doctor("bundle", "show", str(made), path)
        assert done.returncode == 2 and done.stdout == "" and said in done.stderr


def test_nothing_is_shown_of_a_bundle_that_is_not_whole(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:-1])
    for command in (["show", str(made), "logs/color.log"], ["inspect", str(made)]):
        done = doctor("bundle", *command)
        assert done.returncode == 2 and done.stdout == "" and "is cut off" in done.stderr


def test_an_encrypted_bundle(made: Path, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    identity = tmp_path / "key.txt"
    identity.write_text(f"{key}\n")
    secret = tmp_path / "b.tar.gz.age"
    secret.write_bytes(pyrage.encrypt(made.read_bytes(), [key.to_public()]))
    done = doctor("bundle", "verify", str(secret))
    assert done.returncode == 2 and "--identity must name the file" in done.stderr
    done = doctor("bundle", "verify", str(secret), "--identity", str(identity))
    assert done.returncode == 0 and done.stdout.startswith("Whole: 4 files")


@pytest.fixture
def gnupg() -> Iterator[dict[str, str]]:
    """A key ring of its own, whose agent ends with it."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    with tempfile.TemporaryDirectory(prefix="gpg") as home:  # short: it holds a socket
        env = {**os.environ, "GNUPGHOME": home}
        make = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "lab@localhost"]
        try:
            subprocess.run(make, env=env, check=True, capture_output=True)
            yield {"GNUPGHOME": home}
        finally:
            subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False)


@pytest.mark.parametrize("armor", [[], ["--armor"]])
def test_gpg(made: Path, tmp_path: Path, gnupg: dict[str, str], armor: list[str]) -> None:
    secret = tmp_path / "b.tar.gz.gpg"
    ask = ["gpg", "--batch", *armor, "--trust-model", "always", "-r", "lab@localhost"]
    subprocess.run(
        [*ask, "-o", secret, "-e", made],
        env={**os.environ, **gnupg}, check=True, capture_output=True,
    )  # fmt: skip
    done = doctor("bundle", "verify", str(secret), **gnupg)
    assert done.returncode == 0 and done.stdout.startswith("Whole: 4 files")
    with tempfile.TemporaryDirectory(prefix="gpg") as empty:
        done = doctor("bundle", "verify", str(secret), GNUPGHOME=empty)
        subprocess.run(
            ["gpgconf", "--kill", "gpg-agent"],
            env={**os.environ, "GNUPGHOME": empty}, check=False,
        )  # fmt: skip
    assert done.returncode == 2 and "cannot be decrypted by gpg: " in done.stderr
    done = doctor("bundle", "verify", str(secret), "--identity", str(made), **gnupg)
    assert done.returncode == 2 and "omit --identity" in done.stderr
