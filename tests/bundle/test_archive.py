"""The archive: what any tar reads, the same bytes for the same facts, and true to its sums."""

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor import registry
from biostudio_doctor.bundle import archive, verifying
from biostudio_doctor.bundle.archive import Piece
from biostudio_doctor.bundle.manifest import BundledFile, Manifest, Outcome
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.redaction.redactor import Redactor
from tests.bundle.conftest import NOW, Command

PLAIN = ("--only", "made.plain")


def test_any_tar_reads_it(tmp_path: Path) -> None:
    long = "d" * 120 + "/" + "f" * 150 + "-\u00e9"
    entries = [Piece("a", b"first\n"), Piece("empty", b""), Piece(long, b"x" * 1_000_000)]
    path = tmp_path / "b.tar.gz"
    with path.open("w+b") as file:
        archive.write(file, "top", entries, 1000)
    assert gzip.decompress(path.read_bytes())[-1024:] == bytes(1024)
    listed = subprocess.run(["tar", "-tvzf", path], capture_output=True, text=True, check=True)
    assert listed.stderr == "" and len(listed.stdout.splitlines()) == 3
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["top/a", "top/empty", f"top/{long}"]
        for member in members:
            assert member.isreg() and member.mode == 0o600 and member.mtime == 1000
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
        read = tar.extractfile(members[2])
        assert read and read.read() == b"x" * 1_000_000


def test_the_manifest_is_first_and_tells_all(bundle: Command) -> None:
    assert bundle(*PLAIN).returncode == 0
    with tarfile.open(bundle.path) as tar:
        names = tar.getnames()
        assert all(member.isreg() for member in tar.getmembers())
    top = bundle.path.name.removesuffix(".tar.gz")
    assert names == [f"{top}/manifest.json", f"{top}/README.txt", f"{top}/made.plain/text.txt"]
    (file,) = [file for file in bundle.manifest.files if file.collector == "made.plain"]
    assert file.outcome is Outcome.WHOLE and file.source == "a test"
    assert file.redactions == {"password": 1}
    assert bundle.manifest.verified and bundle.manifest.allowed == ()
    readme = bundle.entry("README.txt").decode()
    assert "Never taken:\n- made.plain: what nobody wants." in readme
    assert "Redacted places: 1 password." in readme
    assert max(map(len, readme.splitlines())) <= 78


def test_tokens_of_two_bundles_have_nothing_in_common(bundle: Command) -> None:
    tokens = set()
    for name in ("a.tar.gz", "b.tar.gz"):
        assert bundle(*PLAIN, "--output", name).returncode == 0
        text = bundle.entry("made.plain/text.txt").decode()
        tokens |= set(re.findall(r"<redacted:password:[0-9a-f]{8}>", text))
        (bundle.directory / name).unlink()
    assert len(tokens) == 2


def test_the_same_facts_give_the_same_bytes(bundle: Command) -> None:
    found = set()
    for moment in ("", "", "1000000000"):
        env = {"SOURCE_DATE_EPOCH": moment} if moment else {}
        done = bundle(*PLAIN, "--only", "certificates", "--offline", "--reproducible", **env)
        assert done.returncode == 0, done.stderr
        found.add((bundle.path.name.rpartition("-")[2], bundle.path.read_bytes()))
        assert bundle.manifest.created_at is None
        bundle.path.unlink()
    names = sorted(name for name, _ in found)
    assert names == ["19700101T000000Z.tar.gz", "20010909T014640Z.tar.gz"]


def test_the_report_of_a_reproducible_one_tells_no_time(bundle: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    others = [name for name in registry.find(registry.CHECKS) if name != "os.release"]
    config.write_text(f"skip = {json.dumps(others)}\n")
    found = set()
    for _ in range(2):
        done = bundle("--only", "report", "--reproducible", "--config", str(config))
        assert done.returncode == 0, done.stderr
        report = json.loads(bundle.entry("report.json"))
        assert report["duration_seconds"] == 0 and report["started_at"].startswith("1970")
        found.add(bundle.entry("report.json"))
        bundle.path.unlink()
    assert len(found) == 1


def test_a_report_stands_in_every_form(bundle: Command) -> None:
    assert bundle("--only", "report", "--offline").returncode == 0
    paths = [file.path for file in bundle.manifest.files]
    assert paths == ["README.txt", "config.json", "report.html", "report.json", "report.txt"]
    assert json.loads(bundle.entry("report.json"))["results"]
    assert b"<html" in bundle.entry("report.html").lower()


# --- Reading back ---------------------------------------------------------------------------------

TEXT = b"a line\npassword=correct-horse-7\n"


def _archive(at: Path, content: bytes, name: str = "c/a.txt", **changes: object) -> Manifest:
    file = BundledFile(
        path=name, collector="c", source="x", outcome=Outcome.WHOLE, size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    made = Manifest(
        tool_version="1", created_at=None, hostname="h", since=NOW, until=NOW, obfuscated=(),
        verified=True, allowed=(), collectors=(), files=(structs.replace(file, **changes),),
    )  # fmt: skip
    with at.open("w+b") as target:
        pieces = [Piece("manifest.json", msgspec.json.encode(made)), Piece(name, content)]
        archive.write(target, "top", pieces, 0)
    return made


def _search(path: Path, made: Manifest, *literals: str) -> list[verifying.Found]:
    with path.open("rb") as file:
        file.seek(100)  # wherever it was left
        return verifying.search(file.fileno(), made, Redactor(b"k" * 32, literals))


def test_what_is_left_is_found_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    (found,) = _search(path, _archive(path, TEXT))
    assert str(found) == "c/a.txt:2:10: password"
    assert _search(path, _archive(path, b"nothing\n")) == []
    told = _archive(path, b"x", source="of known-secret-7", reason="known-secret-7")
    assert list(map(str, _search(path, told, "known-secret-7"))) == ["manifest.json, of c: known"]


def test_a_name_that_is_a_secret_is_not_repeated(tmp_path: Path) -> None:
    path, secret = tmp_path / "b.tar.gz", f"known-{secrets.token_hex(8)}"
    made = _archive(path, TEXT, name=f"c/{secret}/a.txt")
    found = _search(path, made, secret)
    told = [str(one) for one in found]
    assert "c/(a name): its name: known" in told and "c/(a name):2:10: password" in told
    assert not any(secret in one for one in told)
    assert not verifying.unallowed([one for one in found if one.entry != "manifest.json"], ["c/*"])


@pytest.mark.parametrize(
    ("field", "value"), [("sha256", "0" * 64), ("size", 5), ("path", "c/b.txt")]
)
def test_what_is_not_as_the_manifest_says(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "b.tar.gz"
    made = _archive(path, b"nothing\n", **{field: value})
    with pytest.raises(DoctorError, match="not written as it should be"):
        _search(path, made)


def test_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    made = _archive(path, os.urandom(100_000))
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DoctorError, match="not written as it should be"):
        _search(path, made)


def test_nothing_is_written_of_a_file_that_shrank() -> None:
    with open(os.devnull, "rb") as empty, pytest.raises(OSError, match="is gone"):
        archive.write(io.BytesIO(), "top", [Piece("a", handle=empty.fileno(), size=5)], 0)
