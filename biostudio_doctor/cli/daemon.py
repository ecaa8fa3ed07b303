"""`biostudio-doctor daemon`."""

import sys
from pathlib import Path
from typing import Any

import click
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import plan as planning
from biostudio_doctor.cli import options
from biostudio_doctor.cli.host_root import refuse_unlikely
from biostudio_doctor.config import Config
from biostudio_doctor.errors import DoctorError


@click.command()
@options.CONFIG
@options.scope
@click.option("--listen", metavar="ADDRESS:PORT", help="Where it serves.")
@options.HOST_ROOT
def daemon(
    config_file: Path | None,
    role: str | None,
    phase: str | None,
    platform: str | None,
    listen: str | None,
    host_root: str,
) -> None:
    """Run the checks for ever, and serve what they found: /metrics, /healthz, /readyz, a page.

    SIGHUP reads the configuration again; a bad one keeps the old. What the command line sets
    stands above it.
    """
    refuse_unlikely(host_root)
    _refuse_without_server()
    # Reading again must find the same file, whatever directory was meant.
    config_file = config_file and config_file.absolute()
    overrides = {"role": role, "phase": phase, "platform": platform}

    def load() -> planning.Plan:
        return _plan(config_file, overrides, listen, host_root)

    from biostudio_doctor.daemon.supervisor import Supervisor

    sys.exit(Supervisor(load, _serve).run())


def _plan(
    config_file: Path | None, overrides: dict[str, Any], listen: str | None, host_root: str
) -> planning.Plan:
    config = configuration.load(config_file, overrides)
    source = str(config_file or configuration.DEFAULT_FILE)
    if listen is not None:
        given = configuration.convert({"daemon": {"listen": listen}}, Config, "command line")
        config = structs.replace(
            config, daemon=structs.replace(config.daemon, listen=given.daemon.listen)
        )
    from biostudio_doctor.daemon.changes import refuse_unfit

    plan = planning.make(config, source=source, host_root=host_root)
    refuse_unfit(plan)
    return plan


def _serve(connection: Any, config: configuration.DaemonConfig) -> None:
    """In the web process, so that the supervisor stays small."""
    from biostudio_doctor.daemon.web.server import serve

    serve(connection, config)


def _refuse_without_server() -> None:
    from importlib.util import find_spec

    needed = ("uvicorn", "httptools", "starlette", "jinja2", "yaml", "bcrypt")
    missing = [name for name in needed if not find_spec(name)]
    if missing:
        raise DoctorError(
            f"the daemon needs {', '.join(missing)}: pip install 'biostudio-doctor[daemon]'"
        )
