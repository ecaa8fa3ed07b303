"""The status page, as it is made: what stands in it, and what never does."""

from __future__ import annotations

import re
import time

import httpx
import pytest
from msgspec import structs

from biostudio_doctor.daemon.web import page as pages
from biostudio_doctor.model import SEVERITY, Finding, Remedy, Report, Status
from biostudio_doctor.pages import duration
from tests.lab.browsing import Outline
from tests.lab.web_process import WebProcess, hostile, result, sixty_checks, whole_report

ALL = pages.Filter()


def rendered(report: Report, asked: pages.Filter = ALL, alive: bool = True) -> str:
    return pages.render(report, asked, alive).decode()


def test_a_full_page_is_small_and_whole() -> None:
    text = rendered(sixty_checks())
    assert len(text) < 60_000
    assert "1 check failed, 1 could not be determined, 1 warned and 37 passed." in text
    assert "docker start bioproxy\ndocker logs -n 50 bioproxy" in text
    outside = re.findall(r"""(?:src|href|action)=["']?(?:https?:)?//""", text)
    assert not outside


def test_the_worst_comes_first() -> None:
    text = rendered(sixty_checks())
    places = [text.index(f'<article data-key="s-{status}') for status in SEVERITY[:3]]
    assert places == sorted(places)


def test_nothing_that_a_check_found_is_run() -> None:
    text = rendered(hostile())
    outline = Outline(text)
    assert [tag for tag, _ in outline.elements].count("script") == 1
    assert not [tag for tag, _ in outline.elements if tag == "img"]
    assert not [name for _, attrs in outline.elements for name in attrs if name.startswith("on")]
    assert "\x1b" not in text
    asked = pages.Filter(words='"><script>alert(1)</script>')
    assert [tag for tag, _ in Outline(rendered(hostile(), asked)).elements].count("script") == 1


@pytest.mark.parametrize("remedies", [0, 10_000])
def test_many_findings_take_their_number_of_steps_not_its_square(remedies: int) -> None:
    findings = (
        Finding(
            Status.FAIL, f"x{number}", "It is closed.", cause="firewall.closed",
            remedy=Remedy(f"Open {number}.") if number < remedies else None,
        )
        for number in range(10_000)
    )  # fmt: skip
    report = whole_report(result("ports.many", *findings))
    begun = time.process_time()
    assert pages.render(report, pages.Filter(), alive=True)
    assert time.process_time() - begun < 1.5


def test_states_of_the_daemon_are_told() -> None:
    troubled = whole_report(
        result("a.b", Finding(Status.PASS, "it", "Fine.")),
        reload_succeeded=False,
        reload_problem="config.toml: role: unknown",
        history_problem="the disk is full",
    )
    text = rendered(troubled, alive=False)
    assert "All is well: 1 check passed." in text
    assert "config.toml: role: unknown" in text
    assert "the disk is full" in text
    assert "The schedule stands still." in text
    assert "stands still" not in rendered(troubled)


def test_what_has_not_run_yet_has_its_row() -> None:
    text = rendered(whole_report(result("a.b", status=Status.UNKNOWN, runs=0)))
    assert "1 check not asked yet." in text
    assert "no run yet" in text
    assert "Wait for the first results." in text
    assert rendered(structs.replace(sixty_checks(), results=(), daemon=None))


def test_a_sparkline_is_told_in_words() -> None:
    assert "Last 24 runs: 3 failed and 21 passed; 20 ms to 520 ms" in rendered(sixty_checks())
    once = result("a.b", Finding(Status.PASS, "it", "Fine."), runs=1)
    assert re.search(r'"Last run: passed; [0-9]+ ms"', rendered(whole_report(once)))


def test_a_sparkline_of_a_duration_beyond_all_measure() -> None:
    once = result("a.b", Finding(Status.PASS, "it", "Fine."), runs=1)
    assert once.schedule
    (run,) = once.schedule.history
    endless = structs.replace(run, duration_seconds=1e308)
    schedule = structs.replace(once.schedule, history=(run, endless))
    assert "2 passed" in rendered(whole_report(structs.replace(once, schedule=schedule)))


# --- Over HTTP, without JavaScript ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0204, "20 ms"), (1, "1 s"), (2.34, "2.3 s"), (15, "15 s"), (60, "1 min"), (90, "90 s"),
        (300, "5 min"), (754, "13 min"), (3600, "1 h"), (5400, "90 min"), (21600, "6 h"),
        (86400, "24 h"),
    ],
)  # fmt: skip
def test_durations_are_those_that_people_say(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", 40), ("?status=fail", 1), ("?status=fail&status=warn", 2), ("?q=PORT+443", 1),
        ("?q=disk&status=pass", 1), ("?q=nothing-at-all", 0), ("?status=nonsense", 40),
        ("?q=lab.check-1", 11), ("?q=" + "x" * 5000, 0),
    ],
)  # fmt: skip
def test_filters_of_the_url(web: WebProcess, query: str, shown: int) -> None:
    text = httpx.get(f"{web.url}/{query}").text
    assert text.count("<tr role=") - 1 == shown
    assert f"{shown} of 40 shown" in text
