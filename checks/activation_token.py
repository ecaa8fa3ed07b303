"""activation.token

What makes a token odd is told apart in the module beside this one, activation_token_form.
"""

import stat
from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from msgspec import Struct, structs

from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Feature, Requirements

from .activation_token_form import Oddity, oddity
from .unconfigured import not_configured

_SUBJECT = "token"
_TOO_OPEN = 0o027  # group may write, others may do anything
_KEY = "token in the table [activation] of the configuration"
_DASHBOARD = "the dashboard's Settings > Update BioStudio Token"

#: Each completes "The token in FILE ...".
_SAYING: dict[Oddity, str] = {
    "empty": "is empty",
    "encoding": "is no text in UTF-8, let alone in ASCII",
    "byte-order-mark": "begins with a byte-order mark, as some editors write it unseen",
    "lines": "has line breaks in it",
    "control": "has control characters in it",
    "quotes": "has quotation marks around it, which would count as part of it",
    "blanks": "has blanks before, after or in it",
    "non-ascii": "has characters in it that no token has (beyond ASCII)",
    "assignment": "has the name of a variable before it",
    "variable": "is the name of a variable that nothing has filled in",
    "url": "is an address of a web site, and no token",
    "path": "is the path of a file, and no token",
    "email": "is an e-mail address, and no token",
    "placeholder": "is a placeholder that somebody was to replace",
    "cut": "is a shortened form, with dots or stars in the place of its middle or end",
    "punctuation": "ends in punctuation, as where more was copied than the token",
    "short": "is shorter than tokens are",
    "long": "is longer than tokens are",
}
_PERHAPS: tuple[Oddity, ...] = ("punctuation", "short", "long")  # no rule is published
_LINE_ENDS = "Write it anew as one line of plain text, with nothing before or after it."
_ANEW = (
    "Put the token there that BioTuring gave to you. If you have none yet, ask BioTuring for it; "
    f"it can also be entered after the installation, by {_DASHBOARD}."
)
_AROUND: tuple[Oddity, ...] = (
    "encoding", "byte-order-mark", "lines", "control", "quotes", "blanks", "non-ascii",
    "assignment", "punctuation",
)  # fmt: skip


class TokenFacts(Struct, frozen=True, kw_only=True):
    """What is known of the token: where it is kept and how, and nothing of itself."""

    file: str = ""
    variable: str = ""
    missing: str = ""  # why it cannot be had
    oddity: Oddity | None = None
    mode: int | None = None  # of the file


class ActivationToken(Check[TokenFacts]):
    """The activation token looks like one.

    Reads the token where the configuration says that it is kept, in a file or in an environment
    variable, and looks at its form only: one word, without quotation marks, blanks, line breaks or
    invisible characters, and neither a placeholder nor an address, a path or a variable. Nothing of
    it is shown, kept or sent, not even its length. Also looks who may read the file.

    Not verified: whether BioTuring accepts the token. That is only known when BioStudio itself
    asks.

    Why: a token that was pasted with a quotation mark or cut short is refused after an hour of
    installing, and says so only on the dashboard. The document lets you enter it later; the
    vendor's installer ends where it is left empty.

    Mend: name its place as `token = { file = "/path" }` or `{ env = "NAME" }` in the table
    [activation], and write the token there as one line. Change it in a running BioStudio by the
    dashboard's Settings > Update BioStudio Token.
    """

    id = "activation.token"
    interval = timedelta(hours=1)
    roles = ("all-in-one", "biostudio")
    requirement_ids = ("activation.token",)

    def observe(self, host: Host) -> TokenFacts:
        token = self.context.config.activation.token
        if token is None:
            return TokenFacts()
        from biostudio_doctor.secret import SecretError, raw

        place = TokenFacts(file=token.file or "", variable=token.env or "")
        try:
            kept = raw(token, host)
        except SecretError as error:
            return structs.replace(place, missing=str(error))
        mode = stat.S_IMODE(host.stat(token.file).st_mode) if token.file else None
        return structs.replace(place, oddity=oddity(kept), mode=mode)

    def judge(self, facts: TokenFacts, requirements: Requirements) -> Iterator[Finding]:
        requirement = requirements.get("activation.token")
        feature = requirement if isinstance(requirement, Feature) else None
        if not (facts.file or facts.variable):
            said = "No activation token is configured."
            yield not_configured(_SUBJECT, said, _CONFIGURE, feature)
            return
        where = facts.file or f"the environment variable {facts.variable}"
        if facts.missing:
            yield _missing(facts, self.context.machine, feature)
        elif facts.oddity:
            yield _odd(facts.oddity, where, feature)
        else:
            said = f"The token in {where} looks like one. Whether BioTuring accepts it is not known"
            yield Finding(
                Status.PASS, _SUBJECT, f"{said}: only BioStudio itself can ask.",
                observed="one word of printable characters", requirement=feature,
            )  # fmt: skip
        if facts.mode is not None:
            yield _permissions(facts.file, facts.mode)


_CONFIGURE = (
    'Name its place: token = { file = "/path" } or { env = "NAME" } in the table [activation] of '
    f"the configuration. A token is obtained from BioTuring; it can also be entered later, by "
    f"{_DASHBOARD}, but the vendor's installer ends without one."
)


def _missing(facts: TokenFacts, machine: Machine, requirement: Feature | None) -> Finding:
    if facts.variable:
        words = (
            f"Set {facts.variable} for biostudio-doctor, too: sudo passes it on with "
            f"--preserve-env={facts.variable}, and a service needs it in its unit."
        )
    elif machine.root:
        words = f"Correct {_KEY}, or write the token there."
    else:
        words = f"Run biostudio-doctor as root, which may read it, or correct {_KEY}."
    return Finding(
        Status.ERROR,
        _SUBJECT,
        f"The token could not be looked at: {facts.missing}.",
        remedy=Remedy(words),
        requirement=requirement,
        cause="activation.token-missing",
    )


def _odd(oddity: Oddity, where: str, requirement: Feature | None) -> Finding:
    perhaps = oddity in _PERHAPS
    words = _LINE_ENDS if oddity in _AROUND else _ANEW
    if perhaps:
        words = f"Compare it with what BioTuring gave to you. {words}"
    return Finding(
        Status.WARN if perhaps else Status.FAIL,
        _SUBJECT,
        f"The token in {where} {_SAYING[oddity]}.",
        expected="one word of printable characters",
        remedy=Remedy(words),
        requirement=requirement,
        cause=f"activation.token-{oddity}",
    )


def _permissions(file: str, mode: int) -> Finding:
    subject, observed = "token file", f"mode {mode:04o}"
    if not mode & _TOO_OPEN:
        said = f"Only its owner, and perhaps its group, may read {file}."
        return Finding(Status.PASS, subject, said, observed=observed)
    everyone = mode & 0o007
    verb = "read" if mode & 0o004 else "change" if mode & 0o022 else "run"
    who = "every user of this host" if everyone else "its whole group"
    return Finding(
        Status.WARN,
        subject,
        f"The token's file {file} is open to too many: {who} may {verb} it.",
        observed=observed,
        expected="mode 0600",
        remedy=Remedy("Let nobody but its owner read it.", (f"chmod 600 {quote(file)}",)),
        cause="activation.token-open",
    )
