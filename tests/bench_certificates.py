"""What looking at 500 certificates costs, beside the blackbox exporter's TLS probe of the same.

Run: .venv/bin/python -m tests.bench_certificates [ROUNDS]

nginx serves HTTPS on 500 loopback addresses. Ours and the exporter look at them in turns, so that a
drift of the machine's speed hits both alike. The exporter runs already, gets as many probes at once
as ours makes, and shakes hands once, verifying the chain; ours starts anew each time, shakes hands
a second time for the old versions of TLS, reads the whole chain and verifies it twice. Then a fifth
of the endpoints is silent, which is to cost the bound that `certificates.live` states.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tabulate import tabulate

from biostudio_doctor.certificates import live
from tests.bench_probes import BLACKBOX, Hosts, Timing, exporter
from tests.lab.network import free_port
from tests.lab.pki import Pki
from tests.lab.tls_servers import Site, nginx
from tests.probes.worker import peak

COUNT = 500
SILENT = 100
_MODULE = """
modules:
  tls:
    prober: tcp
    timeout: {timeout:g}s
    tcp: {{tls: true, tls_config: {{ca_file: {ca_file}, server_name: studio.lab}}}}
"""

Look = Callable[[Sequence[str]], Timing]


def ours(ca_file: str) -> Look:
    """One look in a process of its own, its imports not counted."""

    def look(endpoints: Sequence[str]) -> Timing:
        job = json.dumps({"ca_file": ca_file, "endpoints": list(endpoints)})
        command = [sys.executable, "-m", "tests.bench_certificates", "--look"]
        done = subprocess.run(command, input=job, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout)
        return Timing(told["seconds"], told["found"], told["peak"])

    return look


def whole_run(ca_file: str, directory: Path) -> Look:
    """`biostudio-doctor check` with all eight checks, from its start to its end."""

    def look(endpoints: Sequence[str]) -> Timing:
        names = ", ".join(f'{{ at = "{one}", server_name = "studio.lab" }}' for one in endpoints)
        config = directory / "doctor.toml"
        config.write_text(
            f'certificates = [{names}]\n[checks."certificate.expiry"]\nca_file = "{ca_file}"\n'
        )
        program = str(Path(sys.executable).with_name("biostudio-doctor"))
        command = [program, "check", "certificate.*", "--output", "json", "--config", str(config)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        seconds = time.perf_counter() - started
        findings = {
            result["id"]: [one["status"] for one in result["findings"]]
            for result in json.loads(done.stdout)["results"]
        }
        return Timing(seconds, findings["certificate.trust"].count("pass"), 0)

    return look


def _look() -> None:
    """The process of `ours`."""
    from biostudio_doctor.certificates.survey import survey
    from biostudio_doctor.certificates.watched import Source
    from biostudio_doctor.host import Host

    job = json.loads(sys.stdin.read())
    sources = [Source(at=one, server_name="studio.lab") for one in job["endpoints"]]
    started = time.perf_counter()
    seen = survey(Host(), sources, ca_file=job["ca_file"], offline=False, seconds=30)
    seconds = time.perf_counter() - started
    found = sum(one.trust is not None and one.trust.trusted for one in seen.watched)
    print(json.dumps({"seconds": seconds, "found": found, "peak": peak()}))


@contextmanager
def endpoints(pki: Pki) -> Iterator[list[str]]:
    """HTTPS on so many addresses, all on one port."""
    port = free_port()
    addresses = ["127.0.0.1", *(f"127.9.{n // 250}.{n % 250 + 1}" for n in range(COUNT))]
    chain = [pki.good, pki.sub]
    sites = {
        f"s{number}": Site(chain, address=address, port=port)
        for number, address in enumerate(addresses)
    }
    with nginx(sites):
        yield [f"{address}:{port}" for address in addresses[1:]]


def table(rounds: int, pki: Pki, directory: Path) -> str:
    """Ours beside the exporter's."""
    ca_file = str(directory / "ca.pem")
    Path(ca_file).write_bytes(pki.root.pem)
    with ExitStack() as stack:
        programs = {
            "biostudio-doctor, one look": ours(ca_file),
            "check 'certificate.*', all of it": whole_run(ca_file, directory),
        }
        if shutil.which(BLACKBOX):
            config = _MODULE.format(timeout=live.SECONDS, ca_file=ca_file)
            look = exporter(config, "tls", live.AT_ONCE)
            programs["blackbox exporter"] = stack.enter_context(look)
        places = stack.enter_context(endpoints(pki))
        timings: dict[str, list[Timing]] = {name: [] for name in programs}
        for turn in range(rounds + 1):
            for name, look in programs.items():
                timing = look(places)
                assert timing.found == COUNT, f"{name} trusted {timing.found} of {COUNT}"
                timings[name] += [timing] if turn else []  # the first one warms up
        silent = _with_silent_ones(programs["biostudio-doctor, one look"], places)
    rows = []
    for name, of_one in timings.items():
        seconds = statistics.median(timing.seconds for timing in of_one)
        most = max(timing.peak for timing in of_one)
        rows.append(
            [
                name,
                f"{seconds:.2f}",
                f"{COUNT / seconds:.0f}",
                f"{most / 1e6:.0f} MB" if most else "",
            ]
        )
    headers = [f"{COUNT} endpoints", "seconds", "endpoints/s", "peak memory"]
    lines = [tabulate(rows, headers=headers, disable_numparse=True, tablefmt="github")]
    if not shutil.which(BLACKBOX):
        lines.append("blackbox exporter: skipped, it is not installed")
    bound = live.TURN + live.SECONDS + live.COMPUTING * COUNT
    lines.append(
        f"\n{SILENT} of {COUNT} silent: {silent.seconds:.2f} s, {silent.peak / 1e6:.0f} MB; the "
        f"bound is {bound:g} s ({live.AT_ONCE} at once, {live.SECONDS:g} s each, none waits longer "
        f"than {live.TURN:g} s, and {live.COMPUTING * 1e3:g} ms of computing each)"
    )
    return "\n".join(lines)


def _with_silent_ones(look: Look, places: Sequence[str]) -> Timing:
    """Some of the endpoints in between drop every SYN, as a firewall does."""
    with tempfile.TemporaryDirectory() as directory:
        hosts = Hosts(Path(directory), 1, SILENT)
        with hosts:
            silent = [f"{address}:{hosts.port}" for address in hosts.silent]
            mixed = [*silent, *places[SILENT:]]
            timing = look(mixed)
    assert timing.found == COUNT - SILENT
    return timing


def main() -> None:
    if "--look" in sys.argv:
        _look()
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{os.cpu_count()} cores, {live.AT_ONCE} at once, median of {rounds} rounds\n")
    with tempfile.TemporaryDirectory() as directory:
        print(table(rounds, Pki(), Path(directory)))


if __name__ == "__main__":
    main()
