"""The documentation is true: generated pages are fresh, and commands that it shows exist."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from biostudio_doctor import config as configuration
from biostudio_doctor.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_pages_are_fresh(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs/generate.py", tmp_path], check=True)
    written = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert written == {name: (ROOT / "docs" / name).read_text() for name in written}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_each_page_is_linked_from_another(page: Path) -> None:
    others = [other for other in PAGES if other != page]
    assert any(re.search(rf"\]\((?:docs/)?{page.name}[)#]", one.read_text()) for one in others)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_shown_exist(page: Path) -> None:
    """Every `biostudio-doctor ...` in code is a command with options that it has."""
    code = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL)
    code += re.findall(r"`([^`\n]+)`", page.read_text())
    for line in "\n".join(code).replace("\\\n", " ").splitlines():
        found = re.search(rf"biostudio-doctor ((?:{'|'.join(cli.list_commands(None))})\b.*)", line)  # type: ignore[arg-type]
        if not found:
            continue
        command: click.Command | None = cli
        words = found[1].split()
        while isinstance(command, click.Group) and words and words[0][0] not in "-#":
            command = command.get_command(click.Context(command), words.pop(0))
        assert command, line
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_shown_are_valid(page: Path) -> None:
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        if "[project]" not in text:  # of a plug-in
            configuration.parse(text, page.name)


def test_the_plug_in_shown_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs/plugins.md").read_text()
    for file in ("acme_doctor.py", "pyproject.toml"):
        assert (ROOT / "tests/plugins/acme" / file).read_text() in page
