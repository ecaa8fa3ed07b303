"""egress.proxy

What is said of the container engine is in the module beside this one.
"""

import os
from collections.abc import Iterator
from datetime import timedelta

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.proxies import ProxyFacts, Reach, Setting, look
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements

from .egress_proxy_engine import export, judge_engine

_SHOWN = 4  # settings that are named; of more, only the number is told


class EgressProxy(Check[ProxyFacts]):
    """Proxy settings agree with each other.

    Reads which proxy the variables of this shell name (https_proxy, http_proxy, all_proxy and
    no_proxy, in both cases), whether the shell's start files, the package manager, conda, pip, curl
    and the docker command name another, and whether the container engine has one. Nothing is
    connected to but the engine's own socket; whether a proxy lets anything through is what
    egress.hosts tries. User names and passwords are never shown.

    Why: where only a proxy leads out, each program that does not know it fails by itself: the shell
    reaches the internet, and `docker pull` does not. BioStudio's parts talk to each other by the
    address of this host, and a proxy that is not told to leave that alone gets these connections.

    Mend: name one proxy for all, as http://HOST:PORT, in /etc/environment and in a drop-in of the
    engine's service; exempt localhost, 127.0.0.1 and this host's own addresses with no_proxy, and
    give BioStudio's installer the same values. The container bioproxy must have no proxy variables.
    """

    id = "egress.proxy"
    interval = timedelta(hours=1)

    def observe(self, host: Host) -> ProxyFacts:
        return look(host, os.environ if host.is_local else {})

    def judge(self, facts: ProxyFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.environment_seen:
            yield Finding(
                Status.SKIP,
                "environment",
                "The variables of this host's shells are unknown here: this is its file tree only.",
            )
        elif not _anything(facts):
            said = "No proxy is set on this host, so its programs connect to the internet directly."
            yield Finding(Status.PASS, "proxy", said, observed="none")
        yield from _judge_environment(facts)
        yield from _judge_reaches(facts)
        yield from _judge_elsewhere(facts)
        yield from _judge_containers(facts)
        yield from judge_engine(facts, self.context.machine)


def _anything(facts: ProxyFacts) -> bool:
    engine = facts.engine
    of_engine = engine is not None and bool(engine.setting or engine.running)
    return bool(facts.environment or facts.elsewhere or facts.for_containers) or of_engine


# --- This environment -----------------------------------------------------------------------------


def _judge_environment(facts: ProxyFacts) -> Iterator[Finding]:
    for variable in dict.fromkeys(setting.name.lower() for setting in facts.environment):
        both = [setting for setting in facts.environment if setting.name.lower() == variable]
        yield _judge_variable(variable, both, variable in facts.contradictions)
    if "no_proxy" in facts.contradictions:
        yield _contradiction("no_proxy")
    if {setting.name.lower() for setting in facts.environment} == {"http_proxy"}:
        yield _http_only(facts.environment[0])


def _judge_variable(variable: str, both: list[Setting], contradicts: bool) -> Finding:
    bad = next((setting for setting in both if setting.problem), None)
    if bad:
        return _bad_setting(variable, bad)
    if contradicts:
        return _contradiction(variable)
    setting = both[0]
    if setting.url.startswith("https://"):
        return _https_scheme(variable, setting)
    said = f"{text.listing(one.name for one in both)} {_verb(both, 'names', 'name')} "
    said += f"the proxy {setting.url}" if setting.url else "a proxy in a form that was not read"
    if setting.authenticated:
        said += (
            ", with a user name and a password that root and all processes of this user can read"
        )
    return Finding(Status.PASS, variable, f"{said}.", observed=setting.url)


def _verb(settings: list[Setting], one: str, more: str) -> str:
    return one if len(settings) == 1 else more


def _bad_setting(variable: str, bad: Setting) -> Finding:
    if bad.socks:
        return Finding(
            Status.WARN,
            variable,
            f"{bad.name} names a SOCKS proxy, which curl and docker can use, but conda and pip not "
            "without PySocks.",
            observed="SOCKS",
            expected="http://HOST:PORT",
            remedy=Remedy("Ask the network team for an HTTP proxy."),
            cause="proxy.socks",
        )
    return Finding(
        Status.FAIL,
        variable,
        f"The value of {bad.name} {bad.problem}, so programs fail or pass the proxy by.",
        observed="not understood",
        expected="http://HOST:PORT",
        remedy=Remedy(
            "Correct it: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with special "
            "characters percent-encoded (@ as %40, : as %3A, / as %2F).",
            (export(variable, "http://HOST:PORT"),),
            as_root=False,
        ),
        cause="proxy.bad-setting",
    )


def _contradiction(variable: str) -> Finding:
    upper = variable.upper()
    return Finding(
        Status.WARN,
        variable,
        f"{variable} and {upper} have different values: curl, conda and pip go by the first, and "
        "docker by the second.",
        remedy=Remedy(
            "Give both the same value, here and where they are set (/etc/environment, ~/.bashrc).",
            (f'export {upper}="${variable}"',),
            as_root=False,
        ),
        cause="proxy.contradiction",
    )


def _https_scheme(variable: str, setting: Setting) -> Finding:
    plain = f"http{setting.url.removeprefix('https')}"
    user = " Keep the user name and the password that it has." if setting.authenticated else ""
    return Finding(
        Status.WARN,
        variable,
        f"{setting.name} says {setting.url}, where http:// is meant nearly everywhere: it tells "
        "how to speak to the proxy itself, not to where it leads.",
        observed=setting.url,
        expected=plain,
        remedy=Remedy(
            f"Write http:// there, unless the proxy really speaks TLS.{user}",
            (export(variable, plain),),
            as_root=False,
        ),
        cause="proxy.scheme",
    )


def _http_only(setting: Setting) -> Finding:
    value = setting.url or "http://HOST:PORT"
    return Finding(
        Status.WARN,
        "https_proxy",
        f"{setting.name} counts for http:// addresses only, and all that BioStudio fetches has "
        "https:// addresses, for which no proxy is set.",
        observed="not set",
        remedy=Remedy(
            "If only that proxy leads out, name it for https, too.",
            (export("https_proxy", value),),
            as_root=False,
        ),
        cause="proxy.elsewhere",
    )


# --- This host's own addresses --------------------------------------------------------------------


def _judge_reaches(facts: ProxyFacts) -> Iterator[Finding]:
    missed = [reach for reach in facts.reaches if reach.proxied_by]
    if not facts.reaches:
        return
    if missed:
        yield _missed(facts, missed)
        return
    said = f"no_proxy exempts this host itself: {_listed(facts.reaches)}."
    if any(reach.by_range for reach in facts.reaches):
        said = f"{said[:-1]}; curl before 7.86 does not understand its ranges."
    yield Finding(Status.PASS, "own addresses", said, observed=facts.no_proxy)


def _missed(facts: ProxyFacts, missed: list[Reach]) -> Finding:
    value = ",".join(dict.fromkeys([*facts.exempt, *(reach.address for reach in missed)]))
    programs = dict.fromkeys(name for reach in missed for name in reach.proxied_by)
    old = any(reach.by_range for reach in missed)
    why = "; the curl of this host is too old to understand a range (CIDR)" if old else ""
    return Finding(
        Status.WARN,
        "own addresses",
        f"no_proxy does not exempt {_listed(missed)}, so {text.listing(programs)} would go to this "
        f"very host through the proxy; BioStudio's parts find each other by its address{why}.",
        observed=facts.no_proxy or "no_proxy is not set",
        expected=value,
        remedy=Remedy(
            "Set it here and where the proxy is set (/etc/environment), and give BioStudio's "
            "installer the same value for NO_PROXY; its own default knows few networks. The "
            "container bioproxy must have no proxy variables at all.",
            (export("no_proxy", value),),
            as_root=False,
        ),
        cause="proxy.no-proxy-lan",
    )


def _listed(reaches: list[Reach] | tuple[Reach, ...]) -> str:
    return text.listing(reach.address for reach in reaches)


# --- Other places ---------------------------------------------------------------------------------


def _judge_elsewhere(facts: ProxyFacts) -> Iterator[Finding]:
    """Proxies that are named, but not in the variables that count here."""
    if not facts.elsewhere:
        return
    more = len(facts.elsewhere) - _SHOWN
    shown = [setting.words for setting in facts.elsewhere[:_SHOWN]]
    named = text.listing([*shown, f"{more} more"] if more > 0 else shown)
    if facts.environment or not facts.environment_seen:
        said = f"Proxies are named in files, too: {named}."
        yield Finding(Status.PASS, "elsewhere", said, observed=str(len(facts.elsewhere)))
        return
    url = next((setting.url for setting in facts.elsewhere if setting.url), "http://HOST:PORT")
    sudo = " sudo has removed them, if your own shell has them: see --preserve-env below."
    yield Finding(
        Status.WARN,
        "elsewhere",
        f"A proxy is named in files of this host, but not in this shell: {named}.",
        observed="not set in this shell",
        remedy=Remedy(
            "If only that proxy leads out, set the variables here before you install anything, or "
            f"log in again where they are set already.{sudo if facts.by_sudo else ''}",
            (
                export("https_proxy", url),
                "sudo --preserve-env=https_proxy,http_proxy,no_proxy biostudio-doctor check",
            ),
            as_root=False,
        ),
        cause="proxy.elsewhere",
    )


def _judge_containers(facts: ProxyFacts) -> Iterator[Finding]:
    if not facts.for_containers:
        return
    first = facts.for_containers[0]
    empty = " ".join(
        f"--env {name}= --env {name.lower()}=" for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    )
    yield Finding(
        Status.WARN,
        "containers",
        f"{first.place} makes the docker command give a proxy to every container, to bioproxy as "
        "well, which must have none.",
        observed=", ".join(setting.url for setting in facts.for_containers if setting.url),
        remedy=Remedy(
            'Remove "proxies" from that file, and give the proxy to BioStudio\'s container by its '
            "installer; or empty the variables where bioproxy is started.",
            (f"docker run {empty} ...",),
        ),
        cause="proxy.containers",
    )
