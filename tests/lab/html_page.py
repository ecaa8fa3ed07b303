"""report.html as tests look at it, and reports that try to break out of it."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from msgspec import structs

from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters import html
from biostudio_doctor.model import (
    Finding,
    Remedy,
    Report,
    Requirement,
    Result,
    Status,
    Strength,
    Table,
)
from tests.conftest import report
from tests.lab.browsing import Outline

DRAWN = (
    "storage.capacity", "storage.filesystem", "memory.available", "cpu.load", "gpu.devices",
    "egress.hosts", "activation.server", "certificate.expiry", "sso.ldap", "sso.saml",
)  # fmt: skip
HOSTILE = (
    "</code></pre></style></title><script>document.title='owned'</script><img src=x "
    "onerror=alert(1)>\"' onload=alert(2) x='`{{ 7*7 }}{% raw %} \x1b[2J\u202eevil\u2066\u200b"
    "\ud800\x00 &lt;b&gt; url(//x)"
)


def rendered(made: Report, program: str = "") -> str:
    return html.render(made, Style(program=program))


def of_facts(check: str, facts: object, **changes: Any) -> Report:
    found = Result(id=check, title=check, status=Status.PASS, findings=(), observation=facts)
    return report(results=(found,), **changes)


def sound(text: str) -> Outline:
    """A page's elements, once it is sure that they are well formed, and only what we put there."""
    outline = Outline(text)
    assert outline.wrong == []
    tags = {tag for tag, _ in outline.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "form", "base", "foreignobject"}
    attributes = [one for _, given in outline.elements for one in given.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
    links = [value for name, value in attributes if name in ("href", "src", "xlink:href")]
    assert all((value or "").startswith("#") for value in links)
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    referred = [link[1:] for link in links if link]
    referred += [
        one for name, value in attributes
        if name in ("aria-labelledby", "aria-describedby") for one in (value or "").split()
    ]  # fmt: skip
    assert set(referred) <= set(ids)
    numbers = [
        value for tag, given in outline.elements if tag in ("rect", "line", "svg", "text")
        for name, value in given.items() if name in ("x", "x1", "x2", "width")
    ]  # fmt: skip
    assert all(re.fullmatch(r"-?\d+(\.\d+)?%?", value or "") for value in numbers)
    assert all(0 <= float((value or "").rstrip("%")) <= 100 for value in numbers)
    controls = {unicodedata.category(one) for one in set(text) - set("\n\xa0")}
    assert not controls & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    text.encode()
    return outline


def hostile(words: str = HOSTILE) -> Report:
    remedy = Remedy(words, (words, words))
    wanted = Requirement(
        id=words, strength=Strength.REQUIRED, section=words, says=words, source=words
    )
    findings = tuple(
        Finding(status, words, words, words, words, remedy, wanted, words) for status in Status
    )
    table = Table(words, (words, words), ((words, words),))
    facts = {
        "paths": [{"host": words, "port": words, "failure": {"phase": words, "reason": words},
                   "route": {"proxy": {"host": words}}, "seconds": {words: 1, "tls": 1}}],
        "watched": [{"name": words, "chain": {"anchor": words, "certificates": [
            {"common_name": words, "not_after": "2027-01-01", "is_ca": words}]}}],
        "nvml": {"gpus": [{"index": 0, "name": words, "memory": 1, "problem": words}]},
    }  # fmt: skip
    results = [
        Result(id=check, title=words, status=Status.FAIL, findings=findings, observation=facts,
               tables=(table,))
        for check in DRAWN
    ]  # fmt: skip
    results.append(Result(id=words, title=words, status=Status.FAIL, findings=findings))
    made = report(Status.FAIL)
    machine = structs.replace(
        made.machine, hostname=words, os_name=words, kernel=words, container=words, host_root=words,
        architecture=words,
    )  # fmt: skip
    scope = structs.replace(made.scope, role=words, phase=words, platform=words, profile=words)
    return structs.replace(
        made, results=tuple(results), machine=machine, scope=scope, tool_version=words
    )
