"""A clock that is moved for one process and its children only, while they run."""

import os
import shutil
from pathlib import Path

import pytest

needs_faketime = pytest.mark.skipif(not shutil.which("faketime"), reason="needs faketime")


class FakedClock:
    """The system's clock, and how far off it is; monotonic clocks go on as they are.

    Args:
        directory: for the file that tells the process how far.
        caching: how often it is read, as a variable of libfaketime and its value.
    """

    def __init__(self, directory: Path, **caching: str) -> None:
        self._stamp = directory / "clock"
        self._stamp.write_text("+0")
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._stamp),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            **caching,
        }

    def move(self, seconds: int) -> None:
        """Set it so far off; at once, since half a file would be taken for some other time."""
        whole = self._stamp.with_suffix(".next")
        whole.write_text(f"{seconds:+d}")
        os.replace(whole, self._stamp)
