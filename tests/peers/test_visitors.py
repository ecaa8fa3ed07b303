"""The log of a listener: each visitor once, and a flood in a few lines."""

from biostudio_doctor.peers.visitors import Visitors


def test_each_is_told_once_and_summed_up() -> None:
    said: list[str] = []
    visitors = Visitors(said.append, {80: "http", 6379: "redis"})
    for _ in range(3):
        visitors.note("192.0.2.7", 6379, "proved")
    visitors.note("192.0.2.9", 80, "wrong code")
    assert [line[9:] for line in said] == [
        "192.0.2.7 proved the code on port 6379 (redis)",
        "192.0.2.9 came with a wrong code on port 80 (http)",
    ]
    visitors.tick()
    assert said[-1].endswith("and further connections: 2 proved the code")
    visitors.tick()
    assert len(said) == 3
    assert visitors.summary() == [
        "  80 (http): nobody has proved the code",
        "  6379 (redis): 192.0.2.7 (3 times)",
        "  Who came with a wrong code: 192.0.2.9",
    ]


def test_a_flood_fills_neither_the_terminal_nor_the_memory() -> None:
    said: list[str] = []
    visitors = Visitors(said.append, {80: "http"})
    for number in range(100_000):
        visitors.note(f"2001:db8::{number:x}", 80, "no code")
    assert len(said) <= 20 and len(visitors._counts) <= 2001
    visitors.tick()
    assert said[-1].endswith("99980 came without the code")
    assert all(len(line) < 1000 for line in visitors.summary())
