"""How much start-up costs, against interpreters that only import what cannot be avoided.

Run: .venv/bin/python -m tests.bench_startup [RUNS]

The commands take turns within one run, so that a drift of the machine's speed hits all alike.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate

DOCTOR = str(Path(sys.executable).with_name("biostudio-doctor"))
#: With compiled modules, as pip leaves an installation.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
PAIRS = (
    # what we run, what it is measured against, the most that the ratio may be
    ([DOCTOR, "--version"], [sys.executable, "-c", "import click"], 1.6),
    ([DOCTOR, "check", "--offline"], [sys.executable, "-c", "import psutil, click"], 3.0),
)


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT, check=False)
    return time.perf_counter() - start


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    timings: list[tuple[list[float], list[float]]] = [([], []) for _ in PAIRS]
    for turn in range(runs + 1):
        for (ours, theirs), (command, reference, _) in zip(timings, PAIRS, strict=True):
            pair = seconds(command), seconds(reference)
            if turn:  # the first one warms the caches
                ours.append(pair[0])
                theirs.append(pair[1])
    rows = []
    for (ours, theirs), (command, reference, most) in zip(timings, PAIRS, strict=True):
        mine, other = statistics.median(ours), statistics.median(theirs)
        rows.append(
            [
                " ".join([Path(command[0]).name, *command[1:]]),
                f"{mine * 1000:.0f} ms",
                " ".join([Path(reference[0]).name, *reference[1:]]),
                f"{other * 1000:.0f} ms",
                f"{mine / other:.2f}",
                f"{most:g}",
            ]
        )
    headers = ["command", "median", "against", "median", "ratio", "at most"]
    print(tabulate(rows, headers=headers, disable_numparse=True))


if __name__ == "__main__":
    main()
