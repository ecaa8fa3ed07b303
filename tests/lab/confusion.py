"""Every fault of the lab, once, and what `check egress.hosts` calls it: a confusion table.

Run: python -m tests.lab.confusion [PAGE]

Prints the table; with a page, it replaces what stands there between the two marks.
"""

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.lab import network
from tests.lab.faults import FAULTS, HEALTHY, Fault, Setting, prepare

NONE = "(none)"
_MARKS = "<!-- confusion -->\n", "<!-- /confusion -->"
_TROUBLE = ("fail", "warn", "error")


def report(fault: Fault, directory: Path) -> dict[str, Any]:
    """Make a fault in a lab of its own, and let the check look at it."""
    directory.chmod(0o755)  # squid and others give up root
    lab = network.Network(directory)
    try:
        world = prepare(lab)
        setting = fault.make(world) or Setting()
        done = world.doctor(
            "check", "egress.hosts", "--output", "json", env=setting.env, before=setting.before
        )
        assert done.returncode in (0, 1, 3), done.stderr
        (result,) = json.loads(done.stdout)["results"]
        return dict(result)
    finally:
        lab.close()


def causes(result: Mapping[str, Any]) -> set[str]:
    """What a result names; '' stands for trouble without a name."""
    return {
        finding.get("cause", "") for finding in result["findings"] if finding["status"] in _TROUBLE
    }


def matrix(pairs: Iterable[tuple[str, str]]) -> str:
    """How often what was wanted (rows) was called what (columns, by the numbers of the rows)."""
    counts = Counter(pairs)
    words = sorted({word for pair in counts for word in pair})
    width = max(map(len, words)) + 4
    lines = [" " * width + "".join(f"{number:3}" for number in range(1, len(words) + 1))]
    for number, wanted in enumerate(words, 1):
        cells = "".join(f"{counts[wanted, got] or '.':>3}" for got in words)
        lines.append(f"{f'{number:2} {wanted}':{width}}{cells}")
    return "\n".join(lines)


def scenarios(found: Mapping[Fault, set[str]]) -> str:
    """One line for each."""
    lines = ["| fault in the lab | wanted | named |", "| --- | --- | --- |"]
    for fault, got in found.items():
        named = ", ".join(sorted(got)) or NONE
        lines.append(f"| {fault.name} | {fault.cause or NONE} | {named} |")
    return "\n".join(lines)


def page() -> str:
    """Both tables, in Markdown."""
    found: dict[Fault, set[str]] = {}
    for fault in (*HEALTHY, *FAULTS):
        with tempfile.TemporaryDirectory() as directory:
            found[fault] = causes(report(fault, Path(directory)))
    pairs = [(fault.cause or NONE, word or "?") for fault, got in found.items()
             for word in got or {NONE}]  # fmt: skip
    right = sum(got == ({fault.cause} if fault.cause else set()) for fault, got in found.items())
    return (
        f"Of {len(found)} set-ups, {right} are named exactly, with no other cause beside.\n\n"
        f"```text\n{matrix(pairs)}\n```\n\n{scenarios(found)}\n"
    )


def main() -> None:
    """Print it, or write it into a page."""
    why_not = network.why_not()
    if why_not:
        sys.exit(why_not)
    text = page()
    if len(sys.argv) == 1:
        print(text, end="")
        return
    file = Path(sys.argv[1])
    start, end = (re.escape(mark) for mark in _MARKS)
    old = file.read_text()
    assert re.search(f"{start}.*{end}", old, re.DOTALL), f"{file} has no marks"
    new = "".join((_MARKS[0], text, _MARKS[1]))
    file.write_text(re.sub(f"{start}.*{end}", lambda _: new, old, flags=re.DOTALL))


if __name__ == "__main__":
    main()
