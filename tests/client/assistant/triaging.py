"""A triage with few rules of the tests' own, the same for every language, so that the assistant's tests depend on no real rule."""

from __future__ import annotations

from functools import cache

from client.assistant.triage import Level, Place, Readings, Triage, Verdict

PLACE = Place("DE", "112", "116 123")


class SmallTriage(Triage):
    """The words "chest" and "pain" together: an emergency. "feverish": urgent. Words before a "not" count none the less."""

    def __init__(self) -> None:
        """Reads nothing."""

    def prepare(self) -> None:
        """There is nothing to read."""

    def judge(self, text: str, language: str) -> Verdict:
        plain = text.lower()
        if "chest" in plain and "pain" in plain:
            return Verdict(Level.EMERGENCY, "chest_pain", language)
        if "feverish" in plain:
            return Verdict(Level.URGENT, "sepsis", language)
        return Verdict(Level.NONE, None, language)

    def judge_with_vitals(self, text: str, language: str, readings: Readings) -> Verdict:
        if readings.heart_rate is not None and readings.heart_rate >= 131 and "dizzy" in text:
            return Verdict(Level.EMERGENCY, "vitals", language)
        return self.judge(text, language)

    def say(self, verdict: Verdict, language: str, place: Place | None = None) -> str:
        if verdict.level is Level.NONE:
            return ""
        return (
            f"Call {'for help' if place is None else place.number}."
            if verdict.level is Level.EMERGENCY
            else "See a doctor today."
        )

    def call_staff(self, language: str) -> str:
        return f"Call staff ({language})"


@cache
def small_triage() -> Triage:
    """The same for all: it holds nothing."""
    return SmallTriage()
