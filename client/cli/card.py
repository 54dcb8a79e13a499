"""A finished scan on the terminal: each vital sign with its interval, or the reason for none."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from client.cli.display import Glyphs, glyphs_for
from client.records import ScanRecord, sanitised
from client.reports.wording import (
    NOT_A_DEVICE,
    REASONS,
    SIMULATED,
    interval,
    number,
    saved_words,
    vital_name,
    why_not,
)
from edge_models.types import Estimate

_MAX_COLUMNS = 84
_FRAMED_FROM_COLUMNS = 50


def show(record: ScanRecord, console: Console) -> None:
    """Print the card."""
    console.print(card(record, console.width, glyphs_for(console.encoding)))


def card(record: ScanRecord, columns: int, glyphs: Glyphs) -> RenderableType:
    """The record as one rich renderable for a terminal that is so wide."""
    width = min(columns, _MAX_COLUMNS)
    framed = width >= _FRAMED_FROM_COLUMNS
    parts: list[RenderableType] = []
    if record.simulated:
        parts += [Text(SIMULATED, style="bold black on yellow"), Text("")]
    parts += [_headline(record, glyphs), Text(""), _vitals(record, framed), Text("")]
    parts += [Text(line, style="dim") for line in _how(record, glyphs)]
    parts += [Text(note, style="yellow") for note in record.notes]
    parts += [
        Text(saved_words(record.saved_reason), style="dim"),
        Text(NOT_A_DEVICE, style="dim"),
    ]
    if not framed:
        return Group(Text("Health Helper: result", style="bold"), *parts)
    return Panel(
        Group(*parts),
        title="[bold]Health Helper[/bold] result",
        title_align="left",
        border_style="yellow" if record.simulated else "cyan",
        padding=(1, 2),
        width=width,
    )


def _headline(record: ScanRecord, glyphs: Glyphs) -> Text:
    estimate = record.heart_rate
    if estimate.value is not None:
        line = Text(f"{glyphs.heart} ", style="bold red")
        line.append(f"{number(estimate)}", style="bold")
        line.append(f"   heart rate, 95 % interval {interval(estimate)}")
        return line
    words = REASONS[estimate.reasons[0]]
    line = Text(f"No heart rate: {words.seen}. ", style="bold")
    line.append(words.remedy, style="yellow")
    return line


def _vitals(record: ScanRecord, wide: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=wide)
    table.add_column(no_wrap=wide)
    table.add_column()
    for name, estimate in record.result.vitals.items():
        table.add_row(vital_name(name), *_value_cells(sanitised(estimate)))
    return Padding(table, (0, 0))


def _value_cells(estimate: Estimate) -> tuple[Text, Text]:
    shown = number(estimate)
    if shown is None:
        return Text("--", style="dim"), Text(why_not(estimate), style="dim")
    limits = "".join(f", {REASONS[reason].seen}" for reason in estimate.reasons[:1])
    return Text(shown, style="bold"), Text(f"95 % interval {interval(estimate)}{limits}")


def _how(record: ScanRecord, glyphs: Glyphs) -> list[str]:
    result = record.result
    parts = [
        f"{result.accepted_s:.0f} of {result.duration_s:.0f} s counted",
        f"{result.measured_fps:.1f} frames/s",
        f"quality {result.quality.score * 100.0:.0f} %",
    ]
    lines = [record.source, glyphs.dot.join(parts)]
    if result.quality.limiting_factor is not None:
        lines.append(f"What limited it most: {REASONS[result.quality.limiting_factor].seen}.")
    return lines
