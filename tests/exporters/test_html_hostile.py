"""Nothing that a check found breaks out of report.html, and no facts keep it from being made."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor import pages
from biostudio_doctor.model import (
    Finding,
    Remedy,
    Report,
    Result,
    Status,
    Table,
)
from tests.conftest import report
from tests.lab.browsing import Outline
from tests.lab.html_page import DRAWN, HOSTILE, hostile, of_facts, rendered, sound


def test_hostile_words_stay_words() -> None:
    text = rendered(hostile(), program=HOSTILE)
    outline = sound(text)
    assert "&lt;script&gt;" in text and "<script" not in text
    assert "{{ 7*7 }}" in text
    assert "<script>" in next(words for tag, words in outline.words if tag == "title")


@pytest.mark.parametrize("words", ["x" * 1_000_000, "<" * 1_000_000, "\u202e" * 1_000_000,
                                   "`" * 1_000_000, "a b\n" * 250_000])  # fmt: skip
def test_a_megabyte_in_every_place_is_cut(words: str) -> None:
    begun = time.process_time()
    text = rendered(hostile(words))
    assert time.process_time() - begun < 15
    sound(text)
    assert "more characters are left out" in text
    assert len(text) < 80_000_000


def test_very_many_findings_are_counted() -> None:
    findings = tuple(
        Finding(
            Status.FAIL, f"x{number}", f"No {number}.", cause="c", remedy=Remedy(f"Do {number}.")
        )
        for number in range(10_000)
    )
    result = Result(id="a.b", title="A", status=Status.FAIL, findings=findings)
    begun = time.process_time()
    text = rendered(report(results=(result,)))
    assert time.process_time() - begun < 1.5
    assert "9700 more findings are left out here" in text
    table = Table("Many", ("a",), (("x",),) * 10_000)
    many = structs.replace(result, findings=(), tables=(table,))
    assert "9800 more rows are left out here" in rendered(report(results=(many,)))


_NUMBERS = (
    float("nan"), float("inf"), float("-inf"), -1, 0, 1, 1e300, -1e300, 10**400, -(10**400), 5e-324,
    True, False,
)  # fmt: skip
_LEAVES = (
    st.none() | st.sampled_from(_NUMBERS) | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([HOSTILE, "2027-01-01T00:00:00Z", "9999-12-31", "/", "tls", ""])
)  # fmt: skip
_KEYS = (
    "storage", "places", "candidates", "others", "room", "size", "used", "available", "mount",
    "total", "swap_total", "swap_free", "pressure", "cpu_pressure", "some", "cpus", "load", "nvml",
    "gpus", "memory", "index", "temperature", "problem", "name", "paths", "seconds", "failure",
    "phase", "reason", "host", "port", "route", "proxy", "exchange", "hops", "status", "download",
    "length", "observed_at", "watched", "chain", "certificates", "not_before", "not_after",
    "common_name", "dns_names", "anchor", "anchor_until", "asked", "metadata", "entity",
)  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150)
@given(st.sampled_from(DRAWN), _JSON)
def test_facts_of_any_shape(check: str, facts: object) -> None:
    sound(rendered(of_facts(check, facts)))


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_true_facts_of_which_some_are_wrong(whole: Report, data: st.DataObject) -> None:
    with_facts = [one for one in whole.results if one.id in DRAWN and one.observation is not None]
    found = data.draw(st.sampled_from(with_facts))
    facts = copy.deepcopy(found.observation)
    for _ in range(data.draw(st.integers(1, 3))):
        _spoil(facts, data)
    sound(rendered(of_facts(found.id, facts)))


def _spoil(facts: Any, data: st.DataObject) -> None:
    """Put something else in one place, at any depth."""
    while True:
        if isinstance(facts, dict) and facts:
            key = data.draw(st.sampled_from(sorted(facts)))
        elif isinstance(facts, list) and facts:
            key = data.draw(st.integers(0, len(facts) - 1))
        else:
            return
        leaf = not (isinstance(facts[key], (dict, list)) and facts[key])
        if leaf or data.draw(st.integers(0, 5)) == 0:
            facts[key] = data.draw(_JSON)
            return
        facts = facts[key]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("`ab<>&\n", max_size=30))
def test_prose_keeps_all_words(words: str) -> None:
    outline = Outline(f"<p>{pages.prose(words)}</p>")
    assert outline.wrong == [] and {tag for tag, _ in outline.elements} <= {"p", "code"}
    said = "".join(words for _, words in outline.words)
    left_out = str.maketrans("", "", "` \n\xa0")
    assert said.translate(left_out) == str(pages.shown(words)).translate(left_out)
