"""Encryption to recipients, by age or GPG. All that can go wrong with them goes wrong at the start.

The clear archive is in a file that has no name, so that none is left, whatever happens.
"""

import contextlib
import os
import re
import subprocess  # without a shell
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from biostudio_doctor.errors import DoctorError

_LARGEST = 1 << 20  # bytes of a file of recipients
_PIECE = 1 << 18
_AGE_MAGIC = b"age-encryption.org/v1"
#: How a message begins that is for a public key or a passphrase (RFC 9580, 4.2: packets 1 and 3).
GPG = (
    b"-----BEGIN PGP MESSAGE-----",
    *(bytes([first]) for first in (0x84, 0x85, 0x86, 0x8C, 0x8D, 0x8E, 0xC1, 0xC3)),
)
#: A full fingerprint says itself whose key is meant; a name says it only through GPG's trust.
_FINGERPRINT = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})")


class Encryption:
    """A way to encrypt. Nothing can be read without one of the recipients' keys."""

    suffix = ""

    def encrypt(self, source: IO[bytes], target: IO[bytes]) -> None:
        """Encrypt all of a file into another.

        Raises:
            DoctorError: if it could not be done; what is in `target` is worth nothing then.
            OSError: if the disk is full.
        """
        raise NotImplementedError


def to(recipients: Sequence[str], gpg_recipients: Sequence[str]) -> Encryption | None:
    """How to encrypt, or None where nobody is named.

    Args:
        recipients: age1..., an SSH public key, or a file of such lines.
        gpg_recipients: fingerprints or names of keys that the user's gpg has.

    Raises:
        DoctorError: if one of them cannot be encrypted to.
    """
    if recipients and gpg_recipients:
        raise DoctorError("--recipient and --gpg-recipient cannot be had together")
    if recipients:
        return _Age(recipients)
    return _Gpg(gpg_recipients) if gpg_recipients else None


class _Age(Encryption):
    suffix = ".age"

    def __init__(self, recipients: Sequence[str]) -> None:
        try:
            import pyrage
        except ImportError:
            raise DoctorError(
                "--recipient needs pyrage: pip install 'biostudio-doctor[bundle]'"
            ) from None
        self._pyrage: Any = pyrage
        self._recipients = [self._understood(line) for one in recipients for line in _lines(one)]

    def _understood(self, line: str) -> Any:
        kind = self._pyrage.ssh if line.startswith("ssh-") else self._pyrage.x25519
        try:
            return kind.Recipient.from_str(line)
        except self._pyrage.RecipientError:
            shown = line if line.startswith("age1") else line.partition(" ")[0][:20]
            raise DoctorError(f"--recipient: {shown!r} is no usable recipient of age") from None

    def encrypt(self, source: IO[bytes], target: IO[bytes]) -> None:
        writer = _Writer(target)
        source.seek(0)
        try:
            self._pyrage.encrypt_io(source, writer, self._recipients)
        except (self._pyrage.EncryptError, OSError, ValueError):
            if writer.problem:
                raise writer.problem from None
            raise DoctorError("the bundle could not be encrypted by age") from None
        if not writer.start.startswith(_AGE_MAGIC):
            raise DoctorError("what age wrote is not encrypted")


class _Writer:
    """pyrage passes no exception on, so it is kept."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.start = b""
        self.problem: BaseException | None = None

    def write(self, data: bytes) -> int:
        self.start = self.start or bytes(data[:64])
        try:
            return self._target.write(data)
        except BaseException as error:
            self.problem = error
            raise

    def flush(self) -> None:
        self._target.flush()


def _lines(given: str) -> list[str]:
    """A recipient as such, or those that a file lists, as age's -R reads it."""
    if given.startswith(("age1", "ssh-")):
        return [given]
    try:
        with Path(given).open("rb") as file:
            content = file.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        problem = f"is no recipient of age, and no file of them: {error.strerror}"
        raise DoctorError(f"--recipient: {given[:60]!r} {problem}") from None
    lines = [line.strip() for line in content.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if any(line.startswith(("AGE-SECRET-KEY", "-----BEGIN")) for line in lines):
        raise DoctorError(f"--recipient: {given} holds a private key; name its public one")
    if not lines:
        raise DoctorError(f"--recipient: {given} names nobody")
    return lines


class _Gpg(Encryption):
    suffix = ".gpg"

    def __init__(self, recipients: Sequence[str]) -> None:
        self._command = ["gpg", "--batch", "--quiet", "--no-tty", "--no-auto-key-locate",
                         "--disable-dirmngr", "--compress-algo", "none"]  # fmt: skip
        if all(_FINGERPRINT.fullmatch(one.replace(" ", "")) for one in recipients):
            self._command += ["--trust-model", "always"]
        for one in recipients:
            if one.startswith("-"):
                raise DoctorError(f"--gpg-recipient: {one!r} is no key")
            self._command += ["--recipient", one]
        self._command += ["--encrypt", "--output", "-"]
        self._run(subprocess.DEVNULL, subprocess.DEVNULL)

    def encrypt(self, source: IO[bytes], target: IO[bytes]) -> None:
        source.flush()
        source.seek(0)
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        self._run(source.fileno(), target.fileno())
        if not os.pread(target.fileno(), 64, 0).startswith(GPG):  # as gpg.conf may have it
            raise DoctorError("--gpg-recipient: what gpg wrote is not encrypted")
        target.seek(0, os.SEEK_END)

    def _run(self, source: int, target: int) -> None:
        try:
            gpg = subprocess.Popen(
                self._command,
                stdin=source,
                stdout=target,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise DoctorError("--gpg-recipient needs the program gpg") from None
        try:
            _, said = gpg.communicate()
        except BaseException:
            with contextlib.suppress(OSError):
                gpg.kill()
            raise
        if gpg.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
            # The first line names the key and its trouble, the last only that it failed.
            problem = lines[0].removeprefix("gpg: ")[:200]
            raise DoctorError(f"--gpg-recipient: gpg cannot encrypt to it: {problem}")
