"""What all tests share: fixture trees below a temporary host.root, and contexts for checks."""

import inspect
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import requirements
from biostudio_doctor.check import Check, Context
from biostudio_doctor.host import Host, processes
from biostudio_doctor.model import Finding, Machine, Report, Result, Scope, Status, worst

# How long an example takes says more of what else this machine does than of the code.
# In CI the same examples each time, so that a run is red for what changed; a laptop explores.
settings.register_profile("lab", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("lab")

_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")

Tree = Mapping[str, str | bytes | None]
MakeHost = Callable[[Tree], Host]

DEBIAN = Machine(
    hostname="lab",
    os_id="debian",
    os_name="Debian GNU/Linux 12 (bookworm)",
    os_version="12",
    os_codename="bookworm",
    os_source="/etc/os-release",
    kernel="6.1.0-28-amd64",
    architecture="x86_64",
    systemd=True,
    root=True,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rooms with long files first, so that no worker of pytest-xdist ends alone with such a one."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/lab/", "tests/daemon/")))


@pytest.fixture
def make_host(tmp_path: Path) -> MakeHost:
    """A host below a temporary root, by path: text, bytes, None (a directory), "-> x" (a link)."""

    def make(tree: Tree) -> Host:
        processes.forget()
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        for name, content in tree.items():
            path = root / name.lstrip("/")
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content.startswith("-> "):
                path.symlink_to(content[3:])
            else:
                path.write_text(content)
        return Host(str(root))

    return make


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no proxy for https:// addresses."""
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)


def context(
    machine: Machine = DEBIAN,
    *,
    offline: bool = False,
    deep: bool = False,
    **config: Any,
) -> Context:
    """What a check is told; keywords are keys of the configuration, such as role or storage."""
    settled = configuration.convert(config, configuration.Config, "test")
    return Context(
        scope=Scope(
            role=settled.role,
            phase=settled.phase,
            platform=settled.platform,
            profile=settled.profile,
            offline=offline,
            deep=deep,
        ),
        machine=machine,
        requirements=requirements.load(settled.profile),
        config=settled,
    )


def report(*statuses: Status, **changes: Any) -> Report:
    """A report of one check with a finding of each status."""
    findings = tuple(
        Finding(status, f"subject {number}", f"This is {status}.")
        for number, status in enumerate(statuses)
    )
    result = Result(id="lab.check", title="A check", status=worst(statuses), findings=findings)
    whole = Report(
        tool_version="1.0",
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        duration_seconds=0.5,
        status=worst(statuses),
        scope=context().scope,
        machine=DEBIAN,
        results=(result,),
        summary={status: statuses.count(status) for status in Status},
    )
    return structs.replace(whole, **changes)


def observed(check: Check[Any], host: Host | None = None) -> Any:
    """What a check gathers, of this host unless another is given, and whether it waits or not."""
    facts = check.observe(host or Host())
    if not inspect.isawaitable(facts):
        return facts
    import anyio  # which checks that have nothing to ask are not to import

    async def wait() -> Any:
        return await facts

    return anyio.run(wait)


def judge(check: Check[Any], facts: Any) -> dict[str, Finding]:
    """The findings by subject; a subject judged twice is a defect."""
    found = list(check.judge(facts, check.context.requirements))
    by_subject = {finding.subject: finding for finding in found}
    assert len(by_subject) == len(found), f"subjects judged twice: {found}"
    return by_subject
