"""The status page, as a person sees it: with a browser, with or without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from biostudio_doctor.model import Finding, Remedy, Status
from tests.lab.browsing import CONTRAST, CONTRASTS, chromium, closed, opened
from tests.lab.web_process import WebProcess, hostile, result, sixty_checks, whole_report

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def test_filters_work_at_once_and_stay(browser: Browser, web: WebProcess) -> None:
    page = opened(browser, web.url)
    assert not page.locator("#apply").is_visible()
    page.locator("#q").fill("port 443")
    assert page.locator("#rows tr:visible").count() == 1
    assert page.locator("#shown").inner_text() == "1 of 40 shown"
    assert page.url.endswith("?q=port+443")
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(40)
    assert page.locator("#rows tr:visible").count() == 1
    page.locator("#q").fill("")
    page.get_by_label("Warn").check()
    assert page.locator("#rows tr:visible").all_inner_texts()[0].startswith("Warn")
    page.get_by_label("Warn").uncheck()
    assert page.locator("#rows tr:visible").count() == 40
    assert page.url == f"{web.url}/"
    closed(page)


def test_it_works_without_javascript(browser: Browser, web: WebProcess) -> None:
    page = opened(browser, web.url, java_script_enabled=False)
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
    page.locator("#q").fill("port 443")
    page.locator("#apply").click()
    assert page.locator("#rows tr").count() == 1
    assert page.locator("#q").input_value() == "port 443"
    page.get_by_text("Show all").click()
    assert page.locator("#rows tr").count() == 40
    assert "UTC" in page.locator("#rows time").first.inner_text()
    page.locator("#d-unasked summary").click()
    assert page.get_by_text("none.check-7").is_visible()
    closed(page)


def test_it_updates_itself_and_keeps_its_place(browser: Browser) -> None:
    with WebProcess() as web:
        web.show(sixty_checks())
        web.wait_for()
        page = opened(browser, web.url)
        page.clock.install()
        page.reload()
        page.locator("#d-storage\\.capacity summary").click()
        page.evaluate("scrollTo(0, 300)")
        page.locator("#o-storage\\.capacity").evaluate("e => e.focus({ preventScroll: true })")
        before = page.evaluate("scrollY")
        results = list(sixty_checks().results)
        failed = Finding(Status.FAIL, "disk", "Disk 2 is full.", remedy=Remedy("Free it.", ("df",)))
        results[3] = result("storage.capacity", *results[3].findings, failed)
        shown = whole_report(*results)
        web.serve(shown)
        page.clock.run_for(13_000)
        expect(page).to_have_title(re.compile("^2 checks failed"))
        assert page.locator("#headline").inner_text().startswith("2 checks failed")
        assert page.get_by_role("heading", name="Disk 2 is full.").is_visible()
        assert page.locator("#d-storage\\.capacity").get_attribute("open") is not None
        assert page.locator("#n-fail").inner_text() == "2"
        assert page.evaluate("document.activeElement.id") == "o-storage.capacity"
        assert abs(page.evaluate("scrollY") - before) < 400  # a step more stands above
        assert page.get_by_role("button", name="Copy the commands").count() == 2

        web.serve(whole_report(*results[4:]))
        page.clock.run_for(13_000)
        expect(page).to_have_title(re.compile("^All is well"))
        assert page.locator("#steps article").count() == 0
        assert page.locator("#steps").inner_text() == "Nothing: no check found anything wrong."

        web.process.kill()
        web.process.wait()
        page.clock.run_for(13_000)
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        page.context.close()


def test_commands_are_copied(browser: Browser, web: WebProcess) -> None:
    options = {"permissions": ["clipboard-read", "clipboard-write"]}
    page = opened(browser, web.url, **options)
    button = page.get_by_role("button", name="Copy the commands")
    button.click()
    expect(button).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "docker start bioproxy\ndocker logs -n 50 bioproxy"
    closed(page)


def test_hostile_words_stay_words(browser: Browser) -> None:
    with WebProcess() as web:
        web.show(hostile())
        web.wait_for()
        page = opened(browser, web.url)
        page.clock.install()
        page.reload()
        page.clock.run_for(13_000)
        assert page.title() != "owned"
        assert page.locator("img").count() == 0
        assert "<script>document.title" in page.locator("#steps pre").inner_text()
        closed(page)


def test_nothing_else_is_asked_for(browser: Browser, web: WebProcess) -> None:
    page = browser.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(web.url)
    page.wait_for_timeout(300)
    assert {url for url in asked if not url.startswith("data:")} == {f"{web.url}/"}
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_stand_out(browser: Browser, scheme: str) -> None:
    findings = [Finding(status, f"a {status}", f"It is {status}.") for status in Status]
    with WebProcess() as web:
        web.show(whole_report(*(result(f"a.{one.status}", one, *findings) for one in findings)))
        web.wait_for()
        page = opened(browser, web.url, color_scheme=scheme)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        found = page.evaluate(CONTRASTS)
        assert len(found) > 40
        assert [one for one in found if one[0] < CONTRAST] == []
        dark = (
            page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        assert dark is (scheme == "dark")
        closed(page)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_a_screen_reader_and_a_keyboard_find_their_way(
    browser: Browser, web: WebProcess, width: int
) -> None:
    page = opened(browser, web.url, viewport={"width": width, "height": 800})
    assert page.locator("html").get_attribute("lang") == "en"
    for role in ("banner", "main", "contentinfo", "search", "status"):
        assert page.get_by_role(role).count() == 1, role  # type: ignore[arg-type]
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    table = page.get_by_role("table")
    assert table.get_by_role("columnheader").all_inner_texts() == [
        "Status", "Check", "Found", "Last run", "History",
    ]  # fmt: skip
    assert table.get_by_role("rowheader").count() == 40
    assert table.get_by_role("img").first.get_attribute("aria-label")
    named = "(e) => e.labels?.length || e.textContent.trim()"
    controls = "[...document.querySelectorAll('input,button,a')]"
    assert page.evaluate(f"{controls}.every({named})")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what to do next"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "problems"
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0
    closed(page)
