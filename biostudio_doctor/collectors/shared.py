"""What several collectors need to say what they take."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from biostudio_doctor import text
from biostudio_doctor.bundle.taking import Matches
from biostudio_doctor.collector import Ask, Say, Take
from biostudio_doctor.host import Host, command_environment, programs

_EXCUSE_LIMIT = 200  # characters


def files(host: Host, *paths: str, **options: Any) -> Iterator[Take]:
    """Those of some files, or globs, that are there. `options` are those of `Take`.

    What cannot be looked for is among them, so that the bundle says why. A file that is a link is
    none: where it usually leads is listed beside it.
    """
    for path in paths:
        take = Take(path=path, **options)
        try:
            found = Matches(host, take).find()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            yield take
            continue
        if ("*" in path and found) or any(not match.why_not for match in found):
            yield take


def installed(host: Host, *questions: Ask) -> Iterator[Ask]:
    """Those whose programs are there: that most hosts have no multipath is not worth a line."""
    return (one for one in questions if program(host, one.command[0]))


def program(host: Host, name: str, *also: str) -> str:
    """Where the engine would find a program, or in the directories `also`; '' if nowhere."""
    path = shutil.which(name, path=command_environment()["PATH"]) if host.is_local else ""
    return path or programs.find(host, name, also=also)


def refused(error: OSError, name: str, source: str) -> Say:
    """An entry that says why something else could not be looked for."""

    def tell() -> None:
        raise error

    return Say(tell=tell, name=name, source=source)


def output(host: Host, command: Sequence[str], seconds: float) -> str:
    """What a command prints, for those who look into it.

    Raises:
        OSError: with its own words, if it fails.
    """
    done = host.run(command, timeout=seconds)
    if done.returncode:
        said = text.printable((done.stderr.strip().splitlines() or ["no reason given"])[-1])
        problem = f"{command[0]} ended with {done.returncode}: {said[:_EXCUSE_LIMIT]}"
        raise OSError(errno.EREMOTEIO, problem)
    return done.stdout


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """For people and for grep."""
    from tabulate import tabulate

    return tabulate([list(row) for row in rows], list(columns), "plain", disable_numparse=True)


def moment(seconds: float) -> str:
    """A time stamp of a file, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
