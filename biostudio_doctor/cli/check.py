"""`biostudio-doctor check`."""

import os
import sys
from pathlib import Path

import click
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import plan as planning
from biostudio_doctor.cli import exporting, options, terminal
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
    help="How long each check may take, instead of its own timeout: shorter or longer.",
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
@options.report
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
    config = configuration.load(config_file, given)
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
    exporting.refuse(output, output_file)
    report, render = _run(plan, output)
    exporting.write(report, render, output_file, no_color)
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
    render = exporting.load(output)  # meanwhile, in the time that the checks need anyway
    line = terminal.Line()

    def progress(done: dict[str, Result], awaited: list[str]) -> None:
        if awaited:
            count = f"{len(done)} of {len(done) + len(awaited)} checks done"
            line.show(f"{count}, waiting for {', '.join(awaited)}")

    try:
        return run.collect(progress if line.able else None), render
    finally:
        line.clear()
