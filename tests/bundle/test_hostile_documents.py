"""Hostile documents in a bundle: refused or shown, and nothing of them steers or breaks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from biostudio_doctor.cli import bundle_read
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.model import Status
from tests.bundle.hostile import ESCAPE, refusal
from tests.conftest import report
from tests.lab import bundles

# --- The manifest ---------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    return b'{"schema_version": "1.0", "x": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"{", "manifest.json: is not understood: Input data was truncated"),
        (lambda data: b"\xff\xfe", "manifest.json: is not understood"),
        (lambda data: b"[]", "manifest.json: is not understood: Expected `object`"),
        (lambda data: {}, "missing required field `schema_version`"),
        (lambda data: data | {"schema_version": 2}, "Expected `str`, got `int`"),
        (lambda data: data | {"schema_version": "2.0"}, "schema version 2.0, and this biostudio"),
        (lambda data: data | {"schema_version": ESCAPE}, "has the schema version"),
        (lambda data: data | {"schema_version": ""}, "has the schema version"),
        (lambda data: nested(100_000), "manifest.json: is nested too deeply"),
        (lambda data: b"[" + b"[]," * 600_000 + b"[]]", "holds more than 1000000 values"),
        (lambda data: data | {"files": data["files"] * 2}, "manifest.json: lists a file twice"),
        (lambda data: data | {"files": [{"path": "x"}]}, "missing required field"),
        (lambda data: data | {"hostname": 1}, "Expected `str`, got `int`"),
        (lambda data: json.dumps(data | {"files": 1e400}).encode(), "is not understood"),
        (lambda data: {key: value for key, value in data.items() if key != "files"}, "`files`"),
    ],
)
def test_manifests_that_are_refused(
    change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path
) -> None:
    path = bundles.with_manifest(tmp_path, change)
    assert said in refusal(path.read_bytes(), path)


# --- The report -----------------------------------------------------------------------------------


def reported(change: Callable[[dict[str, Any]], Any], path: Path) -> str:
    """A bundle whose report was changed, as data or in words."""
    data = json.loads(bundles.contents(report(Status.FAIL))["report.json"])
    told = change(data)
    written = told if isinstance(told, str) else json.dumps(told)
    bundles.write(path, {**bundles.contents(), "report.json": written.encode()})
    return str(path)


def result(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return data | {"results": [data["results"][0] | changes]}


def observing(data: dict[str, Any], facts: str) -> str:
    """Facts of cpu.count, as they are written."""
    return json.dumps(result(data, id="cpu.count", observation="FACTS")).replace('"FACTS"', facts)


def table(*rows: list[str], columns: tuple[str, ...] = ("a", "b")) -> dict[str, Any]:
    return {"title": "T", "columns": columns, "rows": rows}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data | {"results": None}, "Expected `array`, got `null`"),
        (lambda data: data | {"duration_seconds": float("nan")}, "is not understood: JSON is malf"),
        (lambda data: observing(data, "1e400"), "Number out of range"),
        (lambda data: observing(data, "9" * 1_000_000), "Integer value out of range"),
        (lambda data: observing(data, r'"\ud800"'), "is not understood: JSON is malformed"),
        (lambda data: observing(data, "[" * 99_999 + "]" * 99_999), "is nested too deeply"),
        (lambda data: observing(data, "[" * 490 + "]" * 490), "is nested too deeply"),
        (lambda data: observing(data, '{"a":' * 101 + "1" + "}" * 101), "is nested too deeply"),
        (lambda data: data | {"results": data["results"] * 2}, "tells of a check twice"),
        (lambda data: result(data, tables=[table(["x"])]), "do not fit its columns"),
        (lambda data: result(data, tables=[table([], columns=())]), "do not fit its columns"),
        (lambda data: result(data, findings=data["results"][0]["findings"] * 5001), "than 5000 f"),
    ],
)
def test_reports_that_are_refused(
    change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path
) -> None:
    path = reported(change, tmp_path / "b.tar.gz")
    for command in (bundle_read.inspect, bundle_read.judge):
        output, refused = shown(command, path)
        assert not output and said in refused and "report.json: " in refused


@pytest.mark.parametrize(
    "facts",
    [
        "9" * 4000, "[" * 90 + "]" * 90, '{"online": -1, "online": 1e99}', '{"a": [[]]}',
        json.dumps({"[": "{" * 1000 + '\\"['}),
    ],
)  # fmt: skip
def test_facts_that_no_check_has(facts: str, tmp_path: Path) -> None:
    path = reported(lambda data: observing(data, facts), tmp_path / "b.tar.gz")
    assert "The facts in the bundle are not those that" in shown(bundle_read.judge, path)[0]
    plain = str(bundles.write(tmp_path / "plain.tar.gz"))
    assert not shown(bundle_read.diff, plain, path)[1]


# --- What is shown --------------------------------------------------------------------------------


def shown(command: Any, *arguments: str) -> tuple[str, str]:
    """Output and refusal of a command; anything but these is a defect."""
    done = CliRunner().invoke(command, arguments)
    if isinstance(done.exception, DoctorError):
        return done.output, str(done.exception)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 3)
    return done.output, ""


def poisoned(tmp_path: Path) -> Path:
    """Terminal escapes in every text that a bundle has."""
    sick = report(Status.FAIL, Status.WARN)
    data = json.loads(bundles.contents(sick)["report.json"])

    def poison(value: Any) -> Any:
        if isinstance(value, str) and value not in (*Status, "1.0") and "T00:00" not in value:
            return f"{value}{ESCAPE}\x9b31m\u202e"
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        return [poison(item) for item in value] if isinstance(value, list) else value

    results = [result | {"observation": {"a\x1b[": ["b\x1b["]}} for result in data["results"]]
    data = data | {key: poison(data[key]) for key in ("machine", "tool_version")}
    data["results"] = poison(results)
    data["scope"]["role"] += ESCAPE
    files = {**bundles.contents(), "report.json": json.dumps(data).encode()}
    files["config.json"] = json.dumps({"domain": ESCAPE}).encode()
    listed = []
    for name, content in files.items():
        listed.append(bundles.listed(name, content, source=ESCAPE, reason=ESCAPE))
        listed[-1] = bundles.structs.replace(listed[-1], outcome="cut", redactions={ESCAPE: 3})
    odd = bundles.structs.replace(listed[0], path=f"x{ESCAPE}", sha256="", collector=ESCAPE)
    honest_ones = bundles.manifest([])
    collectors = bundles.structs.replace(
        honest_ones.collectors[0], id=ESCAPE, title=ESCAPE, reason=ESCAPE, outcome="failed"
    )
    return bundles.write(
        tmp_path / "poisoned.tar.gz", files, files=(*listed, odd), collectors=(collectors,),
        hostname=ESCAPE, tool_version=ESCAPE, allowed=(ESCAPE,), obfuscated=(ESCAPE,),
    )  # fmt: skip


def test_no_text_of_a_bundle_steers_the_terminal(tmp_path: Path) -> None:
    path, plain = str(poisoned(tmp_path)), str(bundles.write(tmp_path / "b.tar.gz"))
    for command, arguments in (
        (bundle_read.inspect, [path, "--files"]),
        (bundle_read.inspect, [path, "--output", "json"]),
        (bundle_read.judge, [path]),
        (bundle_read.judge, [path, "--output", "json"]),
        (bundle_read.diff, [plain, path]),
        (bundle_read.diff, [path, plain]),
        (bundle_read.show, [path, "*"]),
        (bundle_read.show, [path, "x*"]),
    ):
        output, refused = shown(command, *arguments)
        for line in (output + refused).splitlines():
            assert line.isprintable(), (command.name, line)
