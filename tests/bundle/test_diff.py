"""What changed between two bundles, told by paths, and never without end."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor.bundle import diff, reader
from biostudio_doctor.bundle.diff import Changed, Difference
from biostudio_doctor.bundle.manifest import Collected, Outcome
from biostudio_doctor.model import Status
from tests.conftest import report
from tests.lab import bundles
from tests.lab.bundles import ANY_JSON


def changed(was: Any, now: Any) -> list[tuple[str, Any, Any]]:
    return [(one.what, one.was, one.now) for one in diff.paths(was, now)]


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {"b": 2}, [("a", 1, None), ("b", None, 2)]),
        ([1, 2, 2], [2, 3], [("[]", 1, None), ("[]", 2, None), ("[]", None, 3)]),
        (["a", "b"], ["b", "a"], []),
        (
            [{"path": "/a", "x": 1}, {"path": "/b", "x": 1}],
            [{"path": "/b", "x": 2}, {"path": "/c"}],
            [
                ("[/a]", {"path": "/a", "x": 1}, None),
                ("[/b].x", 1, 2),
                ("[/c]", None, {"path": "/c"}),
            ],
        ),
        ({"l": [{"x": 1}, {"x": 2}]}, {"l": [{"x": 1}, {"x": 3}]}, [("l[1].x", 2, 3)]),
        ({"l": [{"name": "a"}] * 2}, {"l": [{"name": "a"}]}, [("l[]", {"name": "a"}, None)]),
        (1, "1", [("all", 1, "1")]),
        ({"a": "x" * 999}, {"a": ""}, [("a", "x" * 200 + "...", "")]),
    ],
)
def test_paths(was: Any, now: Any, told: list[tuple[str, Any, Any]]) -> None:
    assert changed(was, now) == told


@given(ANY_JSON, ANY_JSON)
def test_paths_of_anything(was: Any, now: Any) -> None:
    assert changed(was, was) == []
    # The same things in another order are the same; all else is told.
    if json.dumps(was, sort_keys=True) == json.dumps(now, sort_keys=True):
        assert changed(was, now) == []


@given(st.integers(1, 400))
def test_deep_data(depth: int) -> None:
    was: Any = 1
    now: Any = 2
    for _ in range(depth):
        was, now = {"x": was}, {"x": now}
    (one,) = diff.paths(was, now)
    assert one.what.startswith("x")


def test_many_changes_are_counted() -> None:
    many = diff._bounded(diff.paths(list(range(1000)), []))
    assert (len(many.told), many.more) == (100, 900)


def compared(
    tmp_path: Path, old: dict[str, bytes], new: dict[str, bytes], **told: Any
) -> Difference:
    sides = []
    for name, files, changes in (("old", old, {}), ("new", new, told)):
        with reader.reading(bundles.write(tmp_path / name, files, **changes)) as bundle:
            sides.append(diff.side(bundle))
    return diff.compare(*sides)


def test_nothing_changed(tmp_path: Path) -> None:
    same = compared(tmp_path, bundles.contents(), bundles.contents())
    assert not same.any


def test_all_kinds_of_changes(tmp_path: Path) -> None:
    def observing(facts: Any, *statuses: Status) -> dict[str, bytes]:
        one = report(*statuses)
        result = structs.replace(one.results[0], observation=facts)
        return bundles.contents(structs.replace(one, results=(result,)))

    was = {"size": 1, "observed_at": "x", "ways": [{"host": "a", "seconds": {"tcp": 1.0}}]}
    now = {"size": 2, "observed_at": "y", "ways": [{"host": "a", "seconds": {"tcp": 2.0}}]}
    old = observing(was, Status.PASS, Status.FAIL)
    new = observing(now, Status.WARN, Status.FAIL, Status.FAIL)
    old["host/packages.txt"] = b"bash\t5.2-1\nzlib1g:amd64\t1.2\ncurl\t8.1\n"
    new["host/packages.txt"] = b"bash\t5.2-2\nzlib1g:amd64\t1.2\nnginx\t1.22\n"
    new["config.json"] = b'{"domain": "studio.example.com"}'
    collectors = (Collected(id="logs", title="", outcome=Outcome.FAILED, reason="no such"),)
    found = compared(tmp_path, old, new, collectors=collectors)
    told = [
        (one.subject, one.was and one.was.status, one.now and one.now.status)
        for one in found.findings
    ]
    assert told == [("subject 2", None, "fail"), ("subject 0", "pass", "warn")], "worst first"
    assert found.facts == {"lab.check": diff.Changes(told=(Changed(what="size", was=1, now=2),))}
    assert found.packages.told == (
        Changed(what="bash", was="5.2-1", now="5.2-2"),
        Changed(what="curl", was="8.1"),
        Changed(what="nginx", now="1.22"),
    )
    assert found.configuration.told == (Changed(what="domain", now="studio.example.com"),)
    assert found.collectors.told == (Changed(what="logs", was="whole", now="failed: no such"),)
    assert not found.files.told and found.any


def observed(facts: Any) -> dict[str, bytes]:
    one = report(Status.PASS)
    result = structs.replace(one.results[0], observation=facts)
    return bundles.contents(structs.replace(one, results=(result,)))


@pytest.mark.parametrize(
    ("was", "now", "moved"),
    [
        ({"used": 32_878_927_872}, {"used": 32_952_082_432}, 1),
        ({"used": 32_878_927_872}, {"used": 95_000_000_000}, 0),
        ({"load": [2.5, 5.1, 6.7]}, {"load": [3.1, 4.9, 6.5]}, 6),
        ({"some": 51.4}, {"some": 2}, 1),
        ({"port": 5432}, {"port": 5433}, 0),
        ({"limit": 20_000}, {"limit": 1_048_576}, 0),
        ({"on": True}, {"on": False}, 0),
        ({"version": "6.1"}, {"version": "6.2"}, 0),
        ({"free": 16_000_000}, {"free": None}, 0),
    ],
)
def test_what_only_moves_is_counted_and_nothing_else(
    was: Any, now: Any, moved: int, tmp_path: Path
) -> None:
    found = compared(tmp_path, observed(was), observed(now))
    assert found.any is (not moved)
    assert found.moved == ({"lab.check": moved} if moved else {})


def test_the_same_secret_has_another_token_in_each_bundle(tmp_path: Path) -> None:
    def one(token: str) -> dict[str, bytes]:
        files = observed({"url": f"https://<redacted:password:{token}>@x"})
        files["config.json"] = f'{{"x": "<redacted:token:{token}>"}}'.encode()
        return files

    old, new = one("0123abcd"), one("4567abcd")
    assert not compared(tmp_path, old, new).any
    sides = []
    for name, files in (("old", old), ("new", new)):  # reproducible ones have the host's key
        with reader.reading(bundles.write(tmp_path / name, files, created_at=None)) as bundle:
            sides.append(diff.side(bundle))
    assert len(diff.compare(*sides).configuration.told) == 1


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        ("bash\t5.2-1\n", {"bash": "5.2-1"}),
        ("curl-devel-8.1-2.el8.noarch   Mon 1 Jan\n", {"curl-devel": "8.1-2.el8.noarch"}),
        ("musl-1.2.4-r2\n", {"musl": "1.2.4-r2"}),
        ("[exit status 1]\n\nnonsense\n", {}),
    ],
)  # fmt: skip
def test_lists_of_packages(listing: str, found: dict[str, str]) -> None:
    assert dict(diff._packages(listing)) == found
