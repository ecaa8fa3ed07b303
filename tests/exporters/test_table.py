"""The table: readable at every width, worst first, and one step for what one remedy mends."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters.table import render
from biostudio_doctor.model import (
    NOT_ASKED,
    NOT_CONFIGURED,
    Finding,
    Remedy,
    Report,
    Requirement,
    Result,
    Status,
    Strength,
    worst,
)
from tests.conftest import report

LONG = "The file system of the metadata storage has less room than it should. " * 3
COMMAND = "curl -fsSL https://example.org/" + "a-very-long-path/" * 8 + " | less"
FINDINGS = (
    Finding(Status.PASS, "a", "All is well."),
    Finding(Status.WARN, "b", LONG.strip(), remedy=Remedy("Give it more room.")),
    Finding(Status.FAIL, "c", "It is missing.", remedy=Remedy("Get it.", (COMMAND, "true"))),
    Finding(Status.ERROR, "d", "It could not be seen."),
    Finding(Status.SKIP, "e", "It does not apply here."),
)


def made(*findings: Finding) -> Report:
    status = worst(finding.status for finding in findings)
    result = Result(id="lab.check", title="A check", status=status, findings=findings)
    counts = {status: sum(item.status is status for item in findings) for status in Status}
    return structs.replace(report(), results=(result,), status=status, summary=counts)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_but_commands(width: int) -> None:
    lines = render(made(*FINDINGS), Style(width=width)).splitlines()
    assert [line for line in lines if len(line) > width and COMMAND not in line] == []
    assert sum(line.strip() == COMMAND for line in lines) == 1  # a command survives being copied
    assert not any(line != line.rstrip() for line in lines)


@given(st.integers(60, 250), st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_words_at_any_width(width: int, words: str) -> None:
    shown = render(made(Finding(Status.FAIL, "x", words)), Style(width=width))
    assert shown.endswith("\n") and "FAIL lab.check" in shown


def test_steps_are_worst_first_and_leave_out_what_needs_none() -> None:
    shown = render(made(*FINDINGS), Style())
    assert re.findall(r"^\d\. (\w+) ", shown, re.MULTILINE) == ["FAIL", "ERROR", "WARN"]
    assert "1 failed, 1 could not be determined, 1 warned, 1 skipped and 1 passed in" in shown
    assert "This host does not meet BioStudio's requirements yet." in shown


def test_findings_with_one_remedy_are_one_step() -> None:
    remedy = Remedy("Ask the network team.")
    hosts = [Finding(Status.FAIL, name, f"{name} is blocked.", remedy=remedy) for name in "ab"]
    shown = render(made(*hosts), Style())
    assert shown.count("Ask the network team.") == 1
    assert "1. FAIL lab.check: 2 findings\n   - a is blocked.\n   - b is blocked." in shown


def test_what_several_findings_say_alike_is_said_once() -> None:
    missing = Finding(Status.ERROR, "x", "The file is missing.", remedy=Remedy("Write it."))
    shown = render(several(a_b=missing, c_d=missing), Style())
    assert "1. ERROR a.b, c.d: The file is missing.\n   Write it." in shown


def several(**findings: Finding) -> Report:
    """A report of several checks with one finding each."""
    results = [
        Result(id=name.replace("_", "."), title=name, status=one.status, findings=(one,))
        for name, one in findings.items()
    ]
    return structs.replace(made(*findings.values()), results=tuple(results))


def requirement(name: str) -> Requirement:
    return Requirement(
        id=name, strength=Strength.REQUIRED, section="Service ports", says=name, source="Document"
    )


def test_checks_with_one_remedy_are_one_step() -> None:
    start = Remedy("Start the container.")
    down = [
        Finding(Status.FAIL, name, f"{name} is down.", remedy=start, requirement=requirement(name))
        for name in ("app", "job")
    ]
    shown = render(several(services_app=down[0], services_job=down[1]), Style())
    assert "1. FAIL services.app, services.job: 2 findings\n   - app is down." in shown
    assert "\n2. " not in shown
    assert shown.count("Source: ") == 1
    assert "Source: Document, Service ports\n" in shown
    alone = render(several(services_app=down[0]), Style())
    assert "Source: Document, Service ports: app\n" in alone


def test_findings_without_a_remedy_are_a_step_for_each_check() -> None:
    lost = Finding(Status.ERROR, "x", "It could not be seen.")
    shown = render(several(a_b=lost, c_d=lost), Style())
    assert "1. ERROR a.b: " in shown
    assert "2. ERROR c.d: " in shown


def test_the_checks_of_a_family_stand_together() -> None:
    well = Finding(Status.PASS, "x", "All is well.")
    shown = render(several(ports_a=well, gpu_b=well, ports_c=well), Style())
    assert re.findall(r"^pass +([a-z.]+)", shown, re.MULTILINE) == ["ports.a", "ports.c", "gpu.b"]


def test_checks_that_were_not_asked_are_named_together() -> None:
    phase = "Not asked: it is asked in the phase running, and this one is preinstall."
    asked = Finding(Status.PASS, "x", "All is well.")
    not_asked = Finding(Status.SKIP, "y", phase, cause=NOT_ASKED)
    not_configured = Finding(Status.SKIP, "z", "No database is named.", cause=NOT_CONFIGURED)
    told = Finding(Status.SKIP, "w", "It has no GPU.")
    checks = several(
        ports_available=asked, ports_peers=not_configured, services_app=not_asked,
        services_job=not_asked, exposure_lan=not_asked, gpu_devices=told,
    )  # fmt: skip
    shown = render(checks, Style(width=200))
    table, _, below = shown.partition("Not asked:\n")
    assert "It has no GPU." in table
    assert "phase running" not in table
    assert (
        "- ports.peers: nothing is configured for it; `biostudio-doctor check ID` tells how"
        in below
    )
    assert "- services.*, exposure.lan: is asked in the phase running" in below
    # who asks for nothing else is answered in full
    none = render(several(services_app=not_asked, services_job=not_asked), Style(width=200))
    assert "STATUS" not in none and "- services.*: is asked in the phase running" in none
    name_it = structs.replace(not_configured, remedy=Remedy("Name one as `peers`."))
    alone = render(several(ports_peers=name_it, ports_more=name_it), Style())
    assert "No database is named." in alone and "\n- ports.*: Name one as `peers`.\n" in alone


def test_the_verdict_of_a_running_installation() -> None:
    for status, verdict in (
        (Status.WARN, "BioStudio runs here; the warnings are worth a look."),
        (Status.FAIL, "Not all is well with BioStudio here."),
    ):
        given = made(Finding(status, "x", "Words."))
        running = structs.replace(given, scope=structs.replace(given.scope, phase="running"))
        assert verdict in render(running, Style())


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((Status.PASS,), "Nothing stands against BioStudio in what was checked."),
        ((Status.PASS, Status.WARN), "BioStudio can be installed here;"),
        ((Status.WARN, Status.ERROR), "Nothing failed, but not everything could be determined."),
        ((Status.SKIP,), "Nothing was determined: every check was skipped."),
    ],
)
def test_the_verdict(statuses: tuple[Status, ...], verdict: str) -> None:
    assert verdict in render(report(*statuses), Style())


def test_our_own_commands_work_as_they_are_shown() -> None:
    again = ("biostudio-doctor check --offline", "ls /etc/biostudio-doctor")
    finding = Finding(
        Status.FAIL, "x", "Bad.", remedy=Remedy("See `biostudio-doctor list`.", again)
    )
    shown = render(made(finding), Style(program="/srv/venv/bin/biostudio-doctor"))
    assert "\n      /srv/venv/bin/biostudio-doctor check --offline\n" in shown
    assert "See `/srv/venv/bin/biostudio-doctor list`." in shown
    assert "\n      ls /etc/biostudio-doctor\n" in shown
    assert shown.startswith("biostudio-doctor 1.0 on lab")


def test_colour_is_only_where_it_is_wanted() -> None:
    assert "\x1b" not in render(made(*FINDINGS), Style(color=False))
    coloured = render(made(*FINDINGS), Style(color=True))
    assert "\x1b[31mfail" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == render(made(*FINDINGS), Style())


def test_control_characters_of_a_host_never_reach_the_terminal() -> None:
    shown = render(made(Finding(Status.FAIL, "x", "bad \x1b]0;title\x07 \x9b31m name")), Style())
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}


# --- Diagnoses ------------------------------------------------------------------------------------

DIAGNOSIS = Finding(
    Status.FAIL, "drops", "A firewall drops it.", cause="tcp.dropped",
    remedy=Remedy("Ask for a rule.\nTo hand on:\n  From lab: it is dropped.\n  - b.lab", ("true",)),
)  # fmt: skip


def spoken_for(name: str, status: Status = Status.FAIL, cause: str = "tcp.dropped") -> Finding:
    return Finding(status, name, f"{name} cannot be reached: {LONG}".strip(), cause=cause)


def test_findings_with_a_diagnosis_share_a_row_for_each_status_and_have_no_step() -> None:
    hosts = [spoken_for(f"{name}.lab", status) for name, status in
             (("a", Status.FAIL), ("b", Status.WARN), ("c", Status.FAIL))]  # fmt: skip
    shown = render(made(DIAGNOSIS, *hosts), Style(width=80))
    table, _, steps = shown.partition("What to do next")
    assert re.findall(r"^(\w*) +(- .*)", table, re.MULTILINE) == [
        ("fail", "- a.lab, c.lab (tcp.dropped)"), ("warn", "- b.lab (tcp.dropped)"),
    ]  # fmt: skip
    assert "cannot be reached" not in table
    assert re.findall(r"^\d\. .*", steps, re.MULTILINE) == [
        "1. FAIL lab.check: A firewall drops it."
    ]


def test_the_step_of_a_diagnosis_cites_the_requirements_of_all() -> None:
    wanted = Requirement(
        id="x", strength=Strength.REQUIRED, section="Network", says="*.lab", source="Document"
    )
    host = structs.replace(spoken_for("a.lab"), requirement=wanted)
    assert "Source: Document, Network: *.lab" in render(made(DIAGNOSIS, host), Style())


@pytest.mark.parametrize("cause", ["", "tcp.refused"])
def test_without_a_diagnosis_of_its_cause_a_finding_stands_for_itself(cause: str) -> None:
    shown = render(made(DIAGNOSIS, spoken_for("a.lab", cause=cause)), Style(width=80))
    assert len(re.findall(r"^\d\. FAIL", shown, re.MULTILINE)) == 2 and "- a.lab" not in shown


def test_lines_of_a_remedy_are_kept() -> None:
    shown = render(made(DIAGNOSIS), Style())
    said = "   Ask for a rule.\n   To hand on:\n     From lab: it is dropped.\n     - b.lab\n"
    assert said in shown
