"""A third party's plug-in: one check and one exporter."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from biostudio_doctor.check import Check
from biostudio_doctor.config import Settings
from biostudio_doctor.exporter import Style
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Report, Status
from biostudio_doctor.requirements import Requirements


class ScratchFacts(Struct):
    path: str
    free_bytes: int | None


class ScratchSettings(Settings, frozen=True, kw_only=True):
    path: Annotated[str, Meta(description="Where the scratch area is.")] = "/"
    least_bytes: Annotated[int, Meta(description="What it must have free.")] = 1


class Scratch(Check[ScratchFacts]):
    """Room in ACME's scratch area.

    Looks at the free space of the scratch area.

    Why: our pipelines stop when it is full.

    Mend: delete what is older than a month.
    """

    id = "acme.scratch"
    Settings = ScratchSettings

    def observe(self, host: Host) -> ScratchFacts:
        try:
            space = host.statvfs(self.settings.path)
        except FileNotFoundError:
            return ScratchFacts(self.settings.path, None)
        return ScratchFacts(self.settings.path, space.f_bavail * space.f_frsize)

    def judge(self, facts: ScratchFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.free_bytes is None:
            yield Finding(Status.SKIP, "scratch", f"There is no {facts.path} on this host.")
        elif facts.free_bytes >= self.settings.least_bytes:
            yield Finding(Status.PASS, "scratch", f"{facts.path} has room.")
        else:
            remedy = Remedy("Delete old files.", (f"find {facts.path} -mtime +30",), as_root=False)
            yield Finding(Status.FAIL, "scratch", f"{facts.path} is full.", remedy=remedy)


def oneline(report: Report, style: Style) -> str:
    """The whole report in one word."""
    return f"{report.status}\n"
