"""What a configuration means to the daemon, and what a new one changes."""

from fnmatch import fnmatchcase

from msgspec import structs

from biostudio_doctor import endpoints, registry
from biostudio_doctor.daemon.listening import listening
from biostudio_doctor.errors import ConfigError, DoctorError
from biostudio_doctor.plan import Plan


def refuse_unfit(plan: Plan) -> None:
    """Refuse what no daemon could run by, before anything of it is in force.

    Raises:
        DoctorError: one line that says what is wrong.
    """
    if not plan.plugins:
        raise DoctorError("no check is left to run")
    intervals(plan)
    if plan.config.daemon.web_config:
        # Or the web process would find out alone, once the rest of the configuration is in force.
        from biostudio_doctor.daemon.web import security

        security.load(plan.config.daemon.web_config)


def intervals(plan: Plan) -> dict[str, float]:
    """The configured intervals in seconds, by check: its own id counts first, then the first glob.

    Raises:
        DoctorError: if a pattern matches no check that is installed.
    """
    configured = plan.config.daemon.intervals
    try:
        registry.select(registry.find(registry.CHECKS), configured)
    except DoctorError as error:
        raise ConfigError("daemon.intervals", "", str(error)) from None
    chosen = {}
    for name in (plugin.name for plugin in plan.plugins):
        patterns = (name, *configured)
        fits = (
            configured[pattern]
            for pattern in patterns
            if pattern in configured and _fits(name, pattern)
        )
        seconds = next(fits, None)
        if seconds is not None:
            chosen[name] = seconds
    return chosen


def differs(old: Plan, new: Plan) -> bool:
    """Whether any check might find something else."""
    config = structs.replace(new.config, daemon=old.config.daemon)
    return (old.config, old.settings, old.scope) != (config, new.settings, new.scope)


def concerns(check_id: str, old: Plan, new: Plan) -> bool:
    """Whether a check's last result speaks of what is not configured any more.

    That is so if its own settings changed, or the table or key that is named like its family
    (`services`, `certificates` ...), or what all checks are asked for. Else the last result stands
    until the check has run again, which is soon.
    """
    if old.scope != new.scope or old.settings.get(check_id) != new.settings.get(check_id):
        return True
    family = registry.family(check_id)
    keys = {family, f"{family}s"} & set(new.config.__struct_fields__)
    return any(getattr(old.config, key) != getattr(new.config, key) for key in keys)


def refuse_taken(listen: str, now: str) -> None:
    """Try whether one can listen there, before the place where we do is given up.

    Raises:
        ConfigError: if not.
    """
    if endpoints.parse(listen).port != endpoints.parse(now).port:  # else it is ours
        listening(listen).close()


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(pattern + ".")
