"""What all our HTML pages share: the look, the words, and that nothing breaks out of a page.

It loads jinja2, so whoever makes no page leaves it alone.
"""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from biostudio_doctor import text
from biostudio_doctor.model import SEVERITY, Finding, Status

LABELS = {
    Status.FAIL: "Fail", Status.ERROR: "Error", Status.WARN: "Warn",
    Status.UNKNOWN: "Unknown", Status.SKIP: "Skip", Status.PASS: "Pass",
}  # fmt: skip
_QUOTED = re.compile(r"`([^`\n]+)`")
_LIMIT = 20_000  # characters of any one text; the longest remedies have a tenth of it


def file(package: str | None, name: str) -> str:
    """A template, a style or a script that lies in a package."""
    return resources.files(package or "").joinpath(name).read_text("utf-8")


#: The style that they begin with.
LOOK = file(__package__, "look.css")


def source(content: str) -> str:
    """What a Content-Security-Policy calls an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def environment(**filters: Callable[..., Any]) -> Environment:
    """Whatever is shown is of bounded length, has no character that steers, and is escaped."""
    made = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=shown,
    )
    made.filters |= {
        "time": time,
        "duration": duration,
        "prose": prose,
        "sources": sources,
        "by_severity": by_severity,
        **filters,
    }
    made.globals |= {"labels": LABELS, "Status": Status}
    return made


def shown(value: object) -> object:
    """A value as a page may hold it: of foreign words what is safe to look at."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    if len(value) > _LIMIT:
        value = f"{value[:_LIMIT]}\u2026 ({len(value) - _LIMIT} more characters are left out)"
    return text.printable(value)


def prose(words: str) -> Markup:
    """Words in which `this` is a command or a name."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(Markup.escape(shown(words)))))


def sources(findings: Iterable[Finding]) -> list[str]:
    """The sections of the requirements that these come from."""
    found = (finding.requirement for finding in findings)
    return list(dict.fromkeys(f"{one.source}, {one.section}" for one in found if one))


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first."""
    return sorted(findings, key=lambda finding: SEVERITY.index(finding.status))


def duration(seconds: float) -> str:
    """20 ms, 1.5 s, 12 min, 24 h."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 100 or seconds == 60:
        return f"{seconds / 60:.0f} min"
    return f"{round(seconds, 1):g} s"


def time(moment: datetime | None) -> Markup:
    """A moment, also for programs."""
    if moment is None:
        return Markup("never")
    said = f"{moment:%-d %b %Y, %H:%M:%S} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", said)
