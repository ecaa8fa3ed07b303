"""Names of entries: what any reader takes for a plain path, each only once."""

import os
import re
import unicodedata

_UNWELCOME = ("Cc", "Cf", "Cs", "Zl", "Zp")  # of Unicode: they steer terminals
_LONGEST_PART = 150  # bytes
_DEEPEST = 20


class Names:
    """The names that one collector's directory has given away."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._files: set[str] = set()
        self._directories: set[str] = set()

    def new(self, wanted: str) -> str:
        """The path of a new entry, which is no other's, and beside or below no other's."""
        parts = [plain(part) for part in wanted.split("/") if part not in ("", ".", "..")]
        parts = parts[: _DEEPEST - 1] + parts[-1:] if len(parts) > _DEEPEST else parts
        *above, last = parts or ["unnamed"]
        path = self._directory
        for part in above:
            path = _first(path, part, self._files)
            self._directories.add(path.casefold())
        path = _first(path, last, self._files | self._directories)
        self._files.add(path.casefold())
        return path


def _first(directory: str, name: str, taken: set[str]) -> str:
    """The name in the directory, with a number if it is taken."""
    path = wanted = f"{directory}/{name}" if directory else name
    number = 1
    while path.casefold() in taken:
        number += 1
        path = f"{wanted}~{number}"
    return path


def plain(part: str) -> str:
    """One part of a path without what a file system or a terminal could stumble over."""
    part = os.fsencode(part).decode("utf-8", "replace")
    shown = "".join(
        "_" if character in '\\<>:"|?*' or unicodedata.category(character) in _UNWELCOME
        else character
        for character in part
    )  # fmt: skip
    while len(shown.encode()) > _LONGEST_PART:
        shown = re.sub(r"^(.*).(.{40})$", r"\1\2", shown)
    return shown
