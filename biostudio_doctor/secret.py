"""Secrets: read where the configuration says they are kept, and never told.

Client libraries and servers may repeat what they were given in their errors. So whatever was read
here is also taken out of all that leaves the observing process.
"""

import functools
import os
import re
import threading
from typing import Any

from biostudio_doctor.config import Secret
from biostudio_doctor.host import Host
from biostudio_doctor.text import changed_in

_SIZE_LIMIT = 64 << 10
_HIDDEN = "[hidden]"

_revealed: set[str] = set()
_lock = threading.Lock()


class SecretError(Exception):
    """A secret that cannot be had: one sentence that says why, without it."""


def reveal(secret: Secret, host: Host) -> str:
    """The secret itself, without the line break at its end.

    Raises:
        SecretError: if it is not there, or is empty.
    """
    place = f"its file {secret.file}" if secret.file else f"the environment variable {secret.env}"
    try:
        value = raw(secret, host).decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{place} holds no UTF-8 text") from None
    value = value.removesuffix("\n").removesuffix("\r") if secret.file else value
    if not value:
        raise SecretError(f"{place} is empty")
    with _lock:
        _revealed.add(value)
    return value


def raw(secret: Secret, host: Host) -> bytes:
    """What is kept there, byte by byte, for whoever looks at its form and gives it to nobody.

    It is not taken out of what is written later, since it may be any word, and no secret at all.

    Raises:
        SecretError: if it is not there.
    """
    if not secret.file:
        return _from_environment(secret.env or "")
    try:
        return host.read_bytes(secret.file, _SIZE_LIMIT)
    except OSError as error:
        problem = f"its file {secret.file} cannot be read: {error.strerror}"
        raise SecretError(problem) from None


def hide(text: str, is_key: bool = False) -> str:
    """The same text without any secret that was revealed in this process, in whatever form.

    In a key of data no secret is looked for that is a mere word: it may be the name of a field.
    """
    with _lock:
        known = sorted(_revealed, key=len, reverse=True)
    for value in known:
        word, forms = _forms(value)
        text = word.sub(_HIDDEN, text) if word and not is_key else text
        for form in forms:
            text = text.replace(form, _HIDDEN)
    return text


def hide_in(data: Any) -> Any:
    """The same data (of lists, dicts and scalars) with all its texts hidden so."""
    return changed_in(data, hide, of_key=functools.partial(hide, is_key=True))


@functools.lru_cache
def _forms(value: str) -> tuple[re.Pattern[str] | None, tuple[str, ...]]:
    """How it may be repeated: a pattern for what is no more than a word, and texts."""
    from biostudio_doctor.redaction import literals

    if len(value) < literals.SHORTEST:
        return None, ()
    forms = tuple(form.decode("utf-8", "surrogateescape") for form in literals.forms(value))
    if not literals.is_word(value):
        return None, forms
    # "postgres", for instance, is taken out only where it stands alone
    return re.compile(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])"), forms[1:]


def _from_environment(name: str) -> bytes:
    value = os.environ.get(name, "")
    if not value:
        raise SecretError(f"the environment variable {name} is not set, or empty")
    return os.fsencode(value)
