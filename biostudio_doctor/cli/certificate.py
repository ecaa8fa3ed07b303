"""`biostudio-doctor certificate inspect`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from biostudio_doctor import config as configuration
from biostudio_doctor import endpoints
from biostudio_doctor.cli import options, terminal
from biostudio_doctor.cli.lazy import Group
from biostudio_doctor.config import Secret
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host

if TYPE_CHECKING:
    from biostudio_doctor.certificates.inspection import Inspection
    from biostudio_doctor.certificates.watched import Source

#: Exit codes by the state of a target, the one that counts most first.
_EXIT_CODES = {"wrong": 1, "unread": 2, "unreached": 3, "undetermined": 3, "fine": 0}
_MOST = 1000  # targets


@click.group(cls=Group)
def certificate() -> None:
    """Look closely at certificates."""


@certificate.command()
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="The host that it must be for.")
@options.CA_FILE
@click.option(
    "--password-file", metavar="FILE", help="Holds the password of PKCS#12 files or of keys."
)
@options.TIMEOUT
@options.TEXT_OR_JSON
@options.NO_COLOR
def inspect(
    targets: tuple[str, ...],
    name: str | None,
    ca_file: str | None,
    password_file: str | None,
    timeout: float,
    output: str,
    no_color: bool,
) -> None:
    """Show a chain, and what a browser, curl and conda would each say of it.

    A TARGET is a file (PEM, DER, PKCS#7, PKCS#12, a Kubernetes secret), a directory with tls.crt
    and tls.key, or an endpoint: host:port, or a URL of https, postgresql, mqtts, rediss, smtp,
    smtps, ldap or ldaps. Several are looked at concurrently. Exit code: 0 all is fine, 1 something
    is wrong, 2 wrong usage, or a file that cannot be read, 3 it could not be determined.
    """
    configuration.convert({"timeout": timeout}, configuration.Config, "command line")
    found = _inspect(sources(targets, name, password_file), ca_file, timeout)
    if output == "json":
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        from biostudio_doctor.cli import inspection_view

        click.echo(inspection_view.render(found, terminal.style(None, no_color)), nl=False)
    states = {one.state for one in found.inspected}
    sys.exit(next(code for state, code in _EXIT_CODES.items() if state in states))


def sources(targets: Sequence[str], name: str | None, password_file: str | None) -> list[Source]:
    """What is to be looked at; each once.

    Raises:
        DoctorError: for what is neither a file nor an endpoint, and for a NAME that is none.
    """
    from biostudio_doctor.certificates.watched import Source

    if len(targets) > _MOST:
        raise DoctorError(f"TARGET: {_MOST} at most can be looked at in one run")
    if name is not None:
        _check_name(name)
    password = Secret(file=_whole(password_file, "--password-file")) if password_file else None
    places = dict.fromkeys(map(_place, targets))
    return [Source(at=at, server_name=name, password=password) for at in places]


def _place(target: str) -> str:
    """A file by its whole path, an endpoint without user and password."""
    if (
        "\0" not in target
        and "://" not in target
        and (os.path.lexists(target) or target.startswith((".", "/", "~")))
    ):
        return os.path.abspath(os.path.expanduser(target))
    shown = endpoints.without_user(target)
    try:
        endpoints.watched(target)
    except ValueError as error:
        raise DoctorError(
            f"TARGET: {shown!r}: there is no such file, and as an endpoint: {error}"
        ) from None
    return shown.strip()


def _check_name(name: str) -> None:
    from biostudio_doctor.probes import tls

    try:
        tls.host_name(name)
    except ValueError as error:
        raise DoctorError(f"--name: {error}") from None


def _whole(path: str, option: str) -> str:
    if not os.path.isfile(path):
        raise DoctorError(f"{option}: {path} is no file")
    return os.path.abspath(path)


def _inspect(wanted: Sequence[Source], ca_file: str | None, timeout: float) -> Inspection:
    from biostudio_doctor.certificates.inspector import inspect as look

    given = _whole(ca_file, "--ca-file") if ca_file else None
    line = terminal.Line()
    if any(not one.is_file for one in wanted):
        line.show(f"Asking, {timeout:g} s at most ...")
    try:
        return look(Host("/"), wanted, os.environ, ca_file=given, seconds=timeout)
    finally:
        line.clear()
