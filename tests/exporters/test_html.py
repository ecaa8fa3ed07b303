"""report.html: whole, small, quickly made, and each plot as the facts are."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markupsafe import Markup
from msgspec import structs

from biostudio_doctor import pages, steps
from biostudio_doctor.exporters import html
from biostudio_doctor.exporters.html import plots as plotting
from biostudio_doctor.model import (
    Finding,
    Remedy,
    Report,
    Requirement,
    Result,
    Status,
    Strength,
)
from biostudio_doctor.redaction.redactor import Redactor
from tests.conftest import report
from tests.lab.browsing import Outline
from tests.lab.html_page import DRAWN, of_facts, rendered, sound
from tests.lab.metrics import DOCTOR


def test_a_full_report_is_whole_small_and_sound(whole: Report) -> None:
    text = rendered(whole)
    sound(text)
    assert len(text.encode()) < 300_000
    assert text == rendered(whole), "the same bytes for the same report"
    assert str(Markup.escape(steps.verdict(whole))) in text
    for result in whole.results:
        assert result.id in text
    commands = [one for step in steps.make(whole) if step.remedy for one in step.remedy.commands]
    shown = "".join(words for tag, words in Outline(text).words if tag == "code")
    assert len(commands) > 10 and all(command in shown for command in commands)
    for title in ("Storage", "Inodes", "Memory", "CPU load", "GPU memory",
                  "Ways to the internet", "Certificates", "Side by side"):  # fmt: skip
        assert f">{title}</h3>" in text
    assert text.index("What to do next</h2>") < text.index("All checks</h2>")
    assert text.index("All checks</h2>") < text.index("What was measured</h2>")
    assert "Which node reaches which other, on each port" in text
    machine, scope = whole.machine, whole.scope
    for fact in (machine.hostname, machine.os_name, machine.kernel, scope.role, whole.tool_version):
        assert fact in text


def test_it_is_made_in_a_moment(whole: Report) -> None:
    html._template.cache_clear()
    begun = time.process_time()
    rendered(whole)
    assert time.process_time() - begun < 0.15


def test_the_policy_allows_its_own_style_and_nothing_else(whole: Report) -> None:
    text = rendered(whole)
    (policy,) = (
        one["content"] for one in Outline(text).all("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    )  # fmt: skip
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert policy == (
        f"default-src 'none'; style-src {pages.source(style)}; base-uri 'none'; form-action 'none'"
    )
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert "@import" not in style and not re.search(r"url\((?!#)", style)


def test_redaction_leaves_the_page_as_it_is() -> None:
    """Or the style in a bundle is no longer the one that the policy of the page allows."""
    page = rendered(report(*Status)).encode()
    assert list(Redactor(bytes(32)).scan([page])) == []


def test_every_status_has_a_shape_and_a_word_of_its_own() -> None:
    results = tuple(
        Result(id=f"a.{one}", title="A", status=one, findings=(Finding(one, "x", f"It is {one}."),))
        for one in Status
    )
    text = rendered(report(results=results))
    for status in Status:
        badge = f'<span class="badge {status}"><svg class="icon" aria-hidden="true">'
        assert f'{badge}<use href="#i-{status}"/></svg> {pages.LABELS[status]}</span>' in text
    shapes = dict(re.findall(r'<symbol id="i-(\w+)"[^>]*>(.*?)</symbol>', text))
    assert set(shapes) == {str(status) for status in Status}
    assert len(set(shapes.values())) == len(shapes)


def test_steps_are_merged_and_commands_are_called_as_they_work_there() -> None:
    remedy = Remedy("Run `biostudio-doctor explain a.b`.", ("biostudio-doctor list", "a && b <c>"))
    wanted = Requirement(id="x", strength=Strength.REQUIRED, section="Ports", says="open",
                         source="The document")  # fmt: skip
    findings = (
        Finding(
            Status.FAIL, "one", "One is closed.", cause="wall", remedy=remedy, requirement=wanted
        ),
        Finding(Status.FAIL, "two", "Two is closed.", remedy=remedy),
        Finding(Status.FAIL, "three", "Three is closed.", cause="wall"),
    )
    result = Result(id="a.b", title="A", status=Status.FAIL, findings=findings)
    text = rendered(report(results=(result,)), program="/opt/x/biostudio-doctor")
    assert text.count("<article") == 1
    assert "2 findings of a.b" in text and "It is the cause for three." in text
    assert "three (wall)" in text and "Three is closed." not in text
    assert (
        "<code>/opt/x/biostudio-doctor list</code>\n<code>a &amp;&amp; b &lt;c&gt;</code>" in text
    )
    assert "<code>/opt/x/biostudio-doctor explain a.b</code>" in text
    assert "Source: The document, Ports" in text


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    text = rendered(report(Status.PASS))
    assert "What was measured" not in text and 'role="img"' not in text
    assert "Nothing: no check found anything wrong." in text
    assert '<p class="headline pass">' in rendered(report(Status.PASS, Status.SKIP))
    assert '<p class="headline skip">' in rendered(report(Status.SKIP))
    empty: dict[str, Any] = {}
    for facts in (
        None,
        empty,
        [],
        "x",
        7,
        {"paths": []},
        {"watched": None},
        {"nvml": {"gpus": []}},
    ):
        for check in DRAWN:
            assert "What was measured" not in rendered(of_facts(check, facts))
    assert "No check was asked." in rendered(report(results=()))
    unknown = structs.replace(report().scope, profile="of-another-version")
    load = {"cpus": 4, "load": [1, 2, 3]}
    assert "2.00 on 4 CPUs." in rendered(of_facts("cpu.load", load, scope=unknown))


# --- Plots ----------------------------------------------------------------------------------------


def drawn(made: Report, key: str) -> dict[str, plotting.Row]:
    every = [*html.machine.plots(made), *html.network.plots(made)]
    (plot,) = (plot for plot in every if plot.key == key)
    return {row.name: row for row in plot.rows}


def kinds(row: plotting.Row) -> list[str]:
    return [part.kind for part in row.segments or ()]


def test_storage_is_drawn_where_the_check_judged_it(whole: Report) -> None:
    rows = drawn(whole, "storage")
    assert list(rows) == ["APP", "USER", "APP and USER", "METADATA", "Container engine"]
    app, both = rows["APP"], rows["APP and USER"]
    assert (app.status, both.status) == (Status.PASS, Status.WARN)
    assert app.detail == "/data (xfs)" and rows["METADATA"].detail == "/ (ext4)"
    assert app.words == "90 GB used, 480 GB available of 600 GB. 40 GB recommended."
    assert kinds(app) == ["used", "free", "kept"]
    used, free, _ = app.segments or ()
    assert (used.width, free.start, free.width) == (15.0, 15.0, 80.0)
    (need,) = app.marks
    assert need.at == pytest.approx(100 * (90 + 40) / 600, abs=0.01)
    (beyond,) = both.marks
    assert beyond.at == 100, "what is missing lies beyond the end of the bar"
    assert sum(part.width for part in both.segments or ()) < 100
    assert list(drawn(whole, "inodes")) == ["/data (xfs)", "/ (ext4)"]


def test_while_it_runs_what_is_in_use_counts_too(whole: Report) -> None:
    running = structs.replace(whole, scope=structs.replace(whole.scope, phase="running"))
    (need,) = drawn(running, "storage")["APP"].marks
    assert need.at == pytest.approx(100 * 40 / 600, abs=0.01)


def test_memory_beside_what_is_recommended() -> None:
    facts = {"total": 16e9, "available": 12e9, "swap_total": 4e9, "swap_free": 1e9}
    rows = drawn(of_facts("memory.available", facts), "memory")
    used, free = rows["Memory"].segments or ()
    assert (used.width, free.width) == (12.5, 37.5)
    assert [mark.at for mark in rows["Memory"].marks] == [100]
    assert "32 GB recommended" in rows["Memory"].words
    assert rows["Swap"].words.startswith("3 GB used of 4 GB")
    without = drawn(of_facts("memory.available", {**facts, "swap_total": 0}), "memory")
    assert list(without) == ["Memory"]


def test_the_ways_out_failed_ones_first_each_phase_after_the_other(whole: Report) -> None:
    rows = drawn(whole, "egress")
    failed = [row.status for row in rows.values() if row.status is not Status.PASS]
    assert len(failed) == 6 and list(rows)[6].startswith("localhost:")
    conda = rows["conda.lab:443"]
    assert kinds(conda) == ["resolve", "connect", "tls", "request", "transfer"]
    parts = conda.segments or ()
    for before, after in pairwise(parts):
        assert after.start == pytest.approx(before.start + before.width, abs=0.02)
    assert parts[0].width == pytest.approx(100 * 31 / 306, abs=0.01)
    assert conda.words == "Answered 200 (1 redirect) after 306 ms."
    assert (
        conda.figures == "resolve 31 ms, connect 22 ms, tls 61 ms, request 148 ms, transfer 44 ms"
    )
    assert rows["far.lab:443"].words == "Ended in proxy: proxy-auth, 407 No, after 23 ms."
    assert rows["far.lab:443"].detail == "through the proxy proxy.lab"
    assert [mark.kind for mark in rows["intercepted.lab:443"].marks] == ["stop"]
    assert [mark.kind for mark in rows["blocked.lab:443"].marks] == ["more"]
    real = next(row for name, row in rows.items() if "refused" in row.words)
    assert kinds(real) == ["resolve", "connect"]


def test_a_way_without_times_has_words_and_no_bar() -> None:
    path = {"host": "a.lab", "port": 443, "failure": {"phase": "connect", "reason": "timeout"}}
    row = drawn(of_facts("egress.hosts", {"paths": [path]}), "egress")["a.lab:443"]
    assert row.segments is None and row.words.startswith("Ended in connect: timeout,")


def test_certificates_the_first_to_expire_on_top(whole: Report) -> None:
    rows = drawn(whole, "certificates")
    assert list(rows) == ["old.lab", "studio.lab", "Lab Issuing Authority", "early.lab"]
    assert kinds(rows["old.lab"]) == ["over"] and "expired 30 days ago" in rows["old.lab"].words
    assert kinds(rows["studio.lab"]) == ["past", "valid"]
    assert "11 days left." in rows["studio.lab"].words
    assert kinds(rows["early.lab"]) == ["valid"] and "not valid yet" in rows["early.lab"].words
    assert rows["Lab Issuing Authority"].detail.startswith("in the chain of ")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    for end in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"):
        one = {"certificates": [{"common_name": "x", "not_after": end}], "anchor_until": end}
        text = rendered(
            of_facts("certificate.expiry", {"watched": [{"chain": one}]}, started_at=now)
        )
        sound(text)


def test_gpus(whole: Report) -> None:
    rows = drawn(whole, "gpus")
    assert rows["GPU 0"].words == "85.5 GB (79.6 GiB), 41 \N{DEGREE SIGN}C."
    assert rows["GPU 1"].segments is None and "gpu-is-lost" in rows["GPU 1"].words


@pytest.mark.parametrize("wrong", [-1, 10**300, True, "1", None, [], float("nan")])
def test_what_cannot_have_been_measured_is_not_drawn(whole: Report, wrong: object) -> None:
    for check, facts in (
        ("memory.available", {"total": wrong, "available": 1, "swap_total": wrong, "swap_free": 1}),
        ("cpu.load", {"cpus": wrong, "load": [1, 2, 3]}),
        ("cpu.load", {"cpus": 2, "load": [wrong], "cpu_pressure": {"some": wrong}}),
        ("gpu.devices", {"nvml": {"gpus": [{"index": 0, "memory": wrong}]}}),
    ):
        assert [
            row for plot in html.machine.plots(of_facts(check, facts)) for row in plot.rows
        ] == []
    (storage,) = (one.observation for one in whole.results if one.id == "storage.capacity")
    for key in ("size", "used", "available", "inodes"):
        facts = copy.deepcopy(storage)
        facts["places"]["APP"]["room"][key] = wrong
        rows = [row for plot in html.machine.plots(of_facts("storage.capacity", facts))
                for row in plot.rows]  # fmt: skip
        assert not [row for row in rows if row.name == "APP" and row.detail == "/data (xfs)"]


def test_of_very_many_rows_the_rest_is_counted() -> None:
    paths = [{"host": f"h{n}", "port": 443, "seconds": {"tls": 0.1}} for n in range(1000)]
    text = rendered(of_facts("egress.hosts", {"paths": paths}))
    assert "900 more rows are left out here." in text
    assert text.count('<svg class="bar"') == plotting.MOST_ROWS


# --- From the command line ------------------------------------------------------------------------


def test_the_command_writes_it_and_loads_jinja2_for_it_only(tmp_path: Path) -> None:
    file = tmp_path / "html"
    imported = {}
    for output in ("html", "table", "json"):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *DOCTOR[1:], "check", "cpu.*", "memory.*",
             "--output", output, "--output-file", str(tmp_path / output)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode in (0, 1)
        imported[output] = set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
    assert "jinja2" in imported["html"]
    for output in ("table", "json"):
        assert not {"jinja2", "markupsafe", "biostudio_doctor.pages"} & imported[output]
    text = file.read_text()
    sound(text)
    assert "CPU load</h3>" in text and "Memory</h3>" in text
    assert file.stat().st_mode & 0o777 == 0o600
    listed = subprocess.run(
        [*DOCTOR, "check", "--help"], capture_output=True, text=True, check=True
    )
    assert "html" in listed.stdout


def test_a_report_read_back_from_json_gives_the_same_page(whole: Report) -> None:
    carried = msgspec.json.decode(msgspec.json.encode(whole), type=Report)
    assert rendered(carried) == rendered(whole)
