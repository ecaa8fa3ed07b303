"""Measure the redactor on corpora that others made: `python -m tests.redaction.acceptance DIR`.

DIR/secrets/*.jsonl holds one sample a line, {"text": ..., "secret": ...}: a piece of a file, and
the secret in it exactly as it stands there. A sample counts as redacted when no six characters of
the secret in a row are left. DIR/benign/*.txt holds lines without any secret; each counts as
untouched when it comes out byte for byte. Such corpora are not part of this repository: their
licences are their makers', and they are full of what looks like real secrets.

Demanded: 97 % of the secrets gone, 99.5 % of the benign lines untouched; the exit status tells.
With `--misses FILE` what failed is written there.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from .corpus import Redact, blank, redactor, remnants

GONE, UNTOUCHED = 0.97, 0.995


def left(redact: Redact, path: Path) -> Iterator[tuple[bool, str]]:
    for line in path.read_text().splitlines():
        sample = json.loads(line)
        text, secret = sample["text"], sample["secret"]
        after = redact(text.encode())
        rest = text.replace(secret, "\n").encode()
        lost = remnants(secret, rest, blank(after))
        yield lost, f"{secret!r} left in {text[:500]!r} => {after.decode(errors='replace')[:500]!r}"


def changed(redact: Redact, path: Path) -> Iterator[tuple[bool, str]]:
    for line in path.read_bytes().splitlines():
        after = redact(line + b"\n")
        yield after != line + b"\n", f"changed {line[:500]!r} => {after[:500]!r}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.redaction.acceptance")
    parser.add_argument("place", type=Path)
    parser.add_argument("--misses", type=Path)
    given = parser.parse_args()
    redact = redactor()
    told: list[str] = []
    passed = True
    for title, kind, judge, demand in (
        ("secrets gone", "secrets/*.jsonl", left, GONE),
        ("benign lines untouched", "benign/*.txt", changed, UNTOUCHED),
    ):
        total = failed = 0
        for path in sorted(given.place.glob(kind)):
            verdicts = list(judge(redact, path))
            bad = [what for wrong, what in verdicts if wrong]
            told += [f"{path.name}: {what}" for what in bad]
            total, failed = total + len(verdicts), failed + len(bad)
            print(f"  {path.name:32} {len(verdicts) - len(bad):6} of {len(verdicts)}")
        rate = 1 - failed / total if total else 1.0
        passed &= rate >= demand
        print(f"{title}: {rate:.2%} of {total} (demanded {demand:.1%})")
    if given.misses:
        given.misses.write_text("\n".join(told) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
