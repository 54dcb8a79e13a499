"""A running scan on the terminal: a live panel for people, plain lines where nobody looks on.

Both pull: the main thread hands in the newest view ten times a second, nothing is pushed to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from client.clock import Clock
from client.pipeline.coaching import hint, live_heart_rate
from client.pipeline.run import View
from client.pipeline.session import Session, State
from client.reports.wording import SIMULATED, interval
from edge_models.types import Trace

WAVE_SPAN_S = 6.0
PLAIN_EVERY_S = 5.0
_PANEL_MAX_COLUMNS = 76
_PANEL_MIN_COLUMNS = 44


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs that the terminal's encoding can show. levels: eight steps from low to high."""

    heart: str
    dash: str
    dot: str
    bar_full: str
    bar_empty: str
    levels: str


UNICODE = Glyphs("♥", "–", " · ", "━", "─", "▁▂▃▄▅▆▇█")
ASCII = Glyphs("*", "-", " | ", "#", ".", "_.,-~=*#")


def glyphs_for(encoding: str) -> Glyphs:
    """Unicode signs if the encoding has every one of them, otherwise ASCII."""
    try:
        f"{UNICODE.heart}{UNICODE.dash}{UNICODE.dot}{UNICODE.bar_full}{UNICODE.bar_empty}{UNICODE.levels}".encode(
            encoding
        )
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


class Display(Protocol):
    """Shows a running scan; left as a context manager, it gives the terminal back as it was."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...

    def show(self, view: View) -> None:
        """The scan stands so."""


class LivePanel:
    """One panel that stays in place: pulse wave, heart rate with interval, bar, one hint, how it goes."""

    def __init__(self, console: Console) -> None:
        self._glyphs = glyphs_for(console.encoding)
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.update("", refresh=False)
        self._live.stop()

    def show(self, view: View) -> None:
        self._live.update(panel(view, self._console.width, self._console.height, self._glyphs), refresh=True)


class PlainLines:
    """A line when the state changes and at most every five seconds otherwise; for pipes and logs."""

    def __init__(self, write: Callable[[str], None], clock: Clock, encoding: str) -> None:
        self._write = write
        self._clock = clock
        self._glyphs = glyphs_for(encoding)
        self._next_s = -math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        return None

    def show(self, view: View) -> None:
        now_s = self._clock.now_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + PLAIN_EVERY_S
        self._write(self._glyphs.dot.join(_plain_parts(view)))


def panel(view: View, columns: int, rows: int, glyphs: Glyphs) -> RenderableType:
    """The view as one rich renderable for a terminal of that size."""
    width = min(columns, _PANEL_MAX_COLUMNS)
    framed = width >= _PANEL_MIN_COLUMNS and rows >= 12
    inner = max(10, width - 6) if framed else max(10, width - 1)
    session = view.session
    lines: list[RenderableType] = []
    simulated = bool(view.facts and view.facts.simulated)
    if simulated:
        lines.append(Text(_cut(SIMULATED, inner), style="bold black on yellow"))
        lines.append(Text(""))
    lines.append(_heart_line(view, inner, glyphs))
    if rows >= 12:
        lines.append(Text(""))
        lines.extend(Text(row, style="red") for row in wave(_shown_wave(session), inner, 2, glyphs))
    lines.append(Text(""))
    lines.append(_bar_line(session, inner, glyphs))
    lines.append(Text(""))
    lines.append(_hint_line(view, inner))
    lines.append(_status_line(view, inner, glyphs))
    if not framed:
        return Group(
            *(line for line in lines if rows >= 9 or not (isinstance(line, Text) and not line.plain))
        )
    return Panel(
        Group(*lines),
        title="[bold]Health Helper[/bold]",
        title_align="left",
        subtitle="not a medical device",
        subtitle_align="right",
        border_style="yellow" if simulated else "cyan",
        padding=(1, 2),
        width=width,
    )


def wave(trace: Trace, columns: int, rows: int, glyphs: Glyphs) -> list[str]:
    """The last seconds of the pulse wave as `rows` lines of block signs, the newest at the right.

    The columns lie on a fixed grid of time, so that the picture moves on without trembling.
    """
    if trace.t_s.size < 2:
        return [" " * columns] * (rows - 1) + [glyphs.levels[0] * columns]
    step_s = WAVE_SPAN_S / columns
    newest = math.floor(float(trace.t_s[-1]) / step_s)
    grid_s = (np.arange(columns) + newest - columns + 1) * step_s
    values = np.interp(grid_s, trace.t_s, trace.values, left=np.nan)
    spread = float(np.nanmax(np.abs(values))) if not np.all(np.isnan(values)) else 0.0
    steps = len(glyphs.levels) * rows
    scaled = (values / spread + 1.0) / 2.0 if spread > 0.0 else np.zeros(columns)
    heights = np.where(np.isnan(scaled), 0, np.clip(np.nan_to_num(scaled) * steps, 1, steps)).astype(int)
    return [_wave_row(heights, row, glyphs.levels) for row in reversed(range(rows))]


def _wave_row(heights: np.ndarray[tuple[int], np.dtype[np.int_]], row: int, levels: str) -> str:
    cells = np.clip(heights - row * len(levels), 0, len(levels))
    return "".join(levels[cell - 1] if cell else (levels[0] if row == 0 else " ") for cell in cells.tolist())


def _shown_wave(session: Session) -> Trace:
    if session.progress is None or session.state is State.STALLED:
        return Trace(np.zeros(0), np.zeros(0))
    return session.progress.bvp


def _heart_line(view: View, columns: int, glyphs: Glyphs) -> Text:
    estimate = live_heart_rate(view)
    line = Text()
    if estimate is None:
        line.append(f"{glyphs.heart} ", style="dim")
        line.append(f"{glyphs.dash * 2} /min", style="bold dim")
        return line
    line.append(f"{glyphs.heart} ", style="bold red")
    line.append(f"{estimate.value:.0f} /min", style="bold")
    line.append(
        f"   95 % interval {interval(estimate)}" if columns >= 40 else f"  {interval(estimate)}", style="dim"
    )
    return line


def _bar_line(session: Session, columns: int, glyphs: Glyphs) -> Text:
    paused = session.state in (State.PAUSED, State.STALLED)
    words = _counted(session) + (" paused" if paused else "")
    share = session.share
    if share is None:
        return Text(words, style="yellow" if paused else "")
    width = max(6, columns - len(words) - 2)
    full = round(share * width)
    line = Text()
    line.append(glyphs.bar_full * full, style="yellow" if paused else "green")
    line.append(glyphs.bar_empty * (width - full), style="dim")
    line.append(f"  {words}", style="yellow" if paused else "")
    return line


def _counted(session: Session) -> str:
    accepted_s = session.progress.accepted_s if session.progress else 0.0
    wanted_s = session.goal.accepted_s or session.goal.at_most_s
    if wanted_s is None:
        return f"{accepted_s:.0f} s counted"
    return f"{min(accepted_s, wanted_s):.0f} of {wanted_s:.0f} s"


def _hint_line(view: View, columns: int) -> Text:
    words = hint(view)
    style = (
        "bold yellow" if view.session.state in (State.PAUSED, State.STALLED, State.POSITIONING) else "yellow"
    )
    if words is None:
        return Text("Good. Hold still and breathe calmly." if columns >= 38 else "Good.", style="green")
    return Text(words, style=style)


def _status_line(view: View, columns: int, glyphs: Glyphs) -> Text:
    progress = view.session.progress
    name = view.facts.name if view.facts else ""
    parts = [_cut(name, max(8, columns - 34))] if name else []
    if progress is not None:
        parts.append(f"{progress.measured_fps:.1f} frames/s")
        parts.append(f"{_clock_words(progress.t_s)} elapsed")
    return Text(_cut(glyphs.dot.join(parts), columns), style="dim", no_wrap=True)


def _plain_parts(view: View) -> list[str]:
    session = view.session
    progress = session.progress
    parts = [f"[{_clock_words(progress.t_s if progress else 0.0)}] {session.state}"]
    if view.facts and view.facts.simulated:
        parts.append("SIMULATED")
    if progress is not None:
        parts.append(f"{progress.accepted_s:.1f} s counted")
        estimate = live_heart_rate(view)
        if estimate is not None:
            parts.append(f"heart rate {estimate.value:.0f} ({interval(estimate)}) /min")
        parts.append(f"{progress.measured_fps:.1f} frames/s")
    words = hint(view)
    if words is not None:
        parts.append(words)
    return parts


def _clock_words(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: max(1, columns - 3)] + "..."
