"""Outcomes as one JSON object and as Markdown. The same outcomes give the same text: no dates, no places."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from client.errors import EnvironmentFault
from client.evaluation import metrics
from client.evaluation.outcomes import BREATHING, OURS, RMSSD, SDNN, Outcome
from client.evaluation.targets import Verdict, recording_verdicts, targets

SCHEMA = "health-helper/bench/1"
AXES = (
    "condition",
    "level",
    "skin_type",
    "light",
    "motion",
    "compression",
    "rate_band",
    "fps",
    "simulator",
    "kind",
)
"""Axes for which a table is made, where outcomes have them."""
SIMULATED = ("traces", "video")
_NOT_CLINICAL = (
    "Simulated clips are engineering evidence, not clinical validation. A risk–coverage curve ends where a tool "
    "stops showing values: what it withholds has no error."
)


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured, and with what. engine, simulator: digests of their sources. selection: as told to the command."""

    outcomes: tuple[Outcome, ...]
    engine: str
    simulator: str
    selection: Mapping[str, Any]

    def groups(self) -> dict[str, list[Outcome]]:
        """Simulated ones first, the rest by name."""
        cells: dict[str, list[Outcome]] = {}
        for outcome in sorted(self.outcomes, key=lambda o: (o.group, o.case, o.tool)):
            cells.setdefault(outcome.group, []).append(outcome)
        order = [*(g for g in SIMULATED if g in cells), *(g for g in cells if g not in SIMULATED)]
        return {group: cells[group] for group in order}


def by_tool(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """Ours first, the others by name."""
    cells: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault(outcome.tool, []).append(outcome)
    return {tool: cells[tool] for tool in sorted(cells, key=lambda name: (name != OURS, name))}


def to_json(run: Run) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "schema": SCHEMA,
        "engine": run.engine,
        "simulator": run.simulator,
        "selection": dict(run.selection),
        "groups": {
            group: {tool: _of_tool(members) for tool, members in by_tool(outcomes).items()}
            for group, outcomes in run.groups().items()
        },
        "targets": {
            group: {
                tool: {t.what: {"wanted": t.wanted, **t.judge(members).to_json()} for t in targets()}
                for tool, members in by_tool(outcomes).items()
            }
            for group, outcomes in run.groups().items()
            if group in SIMULATED
        },
        "recordings": {
            what: {"wanted": wanted, **verdict.to_json()}
            for what, wanted, verdict in recording_verdicts(run.outcomes)
        },
    }


def _of_tool(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    shown = metrics.pairs(outcomes)
    found: dict[str, Any] = {"all": metrics.summary(outcomes)}
    for name, wanted in (("supported", True), ("not_supported", False)):
        if members := [o for o in outcomes if o.supported is wanted and o.truth.has_pulse]:
            found[name] = metrics.summary(members)
    found["by"] = {
        axis: {level: metrics.summary(members) for level, members in cells.items()}
        for axis in AXES
        if (cells := metrics.by_axis(outcomes, axis))
    }
    found["risk_coverage"] = [[round(c, 4), round(r, 4)] for c, r in _thinned(metrics.risk_coverage(shown))]
    found["calibration"] = [[round(s, 4), round(r, 4), n] for s, r, n in metrics.calibration(shown)]
    found["cost"] = _cost(outcomes)
    found["failed"] = {o.case: o.failed for o in outcomes if o.failed is not None}
    return found


def _thinned(curve: list[tuple[float, float]], most: int = 100) -> list[tuple[float, float]]:
    step = max(1, len(curve) // most)
    return [*curve[:-1:step], *curve[-1:]]


def _cost(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The median of each cost over the outcomes that tell it."""
    told: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, value in outcome.cost.items():
            if value is not None:
                told.setdefault(name, []).append(value)
    return {name: round(median(values), 3) for name, values in sorted(told.items())}


def markdown(run: Run) -> str:
    """The tables: first against the targets, then recordings and data sets, peers, then one per axis."""
    parts = ["# How well Health Helper measures", _NOT_CLINICAL]
    groups = run.groups()
    simulated = {
        group: by_tool(members)[OURS]
        for group, members in groups.items()
        if group in SIMULATED and OURS in by_tool(members)
    }
    if simulated:
        heading = ["what", "target"]
        for group, members in simulated.items():
            heading += [f"{group} ({len(members)})", "met"]
        rows = []
        for target in targets():
            row = [target.what, target.wanted]
            for members in simulated.values():
                verdict = target.judge(members)
                row += [verdict.text, _met(verdict)]
            rows.append(row)
        parts += ["## Against the targets", table(heading, rows)]
    if recordings := recording_verdicts(run.outcomes):
        rows = [[what, wanted, verdict.text, _met(verdict)] for what, wanted, verdict in recordings]
        parts += ["## Real recordings against the targets", table(["what", "target", "found", "met"], rows)]
    for group, members in groups.items():
        tools = by_tool(members)
        if group not in SIMULATED or len(tools) > 1:
            parts += [f"## {group}: side by side", _side_by_side(tools)]
        if group not in SIMULATED:
            continue
        for axis in AXES:
            if cells := metrics.by_axis(tools.get(OURS, ()), axis):
                parts += [f"## {group}, by {axis.replace('_', ' ')}", _cells(axis.replace("_", " "), cells)]
    return "\n\n".join(parts) + "\n"


def _met(verdict: Verdict) -> str:
    return {None: "", True: "yes", False: "**no**"}[verdict.met]


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, columns of equal width so that it reads well as text too."""
    lines = [list(heading), *(list(row) for row in rows)]
    widths = [max(3, *(len(line[k]) for line in lines)) for k in range(len(heading))]

    def text(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if not k else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = "|".join([f":{'-' * (widths[0] + 1)}", *(f"{'-' * (width + 1)}:" for width in widths[1:])])
    return "\n".join([text(lines[0]), f"|{rule}|", *(text(line) for line in lines[1:])])


def _side_by_side(tools: Mapping[str, Sequence[Outcome]]) -> str:
    """One row per tool."""
    heading = [
        "tool",
        "clips",
        "shown",
        "MAE",
        "RMSE",
        "within 3",
        "within 10",
        "octave",
        "conf. wrong",
        "interval",
        "shown without a pulse",
        "failed",
        "CPU s",
        "start-up CPU s",
        "peak MB",
    ]
    rows = []
    for tool, members in tools.items():
        shown, cost = metrics.pairs(members), _cost(members)
        without = [o for o in members if not o.truth.has_pulse]
        rows.append(
            [
                tool,
                str(len(members)),
                _percent(shown.coverage),
                _number(metrics.mean_absolute(shown.error)),
                _number(metrics.root_mean_square(shown.error)),
                _percent(shown.within(3.0)),
                _percent(shown.within(10.0)),
                str(metrics.octave_errors(shown)),
                _percent(metrics.confidently_wrong(shown)),
                _percent(metrics.interval_coverage(shown)),
                f"{sum(o.heart_rate.value is not None for o in without)}/{len(without)}" if without else "–",
                str(sum(o.failed is not None for o in members)),
                _number(cost.get("process_cpu_s", cost.get("cpu_s"))),
                _number(cost.get("startup_cpu_s")),
                _number(cost.get("peak_rss_mb"), 0),
            ]
        )
    return table(heading, rows)


def _cells(axis: str, cells: Mapping[str, Sequence[Outcome]]) -> str:
    """One row per level of an axis."""
    heading = [
        axis,
        "clips",
        "supported",
        "supported shown",
        "shown",
        "MAE",
        "RMSE",
        "within 3",
        "> 10",
        "octave",
        "interval",
        "live MAE",
        "breathing MAE",
        "RMSSD MAE",
        "SDNN MAE",
        "shown without a pulse",
    ]
    rows = []
    for level, members in cells.items():
        shown = metrics.pairs(members)
        owed = [o for o in members if o.supported]
        without = [o for o in members if not o.truth.has_pulse]
        rows.append(
            [
                level,
                str(len(members)),
                str(len(owed)),
                _percent(metrics.pairs(owed).coverage),
                _percent(shown.coverage),
                _number(metrics.mean_absolute(shown.error)),
                _number(metrics.root_mean_square(shown.error)),
                _percent(shown.within(3.0)),
                str(int((abs(shown.error) > metrics.FAR_OFF_PER_MIN).sum())) if shown.said.size else "–",
                str(metrics.octave_errors(shown)) if shown.said.size else "–",
                _percent(metrics.interval_coverage(shown)),
                _number(metrics.mean_absolute(metrics.live_errors(o for o in members if o.truth.has_pulse))),
                *(
                    _number(metrics.mean_absolute(metrics.pairs(members, vital).error))
                    for vital in (BREATHING, RMSSD, SDNN)
                ),
                f"{sum(o.heart_rate.value is not None for o in without)}/{len(without)}" if without else "–",
            ]
        )
    return table(heading, rows)


def _percent(found: metrics.Share) -> str:
    return "–" if found.share is None else f"{100 * found.share:.1f} %"


def _number(value: float | None, places: int = 2) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def write(run: Run, folder: Path) -> list[Path]:
    """results.json and tables.md in the folder. Raises EnvironmentFault where they cannot be written."""
    texts = {
        "results.json": json.dumps(to_json(run), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "tables.md": markdown(run),
    }
    written = []
    for name, text in texts.items():
        path = folder / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise EnvironmentFault(
                title=f"{name} could not be written ({error.strerror})",
                remedy="Free some space or choose another folder with --out.",
            ) from error
        written.append(path)
    return written
