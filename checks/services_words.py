"""The words of the checks services.*: a sentence for each state, and what to do about it."""

from collections.abc import Sequence

from biostudio_doctor import distribution, endpoints, text
from biostudio_doctor.host.machine import application_container
from biostudio_doctor.model import Machine, Remedy, Scope
from biostudio_doctor.requirements import Port
from biostudio_doctor.services import Answer

_IMAGES = {"bioproxy": "bioproxy", "biostudio": "BioStudio"}


def saying(
    name: str,
    answer: Answer,
    port: Port,
    others: Sequence[Answer] = (),
    has_login: bool = False,
) -> str:
    """What was found, in one sentence.

    `others` are the ports that this one was preferred to; `has_login` says that a password and TLS
    can be configured for this service.
    """
    place = _place(answer)
    version = f" {answer.version}" if answer.version else ""
    why = f": {answer.detail}" if answer.detail else ""
    said = {
        "healthy": f"{name}{version} answers at {place}{_milliseconds(answer)}",
        "refused": f"Nothing listens at {_all_places(answer, others)}, where {name} should answer",
        "unreachable": f"{name} cannot be reached at {place}{_reason(answer)}",
        "silent": f"{name} takes the connection at {place}, and then says nothing",
        "closed": f"{name} takes the connection at {place}, and hangs up at once",
        "foreign": f"At {place} answers {answer.identity or 'something else'}, not {name}",
        "tls": f"At {place} TLS is spoken, and {name} was expected without",
        "plain": f"{name} at {place} answers without TLS, which was expected{why}",
        "untrusted": f"The certificate of {name} at {place} cannot be trusted{why}",
        "ca-file": f"{name} at {place} was not asked, since the authorities to trust besides this "
        f"host's own cannot be used{why}",
        "password-needed": f"{name} answers at {place} and wants a password; it was asked without",
        "password-wrong": f"{name} at {place} does not accept the configured user and password",
        "denied": f"{name} answers at {place}, and lets this host or user no further{why}",
        "unwell": f"{name} at {place} is not well{why}",
        "unasked": f"{name} takes connections at {place}; its client library {answer.library} is "
        "missing, so it was not asked more",
    }[answer.state]
    if answer.state == "tls" and answer.told.get("offers_tls"):
        said = f"{name} at {place} lets this user in by TLS only, and was expected without"
    elif answer.state == "tls" and answer.identity:
        said += f" (it is {answer.identity})"
    elif answer.state == "password-needed" and answer.detail:
        said = f"{name} answers at {place}, and lets nobody in who asks without a login{why}"
    if has_login and answer.state == "healthy" and answer.anonymous and not answer.logged_in:
        said += ", and asks for no password"
    if port.also and answer.port in port.also and answer.state in ("healthy", "password-needed"):
        said += f", the port of the image itself, not at the published {port.port}"
    return f"{said}."


def advice(
    answer: Answer, port: Port, scope: Scope, machine: Machine, has_login: bool = False
) -> Remedy:
    """What to do about a state that is not well; `has_login` as for `saying`."""
    key = port.service.replace("-", "_")
    image = _IMAGES[port.image]
    settings = f"the table [services.{key}] of the configuration"
    if answer.state == "unasked":
        words = "Install the client libraries where biostudio-doctor runs, and check again."
        return Remedy(words, ("pip install 'biostudio-doctor[services]'",), as_root=False)
    if answer.state == "password-wrong":
        return Remedy(
            f"Compare user and password in {settings} with those that {image} was started with. If "
            f"they are right, {image} itself was given others than its storage was made with."
        )
    if answer.state == "denied":
        return Remedy(
            f"See to it that {image} lets this host in, and that user and database in {settings} "
            "exist and belong together."
        )
    if answer.state == "ca-file":
        return Remedy(f"Correct ca_file in {settings}.")
    if answer.state == "untrusted":
        return Remedy(
            f"If the issuer is your own, name its certificate (PEM) as ca_file in {settings}; "
            "otherwise install a certificate that is made for this name."
        )
    if answer.state == "tls":
        meant = f"If that is meant so, set tls = true in {settings}. " * has_login
        if answer.told.get("offers_tls"):
            return Remedy(f"{meant}Otherwise let it in without (pg_hba.conf in {image}).")
        return Remedy(
            f"{meant}If another program has taken the port, stop it; if something was put before "
            "the service, name the port behind it in the configuration.",
            _who_listens(answer, machine),
        )
    if answer.state == "plain":
        return Remedy(f"Turn TLS on in the service, or leave out tls = true in {settings}.")
    if answer.state == "unreachable":
        return Remedy(
            f"See whether {answer.host} is the right address and whether a firewall between here "
            f"and there drops port {answer.port}.",
            (f"getent ahosts {answer.host}", f"ping -c 3 {answer.host}"),
            as_root=False,
        )
    return _look_at_container(answer, image, scope, machine)


def _look_at_container(answer: Answer, image: str, scope: Scope, machine: Machine) -> Remedy:
    hints = {
        "refused": f"Either {image} does not run, or it has not started yet (allow it 15 minutes), "
        "or the port is not published.",
        "foreign": "Another program has taken the port: stop it or move it, or set the right port "
        "in the configuration.",
        "silent": f"The service hangs, or is still starting: its log in {image} says why.",
        "closed": "Either nothing listens in the container, for which Docker takes the connection, "
        f"or the service does not want this host: its log in {image} says why.",
        "unwell": f"Wait some minutes if it is starting; otherwise its log in {image} says why.",
    }
    words = hints.get(answer.state, f"The log of {image} says why.")
    if answer.state == "foreign":
        commands = _who_listens(answer, machine)
        if not commands:
            return Remedy(f"{words} To be looked for on {answer.host}.")
        if scope.platform == "docker":  # for whose containers docker-proxy listens
            commands += (f"docker ps --filter publish={answer.port}",)
        return Remedy(words, commands)
    if scope.platform == "kubernetes":
        return _look_at_pod(answer, words, image)
    if application_container(machine) and endpoints.is_loopback(answer.host):
        words += (
            f" biostudio-doctor runs in a container ({machine.container}), whose own {answer.host} "
            "was asked: set address in the table [services] to that of the host."
        )
    container = "bioproxy" if image == "bioproxy" else "biocolab"
    words += f" If docker ps shows another name than {container}, use that."
    if not endpoints.is_loopback(answer.host):
        words += f" To be run on {answer.host}."
    return Remedy(words, ("docker ps -a", f"docker logs --tail 50 {container}"))


def _look_at_pod(answer: Answer, words: str, image: str) -> Remedy:
    if endpoints.is_loopback(answer.host):
        words += (
            f" Pods do not answer at {answer.host} as a rule: set address in the table [services] "
            "to that of the Kubernetes service."
        )
    return Remedy(
        f"{words} Look at the pod of {image}, and at its log (kubectl logs).",
        ("kubectl get pods,services --all-namespaces -o wide",),
        as_root=False,
    )


def _who_listens(answer: Answer, machine: Machine) -> tuple[str, ...]:
    """Only this host can tell, and only in commands of its own."""
    if not endpoints.is_loopback(answer.host):
        return ()
    return distribution.who_listens(machine, answer.port)


def _place(answer: Answer) -> str:
    return str(endpoints.Endpoint(answer.host, answer.port))


def _all_places(answer: Answer, others: Sequence[Answer]) -> str:
    return text.listing((_place(one) for one in (answer, *others)), "or")


def _milliseconds(answer: Answer) -> str:
    return f" in {answer.seconds * 1000:.0f} ms"


def _reason(answer: Answer) -> str:
    words = why_unreached(answer)
    return f": {words}" if words else ""


def why_unreached(answer: Answer) -> str:
    """Why a server could not be reached, in a few words; '' where that is not known."""
    reason = answer.failure.reason if answer.failure else ""
    words = {"timeout": "nothing came back", "nxdomain": "there is no such name",
             "unreachable": "there is no way to it"}  # fmt: skip
    return words.get(reason, answer.detail)
