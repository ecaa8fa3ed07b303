"""Who came to a listener, in lines for its terminal that a flood cannot fill."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from biostudio_doctor import text
from biostudio_doctor.peers.listener import Outcome

INTERVAL = 10.0  # seconds between two calls of `tick`
_LINES = 20  # in an interval
_KEPT = 2000  # visitors that are told apart; of more, only the number is known
_SHOWN = 20  # of the summary, in each line
_OTHERS = "others"

_WORDS: Mapping[Outcome, str] = {
    "proved": "proved the code",
    "wrong code": "came with a wrong code",
    "no code": "came without the code",
    "not allowed": "is not among those allowed",
}


class Visitors:
    """Counts all, and tells of each once; of what is not told, the number."""

    def __init__(self, say: Callable[[str], None], services: Mapping[int, str]) -> None:
        self._say = say
        self._services = services
        self._counts: Counter[tuple[str, int, Outcome]] = Counter()
        self._lines = _LINES
        self._untold: Counter[Outcome] = Counter()

    def note(self, address: str, port: int, outcome: Outcome) -> None:
        """One connection that is over, or has proved the code."""
        visitor = (address, port, outcome)
        known = visitor in self._counts
        if not known and len(self._counts) >= _KEPT:
            visitor = (_OTHERS, port, outcome)
        self._counts[visitor] += 1
        if known or not self._lines:
            self._untold[outcome] += 1
            return
        self._lines -= 1
        self._say(f"{_now()} {address} {_WORDS[outcome]} on port {self._port(port)}")

    def tick(self) -> None:
        """Tell how many were not told of, and begin a new interval."""
        self._lines = _LINES
        if self._untold:
            said = (f"{count} {_WORDS[outcome]}" for outcome, count in self._untold.items())
            self._say(f"{_now()} and further connections: {text.listing(said)}")
            self._untold.clear()

    def summary(self) -> list[str]:
        """Who came on which port."""
        lines = []
        for port in self._services:
            proved = self._who("proved", port)
            lines.append(f"  {self._port(port)}: {proved or 'nobody has proved the code'}")
        for outcome, words in _WORDS.items():
            others = self._who(outcome) if outcome != "proved" else ""
            if others:
                lines.append(f"  Who {words}: {others}")
        return lines

    def _who(self, outcome: Outcome, port: int | None = None) -> str:
        came: Counter[str] = Counter()
        for (address, on, what), count in self._counts.items():
            if what == outcome and port in (None, on):
                came[address] += count
        said = [
            address + (f" ({text.number(count, 'time')})" if count > 1 else "")
            for address, count in came.most_common(_SHOWN)
        ]
        more = len(came) - len(said)
        return text.listing([*said, *([f"{more} more"] if more else [])])

    def _port(self, port: int) -> str:
        return f"{port} ({self._services[port]})"


def _now() -> str:
    return time.strftime("%H:%M:%S")
