"""report.html in a browser, on a telephone, on paper, by keyboard and with a screen reader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from biostudio_doctor import steps
from biostudio_doctor.model import (
    Report,
)
from tests.lab.browsing import CONTRAST, CONTRASTS, chromium, closed, opened
from tests.lab.html_page import hostile, rendered

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright.sync_api")
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def url(whole: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(rendered(whole))
    return file.as_uri()


@pytest.mark.parametrize("scripts", [True, False])
def test_it_asks_for_nothing_and_says_nothing(browser: Browser, url: str, scripts: bool) -> None:
    page = opened(browser, "about:blank", java_script_enabled=scripts)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_timeout(200)
    assert asked == [url]
    assert page.locator("svg.bar").count() > 20
    assert page.locator("svg.bar rect").first.bounding_box()["width"] > 1  # type: ignore[index]
    closed(page)


def test_in_a_browser_hostile_words_stay_words(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(rendered(hostile()))
    page = opened(browser, file.as_uri())
    assert page.title() != "owned" and page.locator("img, script").count() == 0
    assert "<script>document.title" in page.locator("pre").first.inner_text()
    closed(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_and_bars_stand_out(browser: Browser, url: str, scheme: str) -> None:
    page = opened(browser, url, color_scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 200
    assert [one for one in found if one[0] < CONTRAST] == []
    style = "getComputedStyle(document.documentElement)"
    ground = page.evaluate(f"{style}.getPropertyValue('--bg')")
    assert (_light(ground) > 0.5) is (scheme == "light")
    for name in ("used", "freedot", "kept", "resolve", "connect", "proxy", "tls", "request",
                 "transfer", "need"):  # fmt: skip
        color = page.evaluate(f"{style}.getPropertyValue('--{name}')")
        light, dark = sorted((_light(ground), _light(color)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, f"{name}: WCAG 2.2, 1.4.11"
    closed(page)


def _light(color: str) -> float:
    digits = color.strip().lstrip("#")
    digits = "".join(2 * one for one in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_a_screen_reader_and_a_keyboard_find_their_way(
    browser: Browser, url: str, width: int
) -> None:
    page = opened(browser, url, viewport={"width": width, "height": 800})
    assert page.locator("html").get_attribute("lang") == "en"
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(role).count() == 1, role  # type: ignore[arg-type]
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = page.get_by_role("table")
    assert tables.count() == page.locator("table").count() >= 9
    assert page.locator("table:not(:has(> caption))").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    first = page.get_by_role("table", name="Each check with its status")
    assert first.get_by_role("columnheader").all_inner_texts() == [
        "Status",
        "Check",
        "Found",
        "Took",
    ]
    picture = page.get_by_role("img", name="Ways to the internet: conda.lab:443")
    assert "resolve 10 %" in (picture.locator("desc").text_content() or "")
    unnamed = (
        "svg[role=img]:not(:has(> title)), svg:not([role=img]):not([aria-hidden]):not(svg svg)"
    )
    assert page.locator(unnamed).count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what to do next"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") in ("PRE", "A")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    closed(page)


def test_commands_are_copied_as_they_are(browser: Browser, url: str, whole: Report) -> None:
    page = opened(browser, url)
    command = page.locator("pre code").nth(1)
    command.click()
    selected = page.evaluate("getSelection().toString()")
    every = [one for step in steps.make(whole) if step.remedy for one in step.remedy.commands]
    assert selected == every[1]
    both = page.locator("pre").first.inner_text()
    assert both.startswith(f"{every[0]}\n{every[1]}")
    closed(page)


def test_on_paper_it_is_light_and_whole(browser: Browser, url: str, tmp_path: Path) -> None:
    page = opened(browser, url, color_scheme="dark", viewport={"width": 700, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("thead").first.is_visible(), "not laid out as for a telephone"
    hidden = "[...document.querySelectorAll('main *')].filter((e) => !e.checkVisibility()).length"
    assert page.evaluate(hidden) == page.locator("main title, main desc").count()
    assert page.locator("details").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    paper = page.pdf(path=str(tmp_path / "report.pdf"), format="A4", tagged=True)
    assert paper.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 25
    closed(page)
