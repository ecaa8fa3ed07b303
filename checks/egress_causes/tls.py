"""Handshakes that are cut, refused, or no TLS at all, whatever the certificate."""

from biostudio_doctor.model import Remedy
from biostudio_doctor.probes import CUT
from biostudio_doctor.probes.results import Path, TlsResult

from ..egress_facts import Evidence, ended, shook_hands
from .case import Case

# --- Evidence -------------------------------------------------------------------------------------


def name_cut(path: Path, evidence: Evidence) -> bool:
    """The handshake is cut each time with this name, and not with another one."""
    if not ended(path, "tls", *CUT):
        return False
    look = evidence.look(path)
    answered = look.other_name is not None and (
        shook_hands(look.other_name)
        or (_ended_with_alert(look.other_name) and not ended(path, "tls", "tls-alert"))
    )
    return answered and look.same_name is not None and not shook_hands(look.same_name)


def _ended_with_alert(result: TlsResult) -> bool:
    """Whether the other end answered, if only to refuse."""
    return result.failure is not None and result.failure.reason == "tls-alert"


def old_tls(path: Path, evidence: Evidence) -> bool:
    """A handshake succeeds only with versions or ciphers that are no longer safe."""
    return ended(path, "tls", "tls-protocol") and path.tls is not None and bool(path.tls.version)


def no_tls(path: Path, evidence: Evidence) -> bool:
    """What answers speaks no TLS."""
    return ended(path, "tls", "tls-protocol", "bad-response", "too-large")


def tls_refused(path: Path, evidence: Evidence) -> bool:
    """The other end ends the handshake by an alert."""
    return ended(path, "tls", "tls-alert")


def tls_cut(path: Path, evidence: Evidence) -> bool:
    """The handshake ends, and no experiment tells why."""
    return ended(path, "tls")


# --- What to do -----------------------------------------------------------------------------------


def ask_who_answers(case: Case) -> Remedy:
    """Something else answers."""
    return Remedy(
        "Something else answers in the place of these hosts: a captive portal, a block page or "
        "another device.\n"
        + case.request("tell which device answers here, and let these hosts pass unchanged"),
        case.curl,
        as_root=False,
    )


def ask_for_passage(case: Case) -> Remedy:
    """TLS is cut on the way."""
    return Remedy(
        "The connection is allowed, but what is said over it is not let through.\n"
        + case.request(
            "let TLS pass to these hosts (by their names, which firewalls read in SNI), unchanged "
            "and without inspection",
        ),
        case.curl,
        as_root=False,
    )
