"""The kernel's messages."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Iterator

from biostudio_doctor.collector import Ask, Collector, Item, Say
from biostudio_doctor.collectors import xids
from biostudio_doctor.collectors.journal import asked, is_kept, journalctl
from biostudio_doctor.host import command_environment

_DMESG = ("dmesg", "--time-format", "iso")


class KernelCollector(Collector):
    """The kernel's messages, with what GPUs reported (XIDs).

    From dmesg, which has those of this boot that fitted into its buffer, and from the journal,
    which has those of earlier boots, within the time that was asked for. The lines in which
    NVIDIA's driver reports an error of a GPU stand in a file of their own (gpu-xids.txt), with what
    each number means.
    """

    id = "kernel"

    def items(self) -> Iterator[Item]:
        """What is short first."""
        journal = journalctl(self.surroundings.window, "_TRANSPORT=kernel")
        source = "dmesg, or the journal's kernel messages where it has any"
        if self.host.is_local:
            yield Say(tell=self._xids, name="gpu-xids.txt", source=source)
        yield Ask(command=_DMESG, name="dmesg.txt", needs_root=True)
        if is_kept(self.host):
            yield asked("journal.log", 15, *journal)

    def _xids(self) -> Iterator[bytes]:
        for line in xids.mark(self._messages()):
            yield line.encode()

    def _messages(self) -> Iterator[str]:
        """The journal's, or those of dmesg where it has none."""
        empty = True
        with contextlib.suppress(OSError):
            for line in _lines(journalctl(self.surroundings.window, "_TRANSPORT=kernel")):
                empty = False
                yield line
        if empty:
            yield from _lines(_DMESG)


def _lines(command: tuple[str, ...]) -> Iterator[str]:
    """What a command prints, line by line.

    Raises:
        OSError: if it cannot be run, or fails.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=command_environment(),
        errors="replace",
    ) as process:
        assert process.stdout
        yield from process.stdout
    if process.returncode:
        raise OSError(errno.EREMOTEIO, f"{command[0]} ended with {process.returncode}")
