"""`biostudio-doctor bundle`: makes a support bundle. Its commands read one."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor.cli import options, terminal
from biostudio_doctor.cli.lazy import LazyGroup
from biostudio_doctor.errors import DoctorError

if TYPE_CHECKING:
    from biostudio_doctor.bundle.gather import Gathered
    from biostudio_doctor.bundle.making import FoundError, Made, Maker, Wanted
    from biostudio_doctor.bundle.manifest import Collected, Manifest

_FOUND_SHOWN = 20
_LACKING_SHOWN = 5
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class _Reading(LazyGroup):
    places: ClassVar[Mapping[str, str]] = {
        name: f"biostudio_doctor.cli.bundle_read:{name}"
        for name in ("inspect", "verify", "judge", "diff", "show")
    }


@click.group(cls=_Reading, invoke_without_command=True, subcommand_metavar="[COMMAND ...]")
@click.option(
    "--output",
    metavar="FILE or DIR",
    help="Where to write it.  [default: the current directory]",
)
@click.option(
    "--since", default="24h", show_default=True, metavar="TIME",
    help="Logs from then on: 90m, 24h, 7d ago, or a time such as 2026-11-24T10:00.",
)  # fmt: skip
@click.option("--until", metavar="TIME", help="Logs until then.  [default: now]")
@options.CONFIG
@options.scope
@options.HOST_ROOT
@click.option(
    "--only", multiple=True, metavar="COLLECTOR",
    help="Gather nothing else, by id or glob; may be repeated. `report` is the report.",
)  # fmt: skip
@click.option("--skip", multiple=True, metavar="COLLECTOR", help="Leave out; may be repeated.")
@click.option("--offline", is_flag=True, help="Leave out the checks that need the network.")
@click.option(
    "--timeout", type=click.FloatRange(0, 3600, min_open=True), metavar="SECONDS",
    help="How long gathering may take.  [default: 120, or as configured]",
)  # fmt: skip
@click.option("--process-arguments", is_flag=True, help="List processes with their arguments.")
@click.option(
    "--obfuscate", metavar="KINDS",
    help="Replace names and addresses, too: any of hosts,ips,users.",
)  # fmt: skip
@click.option(
    "--recipient", "recipients", multiple=True, metavar="RECIPIENT",
    help="Encrypt with age, to age1..., an SSH public key or a file of them; may be repeated.",
)  # fmt: skip
@click.option(
    "--gpg-recipient", "gpg_recipients", multiple=True, metavar="KEY",
    help="Encrypt with GPG, best to a fingerprint; may be repeated.",
)  # fmt: skip
@click.option(
    "--allow", "allowed", multiple=True, metavar="ENTRY",
    help="Keep the bundle although a secret was found in this entry; may be repeated.",
)  # fmt: skip
@click.option(
    "--reproducible", is_flag=True, help="The same facts give the same bytes: no time, no chance."
)
@click.option("--dry-run", is_flag=True, help="Only list what would be gathered, and from where.")
@click.pass_context
def bundle(ctx: click.Context, /, **given: Any) -> None:
    """Make one file with everything that support needs, and no secret; or read one.

    Without COMMAND it gathers reports, logs and states, redacts them, reads the archive back to
    search it for secrets, and only then gives it its name. Exit code: 0 made (what could not be
    had is told), 1 a secret was found and nothing was kept, 2 it could not be made.
    """
    if ctx.invoked_subcommand is None:
        sys.exit(_bundle(**given))


def _bundle(dry_run: bool, **given: Any) -> int:
    from biostudio_doctor.bundle.making import FoundError, Maker

    with _signals():  # from the start: gpg is asked before anything is gathered
        maker = Maker(_wanted(**given))
        if dry_run:
            _list(maker)
            return 0
        try:
            made = _make(maker)
        except FoundError as error:
            _refuse(error)
            return 1
        except OSError as error:
            raise DoctorError(f"the bundle cannot be written: {error.strerror or error}") from None
    _tell(made)
    return 0


def _wanted(
    *,
    output: str | None,
    since: str,
    until: str | None,
    config_file: Path | None,
    role: str | None,
    phase: str | None,
    platform: str | None,
    host_root: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    offline: bool,
    timeout: float | None,
    process_arguments: bool,
    obfuscate: str | None,
    recipients: tuple[str, ...],
    gpg_recipients: tuple[str, ...],
    allowed: tuple[str, ...],
    reproducible: bool,
) -> "Wanted":
    from biostudio_doctor import plan as planning
    from biostudio_doctor.bundle import encryption, window
    from biostudio_doctor.bundle.making import Wanted
    from biostudio_doctor.cli.host_root import refuse_unlikely

    refuse_unlikely(host_root)
    given = {"role": role, "phase": phase, "platform": platform}
    config = configuration.load(config_file, given)
    if process_arguments:
        settled = structs.replace(config.bundle, process_arguments=True)
        config = structs.replace(config, bundle=settled)
    plan = planning.make(
        config,
        source=str(config_file or configuration.DEFAULT_FILE),
        offline=offline,
        host_root=host_root,
    )
    configured = () if gpg_recipients else config.bundle.recipients
    return Wanted(
        plan=plan,
        collectors=_collectors(only, skip),
        window=window.understood(since, until, datetime.now(UTC)),
        output=output,
        seconds=timeout,
        obfuscate=_kinds(obfuscate),
        encryption=encryption.to(recipients or configured, gpg_recipients),
        allowed=allowed,
        reproducible=reproducible,
    )


def _collectors(only: tuple[str, ...], skip: tuple[str, ...]) -> list[str]:
    from biostudio_doctor import registry
    from biostudio_doctor.bundle.making import known_collectors

    known = known_collectors()
    chosen = registry.select(known, only, "collector") if only else known
    left_out = registry.select(known, skip, "collector")
    collectors = [name for name in chosen if name not in left_out]
    if not collectors:
        raise DoctorError("--only and --skip leave nothing to gather")
    return collectors


def _kinds(given: str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    from biostudio_doctor.redaction.obfuscate import KINDS

    wanted = given.split(",")
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown:
        expected = ", ".join(KINDS)
        raise DoctorError(f"--obfuscate: {unknown[0]!r} is unknown; expected some of {expected}")
    return tuple(kind for kind in KINDS if kind in wanted)


# --- Making ---------------------------------------------------------------------------------------


def _make(maker: "Maker") -> "Made":
    progress = _Progress()
    try:
        return maker.make(progress.show, progress.line.show)
    finally:
        progress.line.clear()


def _tell(made: "Made") -> None:
    from biostudio_doctor import text

    counts: dict[str, int] = {}
    for file in made.manifest.files:
        for kind, count in file.redactions.items():
            counts[kind] = counts.get(kind, 0) + count
    told = text.listing(f"{count} {kind}" for kind, count in sorted(counts.items()))
    click.echo(f"{made.path}")
    click.echo(f"  {text.size(made.size)}, SHA-256 {made.sha256}")
    missing = [one for one in made.manifest.collectors if one.outcome in ("failed", "partial")]
    for one in missing:
        click.echo(f"  Missing: {one.id or 'report'}: {one.reason}{_which(made.manifest, one)}.")
    if missing and os.geteuid():
        click.echo("  Root could have had more; README.txt in it says what is missing.")
    click.echo(f"  Redacted: {told or 'nothing'}.")
    if made.unread:
        click.echo(
            f"  Not read, so found by form only: the secrets in {text.listing(made.unread)}."
        )
    if made.names:
        click.echo(f"  True names, for you alone: {made.names}")
    path = made.path.name if made.path.parent == Path.cwd() else str(made.path)
    look = f"Look into it: biostudio-doctor bundle inspect {shlex.quote(path)}"
    click.echo(terminal.style(None, True).as_called(look))
    click.echo("Then send it by the way that you agreed on with support.")


def _which(manifest: "Manifest", collector: "Collected") -> str:
    """The first of its files that could not be had, and why if that is the same for all."""
    from biostudio_doctor import text

    lacking = [
        one for one in manifest.files
        if one.collector == collector.id and one.outcome in ("failed", "partial")
    ]  # fmt: skip
    names = [one.path.removeprefix(f"{collector.id}/") for one in lacking[:_LACKING_SHOWN]]
    names += [f"{len(lacking) - len(names)} more"] if len(lacking) > len(names) else []
    reasons = {one.reason for one in lacking} - {collector.reason}
    why = f": {lacking[0].reason}" if len(reasons) == 1 else ""
    return f" ({text.listing(names)}{why})" if lacking else ""


class _Progress:
    """On stderr, for a terminal only: a line for each collector that is through."""

    def __init__(self) -> None:
        self.line = terminal.Line()
        self._told: set[str] = set()

    def show(self, through: Sequence["Gathered"], under_way: Sequence[str]) -> None:
        """Tell what is through, and what is waited for."""
        if not self.line.able:
            return
        from biostudio_doctor import text

        for one in through:
            name = one.collected.id or "report"
            if name not in self._told:
                self._told.add(name)
                files = text.number(sum(1 for file in one.files if file.sha256), "file")
                reason = f", {one.collected.reason}" if one.collected.reason else ""
                self.line.clear()
                click.echo(f"{name}: {files}, {text.size(one.size)}{reason}", err=True)
        if under_way:
            self.line.show("waiting for " + ", ".join(name or "report" for name in under_way))


def _list(maker: "Maker") -> None:
    from tabulate import tabulate

    from biostudio_doctor import text

    rows = []
    total = 0
    for one in maker.listed():
        name = one.collected.id or "report"
        if not one.listed:
            rows.append((name, "", f"nothing: {one.collected.reason}"))
        for listed in one.listed:
            total += listed.size or 0
            size = "" if listed.size is None else text.size(listed.size)
            rows.append((name, size, listed.source))
    headers = ("COLLECTOR", "AT MOST", "FROM")
    room = None  # for grep, lines are whole
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        room = terminal.style(None, True).width
        for column, header in enumerate(headers[:-1]):  # of which tabulate sets each so wide
            room -= max(len(header) + 2, *(len(row[column]) for row in rows)) + 2
        room = max(room, 20)
    click.echo(tabulate(rows, headers, disable_numparse=True, maxcolwidths=[None, None, room]))
    click.echo(f"\nFiles of at most {text.size(total)}, before they are redacted and compressed.")
    click.echo("Nothing was gathered.")


def _refuse(error: "FoundError") -> None:
    click.echo("biostudio-doctor: secrets were found in the bundle, so none was kept:", err=True)
    for one in error.found[:_FOUND_SHOWN]:
        click.echo(f"  {one}", err=True)
    if len(error.found) > _FOUND_SHOWN:
        click.echo(f"  and {len(error.found) - _FOUND_SHOWN} more", err=True)
    entry = error.found[0].entry
    click.echo(
        "Leave its collector out with --skip, add a rule to [bundle.redaction], or, if it is no "
        f"secret, --allow '{entry}'.",
        err=True,
    )


@contextmanager
def _signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end it as an interrupt does: cleared up, and told in a line."""

    def end(number: int, _frame: object) -> None:
        for one in _ENDS:
            signal.signal(one, signal.SIG_IGN)  # clearing up is not interrupted again
        raise _EndedError(number)

    before = {one: signal.getsignal(one) for one in _ENDS}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(one, end)
    try:
        yield
    except _EndedError as ended:
        name = signal.Signals(ended.number).name
        click.echo(f"biostudio-doctor: ended by {name}; no bundle was made", err=True)
        sys.exit(128 + ended.number)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class _EndedError(BaseException):
    def __init__(self, number: int) -> None:
        self.number = number
