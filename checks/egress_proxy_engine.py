"""What egress.proxy says of the container engine, which pulls images with a proxy of its own."""

from collections.abc import Iterator, Mapping
from shlex import quote

from biostudio_doctor.distribution import family, service
from biostudio_doctor.host.proxies import EngineProxy, ProxyFacts, Setting
from biostudio_doctor.model import Finding, Machine, Remedy, Status

_SUBJECT, _CAUSE = "engine", "proxy.engine"
_LEAST = "localhost,127.0.0.1"


def export(variable: str, value: str) -> str:
    """The command that sets a variable in both cases."""
    return f"export {variable}={quote(value)} {variable.upper()}={quote(value)}"


def judge_engine(facts: ProxyFacts, machine: Machine) -> Iterator[Finding]:
    """Does it have the proxy that this shell has?"""
    engine, shell = facts.engine, facts.in_force
    wanted = shell.url if shell and not shell.problem else ""
    if engine is None:
        if wanted:
            yield _none_yet(wanted)
    elif engine.setting and engine.setting.problem:
        yield _bad(engine, engine.setting, machine)
    elif engine.unread and engine.running is None:
        yield _unread(engine)
    elif wanted or engine.setting or engine.running:
        yield _compare(facts, engine, wanted, machine)


def _effective(engine: EngineProxy) -> str:
    """What it goes by: its own word, where it was asked."""
    if engine.running is not None:
        return engine.running
    return engine.setting.url if engine.setting else ""


def _compare(facts: ProxyFacts, engine: EngineProxy, wanted: str, machine: Machine) -> Finding:
    name, has = engine.name, _effective(engine)
    if engine.setting and engine.running == "":
        return _restart(engine, engine.setting, machine)
    if _place(has) == _place(wanted):
        said = f"{name} goes out through {has}, as this shell does."
        return Finding(Status.PASS, _SUBJECT, said, observed=has)
    if not facts.environment_seen:
        return Finding(Status.PASS, _SUBJECT, f"{name} goes out through {has}.", observed=has)
    if not wanted:
        return _only_engine(name, has)
    said = (
        f"{name} goes out through {has}, while this shell goes through {wanted}."
        if has
        else f"{name} has no proxy, while this shell has {wanted}: if only that leads out, images "
        "cannot be pulled."
    )
    return Finding(
        Status.WARN,
        _SUBJECT,
        said,
        observed=has or "no proxy",
        expected=wanted,
        remedy=_same_proxy(facts, engine, wanted, machine),
        cause=_CAUSE,
    )


def _place(url: str) -> str:
    """Host and port: with which scheme a proxy is spoken to is another question."""
    return url.rpartition("://")[2]


def _only_engine(name: str, has: str) -> Finding:
    return Finding(
        Status.WARN,
        _SUBJECT,
        f"{name} goes out through the proxy {has}, but this shell has none.",
        observed=has,
        remedy=Remedy(
            "If only that proxy leads out, set it here, too.",
            (export("https_proxy", has),),
            as_root=False,
        ),
        cause=_CAUSE,
    )


def _same_proxy(facts: ProxyFacts, engine: EngineProxy, wanted: str, machine: Machine) -> Remedy:
    """Where the engine gets it from (docs.docker.com, "Daemon proxy configuration")."""
    url = f"http://{_place(wanted)}"
    lead = "Give it the same proxy and restart it, which ends its containers."
    if facts.in_force and facts.in_force.authenticated:
        url = f"http://USER:PASSWORD@{_place(wanted)}"
        lead += " Put its user name and password in"
        lead += ", each % in them doubled." if machine.systemd else "."
    variables = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": _no_proxy(facts)}
    write = _drop_in(engine, variables) if machine.systemd else _start_file(variables, machine)
    return Remedy(lead, (*write, *_restarted(engine, machine)))


def _drop_in(engine: EngineProxy, variables: Mapping[str, str]) -> tuple[str, ...]:
    directory = f"/etc/systemd/system/{engine.unit}.d"
    lines = [f'Environment="{name}={_escaped(value)}"' for name, value in variables.items()]
    return (
        f"mkdir -p {directory}",
        f"{_print('[Service]', *lines)} > {directory}/http-proxy.conf",
    )


def _escaped(value: str) -> str:
    """What means the value between double quotes (systemd.syntax(7); systemd.unit(5) for %)."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("%", "%%")


def _start_file(variables: Mapping[str, str], machine: Machine) -> tuple[str, ...]:
    file = "/etc/conf.d/docker" if family(machine) == "alpine" else "/etc/default/docker"
    lines = [f"export {name}={quote(value)}" for name, value in variables.items()]
    return (f"{_print(*lines)} >> {file}",)


def _print(*lines: str) -> str:
    """Not by echo, which heeds backslashes in some shells."""
    return f"printf '%s\\n' {' '.join(map(quote, lines))}"


def _restarted(engine: EngineProxy, machine: Machine) -> tuple[str, ...]:
    reload = ("systemctl daemon-reload",) if machine.systemd else ()
    return (*reload, *service(machine, "restart", engine.unit.removesuffix(".service")))


def _no_proxy(facts: ProxyFacts) -> str:
    """What this shell exempts, and this very host."""
    own = [reach.address for reach in facts.reaches if reach.proxied_by]
    return ",".join(dict.fromkeys([*(facts.exempt or _LEAST.split(",")), *own]))


def _none_yet(wanted: str) -> Finding:
    return Finding(
        Status.SKIP,
        _SUBJECT,
        f"There is no container engine yet. It will not know this shell's proxy {wanted} by "
        "itself: check again once it is installed.",
    )


def _unread(engine: EngineProxy) -> Finding:
    return Finding(
        Status.ERROR,
        _SUBJECT,
        f"Which proxy {engine.name} has is unknown: this user may not read {engine.unread[0]}.",
        remedy=Remedy("Check again as root.", ("biostudio-doctor check egress.proxy",)),
    )


def _bad(engine: EngineProxy, setting: Setting, machine: Machine) -> Finding:
    commands = (f"systemctl cat {engine.unit}",) if setting.place == engine.unit else ()
    return Finding(
        Status.FAIL,
        _SUBJECT,
        f"The value of {setting.name} for {engine.name} ({setting.place}) {setting.problem}.",
        expected="http://HOST:PORT",
        remedy=Remedy(
            "Correct it, and restart the engine.", (*commands, *_restarted(engine, machine))
        ),
        cause="proxy.bad-setting",
    )


def _restart(engine: EngineProxy, setting: Setting, machine: Machine) -> Finding:
    return Finding(
        Status.WARN,
        _SUBJECT,
        f"A proxy is set for {engine.name} ({setting.place}), but it runs without one: it was not "
        "restarted since.",
        observed="no proxy",
        expected=setting.url,
        remedy=Remedy("Restart it, which ends its containers.", _restarted(engine, machine)),
        cause=_CAUSE,
    )
