"""A check's table as text, at any width."""

import textwrap

from tabulate import tabulate

from biostudio_doctor import text
from biostudio_doctor.model import Table

_HEADER_PADDING = 2  # what tabulate adds to the width of a header
_GAP = 2  # columns between two cells
_READABLE = 110  # columns: no title is set wider


def render(table: Table, width: int) -> str:
    """The title and the rows, none wider than `width`: in parts, each with the first column."""
    grid = [[text.printable(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [_needed(column) for column in zip(*grid, strict=True)]
    first = min(widths[0], width // 3)
    room = width - first - _GAP
    shown = [textwrap.fill(text.printable(table.title), min(width, _READABLE))]
    for part in _parts([min(needed, room) for needed in widths[1:]], room):
        limits = [first, *(room for _ in part)]
        header, *rows = [[row[column] for column in (0, *part)] for row in grid]
        drawn = tabulate(
            [_filled(row, limits) for row in rows],
            headers=_filled(header, [limit - _HEADER_PADDING for limit in limits]),
            disable_numparse=True,
        )
        shown.append("\n".join(line.rstrip() for line in drawn.splitlines()))
    return "\n\n".join(shown)


def _needed(column: tuple[str, ...]) -> int:
    header, *cells = (len(cell) for cell in column)
    return max([max(header, 1) + _HEADER_PADDING, *cells])


def _parts(widths: list[int], room: int) -> list[list[int]]:
    """The numbers of the columns after the first, in groups that fit."""
    parts: list[list[int]] = [[]]
    taken = 0
    for column, needed in enumerate(widths, 1):
        if parts[-1] and taken + needed > room:
            parts.append([])
            taken = 0
        parts[-1].append(column)
        taken += needed + _GAP
    return parts


def _filled(row: list[str], limits: list[int]) -> list[str]:
    return [
        textwrap.fill(cell, limit, break_on_hyphens=False)
        for cell, limit in zip(row, limits, strict=True)
    ]
