"""What redaction costs, beside what others cost: speed over logs, what each finds, worst cases.

Run: .venv/bin/python -m tests.bench_redaction [MEGABYTES]

One run, one process at a time, the same generated files for all: lines as kernels, daemons and web
servers log them, every fourth one of tests/redaction/ordinary (which are chosen to look like
secrets: settings, code, help), and a secret in every thousandth. "hard" is a file of nothing but
those fourth ones. Speed is per second of CPU time, of
all processes that a program starts. Ours and detect-secrets are also asked for their recall over
the lines with secrets; `sos clean` (4.x) hides addresses, names and MACs and knows no secrets but
those of its plug-ins, so it is there for its speed. What is not installed is left out.
"""

import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from biostudio_doctor.redaction.redactor import Redactor
from tests.redaction import ordinary
from tests.redaction.material import ALNUM, pick

MEGABYTE = 1_000_000
FORMS = (
    "db connect PG_PASSWORD={}",
    '{{"level":"info","password":"{}"}}',
    "GET /x?token={} 200",
    "postgres://hub:{}@db/hub",
    "Authorization: Bearer {}",
    "--redis-password {} started",
)
PLAIN = (
    "Nov 24 08:00:00 node{other} kernel: [{number}.{number:06}] nvidia 0000:{other:02x}:00.0: up",
    "2026-11-24T08:00:00Z INFO bioproxy worker[{other}] request id={number:032x} path=/api/v1/items"
    "/{number} status=200 duration={other}ms",
    '{{"ts":"2026-11-24T08:00:00","level":"info","msg":"assigned default/pod-{number} to node",'
    '"uid":"{number:032x}","n":{other}}}',
    "Nov 24 08:00:00 node{other} sshd[{number}]: Accepted publickey for root from 10.0.0.{other} "
    "port {number} ssh2: RSA SHA256:{number:043}",
)
WORST = {
    "a line of 10 MB": b"row=4711 ",
    "brackets": b"[",
    "braces": b'{"a":',
    "equal signs": b"=",
    "letters": b"a",
    "quotes": b'"',
    "backslashes": b"\\",
    "base64": b"QUJD",
    "password=": b"password=",
    "keys that begin": b"-----BEGIN PRIVATE KEY-----\n",
    "URLs that begin": b"http://a:",
}


class Row(NamedTuple):
    """One program."""

    name: str
    speed: float  # MB/s of CPU time
    left: str  # secrets that are still there, or that it did not see


def plain(rnd: random.Random) -> str:
    """A line of a log, as most of them are."""
    number, other = rnd.randrange(10**6), rnd.randrange(256)
    form = rnd.choice(PLAIN)
    return form.format(number=number, other=other)


def lines(size: int, rnd: random.Random, hard: int = 4) -> Iterator[tuple[str, str]]:
    """Log lines, each with the secret in it or ''."""
    stock, written, number = list(ordinary.lines(7)), 0, 0
    while written < size:
        number += 1
        secret = pick(rnd, ALNUM, 32) if number % 1000 == 0 else ""
        form = FORMS[number // 1000 % len(FORMS)]
        text = (
            f"2026-11-24 08:00:00 {form.format(secret)}"
            if secret
            else _ordinary(stock, number % hard == 0, rnd)
        )
        written += len(text) + 1
        yield text, secret


def _ordinary(stock: list[str], hard: bool, rnd: random.Random) -> str:
    return rnd.choice(stock) if hard else plain(rnd)


def cpu(work: Callable[[], object]) -> float:
    """Seconds of CPU that something takes, its child processes' included."""
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    work()
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(
        b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime
        for a, b in zip(before, after, strict=True)
    )


def ours(file: Path, secrets: list[str], redactor: Redactor, name: str) -> Row:
    told: list[bytes] = []
    with file.open("rb") as log:
        pieces = iter(lambda: log.read(1 << 18), b"")
        seconds = cpu(lambda: told.extend(redactor.stream(pieces, {})))
    text = b"".join(told)
    left = sum(secret.encode() in text for secret in secrets)
    return Row(name, file.stat().st_size / MEGABYTE / seconds, f"{left} of {len(secrets)}")


def detect_secrets(file: Path, secrets: list[str]) -> Row | None:
    try:
        from detect_secrets import SecretsCollection
        from detect_secrets.settings import default_settings
    except ImportError:
        return None

    found = SecretsCollection()
    with default_settings():
        seconds = cpu(lambda: found.scan_file(str(file)))
    seen = {secret.secret_value for _, secret in found}
    left = sum(not any(secret in (one or "") for one in seen) for secret in secrets)
    return Row(
        "detect-secrets", file.stat().st_size / MEGABYTE / seconds, f"{left} of {len(secrets)}"
    )


def sos_clean(file: Path, secrets: list[str]) -> Row | None:
    program = shutil.which("sos")
    if not program:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "sosreport-lab-2026-11-24-abcdefg")
        (archive / "sos_logs").mkdir(parents=True)
        (archive / "sos_commands").mkdir()
        (archive / "sos_reports").mkdir()
        (archive / "sos_reports" / "manifest.json").write_text('{"components": {"report": {}}}')
        (archive / "version.txt").write_text("sosreport: 4.0")
        log = archive / "sos_logs" / "messages"
        shutil.copy(file, log)
        command = [program, "clean", "--batch", "--tmp-dir", scratch, "--map-file",
                   f"{scratch}/map", "--no-update", str(archive)]  # fmt: skip
        seconds = cpu(
            lambda: subprocess.run(command, check=False, capture_output=True, timeout=580)
        )
        obfuscated = list(Path(scratch).glob("**/sos_logs/messages*"))
        text = b"".join(one.read_bytes() for one in obfuscated[:1])
    left = sum(secret.encode() in text for secret in secrets)
    return Row("sos clean", file.stat().st_size / MEGABYTE / seconds, f"{left} of {len(secrets)}")


def main() -> None:
    size = int(sys.argv[1]) * MEGABYTE if len(sys.argv) > 1 else 20 * MEGABYTE
    rnd = random.Random(7)
    made = list(lines(size, rnd))
    secrets = [secret for _, secret in made if secret]
    key = bytes(32)
    known = [pick(rnd, ALNUM, 24) for _ in range(8)]
    with tempfile.TemporaryDirectory() as scratch:
        whole, small = Path(scratch, "messages.log"), Path(scratch, "small.log")
        whole.write_text("\n".join(text for text, _ in made) + "\n")
        hard = Path(scratch, "hard.log")
        worst_lines = list(lines(size // 2, rnd, hard=1))
        hard.write_text("\n".join(text for text, _ in worst_lines) + "\n")
        few = made[: len(made) // 10]
        small.write_text("\n".join(text for text, _ in few) + "\n")
        list(Redactor(key, known).stream([b"password=x"], {}))  # compiles the patterns
        rows: list[Row | None] = [
            ours(whole, secrets, Redactor(key), "ours"),
            ours(whole, secrets, Redactor(key, known), "ours, 8 known secrets"),
            ours(hard, [one for _, one in worst_lines if one], Redactor(key), "ours, hard"),
            detect_secrets(small, [secret for _, secret in few if secret]),
            sos_clean(small, [secret for _, secret in few if secret]),
        ]
    print(
        f"{size / MEGABYTE:.0f} MB of log lines (a tenth of it for detect-secrets and sos clean)\n"
    )
    heads = ("", "MB/s of one core", "secrets left")
    print(tabulate([row for row in rows if row], heads, floatfmt=".2f"))
    print("\nInput that is made to hurt, 10 MB of each\n")
    worst = []
    redactor = Redactor(key)
    for name, unit in WORST.items():
        text = unit * (10 * MEGABYTE // len(unit))
        began = time.process_time()
        for _ in redactor.stream([text], {}):
            pass
        worst.append((name, 10 / (time.process_time() - began)))
    print(tabulate(worst, ("", "MB/s of one core"), floatfmt=".1f"))


if __name__ == "__main__":
    main()
