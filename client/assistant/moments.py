"""Dates and times in a text that are those of a measurement: their numbers say when, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from client.assistant.phrases import Phrases, folded

_TIME = re.compile(
    r"(?<![0-9.,:])([0-9]{1,2})\s?(?::|h|\u65f6|\u70b9|\uff1a)\s?([0-9]{2})(?::([0-9]{2}))?(?:\s?\u5206)?(\s?[ap]\.?m\b\.?)?(?![0-9:%])",
    re.IGNORECASE,
)
_ISO = re.compile(r"(?<![0-9.,-])([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?![0-9])")
_WRITTEN = re.compile(r"(?<![0-9.,/-])([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4}|[0-9]{2})(?![0-9])")
_CHINESE = re.compile(r"(?:([0-9]{4})\s?\u5e74\s?)?([0-9]{1,2})\s?\u6708\s?([0-9]{1,2})\s?[\u65e5\u53f7]")
_DAY = r"([0-9]{1,2})(?:\.|st|nd|rd|th|er|\u00ba)?"
_YEAR = r"(?:,?\s+(?:de\s+|del\s+)?([0-9]{4}))?"


class Moments:
    """Of the evidence, in their own time zones and in UTC."""

    def __init__(self, taken_at: Iterable[datetime], phrases: Phrases) -> None:
        moments = [one for at in taken_at for one in (at, at.astimezone(UTC))]
        self._dates = {(at.year, at.month, at.day) for at in moments}
        self._days = {(at.month, at.day) for at in moments}
        self._times = {(at.hour, at.minute) for at in moments}
        self._seconds = {at.second for at in moments}
        self._months = phrases.months
        self._day_first = re.compile(rf"(?<![0-9.,]){_DAY}\s+(?:de\s+)?([^\s\d.,;:()]+\.?){_YEAR}(?![0-9])")
        self._month_first = re.compile(rf"([^\s\d.,;:()]+\.?)\s+{_DAY}{_YEAR}(?![0-9])")

    def without(self, plain: str) -> str:
        """plain: of numbers.with_digits. Those of the evidence are blanked, all others stay."""
        text = _ISO.sub(lambda one: self._blank(one[0], one[1], one[2], one[3]), plain)
        text = _WRITTEN.sub(self._written, text)
        text = _CHINESE.sub(lambda one: self._blank(one[0], one[1], one[2], one[3]), text)
        text = self._day_first.sub(lambda one: self._named(one[0], one[1], one[2], one[3]), text)
        text = self._month_first.sub(lambda one: self._named(one[0], one[2], one[1], one[3]), text)
        return _TIME.sub(self._timed, text)

    def _blank(self, whole: str, year: str | None, month: str | int, day: str) -> str:
        known = (
            (int(month), int(day)) in self._days
            if year is None
            else (int(year), int(month), int(day)) in self._dates
        )
        return " " * len(whole) if known else whole

    def _written(self, one: re.Match[str]) -> str:
        year = one[3] if len(one[3]) == 4 else f"20{one[3]}"
        text = self._blank(one[0], year, one[2], one[1])
        return self._blank(one[0], year, one[1], one[2]) if text.strip() else text

    def _named(self, whole: str, day: str, name: str, year: str | None) -> str:
        month = self._months.get(folded(name.rstrip(".")).strip())
        return whole if month is None else self._blank(whole, year, month, day)

    def _timed(self, one: re.Match[str]) -> str:
        hour, minute = int(one[1]), int(one[2])
        half = (one[4] or "").strip().lower()[:1]
        hours = {hour % 12 + 12 if half == "p" else hour % 12} if half else {hour}
        known = any((one_hour, minute) in self._times for one_hour in hours)
        if one[3] is not None:
            known = known and int(one[3]) in self._seconds
        return " " * len(one[0]) if known else one[0]
