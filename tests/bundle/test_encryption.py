"""Encryption: to those that were named, or not at all. No clear copy ever has a name."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from biostudio_doctor.bundle.reader import reading
from tests.bundle.conftest import Command

pyrage = pytest.importorskip("pyrage")
PLAIN = ("--only", "made.plain")


@pytest.fixture
def identity(tmp_path: Path) -> tuple[str, Path]:
    """A recipient of age, and the file of the identity."""
    made = pyrage.x25519.Identity.generate()
    path = tmp_path / "identity"
    path.write_text(f"# a comment\n{made}\n")
    return str(made.to_public()), path


def _is_whole(path: Path, identity: Path | None) -> None:
    with reading(path, identity) as bundle:
        assert [entry.file.path for entry in bundle.entries()][-1] == "made.plain/text.txt"


def test_to_age(bundle: Command, identity: tuple[str, Path]) -> None:
    recipient, file = identity
    done = bundle(*PLAIN, "--recipient", recipient)
    assert done.returncode == 0, done.stderr
    assert bundle.path.name.endswith(".tar.gz.age") and bundle.path.stat().st_mode & 0o777 == 0o600
    assert bundle.path.read_bytes().startswith(b"age-encryption.org/v1")
    _is_whole(bundle.path, file)


def test_to_recipients_of_a_file_and_of_the_configuration(
    bundle: Command, identity: tuple[str, Path], tmp_path: Path
) -> None:
    recipient, file = identity
    (tmp_path / "team").write_text(f"# the team\n\n{recipient}\n")
    (tmp_path / "config.toml").write_text(f'[bundle]\nrecipients = ["{tmp_path}/team"]\n')
    for options in (
        ("--recipient", str(tmp_path / "team")),
        ("--config", str(tmp_path / "config.toml")),
    ):
        assert bundle(*PLAIN, *options).returncode == 0
        _is_whole(bundle.path, file)
        bundle.path.unlink()


def test_to_an_ssh_key(bundle: Command, tmp_path: Path) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen")
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    for recipient in (key.with_suffix(".pub").read_text(), str(key.with_suffix(".pub"))):
        assert bundle(*PLAIN, "--recipient", recipient).returncode == 0
        _is_whole(bundle.path, key)
        bundle.path.unlink()


@pytest.mark.parametrize("kind", ["wrong", "identity", "empty", "missing", "ssh"])
def test_whom_nobody_can_encrypt_to(
    bundle: Command, identity: tuple[str, Path], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "empty").write_text("# nobody\n")
    recipient = {
        "wrong": identity[0][:-1] + ("q" if identity[0][-1] != "q" else "p"),
        "identity": str(identity[1]), "empty": str(tmp_path / "empty"),
        "missing": str(tmp_path / "missing"), "ssh": "ssh-ed25519 AAAA",
    }[kind]  # fmt: skip
    done = bundle(*PLAIN, "--recipient", recipient)
    assert done.returncode == 2 and bundle.left == [] and done.stderr.count("\n") == 1
    assert "--recipient" in done.stderr and "SECRET" not in done.stderr


def test_without_pyrage_nothing_is_gathered(bundle: Command, tmp_path: Path) -> None:
    (tmp_path / "pyrage.py").write_text("raise ImportError\n")
    bundle.site = tmp_path
    done = bundle("--recipient", "age1xyz")
    assert done.returncode == 2 and bundle.left == []
    assert "pip install 'biostudio-doctor[bundle]'" in done.stderr


def test_what_cannot_be_encrypted_is_not_kept(bundle: Command, tmp_path: Path) -> None:
    """A pyrage that fails in the middle: made for this, since the real one does not."""
    (tmp_path / "pyrage.py").write_text(
        "class EncryptError(Exception): pass\n"
        "class RecipientError(Exception): pass\n"
        "class x25519:\n"
        "    class Recipient:\n"
        "        from_str = staticmethod(str)\n"
        "def encrypt_io(source, target, recipients):\n"
        "    target.write(b'age-encryption.org/v1\\n')\n"
        "    raise EncryptError('no')\n"
    )
    bundle.site = tmp_path
    done = bundle("--only", "doctor", "--recipient", "age1xyz")
    assert done.returncode == 2 and bundle.left == []
    assert done.stderr == "biostudio-doctor: the bundle could not be encrypted by age\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_full_disk_leaves_no_clear_copy(bundle: Command, identity: tuple[str, Path]) -> None:
    script = 'mount -t tmpfs -o size=2100k none "$1" && cd "$1" && shift || exit 99; "$@"; '
    script += "code=$?; ls -A; exit $code"
    before = ("unshare", "-m", "sh", "-c", script, "sh", str(bundle.directory))
    done = bundle("--only", "made.large", "--recipient", identity[0], before=before, MADE_MIB="1")
    assert done.returncode == 2 and done.stdout == "" and "No space left" in done.stderr


# --- GPG ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpg_home() -> Iterator[Path]:
    """A home of gpg with one key. Its path is short, as the names of its sockets must be."""
    if not shutil.which("gpg"):
        pytest.skip("no gpg")
    home = Path(tempfile.mkdtemp(prefix="gpg"))
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    command += ["--quick-generate-key", "support@example.com", "default", "default", "never"]
    subprocess.run(command, check=True, capture_output=True)
    yield home
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    shutil.rmtree(home, ignore_errors=True)


def _fingerprint(home: Path) -> str:
    command = ["gpg", "--homedir", str(home), "--with-colons", "--list-keys"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))


@pytest.mark.parametrize("by", ["name", "fingerprint"])
def test_to_gpg(bundle: Command, gpg_home: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = _fingerprint(gpg_home) if by == "fingerprint" else "support@example.com"
    monkeypatch.setenv("GNUPGHOME", str(gpg_home))
    done = bundle(*PLAIN, "--gpg-recipient", key)
    assert done.returncode == 0, done.stderr
    assert bundle.path.name.endswith(".tar.gz.gpg") and bundle.path.stat().st_mode & 0o777 == 0o600
    _is_whole(bundle.path, None)


@pytest.mark.parametrize("key", ["nobody@example.com", "0" * 40, "--armor"])
def test_a_key_that_gpg_does_not_have(bundle: Command, gpg_home: Path, key: str) -> None:
    done = bundle(*PLAIN, "--gpg-recipient", key, GNUPGHOME=str(gpg_home))
    assert done.returncode == 2 and bundle.left == [] and done.stderr.count("\n") == 1


def test_a_key_that_nobody_vouched_for_is_taken_by_its_fingerprint_only(
    bundle: Command, gpg_home: Path, tmp_path: Path
) -> None:
    other = Path(tempfile.mkdtemp(prefix="gpg"))
    try:
        exported = subprocess.run(
            ["gpg", "--homedir", str(gpg_home), "--export"], capture_output=True, check=True
        ).stdout
        subprocess.run(
            ["gpg", "--homedir", str(other), "--batch", "--quiet", "--import"],
            input=exported, capture_output=True, check=True,
        )  # fmt: skip
        home = {"GNUPGHOME": str(other)}
        done = bundle(*PLAIN, "--gpg-recipient", "support@example.com", **home)
        assert done.returncode == 2 and bundle.left == []
        done = bundle(*PLAIN, "--gpg-recipient", _fingerprint(other), **home)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["gpgconf", "--homedir", str(other), "--kill", "all"], check=False)
        shutil.rmtree(other, ignore_errors=True)


@pytest.mark.parametrize("does", ["cat", "true", "kill -TERM $PPID; sleep 60"])
def test_a_gpg_that_does_not_encrypt(
    bundle: Command, gpg_home: Path, tmp_path: Path, does: str
) -> None:
    """Once it has encrypted nothing well: one that was told otherwise by its own configuration."""
    key = _fingerprint(gpg_home)
    tried, gpg = tmp_path / "tried", tmp_path / "gpg"
    first = "false" if does.startswith("kill") else f"mkdir {tried} 2>/dev/null"
    real = shutil.which("gpg")
    gpg.write_text(f'#!/bin/sh\nif {first}; then exec {real} "$@"; fi\n{does}\n')
    gpg.chmod(0o755)
    done = bundle(
        *PLAIN, "--gpg-recipient", key, GNUPGHOME=str(gpg_home),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )  # fmt: skip
    assert bundle.left == [] and done.stdout == ""
    said = "biostudio-doctor: --gpg-recipient: what gpg wrote is not encrypted\n"
    if does.startswith("kill"):
        said = "biostudio-doctor: ended by SIGTERM; no bundle was made\n"
    assert done.stderr == said and done.returncode == (143 if does.startswith("kill") else 2)


def test_without_gpg(bundle: Command, tmp_path: Path) -> None:
    done = bundle(
        *PLAIN, "--gpg-recipient", "x",
        before=("env", f"PATH={Path(sys.executable).parent}"),
    )  # fmt: skip
    assert done.returncode == 2 and "needs the program gpg" in done.stderr
