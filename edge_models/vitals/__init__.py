"""The vital signs that a scan reports, in the order in which they are shown. Adding one: a module and a line."""

from __future__ import annotations

from edge_models.vitals import heart_rate, pulse_rate_variability, respiratory_rate
from edge_models.vitals.spec import Signals, VitalSpec

VITALS: tuple[VitalSpec, ...] = (
    heart_rate.SPEC,
    respiratory_rate.SPEC,
    pulse_rate_variability.RMSSD,
    pulse_rate_variability.SDNN,
)

__all__ = ["VITALS", "Signals", "VitalSpec"]
