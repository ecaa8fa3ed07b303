"""What the main process imports for its children: what pays, and nothing of a third party."""

import sys
from pathlib import Path

import pytest

from biostudio_doctor.daemon import preload
from biostudio_doctor.daemon.preload import OFTEN, Preload
from tests.daemon.test_supervisor import config, intervals
from tests.lab.daemon import running
from tests.lab.plugins import install


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three modules that can be imported, and one that cannot."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [f"lab_preloaded_{name}" for name in ("one", "two", "rare", "broken")]
    for name in names:
        (tmp_path / f"{name}.py").write_text("1 / 0" if "broken" in name else "")
        monkeypatch.delitem(sys.modules, name, raising=False)
    return names


def test_what_runs_often_is_imported(modules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "resident", lambda: 0)  # this process may be large already
    one, two, rare, broken = modules
    load = Preload()
    load.add((one, broken, two), 60.0)
    load.add((rare,), OFTEN + 1)
    for _ in range(10):
        load.step()
    assert one in sys.modules and two in sys.modules
    assert rare not in sys.modules and broken not in sys.modules


def test_memory_has_a_bound(modules: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "resident", lambda: preload.LIMIT + 1)
    load = Preload()
    load.add(tuple(modules), 60.0)
    load.step()
    assert not set(modules) & set(sys.modules)


def test_nothing_of_a_third_party_is_imported(tmp_path: Path) -> None:
    site = install("faulty", tmp_path / "site")
    (site / "faulty_doctor.py").write_text(
        (site / "faulty_doctor.py").read_text()
        + f"\nopen({str(tmp_path / 'importers')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    )
    with running(tmp_path, config("faulty.waits") + intervals(), site=site) as daemon:
        daemon.until(lambda: daemon.results()["faulty.waits"]["schedule"]["runs"] >= 4)
        importers = (tmp_path / "importers").read_text().split()
        assert len(importers) >= 4 and str(daemon.process.pid) not in importers
