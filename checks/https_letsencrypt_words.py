"""https.letsencrypt: what its findings on CAA records, port 80 and the issuer say."""

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.probes.results import Caa

from .egress_facts import is_public_address
from .egress_one import Verdict
from .https_letsencrypt_caa import ISSUER, METHOD, Answer, Permission
from .https_letsencrypt_facts import PORT, Outside

_RECORD = f'CAA 0 issue "{ISSUER}"'
_SHOWN, _WIDTH = 4, 100  # records that are shown, and characters of each


# --- CAA ------------------------------------------------------------------------------------------


def caa(found: Permission, domain: str, seen_from_outside: bool) -> Finding:
    """Whether the CAA records let Let's Encrypt issue."""
    if found.answer == "failed":
        return _caa_failed(found, domain)
    if found.answer in ("free", "permitted") and not seen_from_outside:
        return _caa_inside_only()
    if found.answer in ("free", "permitted"):
        where = (
            f"The CAA records of {found.name} permit" if found.records else "No CAA record keeps"
        )
        end = f" {ISSUER} to issue." if found.records else f" {ISSUER} from issuing for {domain}."
        return Finding(Status.PASS, "CAA", where + end, observed=_records(found.records))
    return Finding(
        Status.WARN if found.answer == "account" else Status.FAIL,
        "CAA",
        f"The CAA records of {found.name} {_CAA_SAYS[found.answer]}.",
        observed=_records(found.records),
        expected=_RECORD,
        remedy=_caa_remedy(found),
        cause=_CAA_CAUSE[found.answer],
    )


_CAA_SAYS: dict[Answer, str] = {
    "account": f"let {ISSUER} issue for a certain ACME account only (accounturi), and bioproxy "
    "makes an account of its own",
    "method": f"let {ISSUER} issue by other methods than {METHOD} only (validationmethods), and "
    "bioproxy uses that",
    "spelling": f"name {ISSUER} in other letters, which Let's Encrypt does not take for its own "
    "name",
    "forbidden": f"do not let {ISSUER} issue",
    "critical": "have a property marked as critical that Let's Encrypt does not know, so it must "
    "not issue",
}
_CAA_CAUSE: dict[Answer, str] = {
    "account": "https.caa-account",
    "method": "https.caa-method",
    "spelling": "https.caa-spelling",
    "forbidden": "https.caa",
    "critical": "https.caa-critical",
}


def _caa_remedy(found: Permission) -> Remedy:
    words = {
        "account": "Have the restriction taken out, or set to the account that bioproxy made, once "
        f"it has one: {found.name}. {_RECORD}",
        "method": f"Have {METHOD} added to validationmethods, or the restriction taken out.",
        "spelling": f"Have it written as {ISSUER}, in small letters.",
        "critical": "Have that property removed, or its flag set to 0.",
    }
    default = f"Have this record added to the others in DNS: {found.name}. {_RECORD}"
    return Remedy(words.get(found.answer, default), (f"dig {found.name} CAA",), as_root=False)


def _caa_failed(found: Permission, domain: str) -> Finding:
    reason = found.failure.reason if found.failure else "other"
    command = (f"dig {found.name or domain} CAA",)
    asked = text.listing(found.servers) or "no name server"
    if reason == "servfail":
        told = f": {found.extended[0]}" if found.extended else ""
        return Finding(
            Status.FAIL,
            "CAA",
            f"{asked} cannot find out the CAA records of {found.name} (SERVFAIL{told}). Let's "
            "Encrypt issues nothing while it sees the same, even if there is no such record.",
            observed="SERVFAIL",
            expected="an answer, or that there is no record",
            remedy=Remedy(
                "Have those who run the domain's DNS see to it: broken DNSSEC, and name servers "
                "that do not answer for record types that they do not know, are the usual reasons.",
                command,
                as_root=False,
            ),
            cause="https.caa-servfail",
        )
    why = f"{asked} gave no usable answer for {found.name or domain}"
    return _caa_unknown(why, reason, command)


def _caa_inside_only() -> Finding:
    why = "the name servers that were asked do not show the public DNS"
    return _caa_unknown(why, "no record inside", ())


def _caa_unknown(why: str, observed: str, commands: tuple[str, ...]) -> Finding:
    return Finding(
        Status.ERROR,
        "CAA",
        f"Whether CAA records keep {ISSUER} from issuing is not known: {why}.",
        observed=observed,
        remedy=Remedy(
            "Ask another name server: name it with name_server in the table "
            '[checks."https.letsencrypt"].',
            commands,
            as_root=False,
        ),
        cause="https.caa-unknown",
    )


def _records(records: tuple[Caa, ...]) -> str:
    shown = [f'{one.flags} {one.tag} "{one.value[:_WIDTH]}"' for one in records[:_SHOWN]]
    return ", ".join(shown) or "no record"


# --- Port 80 --------------------------------------------------------------------------------------

_SUBJECT = f"port {PORT}"
_STATEMENT = "port_80_leads_here = true in the table [https] of the configuration"


def port_80(http: int, stated: bool, outside: Outside | None) -> Finding:
    """Whether Let's Encrypt reaches bioproxy's HTTP port."""
    if outside and not outside.problem:
        return _from_outside(http, outside)
    if stated:
        said = f"Port {PORT} leads to bioproxy from the internet, as the configuration states."
        return Finding(Status.PASS, _SUBJECT, f"{said} From here that cannot be seen.")
    if outside:
        said = f"Whether port {PORT} leads here is not known: {outside.problem}."
        remedy = Remedy(f"Make that report anew. {_PROVE}")
        return _unproven(said, remedy, "https.outside-report")
    if http != PORT:
        return Finding(
            Status.FAIL,
            _SUBJECT,
            f"bioproxy's HTTP port is {http}, and Let's Encrypt asks on port {PORT} only.",
            observed=f"port {http}",
            expected=f"port {PORT} of the public address leads to it",
            remedy=Remedy(
                f"Give bioproxy port {PORT} (http in the table [ports]), or have port {PORT} of "
                f"the public address forwarded to port {http} of this host, and set {_STATEMENT}."
            ),
            cause="https.port",
        )
    said = f"Whether port {PORT} is reached from the internet cannot be seen from inside."
    return _unproven(said, Remedy(_PROVE), "https.port-unproven")


_PROVE = (
    "While bioproxy does not run, run `biostudio-doctor listen --role bioproxy` here, and on a "
    "machine outside, with the code that it prints, `biostudio-doctor check ports.peers --peer "
    "bioproxy=PUBLIC-ADDRESS --output json --output-file outside.json`. Bring that file here and "
    'name it with outside_report in the table [checks."https.letsencrypt"]. Or, if you know that '
    f"the port is open, set {_STATEMENT}. It must be open to all: from where Let's Encrypt asks is "
    "not published, and it asks from several places."
)


def _unproven(said: str, remedy: Remedy, cause: str) -> Finding:
    return Finding(Status.ERROR, _SUBJECT, said, remedy=remedy, cause=cause)


def _from_outside(http: int, outside: Outside) -> Finding:
    when = f"on {outside.when:%Y-%m-%d}" if outside.when else "once"
    who = f"{outside.hostname} ({outside.client})" if outside.client else outside.hostname
    if outside.arrived_at == http:
        if not is_public_address(outside.client):
            said = (
                f"Port {PORT} of {outside.address} was reached by {who}, whose address is private: "
                "that is no proof for the internet."
            )
            return _unproven(said, Remedy(_PROVE), "https.port-unproven")
        said = f"Port {PORT} of {outside.address} led here {when}, as {who} has proven."
        return Finding(Status.PASS, _SUBJECT, said, observed=outside.cell)
    ended = f"arrived at port {outside.arrived_at}" if outside.arrived_at else outside.cell
    return Finding(
        Status.FAIL,
        _SUBJECT,
        f"Port {PORT} of {outside.address} did not lead here {when}, as {who} saw it: {ended}.",
        observed=outside.cell,
        expected=f"port {PORT} leads to port {http} here",
        remedy=Remedy(
            f"Have the firewalls let TCP port {PORT} pass to here from everywhere, and the router "
            f"forward it to port {http} of this host. Then let it be proven again: the listener "
            "must run, as root, while the other machine asks."
        ),
        cause="https.port-closed",
    )


# --- The issuer -----------------------------------------------------------------------------------


def issuer(host: str, direct: Verdict, by_proxy: Verdict | None, proxy: str) -> Finding:
    """Whether bioproxy, which knows no proxy, will reach the issuer."""
    if direct.status in (Status.PASS, Status.WARN):
        trouble = f", but {direct.said}" if direct.status is Status.WARN else f" ({direct.said})"
        return Finding(
            direct.status,
            host,
            f"{host} answers directly{trouble}.",
            observed=direct.observed,
            remedy=_DIAGNOSE if direct.status is Status.WARN else None,
            cause=direct.cause,
        )
    if by_proxy and by_proxy.status in (Status.PASS, Status.WARN):
        return Finding(
            Status.FAIL,
            host,
            f"{host} is reached through the proxy {proxy} only, and bioproxy must have no proxy "
            "settings: Let's Encrypt inside bioproxy cannot work.",
            observed=direct.observed,
            expected="reached directly on TCP port 443",
            remedy=Remedy(
                f"Have the network team let this host connect to {host}, TCP port 443, without the "
                "proxy; or use a bought certificate. HTTP_PROXY given to bioproxy breaks its own "
                "connections."
            ),
            cause="https.issuer-by-proxy",
        )
    return Finding(
        Status.FAIL,
        host,
        f"bioproxy will not reach {host} to ask for a certificate: {direct.said}.",
        observed=direct.observed,
        expected="reached directly on TCP port 443",
        remedy=_DIAGNOSE,
        cause=direct.cause,
    )


_DIAGNOSE = Remedy(
    "Let egress.hosts look closer: with https://acme-v02.api.letsencrypt.org/directory added to "
    '`add` in the table [checks."egress.hosts"], it names the cause and has the text for your '
    "network team.",
    ("biostudio-doctor check egress.hosts",),
    as_root=False,
)
