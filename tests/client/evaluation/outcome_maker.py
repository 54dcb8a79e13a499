"""Outcomes made by hand: plain but for what a test names."""

from __future__ import annotations

from client.evaluation.outcomes import OURS, Outcome, Reading, Truth


def outcome(
    said: float | None,
    true: float | None,
    *,
    half: float | None = 2.0,
    confidence: float | None = 0.95,
    case: str = "clip",
    group: str = "traces",
    tool: str = OURS,
    **more: object,
) -> Outcome:
    """A heart rate ± half beside the true one; true None: nobody alive is there."""
    low, high = (None, None) if said is None or half is None else (said - half, said + half)
    fields: dict[str, object] = {
        "duration_s": 40.0,
        "axes": {},
        "truth": Truth(has_pulse=true is not None, heart_rate=true),
        "vitals": {"heart_rate": Reading(said, low, high, confidence)},
        **more,
    }
    return Outcome(case=case, group=group, tool=tool, **fields)  # type: ignore[arg-type]
