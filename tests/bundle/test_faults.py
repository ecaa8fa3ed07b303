"""Faults: each gives a whole, valid, honest bundle, or a clean refusal that leaves nothing."""

import base64
import gzip
import os
import re
import secrets
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from biostudio_doctor.bundle.manifest import BundledFile, Collected, Manifest, Outcome
from tests.bundle.conftest import Command
from tests.lab.stuck import stuck_mount
from tests.lab.timing import wait_until, within

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def files(manifest: Manifest) -> dict[str, BundledFile]:
    return {file.path: file for file in manifest.files}


def collected(manifest: Manifest) -> dict[str, Collected]:
    return {one.id: one for one in manifest.collectors}


def only(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--only", name))


@as_root
@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
def test_a_collector_that_hangs_in_the_kernel(bundle: Command, tmp_path: Path) -> None:
    directory = tmp_path / "stuck"
    directory.mkdir()
    with stuck_mount(directory), within(6):
        done = bundle(*only("made.stuck", "made.plain"), MADE_STUCK=str(directory))
    assert done.returncode == 0, done.stderr
    assert "Missing: made.stuck: it did not end within" in done.stdout
    manifest = bundle.manifest
    one = collected(manifest)["made.stuck"]
    assert one.outcome is Outcome.PARTIAL
    assert f"while it tried to look into {directory}" in one.reason
    found = files(manifest)
    assert found["made.stuck/before.txt"].outcome is Outcome.WHOLE
    (stuck,) = [file for path, file in found.items() if path.endswith("any.log")]
    assert stuck.outcome is Outcome.FAILED and stuck.size == 0
    assert collected(manifest)["made.plain"].outcome is Outcome.WHOLE
    assert b"made.stuck: it did not end" in bundle.entry("README.txt")


def test_logs_of_all_kinds(bundle: Command, tmp_path: Path) -> None:
    logs, outside = tmp_path / "logs", tmp_path / "outside"
    logs.mkdir()
    outside.mkdir()
    secret = secrets.token_hex(12)
    (outside / "key.log").write_text(secret)
    (logs / "link.log").symlink_to(outside / "key.log")
    (logs / "directory").symlink_to(outside)
    os.mkfifo(logs / "pipe.log")
    with (logs / "large.log").open("wb") as file:
        file.write(b"the first line\n")
        file.seek(10 << 30)
        file.write(b"\nthe last line\n")
    (logs / "bomb.log.gz").write_bytes(gzip.compress(bytes(200 << 20)))
    (logs / "rotated.log.1.gz").write_bytes(gzip.compress(b"rotated\n"))
    (logs / "binary.log").write_bytes(bytes(range(256)) * 8)
    (logs / f"of-{secret}.log").write_text("x")
    config = tmp_path / "config.toml"
    (tmp_path / "secret").write_text(secret)
    config.write_text(f'[services.redis]\npassword = {{ file = "{tmp_path}/secret" }}\n')
    with within(10):
        done = bundle(*only("made.files"), "--config", str(config), MADE_LOGS=str(logs))
    assert done.returncode == 0, done.stderr
    found = files(bundle.manifest)
    told = {path.rpartition("/")[2]: file for path, file in found.items()}
    assert told["large.log"].outcome is Outcome.CUT and told["large.log"].left_out > 10**10
    readme = " ".join(bundle.entry("README.txt").decode().split())
    assert f"large.log: {told['large.log'].reason}" in readme
    large = bundle.entry(told["large.log"].path)
    assert large.startswith(b"the first line\n") and large.endswith(b"\nthe last line\n")
    assert told["bomb.log"].outcome is Outcome.PARTIAL and told["bomb.log"].size < 2 << 20
    assert bundle.entry(told["rotated.log.1"].path) == b"rotated\n"
    assert bundle.entry(told["binary.log"].path) == bytes(range(256)) * 8
    for link in ("link.log", "directory"):
        assert told[link].outcome is Outcome.SKIPPED and "a link" in told[link].reason
    assert told["pipe.log"].reason == "it is a pipe"
    assert secret not in gzip.decompress(bundle.path.read_bytes()).decode("latin-1")
    assert any(name.startswith("of-redacted-") for name in told)


def test_collectors_that_cannot_be_used(bundle: Command) -> None:
    done = bundle(*only("made"), "--skip", "made.files", "--skip", "made.stuck", "--skip",
                  "made.slow", "--skip", "made.leaks", "--skip", "made.large")  # fmt: skip
    assert done.returncode == 0
    found = collected(bundle.manifest)
    assert "calls itself 'made.plain'" in found["made.othername"].reason
    assert "cannot be imported: ModuleNotFoundError" in found["made.missing"].reason
    assert found["made.plain"].outcome is Outcome.WHOLE


@as_root
def test_who_may_read_nothing_gets_a_whole_bundle_all_the_same(public: Path) -> None:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    bundle = Command(Path("/nonexistent"), public)
    done = bundle("--offline", "--skip", "journal", before=nobody, HOME="/nonexistent")
    assert done.returncode == 0, done.stderr
    path = bundle.path
    assert path.stat().st_uid == 65534 and stat.S_IMODE(path.stat().st_mode) == 0o600
    refused = [file for file in bundle.manifest.files if "root" in file.reason]
    assert refused and bundle.manifest.verified
    assert re.search(r"Missing: network: .*firewall/nft\.txt", done.stdout)
    assert "Root could have had more" in done.stdout


# --- No room --------------------------------------------------------------------------------------

_SMALL = (
    'mount -t tmpfs -o size="$1" none "$2" && cd "$2" && shift 2 || exit 99; '
    '"$@"; code=$?; ls -A; exit $code'
)


@as_root
@pytest.mark.parametrize(("size", "full"), [("600k", "gathered"), ("1300k", "archived")])
def test_a_full_disk_leaves_nothing(bundle: Command, size: str, full: str) -> None:
    before = ("unshare", "-m", "sh", "-c", _SMALL, "sh", size, str(bundle.directory))
    done = bundle(*only("made.large"), before=before, MADE_MIB="1")
    assert done.returncode == 2 and done.stdout == "", "also nothing that ls lists"
    assert done.stderr.count("\n") == 1 and "No space left on device" in done.stderr
    assert done.stderr.startswith("biostudio-doctor: ")


def test_where_nothing_can_be_written(bundle: Command, tmp_path: Path) -> None:
    done = bundle("--output", str(tmp_path / "none" / "x.tar.gz"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "none: No such file or directory" in done.stderr
    done = bundle("--output", "/proc/x.tar.gz")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "/proc/x.tar.gz" in done.stderr


# --- Ended from outside ---------------------------------------------------------------------------


def _begun(process: subprocess.Popen[str], mark: str) -> None:
    """Wait until its command runs."""
    wait_until(lambda: _running(mark) or process.poll() is not None, "the command running")
    assert process.poll() is None


def _running(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["cmdline"] == ["sleep", mark] and process.info["status"] != "zombie":
            found.append(process)
    return found


def _none_left(mark: str) -> bool:
    wait_until(lambda: not _running(mark), "the command gone")
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing(bundle: Command, number: signal.Signals) -> None:
    mark = f"5{os.getpid()}.{number}"
    with bundle.start(*only("made.slow"), MADE_SLEEP=mark) as process:
        _begun(process, mark)
        process.send_signal(number)
        with within(2):
            out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and out == "" and bundle.left == []
    assert err == f"biostudio-doctor: ended by {number.name}; no bundle was made\n"
    assert _none_left(mark)


_LATE = """
import os, runpy, signal
from biostudio_doctor.bundle.destination import Destination
keep = Destination.keep
def kept(self):
    keep(self)
    os.kill(os.getpid(), signal.SIGTERM)
Destination.keep = kept
runpy.run_module("biostudio_doctor", run_name="__main__")
"""


def test_a_signal_that_comes_too_late_parts_nothing(bundle: Command) -> None:
    command = [sys.executable, "-c", _LATE, "bundle", *only("made.plain"), "--obfuscate", "ips",
               "--output", "b.tar.gz"]  # fmt: skip
    done = subprocess.run(
        command, cwd=bundle.directory, env=bundle.environment({}), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert bundle.left == ["b.tar.gz", "b.tar.gz.names.json"] and "b.tar.gz" in done.stdout


def test_after_sigkill_there_is_only_what_the_next_run_removes(bundle: Command) -> None:
    mark = f"5{os.getpid()}.9"
    with bundle.start(*only("made.slow"), MADE_SLEEP=mark) as process:
        _begun(process, mark)
        process.kill()
        process.communicate(timeout=10)
    (left,) = bundle.left
    assert left.startswith(".biostudio-doctor-bundle")
    found = (bundle.directory / left).stat()
    assert stat.S_IMODE(found.st_mode) == 0o600 and found.st_size == 0
    assert _none_left(mark), "nor does a process of it live on"
    theirs = bundle.directory / ".biostudio-doctor-bundle-other"
    theirs.write_text("not ours")
    assert bundle(*only("made.plain")).returncode == 0
    theirs.unlink()
    assert bundle.path.name.startswith("biostudio-doctor-bundle-")


def test_a_run_beside_another_leaves_its_file_alone(bundle: Command) -> None:
    mark = f"5{os.getpid()}.0"
    with bundle.start(*only("made.slow"), "--timeout", "20", MADE_SLEEP=mark) as process:
        _begun(process, mark)
        (temporary,) = bundle.left
        assert bundle(*only("made.plain"), "--output", "second.tar.gz").returncode == 0
        assert temporary in bundle.left
        process.terminate()
        process.communicate(timeout=10)


def test_the_pipe_that_is_closed(bundle: Command) -> None:
    with bundle.start(*only("made.plain")) as process:
        assert process.stdout
        process.stdout.close()
        process.wait(timeout=20)
    assert bundle.path.exists()


# --- What the redactor did not see ----------------------------------------------------------------


@pytest.fixture
def known(tmp_path: Path) -> tuple[str, Path]:
    """A secret that the configuration points to."""
    secret = f"{secrets.token_hex(8)}/+{secrets.token_hex(4)}"
    (tmp_path / "secret").write_text(f"{secret}\n")
    config = tmp_path / "config.toml"
    config.write_text(f'[services.postgresql]\npassword = {{ file = "{tmp_path}/secret" }}\n')
    return secret, config


@pytest.mark.parametrize("form", ["plain", "base64", "url", "utf-16"])
def test_a_secret_that_got_through_is_found(
    bundle: Command, known: tuple[str, Path], form: str
) -> None:
    secret, config = known
    leak = {
        "plain": secret,
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "url": secret.replace("/", "%2F").replace("+", "%2B"),
        "utf-16": secret,
    }[form]
    leaks = (*only("made.leaks"), "--config", str(config))
    done = bundle(*leaks, MADE_LEAK=leak)
    assert done.returncode == 1 and bundle.left == [] and done.stdout == ""
    assert "made.leaks/leak.txt:3:" in done.stderr
    assert secret not in done.stderr and leak not in done.stderr


def test_what_is_found_can_be_allowed(bundle: Command, known: tuple[str, Path]) -> None:
    secret, config = known
    leaks = (*only("made.leaks"), "--config", str(config))
    assert bundle(*leaks, "--allow", "made.other/*", MADE_LEAK=secret).returncode == 1
    done = bundle(*leaks, "--allow", "made.leaks/*", MADE_LEAK=secret)
    assert done.returncode == 0
    (allowed,) = bundle.manifest.allowed
    assert allowed.startswith("made.leaks/leak.txt:3:") and secret not in allowed
    assert b"Let through by who made it: made.leaks/leak.txt:3:" in bundle.entry("README.txt")


def test_a_secret_that_cannot_be_read_is_told(bundle: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[services.redis]\npassword = { file = "/nonexistent/secret" }\n')
    done = bundle(*only("made.plain"), "--config", str(config))
    assert done.returncode == 0 and "/nonexistent/secret" in done.stdout
    assert b"/nonexistent/secret" in bundle.entry("README.txt")
