"""The small fixed part that runs on every change, beside the committed table of what it gave before.

A cell is one condition of one group. Other processors round differently, so that a clip at the edge may go either way;
a cell is worse only beyond these tolerances: two clips fewer shown than before (of fewer than four clips: one); a mean
absolute error of heart rate or breathing more than 0.5 /min greater; any one clip more that is off by more than 10 /min,
or that shows a heart rate without a pulse, or whose measuring fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from client.errors import EnvironmentFault
from client.evaluation import metrics
from client.evaluation.outcomes import BREATHING, OURS, Outcome
from client.evaluation.peers import ROOT
from client.evaluation.report import Run

SCHEMA = "health-helper/bench-ci/1"
TABLE = ROOT / "assets" / "benchmark" / "ci.json"
ERROR_TOLERANCE_PER_MIN = 0.5
_AXIS = "condition"
_UNKNOWN = "all"


def cells(run: Run) -> dict[str, dict[str, Any]]:
    """What is compared, by "group/condition"."""
    members: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        if outcome.tool == OURS:
            members.setdefault(f"{outcome.group}/{outcome.axes.get(_AXIS, _UNKNOWN)}", []).append(outcome)
    return {name: _cell(outcomes) for name, outcomes in sorted(members.items())}


def _cell(outcomes: list[Outcome]) -> dict[str, Any]:
    shown, breathing = metrics.pairs(outcomes), metrics.pairs(outcomes, BREATHING)
    return {
        "clips": len(outcomes),
        "with_pulse": shown.owed,
        "shown": shown.said.size,
        "heart_rate_mae": _rounded(metrics.mean_absolute(shown.error)),
        "off_by_more_than_10": int((abs(shown.error) > metrics.FAR_OFF_PER_MIN).sum()),
        "breathing_mae": _rounded(metrics.mean_absolute(breathing.error)),
        "shown_without_pulse": sum(o.heart_rate.value is not None for o in outcomes if not o.truth.has_pulse),
        "failed": sum(o.failed is not None for o in outcomes),
    }


def accept(run: Run) -> None:
    """Write the table anew."""
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, "cells": cells(run)}, indent=1, ensure_ascii=False) + "\n"
    TABLE.write_text(text, encoding="utf-8")


def compare(run: Run) -> list[str]:
    """A sentence for everything that is worse than in the committed table.

    Raises EnvironmentFault where there is no table, or one of another form.
    """
    try:
        said = json.loads(TABLE.read_text(encoding="utf-8"))
        before: Mapping[str, Mapping[str, Any]] = said["cells"] if said["schema"] == SCHEMA else {}
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentFault(
            title=f"There is no table to compare with (assets/benchmark/{TABLE.name})",
            remedy="Run 'health-helper bench --grid ci --accept' in a checkout of the source.",
        ) from error
    now = cells(run)
    worse = [f"{name}: this cell is no longer measured" for name in before if name not in now]
    for name, cell in now.items():
        if name in before:
            worse += [f"{name}: {what}" for what in _worse(before[name], cell)]
    return worse


def _worse(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    spare = 1 if before["with_pulse"] >= 4 else 0
    if now["shown"] < before["shown"] - spare:
        found.append(f"{now['shown']} of {now['with_pulse']} shown, before {before['shown']}")
    for field, what in (("heart_rate_mae", "heart rate"), ("breathing_mae", "breathing")):
        if before[field] is not None and now[field] is not None:
            if now[field] > before[field] + ERROR_TOLERANCE_PER_MIN:
                found.append(
                    f"mean absolute error of {what} {now[field]:.2f} /min, before {before[field]:.2f}"
                )
    for field, what in (
        ("off_by_more_than_10", "off by more than 10 /min"),
        ("shown_without_pulse", "with a heart rate but without a pulse"),
        ("failed", "failed"),
    ):
        if now[field] > before[field]:
            found.append(f"{now[field]} {what}, before {before[field]}")
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
