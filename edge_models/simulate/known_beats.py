"""What known beats say: rate, SDNN and RMSSD by the published formulas, the same for every simulated heart."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from edge_models.types import FloatArray


class KnownBeats(ABC):
    """A heart whose beats are known. Methods raise ValueError where there is no pulse or too few beats."""

    __slots__ = ()

    @abstractmethod
    def peaks_and_end_s(self) -> tuple[FloatArray, float]:
        """(systolic peaks of all beats [shape=(k,)], also beyond the recording's ends; when the person leaves), seconds."""

    @property
    def beats_s(self) -> FloatArray:
        """Systolic peaks within the recording and while the person is there [shape=(m,)], seconds."""
        return self.beats_between(0.0, None)

    def beats_between(self, start_s: float, stop_s: float | None) -> FloatArray:
        """Systolic peaks in [start_s, stop_s], seconds; stop_s None: until the person leaves."""
        peaks_s, end_s = self.peaks_and_end_s()
        stop = end_s if stop_s is None else stop_s
        return np.asarray(peaks_s[(peaks_s >= start_s) & (peaks_s <= stop)])

    @property
    def early_s(self) -> FloatArray:
        """Systolic peaks of premature beats [shape=(e,)], seconds; they are among those of `peaks_and_end_s`."""
        return np.zeros(0)

    def _normal_runs(self, start_s: float, stop_s: float | None) -> list[FloatArray]:
        """Intervals between two normal beats ("NN", Task Force 1996), an array per run without a premature beat."""
        beats_s = self.beats_between(start_s, stop_s)
        early = np.isin(beats_s, self.early_s)
        runs = np.split(np.arange(beats_s.size), np.flatnonzero(early))
        found = [np.diff(beats_s[run[~early[run]]]) for run in runs]
        if sum(intervals.size for intervals in found) < 2:
            raise ValueError(f"fewer than 2 normal intervals between {start_s} and {stop_s} s")
        return found

    def _intervals(self, start_s: float, stop_s: float | None, least: int) -> FloatArray:
        intervals = np.diff(self.beats_between(start_s, stop_s))
        if intervals.size < least:
            raise ValueError(f"{intervals.size} intervals between {start_s} and {stop_s} s, {least} needed")
        return intervals

    def mean_heart_rate(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """60 / mean interval of the beats from start_s to stop_s (default: all), /min."""
        return float(60 / self._intervals(start_s, stop_s, 1).mean())

    def sdnn_ms(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Standard deviation (n - 1) of the intervals between normal beats, ms (Task Force 1996)."""
        return float(1000 * np.concatenate(self._normal_runs(start_s, stop_s)).std(ddof=1))

    def rmssd_ms(self, start_s: float = 0.0, stop_s: float | None = None) -> float:
        """Root mean square of successive differences of the intervals between normal beats, ms (Task Force 1996)."""
        differences = np.concatenate([np.diff(run) for run in self._normal_runs(start_s, stop_s)])
        if not differences.size:
            raise ValueError(f"no two normal intervals in turn between {start_s} and {stop_s} s")
        return float(1000 * np.sqrt(np.mean(differences**2)))

    def heart_rate(self, t_s: FloatArray) -> FloatArray:
        """60 / the interval in which each t_s [shape=(n,)] lies, /min."""
        peaks_s, _ = self.peaks_and_end_s()
        if peaks_s.size < 2:
            raise ValueError("no heart beats here")
        index = np.clip(np.searchsorted(peaks_s, t_s, side="right") - 1, 0, peaks_s.size - 2)
        return np.asarray(60 / np.diff(peaks_s)[index])
