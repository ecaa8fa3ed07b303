"""`biostudio-doctor egress trace`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from biostudio_doctor import __version__, endpoints
from biostudio_doctor import config as configuration
from biostudio_doctor.cli import options, terminal
from biostudio_doctor.cli.lazy import Group
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host

if TYPE_CHECKING:
    from biostudio_doctor.probes.path import Target
    from biostudio_doctor.trace import Trace

_HTTPS = "https://"
_HTTPS_PORT = 443
_EXIT_CODES = {True: 0, False: 1, None: 3}


@click.group(cls=Group)
def egress() -> None:
    """Look closely at the way out to one host."""


@egress.command()
@click.argument("place", metavar="HOST[:PORT]")
@options.TIMEOUT
@options.CA_FILE
@options.TEXT_OR_JSON
@options.NO_COLOR
def trace(place: str, timeout: float, ca_file: str | None, output: str, no_color: bool) -> None:
    """Go the way to one host and show each phase with its time and its evidence.

    HOST is a name or an IP address, or an https:// URL, whose path is asked for. The port is 443
    unless one is given. The way is that of curl or conda here: through the proxy that the
    environment names, if any. Exit code: 0 reached, 1 not reached, 2 wrong usage, 3 it could not be
    determined.
    """
    configuration.convert({"timeout": timeout}, configuration.Config, "command line")
    traced = _go(target(place), timeout, ca_file)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(traced), indent=2))
    else:
        from biostudio_doctor.cli import waterfall

        style = terminal.style(None, no_color)
        click.echo(waterfall.render(traced, style, blocks=terminal.can_show("█")), nl=False)
    sys.exit(_EXIT_CODES[traced.reached])


def target(place: str) -> Target:
    """What is to be reached: HOST, HOST:PORT, an IP address, or an https:// URL with a path."""
    from biostudio_doctor.endpoints import is_address
    from biostudio_doctor.probes import tls
    from biostudio_doctor.probes.path import Target

    place = place.strip()
    path = "/"
    try:
        if "://" in place:
            place, path = _split(place)
        if is_address(place):
            place = str(endpoints.Endpoint(place, _HTTPS_PORT))
        endpoint = endpoints.parse(place, _HTTPS_PORT)
        tls.host_name(endpoint.host)  # raises for what is none
    except ValueError as error:
        raise DoctorError(f"HOST[:PORT]: {error}") from None
    return Target(host=endpoint.host, port=endpoint.port, path=path)


def _split(url: str) -> tuple[str, str]:
    """Host with port, and path with query, of a URL.

    Raises:
        ValueError: if it is none that can be asked for, without repeating what may be secret.
    """
    if not url.lower().startswith(_HTTPS):
        raise ValueError("of URLs, only https:// can be traced")
    parts = endpoints.split_url(url)
    query = f"?{parts.query}" if parts.query else ""
    return parts.netloc, (parts.path or "/") + query


def _go(target: Target, timeout: float, ca_file: str | None) -> Trace:
    import anyio

    from biostudio_doctor.probes import dns, path, tls, wording
    from biostudio_doctor.trace import Trace

    try:
        tls.verifying_context(ca_file)
    except OSError as error:
        raise DoctorError(f"--ca-file: {ca_file}: {error.strerror}") from None
    started = datetime.now(UTC)
    around = path.Surroundings(os.environ, dns.name_servers(Host("/")), ca_file)
    line = terminal.Line()
    line.show(f"On the way to {target.host}, {timeout:g} s at most ...")
    try:
        found = anyio.run(partial(path.probe, target, around, timeout=timeout))
    finally:
        line.clear()
    return Trace(
        tool_version=__version__,
        started_at=started,
        reached=None if found.undetermined else not found.failure,
        summary=wording.outcome(found),
        path=found,
    )
