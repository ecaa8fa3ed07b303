"""`biostudio-doctor check`."""

import os
import sys
from pathlib import Path

import click
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import plan as planning
from biostudio_doctor import registry
from biostudio_doctor.cli import options, terminal
from biostudio_doctor.cli.host_root import refuse_unlikely
from biostudio_doctor.config import Config
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.exporter import Exporter
from biostudio_doctor.model import Report, Result
from biostudio_doctor.peers import CODE_VARIABLE
from biostudio_doctor.runner import Run, exit_code


@click.command()
@click.argument("patterns", metavar="[ID or GLOB]...", nargs=-1)
@options.scope
@click.option("--profile", metavar="NAME", help="Requirements: published or vendor-installer.")
@options.CONFIG
@options.HOST_ROOT
@click.option("--skip", multiple=True, metavar="ID or GLOB", help="Leave out; may be repeated.")
@click.option("--offline", is_flag=True, help="Leave out what needs the network.")
@click.option("--deep", is_flag=True, help="Also run what puts a load on this host.")
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="How long any one check may take, instead of its own timeout.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="ROLE=ADDRESS",
    help="A host on which `listen` runs; may be repeated.",
)
@click.option(
    "--code",
    envvar=CODE_VARIABLE,
    metavar="CODE",
    help=f"What `listen` printed. As an argument every user of this host can see it; in "
    f"{CODE_VARIABLE} only you can.",
)
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    help="A sign-in provider for sso.providers, such as github or okta=DOMAIN, instead of those "
    "configured; may be repeated.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--output",
    default="table",
    show_default=True,
    metavar="FORMAT",
    help="table, json, html, prometheus, openmetrics, textfile, or any exporter that is installed.",
)
@click.option(
    "--output-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write there instead of to the terminal; only you can read it, unless it is a textfile.",
)
@options.NO_COLOR
def check(
    patterns: tuple[str, ...],
    role: str | None,
    phase: str | None,
    platform: str | None,
    profile: str | None,
    config_file: Path | None,
    host_root: str,
    skip: tuple[str, ...],
    offline: bool,
    deep: bool,
    timeout: float | None,
    peers: tuple[str, ...],
    code: str | None,
    providers: tuple[str, ...],
    strict: bool,
    output: str,
    output_file: Path | None,
    no_color: bool,
) -> None:
    """Run the checks and say what is wrong and how to mend it.

    Without IDs, all checks run. Exit code: 0 nothing failed, 1 something failed (or warned, with
    --strict), 2 wrong usage or configuration, 3 something could not be determined.
    """
    refuse_unlikely(host_root)
    given = {"role": role, "phase": phase, "platform": platform, "profile": profile,
             "timeout": timeout}  # fmt: skip
    config = configuration.load(config_file, {k: v for k, v in given.items() if v is not None})
    config = _with_peers(config, peers, code)
    config = _with_providers(config, providers)
    plan = planning.make(
        config,
        source=str(config_file or configuration.DEFAULT_FILE),
        patterns=patterns,
        skip=skip,
        offline=offline,
        deep=deep,
        host_root=host_root,
    )
    if not plan.plugins:
        raise DoctorError("no check is left to run")
    refuse_unwritable(output_file)
    check_exporter(output)
    report, render = _run(plan, output)
    text = render(report, terminal.style(output_file, no_color))
    terminal.write(text, output_file, getattr(render, "mode", 0o600))
    sys.exit(exit_code(report, strict))


def _with_peers(config: Config, given: tuple[str, ...], code: str | None) -> Config:
    """The code goes to the observing process in the environment, and into nothing that is shown."""
    if not (given or config.peers):
        return config
    if code:
        from biostudio_doctor.peers import protocol

        try:
            protocol.key(code)
        except ValueError as error:
            raise DoctorError(f"--code or {CODE_VARIABLE}: {error}") from None
        os.environ[CODE_VARIABLE] = code
    elif given:
        raise DoctorError(f"--peer: the code that `listen` prints is needed, in {CODE_VARIABLE}")
    more = configuration.convert({"peers": given}, Config, "command line").peers
    return structs.replace(config, peers=tuple(dict.fromkeys((*config.peers, *more))))


def _with_providers(config: Config, given: tuple[str, ...]) -> Config:
    if not given:
        return config
    from biostudio_doctor.sso import providers

    for name in given:
        try:
            providers.find(name)
        except ValueError as error:
            raise DoctorError(f"--provider: {error}") from None
    return structs.replace(config, sso=structs.replace(config.sso, providers=given))


def _run(plan: planning.Plan, output: str) -> tuple[Report, Exporter]:
    run = Run(plan)
    render = load_exporter(output)  # meanwhile, in the time that the checks need anyway
    progress = _Progress()
    try:
        return run.collect(progress.show if terminal.can_redraw() else None), render
    finally:
        progress.clear()


class _Progress:
    """One line on stderr, for a terminal only."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, done: dict[str, Result], awaited: list[str]) -> None:
        if not awaited:
            return
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
        line = f"{len(done)} of {len(done) + len(awaited)} checks done, waiting for "
        line = (line + ", ".join(awaited))[:width]
        if line != self._shown:
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            self._shown = line

    def clear(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def check_exporter(name: str) -> None:
    """Say at once, not after the run, that there is no such exporter."""
    known = registry.find(registry.EXPORTERS)
    if name not in known:
        raise DoctorError(f"--output: '{name}' is unknown; known: {', '.join(sorted(known))}")


def load_exporter(name: str) -> Exporter:
    """Import one that is known."""
    try:
        exporter: Exporter = registry.find(registry.EXPORTERS)[name].load()
    except registry.PluginError as error:
        raise DoctorError(str(error)) from None
    return exporter


def refuse_unwritable(path: Path | None) -> None:
    """Say at once, not after the run, that the report cannot be written."""
    if path and not path.parent.is_dir():
        raise DoctorError(f"--output-file: the directory {path.parent} does not exist")
    if path and path.is_dir():
        raise DoctorError(f"--output-file: {path} is a directory")
