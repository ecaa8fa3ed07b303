"""The words of datasources.ecosystem: a sentence for each state, and what to do about it."""

from biostudio_doctor import text
from biostudio_doctor.model import Remedy
from biostudio_doctor.services import Answer

from .datasources import advice_unreached
from .services_words import why_unreached


def saying(product: str, url: str, answer: Answer) -> str:
    """What was found, in one sentence."""
    if answer.state == "healthy":
        return f"{_welcome(product, url, answer)}."
    why = f": {answer.detail}" if answer.detail else ""
    if answer.state == "unreachable":
        why = f": {why_unreached(answer)}".removesuffix(": ")
    said = {
        "refused": f"Nothing listens at {url}",
        "unreachable": f"{url} cannot be reached{why}",
        "silent": f"{url} takes the connection, and then says nothing",
        "closed": f"{url} takes the connection, and hangs up at once",
        "foreign": f"At {url} answers {answer.identity or 'something else'}, and no web server",
        "tls": f"At {url} TLS is spoken, so it is an https:// address",
        "plain": f"{url} answers without TLS, so it is an http:// address",
        "untrusted": f"The certificate of {url} cannot be trusted{why}",
        "ca-file": f"{url} was not asked, since the authorities to trust besides this host's own "
        f"cannot be used{why}",
    }.get(answer.state, f"{product} at {url} does not serve{why}")
    return f"{said}."


def _welcome(product: str, url: str, answer: Answer) -> str:
    told = answer.told
    version = f" {answer.version}" if answer.version else ""
    who = f"{product}{version}"
    if told["status"] >= 300:  # anything may answer so
        who = f"What should be {product}"
    said = f"{who} answers at {url} in {answer.seconds * 1000:.0f} ms"
    if not told["known"]:
        said = f"{answer.identity} answers at {url}, but not as {product} does"
        said = said[:1].upper() + said[1:]
    elif told["left_at"]:
        said += f", and redirects to {text.printable(told['left_at'])}"
    elif told["status"] in (401, 403):
        said += f", and wants to know who asks (HTTP {told['status']})"
    if "days" in told:
        days = text.number(int(told["days"]), "day")
        return f"{said}; its certificate is trusted here and has {days} left"
    return f"{said}; without TLS whoever sits between can read along"


def advice(product: str, answer: Answer, cause: str) -> Remedy:
    """What to do about it, by the word for it."""
    settings = "[[datasources.ecosystem]]"
    words = {
        "refused": f"See whether {product} runs there, and whether the URL under {settings} is "
        "right.",
        "silent": f"{product} hangs, or something between here and there holds the connection: its "
        "log says whether it came.",
        "closed": "Something on the way ends the connection: the log of that server says whether "
        "it came.",
        "foreign": f"Correct the URL under {settings}.",
        "tls": f"Begin the URL under {settings} with https://.",
        "plain": "Have TLS turned on there, with a certificate that is made for "
        f"{answer.host}; over http:// passwords and tokens are readable on the way.",
        "readable-on-the-way": f"Name its https:// address under {settings}; if it has none, have "
        f"TLS turned on there, with a certificate that is made for {answer.host}.",
        "another-server": f"See whether the URL under {settings} is that of {product}; a proxy "
        "before it may keep its health page (/btstatus) back.",
        "ca-file": f"Correct ca_file under {settings}.",
        "certificate-ends": "Have that certificate renewed on its server.",
        "unwell": f"See whether {product} runs behind its web server, and what its log says.",
    }
    if cause == "untrusted":
        return _trust(answer)
    if cause == "unreachable":
        return advice_unreached(answer, settings)
    return Remedy(words.get(cause, words["unwell"]))


def _trust(answer: Answer) -> Remedy:
    made_for = answer.told.get("made_for") or []
    names = f" (it is made for {text.listing(map(text.printable, made_for))})" if made_for else ""
    return Remedy(
        "If the issuer is your own, name its certificate (PEM) as ca_file under "
        "[[datasources.ecosystem]], and have this host and the notebooks trust it; otherwise have "
        f"one made for {answer.host} and installed there{names}."
    )
