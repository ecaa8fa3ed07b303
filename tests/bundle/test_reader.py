"""Honest bundles are read: every file against its sum, of one pass, in little memory."""

import io
import os
import secrets
import tempfile
import tracemalloc
from pathlib import Path

import pyrage
import pytest

from biostudio_doctor.bundle import archive, configured, manifest, opening, reader
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.config import Config
from biostudio_doctor.errors import DoctorError
from tests.conftest import context, report
from tests.lab import bundles

LONG = "logs/" + "d" * 120 + "/" + "é" * 100 + ".log"  # too long for a tar without pax


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return bundles.write(tmp_path / "whole.tar.gz")


def test_all_files_are_told_with_their_content(whole: Path) -> None:
    with reader.reading(whole) as bundle:
        read = {entry.file.path: b"".join(entry.pieces()) for entry in bundle.entries()}
        again = bundle.documents(lambda file: True)
    assert read == again == bundles.contents()
    assert bundle.manifest.hostname == "lab"


def test_what_is_not_read_is_checked_all_the_same(whole: Path) -> None:
    with reader.reading(whole) as bundle:
        assert len(list(bundle.entries())) == 3
        assert bundle.documents(lambda file: False) == {}


def test_long_names_and_names_of_other_scripts(tmp_path: Path) -> None:
    files = {**bundles.contents(), LONG: b"x", "logs/журнал 1.log": b"y"}
    with reader.reading(bundles.write(tmp_path / "b.tar.gz", files)) as bundle:
        assert bundle.documents(lambda file: file.path == LONG) == {LONG: b"x"}


def test_what_our_maker_writes_is_read(tmp_path: Path) -> None:
    files = {**bundles.contents(), LONG: b"x", "logs/empty.log": b""}
    told = bundles.manifest(bundles.listed(name, data) for name, data in files.items())
    made = bundles.packed_manifest(told)
    pieces = [archive.Piece(manifest.NAME, made)]
    pieces += [archive.Piece(name, data) for name, data in files.items()]
    with (tmp_path / "b.tar.gz").open("wb") as file:
        archive.write(file, bundles.TOP, pieces, 0)
    with reader.reading(tmp_path / "b.tar.gz") as bundle:
        assert bundle.documents(lambda file: True) == files


def test_a_file_that_could_not_be_had_need_not_be_there(tmp_path: Path) -> None:
    files = bundles.contents()
    told = [bundles.listed(name, data) for name, data in files.items()]
    told.append(
        manifest.BundledFile(
            path="logs/app.log", collector="logs", source="/x", outcome=manifest.Outcome.FAILED
        )
    )
    path = bundles.write(tmp_path / "b.tar.gz", files, files=tuple(told))
    with reader.reading(path) as bundle:
        assert len(list(bundle.entries())) == 3


def test_a_newer_minor_version_is_read_and_what_it_adds_passed_over(tmp_path: Path) -> None:
    path = bundles.with_manifest(
        tmp_path, lambda data: data | {"schema_version": "1.7", "weather": {"today": ["fine"]}}
    )
    with reader.reading(path) as bundle:
        assert bundle.manifest.schema_version == "1.7"
        assert len(list(bundle.entries())) == 3


def test_memory_stays_flat(tmp_path: Path) -> None:
    line = b"2026-11-24T00:00:00Z " + secrets.token_hex(20).encode() + b" GET /api 200\n"
    big = b"".join(line[:30] + os.urandom(40).hex().encode() + b"\n" for _ in range(300_000))
    path = bundles.write(tmp_path / "b.tar.gz", {**bundles.contents(), "logs/big.log": big})
    size = len(big)
    del big
    tracemalloc.start()
    with reader.reading(path) as bundle:
        assert sum(len(piece) for one in bundle.entries() for piece in one.pieces()) > size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 30e6 and peak < 2e6


def test_the_configuration_comes_back_without_user_and_password_of_urls() -> None:
    password = secrets.token_hex(8)
    config = context(
        domain="studio.example.com",
        activation={"token": {"file": "/etc/token"}},
        checks={"egress.hosts": {"proxy": f"http://me:{password}@proxy:3128"}},
        certificates=[
            f"https://me:/{password}@a.lab",
            f"me:{password}/@b.lab:1",
            "/etc/c@d.crt",
            f"//me:{password}@c.lab",
            f"LAB\\me:{password}@d.lab:1",
        ],
        bundle={"recipients": ["ssh-ed25519 AAAA me@c.lab"]},
    ).config
    told = configured.told(config)
    assert password.encode() not in told and b"me:" not in told
    back = reader.configuration({manifest.CONFIG: told})
    assert back.domain == config.domain and back.activation == config.activation
    assert back.checks["egress.hosts"]["proxy"] == "http://proxy:3128"
    assert back.certificates == ("https://a.lab", "b.lab:1", "/etc/c@d.crt", "//c.lab", "d.lab:1")
    assert back.bundle == config.bundle
    assert reader.configuration({manifest.CONFIG: configured.told(Config())}) == Config()


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({}, "has no config.json"),
        ({manifest.CONFIG: b'{"role": "king"}'}, "role"),
        ({manifest.CONFIG: b"[]"}, "config.json: "),
        ({manifest.CONFIG: b'{"peers": ["\\u001b[31m"]}'}, "config.json: "),
    ],
)
def test_a_configuration_that_is_none_is_refused(documents: dict[str, bytes], said: str) -> None:
    with pytest.raises(BundleError) as refused:
        reader.configuration(documents)
    assert said in str(refused.value) and "\x1b" not in str(refused.value)


# --- Encrypted ------------------------------------------------------------------------------------


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, pyrage.x25519.Recipient]:
    key = pyrage.x25519.Identity.generate()
    path = tmp_path / "identity.txt"
    path.write_text(f"# created: now\n# public key: {key.to_public()}\n{key}\n")
    return path, key.to_public()


@pytest.mark.parametrize("armored", [False, True])
def test_age(whole: Path, identity: tuple[Path, pyrage.x25519.Recipient], armored: bool) -> None:
    path, recipient = identity
    out = io.BytesIO()
    pyrage.encrypt_io(io.BytesIO(whole.read_bytes()), out, [recipient], armored)
    secret = whole.with_suffix(".age")
    secret.write_bytes(out.getvalue())
    before = set(secret.parent.iterdir()), set(Path(tempfile.gettempdir()).iterdir())
    with reader.reading(secret, path) as bundle:
        assert bundle.documents(lambda file: True) == bundles.contents()
        after = set(secret.parent.iterdir()), set(Path(tempfile.gettempdir()).iterdir())
    assert after[0] == before[0]
    with pytest.raises(BundleError, match="encrypted by age; --identity must name"):
        opening.clear(secret)


def test_age_that_is_for_others_or_damaged(
    whole: Path, identity: tuple[Path, pyrage.x25519.Recipient]
) -> None:
    path, recipient = identity
    secret = whole.with_suffix(".age")
    other = pyrage.x25519.Identity.generate().to_public()
    secret.write_bytes(pyrage.encrypt(whole.read_bytes(), [other]))
    with pytest.raises(BundleError, match="cannot be decrypted by age"):
        opening.clear(secret, path)
    data = bytearray(pyrage.encrypt(whole.read_bytes(), [recipient]))
    data[-20] ^= 1
    secret.write_bytes(data)
    with pytest.raises(BundleError, match="cannot be decrypted by age"):
        opening.clear(secret, path)


@pytest.mark.parametrize("content", [b"", b"AGE-SECRET-KEY-1NONE", b"\xff\xfe", b"-----BEGIN X"])
def test_an_identity_that_is_none_is_never_repeated(
    whole: Path, identity: tuple[Path, pyrage.x25519.Recipient], content: bytes
) -> None:
    path, recipient = identity
    secret = whole.with_suffix(".age")
    secret.write_bytes(pyrage.encrypt(whole.read_bytes(), [recipient]))
    path.write_bytes(content)
    with pytest.raises(DoctorError, match="holds no age identity") as refused:
        opening.clear(secret, path)
    assert "1NONE" not in str(refused.value)


def test_what_decrypts_to_too_much(
    whole: Path,
    identity: tuple[Path, pyrage.x25519.Recipient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, recipient = identity
    monkeypatch.setattr(opening, "LARGEST_FILE", 100)
    secret = whole.with_suffix(".age")
    secret.write_bytes(pyrage.encrypt(whole.read_bytes(), [recipient]))
    with pytest.raises(BundleError, match="longer than 100 bytes"):
        opening.clear(secret, path)


def test_the_report_is_limited(tmp_path: Path) -> None:
    many = report(*([report().status] * 5001))
    path = bundles.write(tmp_path / "b.tar.gz", bundles.contents(many))
    with reader.reading(path) as bundle:
        documents = bundle.documents(lambda file: file.path == manifest.REPORT)
    with pytest.raises(BundleError, match="more than 5000 findings"):
        reader.report(documents)
