"""`biostudio-doctor bundle inspect|verify|judge|diff|show`: what others made, read as hostile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biostudio_doctor.cli import options, terminal
from biostudio_doctor.errors import DoctorError

if TYPE_CHECKING:
    from biostudio_doctor.bundle.manifest import BundledFile
    from biostudio_doctor.config import Config

_PLACES = 100  # that look like secrets; more are counted only
_NAMES = 20  # of files that fit
_KEY = bytes(32)  # nothing is replaced, so that no token is cut from it

_FILE = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
_IDENTITY = click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of a bundle encrypted by age: the file of your age identity, or your SSH key.",
)


@click.command()
@_FILE
@_IDENTITY
@options.TEXT_OR_JSON
@click.option("--files", is_flag=True, help="Name each file, with its size and redactions.")
@options.NO_COLOR
def inspect(file: Path, identity: Path | None, output: str, files: bool, no_color: bool) -> None:
    """Show what a bundle holds: which host, what is wrong there, what is missing and why.

    JSON is the manifest (`schema bundle`). Exit code: 0 it was read, 2 it is refused.
    """
    from biostudio_doctor.bundle import harmless, judging, reader
    from biostudio_doctor.bundle import manifest as bundled

    with reader.reading(file, identity) as bundle:
        wanted = bundled.report_is_whole(bundle.manifest)
        documents = bundle.documents(lambda one: wanted and one.path == bundled.REPORT)
        report = judging.settled(harmless.cleaned(reader.report(documents))) if wanted else None
        manifest = harmless.cleaned(bundle.manifest)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
        return
    from biostudio_doctor.cli import bundle_view

    style = terminal.style(None, no_color)
    click.echo(bundle_view.inspection(manifest, report, style, files), nl=False)


@click.command()
@_FILE
@_IDENTITY
def verify(file: Path, identity: Path | None) -> None:
    """Check that a bundle is whole and that nothing in it looks like a secret.

    Each file must have the size and SHA-256 that the manifest says, none may be missing and none be
    extra. Exit code: 0 all is well, 1 it is whole, but something looks like a secret, 2 it is
    refused: not whole, or no bundle at all.
    """
    from biostudio_doctor import text
    from biostudio_doctor.bundle import harmless, reader, verifying
    from biostudio_doctor.redaction.redactor import Redactor

    with reader.reading(file, identity) as bundle:
        manifest = bundle.manifest
        for _ in bundle.entries():
            pass
        places = [str(one) for one in verifying.search(bundle.handle, manifest, Redactor(_KEY))]
    files = [one for one in manifest.files if one.sha256]
    size = text.size(sum(one.size for one in files))
    click.echo(f"Whole: {text.number(len(files), 'file')}, {size}, each with its SHA-256.")
    if not manifest.verified:
        click.echo("Its maker did not find it free of secrets.")
    if not places:
        click.echo("Nothing in it looks like a secret.")
        return
    allowed = set(manifest.allowed).intersection(places)
    for place in places[:_PLACES]:
        said = " (its maker allowed it)" if place in allowed else ""
        click.echo(f"- {harmless.line(place)}{said}")
    if len(places) > _PLACES:
        click.echo(f"- and {len(places) - _PLACES} more")
    said = f", of which its maker allowed {len(allowed)}" if allowed else ""
    click.echo(f"{text.number(len(places), 'place looks', 'places look')} like a secret{said}.")
    sys.exit(1 if len(allowed) < len(places) else 0)


@click.command()
@_FILE
@_IDENTITY
@options.report
def judge(
    file: Path,
    identity: Path | None,
    strict: bool,
    output: str,
    output_file: Path | None,
    no_color: bool,
) -> None:
    """Judge a bundle's observations by today's rules, offline, on any machine.

    What is judged otherwise than in the bundle is said below the table, or on standard error. What
    was not observed is as it was. Exit code: as of `check`; 2 also if the bundle is refused.
    """
    from biostudio_doctor.bundle import harmless, judging, reader
    from biostudio_doctor.bundle import manifest as bundled
    from biostudio_doctor.cli import bundle_view, exporting
    from biostudio_doctor.runner import exit_code

    exporting.refuse(output, output_file)
    with reader.reading(file, identity) as bundle:
        documents = bundle.documents(lambda one: one.path in (bundled.REPORT, bundled.CONFIG))
        told = reader.report(documents)
        new = harmless.cleaned(judging.judge(told, _configuration(documents)))
        obfuscated = harmless.clean(bundle.manifest.obfuscated)
    changes = list(judging.changes(harmless.cleaned(told), new))
    exporting.write(new, exporting.load(output), output_file, no_color)
    beside = output != "table" or output_file is not None
    plain = terminal.style(None, no_color or beside)
    said = bundle_view.judged_otherwise(changes, told, obfuscated, plain)
    click.echo(said if beside else f"\n{said}", nl=False, err=beside)
    sys.exit(exit_code(new, strict))


def _configuration(documents: dict[str, bytes]) -> Config:
    """The bundle's, or the defaults where this version does not understand it, which is said."""
    from biostudio_doctor.bundle import reader
    from biostudio_doctor.bundle.errors import BundleError
    from biostudio_doctor.config import Config

    try:
        return reader.configuration(documents)
    except BundleError as error:
        click.echo(f"biostudio-doctor: judged by the default configuration: {error}", err=True)
        return Config()


@click.command()
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW")
@_IDENTITY
@options.NO_COLOR
def diff(old: Path, new: Path, identity: Path | None, no_color: bool) -> None:
    """Show what changed between two bundles: findings, facts, packages, configuration, files.

    Measurements, and large numbers that hardly moved, are counted only.
    Exit code: 0 nothing changed, 1 something changed, 2 one of them is refused.
    """
    from biostudio_doctor.bundle import diff as comparing
    from biostudio_doctor.bundle import harmless, reader
    from biostudio_doctor.cli import bundle_view

    sides = []
    for path in (old, new):
        with reader.reading(path, identity) as bundle:
            sides.append(comparing.side(bundle))
    difference = harmless.cleaned(comparing.compare(*sides))
    before, after = (harmless.cleaned(side.manifest) for side in sides)
    style = terminal.style(None, no_color)
    click.echo(bundle_view.difference(difference, before, after, style), nl=False)
    sys.exit(1 if difference.any else 0)


@click.command()
@_FILE
@click.argument("path", metavar="PATH")
@_IDENTITY
def show(file: Path, path: str, identity: Path | None) -> None:
    """Print one file of a bundle; PATH is as `bundle inspect` tells it, or a glob that fits one.

    On a terminal, control characters are replaced. Exit code: 0 it was printed, 2 there is no such
    file, or the bundle is refused.
    """
    from biostudio_doctor.bundle import reader

    with reader.reading(file, identity) as bundle:
        wanted = _chosen(bundle.manifest.files, path)
        for _ in bundle.entries():  # nothing is shown of a bundle that is not whole
            pass
        for entry in bundle.entries():
            if entry.file.path == wanted.path:
                _print(entry.pieces())


def _chosen(files: tuple[BundledFile, ...], path: str) -> BundledFile:
    from fnmatch import fnmatchcase

    from biostudio_doctor.bundle import harmless

    fit = [one for one in files if one.path == path]
    fit = fit or [one for one in files if fnmatchcase(one.path, path) and one.sha256]
    if not fit:
        raise DoctorError(f"the bundle has no file {harmless.line(path)}; see `bundle inspect`")
    if len(fit) > 1:
        names = ", ".join(harmless.line(one.path) for one in fit[:_NAMES])
        more = f" and {len(fit) - _NAMES} more" if len(fit) > _NAMES else ""
        raise DoctorError(f"{harmless.line(path)} fits several files: {names}{more}")
    if not fit[0].sha256:
        why = harmless.line(fit[0].reason)
        raise DoctorError(f"{harmless.line(path)} could not be collected: {why}")
    return fit[0]


def _print(pieces: Iterator[bytes]) -> None:
    if not sys.stdout.isatty():
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    import codecs

    from biostudio_doctor import text

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        click.echo(text.printable(decoder.decode(piece).expandtabs()), nl=False)
    click.echo(text.printable(decoder.decode(b"", final=True)))
