"""The words of the checks of databases: a sentence for each state, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biostudio_doctor import endpoints, text
from biostudio_doctor.model import Remedy
from biostudio_doctor.services import Answer

from .datasources import advice_unreached
from .services_words import why_unreached

_SHOWN = 4  # rights to write

#: Where each server is told which addresses to listen at, and who may come from where.
_LISTENS = {"PostgreSQL": "listen_addresses in postgresql.conf"}
_ADMITS = {"PostgreSQL": "a line for this host in pg_hba.conf, and then SELECT pg_reload_conf()"}


FULL = Remedy("Have its administrator end idle sessions, or raise max_connections.")


def saying(product: str, answer: Answer, user: str, database: str) -> str:
    """What was found, in one sentence."""
    place = str(endpoints.Endpoint(answer.host, answer.port))
    name = f"{product} {answer.version}".rstrip()
    why = f": {answer.detail}" if answer.detail else ""
    if answer.state == "healthy":
        return f"{name} at {place} {_welcome(answer, user)}."
    if answer.state == "unreachable":
        why = f": {why_unreached(answer)}".removesuffix(": ")
    who = f"the user {user}" if user else "anybody without a user"
    milliseconds = f"{answer.seconds * 1000:.0f} ms"
    wants = (
        f"wants a password of {who}, and none is configured"
        if user
        else "wants to know who asks; it was only knocked at, since no user is configured"
    )
    lacks = f": the library {answer.library} is missing" if answer.library else why
    said = {
        "refused": f"Nothing listens at {place}",
        "unreachable": f"{place} cannot be reached{why}",
        "silent": f"{place} takes the connection, and then says nothing",
        "closed": f"{place} takes the connection, and hangs up at once",
        "foreign": f"At {place} answers {answer.identity or 'something else'}, and not {product}",
        "tls": f"{place} demands TLS, which is not configured",
        "plain": f"{name} at {place} cannot be asked safely{why or ': it offers no TLS'}",
        "untrusted": f"The certificate of {name} at {place} cannot be trusted{why}",
        "ca-file": f"{name} at {place} was not asked, since the authorities to trust besides this "
        f"host's own cannot be used{why}",
        "password-needed": f"{name} at {place} answers in {milliseconds} and {wants}",
        "password-wrong": f"{name} at {place} does not accept the password of {who}{why}",
        "denied": f"{name} at {place} does not let {who} in{why}",
        "unwell": f"{name} at {place} says that it cannot serve{why}",
        "unasked": f"{name} at {place} takes connections, and was not asked more{lacks}",
    }[answer.state]
    return f"{said}."


def _welcome(answer: Answer, user: str) -> str:
    said = f"answers in {answer.seconds * 1000:.0f} ms"
    if not user:
        return said
    said += f" and lets the user {user} in"
    if sees_nothing(answer.told):
        role = "its rights come with a role that is not set at login"
        return f"{said}, but shows it no table" + (f": {role}" if answer.told.get("roles") else "")
    can = reading(answer.told)
    return said + (f", who can {text.listing(can)}" if can else "")


def sees_nothing(told: Mapping[str, Any]) -> bool:
    """Whether an account is known to have no table to read."""
    return told.get("tables") == 0 or told.get("reads") is False


def reading(told: Mapping[str, Any]) -> list[str]:
    """What an account can do, as far as that is known: read 3 tables, write nothing."""
    words = []
    tables = told.get("tables")
    if tables and not sees_nothing(told):
        inside = next(
            (f" in {text.number(told[key], noun)}" for key, noun in _CONTAINERS if key in told), ""
        )
        words.append(f"read {text.number(tables, 'table')}{inside}")
    if "writes" in told:
        words.append(_writing(told))
    return words


_CONTAINERS = (("schemas", "schema"), ("databases", "database"))


def _writing(told: Mapping[str, Any]) -> str:
    writes = list(told["writes"])
    if not writes:
        return "write nothing" + (", except what its roles may" if told.get("roles") else "")
    more = [f"{len(writes) - _SHOWN} more"] if len(writes) > _SHOWN else []
    return f"also write ({text.listing([*writes[:_SHOWN], *more])})"


def advice(product: str, answer: Answer, kind: str) -> Remedy:
    """What to do about a state that is not well."""
    settings = f"[[datasources.{kind}]]"
    words = {
        "refused": "On the database's own host, see whether it runs, on that port, and whether it "
        f"listens at an address that others reach ({_LISTENS.get(product, 'bind-address')}).",
        "silent": "The database hangs, or something between here and there holds the connection: "
        "its log says whether the connection came.",
        "closed": "Something on the way, or a list of admitted hosts (TCP wrappers, a proxy), "
        "ends the connection: the database's log says whether it came.",
        "foreign": f"Correct host and port in {settings}.",
        "tls": f"Set tls = true in {settings}, and ca_file if its issuer is your own.",
        "plain": "Have its administrator turn TLS on there, with a certificate that is made for "
        f"{answer.host}.",
        "untrusted": "If the issuer is your own or your cloud's (Amazon RDS: its global-bundle.pem)"
        f", name its certificate (PEM) as ca_file in {settings}; otherwise have one made for "
        f"{answer.host}.",
        "ca-file": f"Correct ca_file in {settings}.",
        "password-needed": f"Name the password's file or variable in {settings}.",
        "password-wrong": f"Correct user and password in {settings}. {_AMBIGUOUS.get(product, '')}",
        "unwell": "Ask its administrator: the database's log says more."
        if "too many" not in answer.detail.lower()
        else FULL.text,
    }
    if answer.state == "unreachable":
        return advice_unreached(answer, settings)
    if answer.state == "denied":
        return Remedy(_admission(product, answer, settings))
    if answer.state == "unasked":
        return _unasked(answer, settings)
    return Remedy(words.get(answer.state, words["unwell"]).rstrip())


_OF_MYSQL = (
    "It says the same where the account is made for other hosts than this one, or demands TLS that "
    "the server does not offer."
)
_AMBIGUOUS = {"MySQL": _OF_MYSQL, "MariaDB": _OF_MYSQL}


def _unasked(answer: Answer, settings: str) -> Remedy:
    if not answer.library:
        first = (
            f"Set tls = true and ca_file in {settings}, so that its certificate verifies"
            if answer.told.get("offers_tls")
            else f"Have its administrator turn TLS on, and set tls = true in {settings}"
        )
        return Remedy(
            f"{first}. If it lacks something else, try the account with the database's own client."
        )
    words = "Install the client libraries where biostudio-doctor runs, and check again."
    if answer.library == "nacl":
        return Remedy(words, ("pip install pynacl",), as_root=False)
    return Remedy(words, ("pip install 'biostudio-doctor[datasources]'",), as_root=False)


def _admission(product: str, answer: Answer, settings: str) -> str:
    code = answer.told.get("code")
    source = answer.told.get("source")
    here = f"this host ({source})" if source else "this host"
    if code == 1049:
        return f"Correct the database in {settings}."
    if code == 1129:
        return (
            f"The server locks {here} out because connections from it broke too often. Find what "
            "breaks them (load balancers and port monitors do), and have its administrator run "
            "FLUSH HOSTS, or TRUNCATE TABLE performance_schema.host_cache on MySQL 8."
        )
    if code == 1130:
        return f"Have its administrator make an account that may come from {here}."
    if code in (1862, 3118, 4151):
        return "Have its administrator unlock the account, or give it a new password."
    admits = _ADMITS.get(product)
    grant = f"Have its administrator admit that user to the database named in {settings}"
    return f"{grant}, from {here}" + (f": it may take {admits}." if admits else ".")
