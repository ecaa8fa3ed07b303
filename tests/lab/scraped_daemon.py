"""The daemon as it is installed, in a world that can go wrong, scraped all the while."""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import psutil

from tests.daemon.probing import Samples, samples
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.scraping import EVERY, Scraping, scraping
from tests.lab.timing import PATIENCE

SLOWEST = float(os.environ.get("DOCTOR_SLOWEST_SCRAPE", "8"))  # seconds
DAY = 86400
NAME = "studio.lab.test"  # which only the name server of this test is asked for


#: Has a part of the exporter, or all of it, raise while the file FAULT says so.
SITECUSTOMIZE = """
import os, sys
if "daemon" in sys.orig_argv:
    from biostudio_doctor.exporters import prometheus

    def faulty(name, work):
        def either(*arguments):
            with open(os.environ["FAULT"]) as file:
                fault = file.read()
            if fault == name:
                raise KeyError("a shape nobody thought of")
            return work(*arguments)
        return either

    prometheus.EXTRACTORS["memory"] = faulty("collector", prometheus.EXTRACTORS["memory"])
    prometheus.render = faulty("exporter", prometheus.render)
"""


class Daemon:
    """The daemon, who scrapes it, and what is done to it."""

    def __init__(self, directory: Path, site: Path, prelude: str, env: dict[str, str]) -> None:
        self.directory = directory
        self.port = free_port()
        self.state = directory / "state"
        self.state.mkdir()
        self.fault = directory / "fault"
        self.fault.write_text("")
        self.log = directory / "log"
        self.certificates = [f"{NAME}:443", str(directory / "a.pem"), str(directory / "b.pem")]
        self.allow = [NAME]
        self.configure()
        command = [str(Path(sys.executable).with_name("biostudio-doctor")), "daemon"]
        command += ["--config", str(directory / "config.toml"), "--phase", "running"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-ec", f'{prelude}\nexec "$@"', "sh", *command],
                env={
                    **os.environ, "PYTHONPATH": str(site), "FAULT": str(self.fault), **env,
                },
                stdout=log, stderr=log,
            )  # fmt: skip

    def configure(self) -> None:
        skip = ["egress.*", "activation.*", "cpu.count", *FAULTY]
        (self.directory / "config.toml").write_text(
            f"skip = {json.dumps(skip)}\ncertificates = {json.dumps(self.certificates)}\n"
            f"[daemon]\nlisten = '127.0.0.1:{self.port}'\nstate = '{self.state}'\n"
            f"[daemon.probe]\nallow = {json.dumps(self.allow)}\n"
            "[daemon.intervals]\n'faulty.*' = 1\n'certificate.expiry' = 1\n"
        )

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> Samples:
        status, text = self.get("/metrics")
        assert status == 200
        return samples(text)

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.metrics().get((f"biostudio_{name}", tuple(sorted(labels.items()))))

    def status(self, check: str, target: str) -> str:
        """The status of the check's target; '' without series."""
        return next(
            (
                dict(labels)["status"]
                for (name, labels), value in self.metrics().items()
                if name == "biostudio_check_status" and value == 1
                and (dict(labels)["check"], dict(labels)["target"]) == (check, target)
            ),
            "",
        )  # fmt: skip

    def until(self, true: Callable[[], object]) -> None:
        start = time.monotonic()
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - start < PATIENCE, self.log.read_text()
            time.sleep(0.1)

    def obeys(self, fault: str, status: str) -> None:
        """Have the check do this from now on, and see what becomes of it."""
        runs = self.value("check_runs_total", check="faulty.obeys") or 0
        self.fault.write_text(fault)
        self.until(lambda: self.status("faulty.obeys", TARGETS[status]) == status)
        self.until(lambda: (self.value("check_runs_total", check="faulty.obeys") or 0) > runs)

    def resident(self) -> int:
        """Bytes of both processes that stay."""
        main = psutil.Process(self.process.pid)
        web = min(main.children(), key=lambda child: child.create_time())
        return sum(one.memory_info().rss for one in (main, web))

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


#: What the result of faulty.obeys is about, by its status.
TARGETS = {"pass": "faulty", "error": "faulty.obeys"}
FAULTY = [
    f"faulty.{name}"
    for name in (
        "raises", "judge", "exits", "sleeps", "blocks", "spins", "dies", "stuck", "silent", "leaks",
        "unserialisable", "surrogates", "prints", "import", "importexit", "missing", "nocheck",
        "othername",
    )
]  # fmt: skip


class Lab:
    """A daemon in its world, and the figures of its scrapes."""

    def __init__(self, daemon: Daemon, scrapes: Scraping, figures: list[str]) -> None:
        self.daemon = daemon
        self.scrapes = scrapes
        self.figures = figures

    @contextmanager
    def fault(self, name: str, least: float = 1.0) -> Iterator[Daemon]:
        """For so many seconds at least; then no scrape may have failed meanwhile."""
        began = time.monotonic()
        yield self.daemon
        time.sleep(max(0.0, began + least - time.monotonic()))
        self.judge(name, began, time.monotonic())

    def judge(self, name: str, began: float, ended: float) -> None:
        """Whether the scrapes that began within this time were as they must be."""
        deadline = time.monotonic() + PATIENCE
        while not self.scrapes.since(ended):  # which is after the last one that matters
            assert time.monotonic() < deadline, "no scrape ends"
            time.sleep(EVERY / 2)
        found = [each for each in self.scrapes.since(began) if each.began < ended]
        by_kind = [[each.seconds for each in found if each.kept is kept] for kept in (True, False)]
        median = statistics.median(each.seconds for each in found)
        slowest, slowest_new = map(max, by_kind)
        self.figures.append(
            f"{name:30} {len(found):4} scrapes, median {median * 1000:5.1f} ms, slowest "
            f"{slowest * 1000:5.1f} ms by the kept connection, {slowest_new * 1000:5.1f} ms by new"
        )
        assert [each for each in found if each.problem] == []
        assert max(slowest, slowest_new) < SLOWEST


class NameServer:
    """Says of each name that there is none, as long as it speaks.

    At the standard port, since resolv.conf knows no other, of a loopback address of its own.
    """

    def __init__(self) -> None:
        self.speaks = True
        self.asked = 0
        self.address = f"127.{os.getpid() % 250 + 2}.{os.getpid() // 250 % 250 + 2}.53"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            self.asked += 1
            if self.speaks:
                answer = dns.message.make_response(dns.message.from_wire(data))
                answer.set_rcode(dns.rcode.NXDOMAIN)
                self._socket.sendto(answer.to_wire(), client)

    def end(self) -> None:
        with self._socket:
            self._socket.sendto(b"", (self.address, 53))
            self._thread.join()


@contextmanager
def started(
    directory: Path, site: Path, figures: list[str], prelude: str, env: dict[str, str]
) -> Iterator[Lab]:
    for name in ("a", "b"):
        (directory / f"{name}.pem").write_bytes(make(f"{name}.lab").pem)
    daemon = Daemon(directory, site, prelude, env)

    def ready() -> bool:
        with contextlib.suppress(OSError):
            return daemon.get("/readyz")[0] == 200
        return False

    try:
        daemon.until(ready)
        with scraping(daemon.port, directory / "scrapes") as scrapes:
            yield Lab(daemon, scrapes, figures)
    finally:
        daemon.end()
