"""A bundle's file opened, and decrypted where it is encrypted, into nothing that has a name."""

import contextlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from biostudio_doctor.bundle import encryption, harmless
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.collector import MIB
from biostudio_doctor.errors import DoctorError

LARGEST_FILE = 4096 * MIB
_LARGEST_IDENTITY = MIB
_PIECE = 64 << 10

_GZIP = b"\x1f\x8b"
_AGE = (b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----")


def clear(path: Path, identity: Path | None = None) -> BinaryIO:
    """The archive in the clear, to be read more than once. The caller closes it.

    Args:
        path: the bundle.
        identity: for age: a file of age identities, or an SSH private key. GPG finds its own.

    Raises:
        BundleError: if it is no bundle, or cannot be decrypted.
        DoctorError: if one of the files cannot be read.
    """
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(_regular(path, ""))
        start = file.read(64)
        file.seek(0)
        if start.startswith(_GZIP):
            opened.pop_all()
            return file
        target = opened.enter_context(tempfile.TemporaryFile())
        if start.startswith(_AGE):
            _from_age(file, target, identity)
        elif not start.startswith(encryption.GPG):
            raise BundleError("is no bundle: neither gzip nor encrypted by age or GPG")
        elif identity:
            raise BundleError("is encrypted by GPG, which finds its keys itself; omit --identity")
        else:
            _from_gpg(file, target)
        target.seek(0)
        opened.pop_all()
        file.close()
        return target


def _regular(path: Path, option: str) -> BinaryIO:
    """A regular file opened; a FIFO or a device is refused, and none makes us wait."""
    said = f"{option}{': ' if option else ''}{harmless.line(path)}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DoctorError(f"{said}: cannot be read: {why}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise DoctorError(f"{said}: is no regular file")
    return os.fdopen(descriptor, "rb")


# --- age ------------------------------------------------------------------------------------------


def _from_age(file: BinaryIO, target: BinaryIO, identity: Path | None) -> None:
    if identity is None:
        raise BundleError("is encrypted by age; --identity must name the file of its identity")
    try:
        import pyrage
    except ImportError:
        raise DoctorError(
            "to decrypt age, pyrage is needed: pip install 'biostudio-doctor[bundle]'"
        ) from None
    identities = _identities(identity)
    bounded = _Bounded(target)
    try:
        pyrage.decrypt_io(file, bounded, identities)
    except (pyrage.DecryptError, OSError, ValueError) as error:
        problem = bounded.problem or f"cannot be decrypted by age: {harmless.line(error)}"
        raise BundleError(problem) from None


def _identities(path: Path) -> list[Any]:
    """What a file of identities holds: lines of age's, or one SSH key."""
    import pyrage

    with _regular(path, "--identity") as file:
        data = file.read(_LARGEST_IDENTITY + 1)
    problem = (
        f"--identity: {harmless.line(path)}: holds no age identity and no SSH key that is usable"
    )
    try:
        if data.startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = data.decode("ascii").split()
        found = [line for line in lines if line.startswith("AGE-SECRET-KEY-")]
        identities = [pyrage.x25519.Identity.from_str(line) for line in found]
    except (pyrage.IdentityError, ValueError):  # their words could hold the key
        raise DoctorError(problem) from None
    if not identities:
        raise DoctorError(problem)
    return identities


class _Bounded:
    """Writes on, up to what a bundle may have; pyrage passes on no other exception than OSError."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._written = 0
        self.problem = ""

    def write(self, data: bytes) -> int:
        self._written += len(data)
        try:
            if self._written > LARGEST_FILE:
                raise OSError(f"it is longer than {LARGEST_FILE} bytes")
            return self._target.write(data)
        except OSError as error:
            self.problem = f"cannot be decrypted: {error.strerror or error}"
            raise

    def flush(self) -> None:
        self._target.flush()


# --- GPG ------------------------------------------------------------------------------------------


def _from_gpg(file: BinaryIO, target: BinaryIO) -> None:
    command = [
        "gpg", "--batch", "--quiet", "--no-auto-key-retrieve", "--no-auto-key-locate",
        "--disable-dirmngr", "--decrypt",
    ]  # fmt: skip
    environment = {**os.environ, "LC_ALL": "C"}
    bounded = _Bounded(target)
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # what our own reading ahead has moved
    with tempfile.TemporaryFile() as said:
        try:
            gpg = subprocess.Popen(
                command, stdin=file, stdout=subprocess.PIPE, stderr=said, env=environment
            )
        except FileNotFoundError:
            raise DoctorError("to decrypt it, the program gpg is needed") from None
        with gpg:
            try:
                assert gpg.stdout
                while piece := gpg.stdout.read(_PIECE):
                    bounded.write(piece)
                code = gpg.wait()
            except BaseException:
                gpg.kill()
                if bounded.problem:
                    raise BundleError(bounded.problem) from None
                raise
        if code:
            said.seek(0)
            raise BundleError(f"cannot be decrypted by gpg: {_last_line(said.read(_PIECE))}")


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return harmless.line(lines[-1].removeprefix("gpg: ") if lines else "it does not say why")
