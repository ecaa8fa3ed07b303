"""README.txt: what this is, how to read it without the tool, and what is missing."""

import textwrap
from collections.abc import Iterable, Iterator

from biostudio_doctor import text
from biostudio_doctor.bundle.manifest import Manifest, Outcome

NAME = "README.txt"
_WIDTH = 78
_MISSING = (Outcome.FAILED, Outcome.PARTIAL, Outcome.CUT)


def written(manifest: Manifest, left_out: Iterable[str], unread: Iterable[str]) -> str:
    """The whole text.

    Args:
        manifest: of the bundle, README.txt itself not yet among its files.
        left_out: sentences of the collectors on what they do not take.
        unread: where secrets of the configuration are that could not be read.
    """
    return "\n".join(_lines(manifest, list(left_out), list(unread))) + "\n"


def _lines(manifest: Manifest, left_out: list[str], unread: list[str]) -> Iterator[str]:
    yield f"Support bundle of {manifest.hostname}"
    yield ""
    made = f"Made by biostudio-doctor {manifest.tool_version}"
    when = f" on {manifest.created_at:%Y-%m-%d at %H:%M UTC}" if manifest.created_at else ""
    yield from _filled(
        f"{made}{when}. Logs are from {manifest.since:%Y-%m-%d %H:%M} to "
        f"{manifest.until:%Y-%m-%d %H:%M} UTC."
    )
    yield ""
    yield from _filled(
        "Open report.html in a browser: what is wrong and what to do next stands first. "
        "report.txt is the same as text, report.json with all facts. Each other directory is what "
        "one collector took; manifest.json lists every file with its source and SHA-256. To read "
        "it without biostudio-doctor, unpack it: tar -xzf FILE"
    )
    yield ""
    yield from _filled(
        "With biostudio-doctor: bundle inspect FILE, bundle show FILE PATH, bundle judge FILE."
    )
    yield ""
    yield from _filled(
        "Secrets were replaced by <redacted:KIND:NUMBER>: equal ones have equal numbers within "
        "this bundle. The bundle was then read back and searched again. No search finds all: look "
        "into it before you send it."
    )
    counts: dict[str, int] = {}
    for file in manifest.files:
        for kind, count in file.redactions.items():
            counts[kind] = counts.get(kind, 0) + count
    told = text.listing(f"{count} {kind}" for kind, count in sorted(counts.items()))
    yield from _filled(f"Redacted places: {told or 'none'}.")
    if unread:
        yield from _filled(
            "These secrets of the configuration could not be read, so they were found by their "
            f"form and their names only: {text.listing(unread)}."
        )
    if manifest.allowed:
        yield from _filled(f"Let through by who made it: {text.listing(manifest.allowed)}.")
    missing = [
        f"{one.id or 'report'}: {one.reason}"
        for one in manifest.collectors if one.outcome is not Outcome.WHOLE
    ]  # fmt: skip
    missing += [
        f"{file.path}: {file.reason}" for file in manifest.files if file.outcome in _MISSING
    ]
    yield from _section("Missing or not whole", missing)
    yield from _section("Never taken", left_out)


def _section(title: str, items: list[str]) -> Iterator[str]:
    if items:
        yield ""
        yield f"{title}:"
        for item in items:
            yield from textwrap.wrap(
                item, _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
            )


def _filled(words: str) -> Iterator[str]:
    yield from textwrap.wrap(words, _WIDTH, break_on_hyphens=False)
