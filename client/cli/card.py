"""A finished scan on the terminal: each vital sign with its interval, or the reason for none."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
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
    is_remark,
    lacks,
    number,
    remedy,
    saved_words,
    told_as,
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
    parts += [*_headline(record), _vitals(record, framed, glyphs), Text("")]
    parts += [Text(line, style="dim") for line in _how(record, glyphs)]
    if not record.simulated:  # the banner says more than the source's note
        parts += [Text(str(note), style="dim") for note in record.notes]
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


def _headline(record: ScanRecord) -> list[RenderableType]:
    """Why there is no heart rate and what to do; nothing where there is one: the first row says it."""
    estimate = record.heart_rate
    if estimate.value is not None:
        return []
    reason = told_as(estimate.reasons[0], "heart_rate", estimate)
    line = Text(f"No heart rate: {REASONS[reason].seen}. ", style="bold")
    line.append(remedy(reason, "heart_rate", estimate), style="yellow")
    return [line, Text("")]


def _vitals(record: ScanRecord, framed: bool, glyphs: Glyphs) -> RenderableType:
    """A table; on a narrow terminal each vital sign on lines of its own."""
    rate = record.heart_rate
    withheld = rate.reasons[:1] if rate.value is None else ()
    table = Table.grid(padding=(0, 2))
    for no_wrap in (True, True, False):
        table.add_column(no_wrap=no_wrap, overflow="fold")
    stacked: list[RenderableType] = []
    for name, estimate_ in record.result.vitals.items():
        estimate = sanitised(estimate_)
        if name == "heart_rate" and estimate.value is None:
            cells = Text("--", style="dim"), Text("not shown", style="dim")
        elif estimate.value is None and estimate.reasons[:1] == withheld:
            cells = Text("--", style="dim"), Text("not shown, for the same reason", style="dim")
        else:
            cells = _value_cells(name, estimate)
        heart = Text(f"{glyphs.heart} " if name == "heart_rate" else "  ", style="bold red")
        title = heart + Text(vital_name(name), style="")
        table.add_row(title, *cells)
        stacked += [Text(f"{vital_name(name)}: ") + cells[0], cells[1]]
    return table if framed else Group(*stacked)


def _value_cells(name: str, estimate: Estimate) -> tuple[Text, Text]:
    shown = number(estimate)
    if shown is None:
        needed_s = lacks(name, estimate)
        longer = "" if needed_s is None else f" (measure longer: --seconds {needed_s + 10})"
        return Text("--", style="dim"), Text(why_not(name, estimate) + longer, style="dim")
    form = ". Remark: {}." if is_remark(estimate) else "; less sure because {}"
    limits = "".join(form.format(REASONS[reason].seen) for reason in estimate.reasons[:1])
    return Text(shown, style="bold"), Text(f"95 % interval {interval(estimate)}{limits}")


def _how(record: ScanRecord, glyphs: Glyphs) -> list[str]:
    result = record.result
    parts = [
        f"{result.accepted_s:.0f} of {result.duration_s:.0f} s counted",
        f"{result.measured_fps:.1f} frames/s",
        f"quality {result.quality.score * 100.0:.0f} %",
    ]
    lines = [record.source, glyphs.dot.join(parts)]
    limit = result.quality.limiting_factor
    if limit is not None and limit not in record.heart_rate.reasons[:1]:
        told = told_as(limit, "heart_rate", record.heart_rate)
        lines.append(f"What limited it most: {REASONS[told].seen}.")
    return lines
