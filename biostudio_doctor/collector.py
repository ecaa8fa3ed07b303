"""What a collector is. Built-in collectors and third parties' plug-ins derive from `Collector`.

A collector only says *what* to take. The engine opens, runs, bounds, redacts and writes, so that a
collector can neither hang the bundle, nor fill the disk, nor take a link for a file, nor leak.
It is listed under the entry-point group `biostudio_doctor.collectors`; the name of its entry point
is its id.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from msgspec import Struct

from biostudio_doctor.config import Config
from biostudio_doctor.host import Host
from biostudio_doctor.model import Machine

MIB = 1 << 20


class Take(Struct, frozen=True, kw_only=True):
    """A file of the host. A link is never followed, and nothing but a regular file is read.

    What ends in .gz, .xz, .bz2 or .zst is taken unpacked. Of one longer than `limit`, head and tail
    are taken.
    """

    path: str  # on the host, below host.root; may be a glob, whose matches are all taken
    name: str = ""  # in the bundle, below the collector's directory; "" is the path itself
    limit: int = 4 * MIB  # bytes as written
    newest: int = 50  # files, of the matches of a glob
    within: bool = False  # only what was changed since the window began
    #: The directory from which on others may have laid links: none is followed beyond it. "" is all
    #: of the path that is no glob, but for the file itself.
    below: str = ""


class Ask(Struct, frozen=True, kw_only=True):
    """What a command prints, both outputs and its exit status.

    It runs without a shell, with LC_ALL=C and no standard input, in a process group that is ended
    with its time. A command that does not exist is told as such and is no failure. No secret may
    stand in its arguments.
    """

    command: tuple[str, ...]
    name: str  # in the bundle, below the collector's directory
    limit: int = 4 * MIB
    seconds: float = 10.0
    needs_root: bool = False  # so that a refusal is told as what it is
    whole_if_silent: bool = False  # a word on its other output says that something is missing


class Say(Struct, frozen=True, kw_only=True):
    """What a function tells: text, bytes, or data that is written as JSON.

    It may also yield pieces of bytes, one after the other, for what is long.
    """

    tell: Callable[[], Any]
    name: str
    source: str  # for the manifest and --dry-run, such as "Docker's API: /containers/json"
    limit: int = 4 * MIB


Item = Take | Ask | Say


class Window(Struct, frozen=True, kw_only=True):
    """Of which time logs are wanted (UTC)."""

    since: datetime
    until: datetime


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a collector knows before it says what to take."""

    host: Host
    machine: Machine
    config: Config
    window: Window
    offline: bool = False  # nothing that leaves the host may be asked


class Collector:
    """One piece of a support bundle.

    `items` may itself look at the host (which containers there are); it runs in the expendable
    process of this collector, within its time. The first line of the docstring is the title; a
    paragraph that begins with "Leaves out:" says what is not taken because it is too dangerous.
    """

    id: ClassVar[str]
    timeout: ClassVar[timedelta] = timedelta(seconds=20)

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.host = surroundings.host

    def why_not(self) -> str | None:
        """Why there is nothing to collect here ("no container engine runs here"), or None."""
        return None

    def items(self) -> Iterable[Item]:
        """What to take, the most telling first: what a timeout cuts off is the end."""
        raise NotImplementedError

    @classmethod
    def title(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or cls.__name__).strip().partition("\n")[0].rstrip(".")
