"""When checks are due, told the time by the tests."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon.schedule import JITTER, RETRY, SPREAD, SUSPENDED, Schedule

IDS = ["a.one", "a.two", "b.one", "c.one", "c.two", "c.three"]


def schedule(*ids: str, intervals: dict[str, float] | None = None, host: str = "lab") -> Schedule:
    made = Schedule(host, random.Random(1))
    made.adopt(ids or IDS, 0.0)
    for check_id in ids or IDS:
        made.every(check_id, (intervals or {}).get(check_id, 60.0))
    return made


def run_all(made: Schedule, now: float, *, failed: bool = False) -> list[str]:
    """Everything that is due begins and ends at once."""
    ran = [check_id for ids in made.due(now) for check_id in ids]
    made.begin(ran, now)
    for check_id in ran:
        made.end(check_id, now, failed=failed)
    return ran


def settled(made: Schedule, seconds: float = SPREAD) -> float:
    """Have all run once; the time after that."""
    ran = {check_id for now in range(int(seconds) + 1) for check_id in run_all(made, float(now))}
    assert ran == set(made.entries)
    return seconds


def test_all_run_soon_after_the_start_and_families_together() -> None:
    made = schedule()
    begun: dict[tuple[str, ...], float] = {}
    for tenth in range(int(SPREAD * 10) + 1):
        for ids in made.due(tenth / 10):
            made.begin(ids, tenth / 10)
            begun[ids] = tenth / 10
    assert set(begun) == {("a.one", "a.two"), ("b.one",), ("c.one", "c.two", "c.three")}
    assert len(set(begun.values())) == 3, "spread"


def test_hosts_do_not_keep_step() -> None:
    def second(host: str) -> float:
        made = schedule("a.one", host=host)
        settled(made)
        return made.entries["a.one"].due

    assert len({round(second(f"host{number}"), 1) for number in range(20)}) > 10
    assert schedule(host="h").entries == schedule(host="h").entries, "but each keeps its own"


def test_a_family_stays_together_for_ever() -> None:
    made = schedule("a.one", "a.two", "a.three")
    batches = []
    for now in range(3600):
        for ids in made.due(float(now)):
            made.begin(ids, float(now))
            for check_id in ids:
                made.end(check_id, now + 0.5, failed=False)
            batches.append(len(ids))
    assert set(batches) == {3} and 60 <= len(batches) <= 3600 / (60 * (1 - JITTER)) + 1


@given(
    steps=st.lists(
        st.tuples(
            st.floats(0, 200),  # seconds that go by
            st.floats(0, 90),  # seconds that what is begun will take
            st.sampled_from(["pass", "fail", "hang"]),
        ),
        max_size=60,
    )
)
def test_never_two_at_once_and_never_late(steps: list[tuple[float, float, str]]) -> None:
    made = schedule(intervals={"b.one": 10.0, "c.two": 300.0})
    running: dict[str, tuple[float, str]] = {}
    now = 0.0
    for passes, takes, how in steps:
        now += passes
        for check_id, (until, end) in list(running.items()):
            if until <= now:
                made.end(check_id, now, failed=end != "pass", cut_off=end == "hang")
                assert now < made.entries[check_id].due <= now + made.entries[check_id].interval
                del running[check_id]
        for ids in made.due(now):
            assert not running.keys() & set(ids), "it runs already"
            made.begin(ids, now)
            running.update(dict.fromkeys(ids, (now + takes, how)))
        assert all(e.due > now for e in made.entries.values() if e.began is None)
        flat = [i for ids in made.due(now) for i in ids]
        assert flat == [], "what was begun is not due again"


@given(
    jumps=st.lists(st.floats(SUSPENDED + 1, 30 * 86400), min_size=1, max_size=5),
    interval=st.floats(1, 86400),
)
def test_no_storm_after_a_suspend(jumps: list[float], interval: float) -> None:
    made = schedule(intervals=dict.fromkeys(IDS, interval))
    now = 0.0
    made.see(now)
    for jump in jumps:
        now += jump
        assert made.see(now)
        begun: list[str] = []
        first = [i for ids in made.due(now) for i in ids]
        assert len({i.partition(".")[0] for i in first}) < 3, "spread, not all at once"
        for step in range(int(SPREAD * 10) + 1):
            moment = now + step * min(1.0, interval) / 10
            assert not made.see(moment)
            for ids in made.due(moment):
                made.begin(ids, moment)
                begun += ids  # and they take longer than this test looks
        assert len(begun) == len(set(begun)), "each once, whatever it has missed"
        now = moment
        for check_id in begun:
            made.end(check_id, now, failed=False)


def test_a_failure_is_looked_at_again_soon_and_then_less_often() -> None:
    made = schedule("a.one", intervals={"a.one": 300.0})
    now, begun = 0.0, []
    while len(begun) < 8:
        if run_all(made, now, failed=True):
            begun.append(now)
        now += 0.5
    gaps = [round(later - earlier) for earlier, later in pairwise(begun)]
    wanted = [min(300.0, RETRY * 2**number) for number in range(7)]
    for gap, want in zip(gaps, wanted, strict=True):
        assert want * (1 - JITTER) - 1 <= gap <= want + 1
    while not run_all(made, now):
        now += 0.5
    assert made.entries["a.one"].due > now + 300 * (1 - JITTER) - 1, "mended: as before"


def test_what_was_cut_off_runs_alone_until_it_ends_well() -> None:
    made = schedule("a.one", "a.two", "a.three")
    (ids,) = made.due(SPREAD)
    made.begin(ids, SPREAD)
    made.end("a.one", SPREAD, failed=True, cut_off=True)
    made.end("a.two", SPREAD, failed=True)
    made.end("a.three", SPREAD, failed=True)
    assert sorted(made.due(SPREAD + RETRY)) == [("a.one",), ("a.two", "a.three")]
    made.begin(("a.one",), SPREAD + RETRY)
    made.end("a.one", SPREAD + RETRY, failed=False)
    assert ("a.one",) not in made.due(SPREAD + RETRY)


def test_what_hangs_delays_nothing_else() -> None:
    made = schedule("a.one", "a.two")
    made.begin(("a.one",), 5.0)  # and never ends
    ran = [ids for now in range(5, 600) for ids in [tuple(run_all(made, float(now)))] if ids]
    assert set(ran) == {("a.two",)} and len(ran) >= 10


def test_a_held_check_waits() -> None:
    made = schedule("a.one", "a.two")
    assert made.due(SPREAD, {"a.one"}) == [("a.two",)]
    assert made.overdue(100.0, {"a.one", "a.two"}) == 0.0
    assert made.wait(0.0, {"a.one", "a.two"}) == float("inf")


def test_a_new_plan_keeps_the_times_of_what_stays() -> None:
    made = schedule("a.one", "b.one")
    now = settled(made)
    due = made.entries["a.one"].due
    made.adopt(["a.one", "c.one"], now)
    assert made.entries.keys() == {"a.one", "c.one"} and made.entries["a.one"].due == due
    assert made.entries["c.one"].due <= now + SPREAD
    made.every("a.one", 10.0)
    assert made.entries["a.one"].due <= now + 10, "a shorter interval holds at once"


def test_the_lag_is_that_of_the_last_run() -> None:
    made = schedule("a.one", "b.one")
    made.begin(("a.one",), 20.0)
    assert 15 <= made.lag <= 20
    made.hasten(["b.one"], 100.0)
    made.begin(("b.one",), made.entries["b.one"].due)
    assert made.lag == 0
