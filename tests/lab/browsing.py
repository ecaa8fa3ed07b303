"""Pages as a person sees them, through Debian's Chromium, and as a parser does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
#: For text on its ground, by WCAG 2.2, 1.4.3.
CONTRAST = 4.5
_VOID = {"meta", "link", "br", "img", "input", "hr", "base", "wbr"}


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []  # the element around them, and they
        self.wrong: list[str] = []  # ends that do not belong to what began last
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.words.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@contextmanager
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield made
        made.close()


def opened(browser: Browser, url: str, **options: Any) -> Page:
    """A page, and what its console said."""
    page = browser.new_context(**options).new_page()
    page.said = []  # type: ignore[attr-defined]
    page.on("console", lambda message: page.said.append(message.text))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.said.append(str(error)))  # type: ignore[attr-defined]
    page.goto(url)
    return page


def closed(page: Page) -> None:
    page.context.close()
    assert page.said == []  # type: ignore[attr-defined]


#: Gives the contrast of all words to their ground, each with its element.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = (color) => {
    const [r, g, b] = rgba(color).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return rgba(color)[3] || !element.parentElement ? color : ground(element.parentElement);
  };
  const speaks = (node) => node.nodeType === 3 && node.textContent.trim();
  return [...document.querySelectorAll("body *:not(script):not(style)")]
    .filter((element) => [...element.childNodes].some(speaks) && element.checkVisibility())
    .map((element) => {
      const [under, over] = [ground(element), getComputedStyle(element).color].map(light);
      const ratio = (Math.max(under, over) + 0.05) / (Math.min(under, over) + 0.05);
      return [ratio, element.outerHTML.slice(0, 80)];
    });
}"""
