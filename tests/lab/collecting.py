"""Collectors run by the bundle's own engine, with a redactor that leaves everything as it is.

So a test sees what a collector itself leaves out, and nothing that redaction would have caught.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from biostudio_doctor import config as configuration
from biostudio_doctor import registry
from biostudio_doctor.bundle.gather import Gathered, Gathering
from biostudio_doctor.bundle.manifest import BundledFile, Collected, Outcome
from biostudio_doctor.collector import Collector, Surroundings, Window
from biostudio_doctor.host import Host
from biostudio_doctor.model import Machine
from biostudio_doctor.redaction.redactor import Place, Redactor

NOW = datetime.now(UTC)


class Plain(Redactor):
    """Redacts nothing."""

    def __init__(self) -> None:
        pass

    def stream(self, pieces: Iterable[bytes], counts: dict[str, int]) -> Iterator[bytes]:
        yield from pieces

    def name(self, name: str) -> str:
        return name

    def scan(self, pieces: Iterable[bytes]) -> Iterator[Place]:
        return iter(())


class Collection:
    """What collectors delivered."""

    def __init__(self, gathered: list[Gathered]) -> None:
        self.of: dict[str, Collected] = {one.collected.id: one.collected for one in gathered}
        self.files: dict[str, BundledFile] = {}
        self.content: dict[str, bytes] = {}
        for one in gathered:
            assert one.spool
            for file, place in zip(one.files, one.places, strict=True):
                self.files[file.path] = file
                one.spool.seek(place)
                self.content[file.path] = one.spool.read(file.size)
            one.spool.close()

    def text(self, path: str) -> str:
        assert path in self.content, f"{path} is not among {sorted(self.content)}"
        return self.content[path].decode("utf-8", "replace")

    @property
    def everything(self) -> bytes:
        """All contents, names and sources."""
        told = [f"{file.path} {file.source} {file.reason}" for file in self.files.values()]
        return b"\n".join([*self.content.values(), *(line.encode() for line in told)])

    @property
    def troubles(self) -> dict[str, str]:
        """What could not be had, and why."""
        return {
            path: file.reason
            for path, file in self.files.items()
            if file.outcome in (Outcome.FAILED, Outcome.PARTIAL)
        }


def collect(
    host: Host,
    *ids: str,
    machine: Machine | None = None,
    since: timedelta = timedelta(days=1),
    until: datetime = NOW + timedelta(hours=1),
    offline: bool = False,
    **config: Any,
) -> Collection:
    """Run these collectors, or all that are registered; keywords are keys of the configuration."""
    found = registry.find(registry.COLLECTORS)
    surroundings = Surroundings(
        host=host,
        machine=machine or host.machine,
        config=configuration.convert(config, configuration.Config, "test"),
        window=Window(since=NOW - since, until=until),
        offline=offline,
    )

    def load(name: str) -> Any:
        def make(given: Surroundings) -> Collector:
            kind: type[Collector] = found[name].load()
            assert kind.id == name
            return kind(given)

        return make

    gathering = Gathering(
        {name: load(name) for name in ids or found},
        surroundings,
        Plain(),
        new_spool=tempfile.TemporaryFile,
        most=1 << 30,
        concurrency=4,
    )
    return Collection(gathering.run(60))


def main() -> None:
    """Collect in whatever namespaces this process is in: IDS... The contents by path, as JSON."""
    got = collect(Host(), *sys.argv[1:])
    contents = {path: got.text(path) for path in got.content}
    json.dump({"contents": contents, "troubles": got.troubles}, sys.stdout)


if __name__ == "__main__":
    main()
