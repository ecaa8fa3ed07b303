"""What the tests of hostile bundles share."""

from pathlib import Path

import pytest

from biostudio_doctor.bundle import reader
from biostudio_doctor.bundle.errors import BundleError

ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def read(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with reader.reading(path) as bundle:
        for _ in bundle.entries():
            pass


def refusal(data: bytes, path: Path) -> str:
    with pytest.raises(BundleError) as refused:
        read(data, path)
    said = str(refused.value)
    assert said.isprintable() and len(said) < 700 and "\n" not in said, said
    return said
