"""What goes into the archive: the manifest, which tells of all, and what was gathered."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, structs

from biostudio_doctor import __version__
from biostudio_doctor.bundle import manifest, readme
from biostudio_doctor.bundle.archive import Piece
from biostudio_doctor.bundle.gather import Gathered
from biostudio_doctor.bundle.manifest import BundledFile, Collected, Manifest, Outcome
from biostudio_doctor.collector import Window
from biostudio_doctor.redaction.redactor import Redactor


class About(Struct, frozen=True, kw_only=True):
    """What is known of a bundle before anything is gathered."""

    hostname: str
    moment: datetime | None  # which stands for all times in a bundle that is reproducible
    window: Window
    obfuscated: tuple[str, ...]
    unread: tuple[str, ...]  # where secrets of the configuration are that could not be read


def compose(
    about: About, gathered: Sequence[Gathered], allowed: tuple[str, ...], redactor: Redactor
) -> tuple[Manifest, list[Piece]]:
    """The manifest, and all entries in their order, the manifest first.

    It says that the bundle is verified: if it is not, then the bundle is never given its name.
    """
    files: list[BundledFile] = []
    pieces: dict[str, Piece] = {}
    for one in gathered:
        for file, at in zip(one.files, one.places, strict=True):
            files.append(file)
            if file.sha256 and one.spool:
                handle = one.spool.fileno()
                pieces[file.path] = Piece(file.path, handle=handle, at=at, size=file.size)
    files.sort(key=lambda file: (file.collector != "", file.path))
    window = _window(about)
    made = Manifest(
        tool_version=__version__,
        created_at=None if about.moment else datetime.now(UTC).replace(microsecond=0),
        hostname=about.hostname,
        since=window.since,
        until=window.until,
        obfuscated=about.obfuscated,
        verified=True,
        allowed=allowed,
        collectors=tuple(_collected(one.collected, about) for one in gathered),
        files=tuple(files),
    )
    left_out = [f"{one.collected.id}: {one.leaves_out}" for one in gathered if one.leaves_out]
    text = readme.written(made, left_out, about.unread).encode()
    text = b"".join(redactor.stream([text], {}))
    told = BundledFile(
        path=readme.NAME,
        collector="",
        source="biostudio-doctor bundle",
        outcome=Outcome.WHOLE,
        size=len(text),
        sha256=hashlib.sha256(text).hexdigest(),
    )
    made = structs.replace(made, files=(told, *files))
    data = msgspec.json.format(msgspec.json.encode(made), indent=1)
    first = [Piece(manifest.NAME, data), Piece(readme.NAME, text)]
    return made, first + [pieces[file.path] for file in files if file.path in pieces]


def _window(about: About) -> Window:
    """As the manifest tells it: in a reproducible bundle, by its own clock."""
    if not about.moment:
        return about.window
    length = about.window.until - about.window.since
    return Window(since=about.moment - length, until=about.moment)


def _collected(one: Collected, about: About) -> Collected:
    return structs.replace(one, duration_seconds=0.0) if about.moment else one
