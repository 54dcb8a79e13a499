"""Tables for a terminal and in Markdown, from the same rows."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_WIDTH = 24
"""Of a column of words that has to be broken."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, as many as there are heads. words: the columns that are words and may be broken; the others are numbers, right-aligned."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """As GitHub reads it. A bar in a cell is escaped."""
        dashes = ["---" if at in self.words else "--:" for at in range(len(self.head))]
        lines = [f"**{self.title}**", "", _bars(self.head), "|" + "|".join(dashes) + "|"]
        lines += [_bars(row) for row in self.rows]
        if self.notes:
            lines += ["", *self.notes]
        return "\n".join(lines) + "\n"

    def text(self, width: int | None = None) -> str:
        """As wide as the terminal, or `width` columns; words are broken to fit."""
        width = width or shutil.get_terminal_size((130, 24)).columns
        widths = self._widths(width)
        lines = [self.title, "", *self._row(self.head, widths), "  ".join("─" * one for one in widths)]
        for row in self.rows:
            lines += self._row(row, widths)
        if self.notes:
            lines += ["", *(broken for note in self.notes for broken in textwrap.wrap(note, max(width, 40)))]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _widths(self, width: int) -> list[int]:
        wanted = [max(len(row[at]) for row in (self.head, *self.rows)) for at in range(len(self.head))]
        spare = (
            width - 2 * (len(wanted) - 1) - sum(one for at, one in enumerate(wanted) if at not in self.words)
        )
        # The widest columns of words give way first.
        while sum(wanted[at] for at in self.words) > spare:
            widest = max(self.words, key=lambda at: wanted[at])
            if wanted[widest] <= _LEAST_WIDTH:
                break
            wanted[widest] -= 1
        return wanted

    def _row(self, row: Sequence[str], widths: list[int]) -> list[str]:
        cells = [
            textwrap.wrap(cell, widths[at], break_on_hyphens=False) or [""] if at in self.words else [cell]
            for at, cell in enumerate(row)
        ]
        height = max(len(cell) for cell in cells)
        lines = []
        for number in range(height):
            parts = []
            for at, cell in enumerate(cells):
                part = cell[number] if number < len(cell) else ""
                parts.append(part.ljust(widths[at]) if at in self.words else part.rjust(widths[at]))
            lines.append("  ".join(parts))
        return lines


def usd(value: float) -> str:
    """To the cent below 10, to the dollar above."""
    return f"{value:,.2f}" if abs(value) < 10.0 else f"{value:,.0f}"


def amount(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value >= 1000.0:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else f"{value:.6f}"


def _bars(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
