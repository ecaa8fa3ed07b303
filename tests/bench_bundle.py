"""What a default bundle costs, beside `sos report` restricted to comparable plug-ins.

Run: .venv/bin/python -m tests.bench_bundle [RUNS]

All take turns within one run, so that a drift of the machine's speed hits all alike. Memory is that
of all processes together: as they count it themselves (RSS, where what forked processes share
counts for each of them), and with what is shared counted once (PSS).

sos asks nothing of the network. A default bundle holds the report of all checks, with the traces of
the way out: where nothing answers there, it waits for them as `check` does, while all else is
gathered beside it. So it is measured with them, which is what is promised, and without (--offline).
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from tabulate import tabulate

DOCTOR = str(Path(sys.executable).with_name("biostudio-doctor"))
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
#: Those of sos's plug-ins that take what one of our collectors takes.
PLUGINS = (
    "block", "chrony", "containerd", "crio", "date", "devices", "docker", "dpkg", "filesys",
    "firewall_tables", "firewalld", "general", "hardware", "host", "kernel", "kubernetes",
    "logs", "md", "memory", "networking", "nvidia", "pci", "process", "processor", "services",
    "systemd", "ubuntu", "ufw",
)  # fmt: skip
BUNDLE, SOS = "biostudio-doctor bundle", "sos report"
_PAUSE = 0.02  # seconds between two looks at the memory


class Cost(NamedTuple):
    """Of one run."""

    seconds: float
    rss: int  # bytes, at the worst moment
    pss: int
    size: int  # of what was written


def measured(command: list[str], directory: Path) -> Cost:
    """Run it, and look at all its processes meanwhile."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    ) as process:
        root = psutil.Process(process.pid)
        rss = pss = 0
        while process.poll() is None:
            now = [_memory(one) for one in _tree(root)]
            rss = max(rss, sum(one for one, _ in now))
            pss = max(pss, sum(one for _, one in now))
            time.sleep(_PAUSE)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}")
    size = sum(path.stat().st_size for path in directory.rglob("*.tar.*") if path.is_file())
    return Cost(seconds, rss, pss, size)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> tuple[int, int]:
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines[1:]}
    return values.get("Rss", 0), values.get("Pss", 0)


def sos(directory: Path) -> list[str]:
    """The command, with those of the plug-ins that this version has."""
    listed = subprocess.run(["sos", "report", "-l"], capture_output=True, text=True, check=True)
    known = {line.split()[0] for line in listed.stdout.splitlines() if line.startswith(" ")}
    chosen = ",".join(name for name in PLUGINS if name in known)
    return ["sos", "report", "--batch", "--quiet", "--tmp-dir", str(directory), "-o", chosen]


def main() -> None:
    """Print one table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    if not shutil.which("sos"):
        sys.exit("sos is not installed: apt-get install --no-install-recommends sosreport")
    costs: dict[str, list[Cost]] = {name: [] for name in (BUNDLE, f"{BUNDLE} --offline", SOS)}
    for turn in range(runs + 1):
        for name, found in costs.items():
            directory = Path(tempfile.mkdtemp())
            if name == SOS:
                command = sos(directory)
            else:
                command = [DOCTOR, *name.split()[1:], "--output", str(directory)]
            cost = measured(command, directory)
            if turn:  # the first one warms the caches
                found.append(cost)
            shutil.rmtree(directory)
    medians = {
        name: Cost(*(statistics.median(values) for values in zip(*found, strict=True)))
        for name, found in costs.items()
    }
    rows = [
        (name, f"{one.seconds:.2f} s", *(f"{value / 1e6:.1f} MB" for value in one[1:]))
        for name, one in medians.items()
    ]
    for name, one in list(medians.items())[:-1]:
        ratios = (f"{mine / other:.2f}" for mine, other in zip(one, medians[SOS], strict=True))
        rows.append((f"{name} : {SOS}", *ratios))
    rows.append(("at most", "0.5", "2", "", ""))
    headers = (f"median of {runs}", "wall", "peak RSS of all", "peak PSS of all", "written")
    print(tabulate(rows, headers=headers, disable_numparse=True))


if __name__ == "__main__":
    main()
