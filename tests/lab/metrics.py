"""Metrics as tests look at them: of reports, of facts, and of what the real command says."""

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families as parse_text

from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters import prometheus
from biostudio_doctor.model import Report, Result, Status
from tests.conftest import report
from tests.lab.certificates import Made

DOCTOR = [sys.executable, "-m", "biostudio_doctor"]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

#: Name of the metric and its labels, in order.
Key = tuple[Any, ...]


def series(made: Report) -> dict[Key, float]:
    """All series by name and values of labels; a series that stands twice is a defect."""
    text = prometheus.render(made, Style())
    found: dict[Key, float] = {}
    for family in parse_text(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert (sample.name, *labels) not in found
            found[(sample.name, *labels)] = sample.value
    return found


def named(name: str, /, **labels: object) -> Key:
    return (f"biostudio_{name}", *sorted((key, str(value)) for key, value in labels.items()))


def of_name(found: Iterable[Key], name: str) -> list[dict[str, str]]:
    """The labels of all series of a metric."""
    return [dict(key[1:]) for key in found if key[0] == f"biostudio_{name}"]


def of_facts(check: str, gathered: object) -> dict[Key, float]:
    """The series of a report of one check, with facts as JSON has them."""
    carried = msgspec.json.decode(msgspec.json.encode(gathered))
    found = Result(id=check, title="", status=Status.PASS, findings=(), observation=carried)
    return series(report(results=(found,)))


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [*DOCTOR, "check", *arguments],
        capture_output=True, text=True, timeout=60, env={**clean, **env}, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    return done


def checked(tmp_path: Path, config: str, *arguments: str) -> Report:
    """What the real command says of a configuration."""
    file = tmp_path / "config.toml"
    file.write_text(config)
    done = doctor("--config", str(file), "--output", "json", *arguments)
    return msgspec.json.decode(done.stdout, type=Report)


def pem(directory: Path, name: str, *chain: Made) -> Path:
    file = directory / name
    file.write_bytes(b"".join(one.pem for one in chain))
    return file
