"""`biostudio-doctor list` and `explain`: what there is to check, and one check's reference page."""

import click

from biostudio_doctor import reference, registry
from biostudio_doctor.errors import DoctorError


@click.command("list")
def list_checks() -> None:
    """List all checks with their titles."""
    from tabulate import tabulate

    rows = []
    for name, plugin in sorted(registry.find(registry.CHECKS).items()):
        whose = "" if plugin.is_built_in else f" (of {plugin.package})"
        try:
            rows.append([name, f"{registry.load_check(plugin).title()}{whose}"])
        except registry.PluginError as error:
            rows.append([name, f"({error})"])
    click.echo(tabulate(rows, headers=["CHECK", "QUESTION"], disable_numparse=True))


@click.command()
@click.argument("check_id", metavar="ID")
def explain(check_id: str) -> None:
    """Say what a check looks at, why, by which requirement, and how to mend what it finds."""
    known = registry.find(registry.CHECKS)
    (name, *more) = registry.select(known, [check_id])
    if more:
        raise DoctorError(f"'{check_id}' means several checks: {name}, {', '.join(more)}")
    try:
        click.echo(reference.check_page(registry.load_check(known[name])), nl=False)
    except registry.PluginError as error:
        raise DoctorError(str(error)) from None
