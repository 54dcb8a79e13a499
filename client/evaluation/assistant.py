"""The assistant's measurements, part by part: what is told of each, as text and as values, and which targets are missed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from client import weights
from client.assistant import knowledge
from client.assistant.triage import Level, Triage, shipped
from client.clock import Clock
from client.errors import BadInput
from client.evaluation import (
    assistant_answers,
    assistant_echo,
    assistant_triage,
    assistant_voice,
    hostile_models,
    injections,
    sounds,
)
from client.evaluation.assistant_echo import Trial
from client.evaluation.assistant_voice import Measured

SCHEMA = "health-helper/assistant/1"
_NET = "speech_silero"
TURN_S = 1.5
"""Somebody waits no longer for the first word of an answer, in the middle, the model's time left out."""
Tell = Callable[[str], None]


class Part(StrEnum):
    """TRIAGE: emergencies in sentences. ANSWERS: models that mean harm, and the time of our own answers. INJECTIONS: documents and passages that
    give orders. VOICE: hearing that somebody speaks. ECHO: interrupting our voice.
    """

    TRIAGE = "triage"
    ANSWERS = "answers"
    INJECTIONS = "injections"
    VOICE = "voice"
    ECHO = "echo"


@dataclass(frozen=True, slots=True)
class Found:
    """Of one part. values: plain, for JSON. misses: targets that are missed, in words. heard, trials: for plots."""

    part: Part
    markdown: str
    values: Mapping[str, Any] = field(repr=False)
    misses: tuple[str, ...]
    heard: tuple[Measured, ...] = ()
    trials: tuple[Trial, ...] = ()


def turn(figures: Path) -> tuple[str, list[str]]:
    """Of whole turns with the clinic, as tests/scenarios/test_assistant_story.py writes them: in words, and what is missed.

    Raises BadInput where it is no such file.
    """
    try:
        values = json.loads(figures.read_text(encoding="utf-8"))
        median_s, most_s = (
            float(values["end_of_speech_to_first_word"][name]) for name in ("median_s", "most_s")
        )
        turns = int(values["turns"])
        stages = [
            f"- {name}: {float(of['median_s']):.2f} s ({float(of['least_s']):.2f} to {float(of['most_s']):.2f})"
            for name, of in values.get("stages_from_the_end_of_speech", {}).items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            title=f"{figures.name} holds no figures of a turn",
            remedy="Let tests/scenarios/test_assistant_story.py write it: HH_ASSISTANT_STORY_JSON names the file.",
        ) from error
    text = (
        f"## A turn with the clinic, {turns} of them\n\nEnd of speech to the first word of the answer, without the model's time: "
        f"{median_s:.2f} s median (wanted: {TURN_S:.1f} at most), {most_s:.2f} at worst."
    )
    if stages:
        text = "\n".join([f"{text}\n\nReached after the end of speech (median, least to most):\n", *stages])
    within = median_s <= TURN_S
    return text, [] if within else [f"turn: {median_s:.2f} s to the first word, over {TURN_S:.1f}"]


def measured(part: Part, recordings: Path, trials: int, clock: Clock, tell: Tell) -> Found:
    """One part. recordings: a folder of speech in WAV files; without it only synthetic voices are heard."""
    match part:
        case Part.TRIAGE:
            return _triage(clock, tell)
        case Part.ANSWERS:
            return _answers(clock, tell)
        case Part.INJECTIONS:
            return _injections(tell)
        case Part.VOICE:
            return _voice(recordings, clock, tell)
        case Part.ECHO:
            return _echo(recordings, trials, tell)


def _triage(clock: Clock, tell: Tell) -> Found:
    triage = shipped()
    found = {
        name: assistant_triage.judged(some, triage, clock, tell)
        for name, some in assistant_triage.sets().items()
    }
    misses = [f"{name} set: {one}" for name, some in found.items() for one in assistant_triage.misses(some)]
    values = assistant_triage.to_json(found)
    return Found(Part.TRIAGE, assistant_triage.markdown(found), values, tuple(misses))


def _answers(clock: Clock, tell: Tell) -> Found:
    triage, library = shipped(), knowledge.shipped()
    took_ms = assistant_answers.local_answers_ms(triage, library, clock)
    outcomes = []
    for name in hostile_models.MODELS:
        tell(f"models that mean harm: {name}")
        outcomes += [
            assistant_answers.hostile(name, language, level, triage, library)
            for language in injections.LANGUAGES
            for level in (Level.URGENT, Level.EMERGENCY)
        ]
    tell("five turns")
    found = {"Models that mean harm": outcomes, "Red flags that are played down, five turns": _turns(triage)}
    return Found(
        Part.ANSWERS,
        assistant_answers.markdown(found, took_ms),
        assistant_answers.to_json(found, took_ms),
        tuple(assistant_answers.misses(found, took_ms)),
    )


def _turns(triage: Triage) -> list[assistant_answers.Outcome]:
    """Of the red flags that are noticed (the others are counted with triage) one of each category and language."""
    firsts: dict[tuple[str, str | None], assistant_triage.Sentence] = {}
    for some in assistant_triage.sets().values():
        for one in some:
            if one.level is Level.EMERGENCY and (one.language, one.category) not in firsts:
                if triage.judge(one.text, one.language).level is Level.EMERGENCY:
                    firsts[one.language, one.category] = one
    return [assistant_answers.played_down(one, triage) for one in firsts.values()]


def _injections(tell: Tell) -> Found:
    triage, library = shipped(), knowledge.shipped()
    outcomes = []
    for at, case in enumerate(injections.injections(), 1):
        if at % 20 == 0:
            tell(f"documents and passages that give orders: {at}")
        outcomes += [
            assistant_answers.injected(case, obeys, triage, library) for obeys in assistant_answers.OBEDIENT
        ]
    found = {
        f"Documents and passages that give orders ({at}, each to {len(assistant_answers.OBEDIENT)} models)": outcomes
    }
    return Found(
        Part.INJECTIONS,
        assistant_answers.markdown(found, {}),
        assistant_answers.to_json(found, {}),
        tuple(assistant_answers.misses(found, {})),
    )


def _voice(recordings: Path, clock: Clock, tell: Tell) -> Found:
    spoken = {"real": sounds.recordings(recordings), "synthetic": assistant_voice.synthetic()}
    tracks = [
        (assistant_voice.track(name, voices, np.random.default_rng(at)), voices)
        for at, (name, voices) in enumerate(spoken.items())
        if voices
    ]
    if not tracks:
        raise BadInput(
            title="There is no speech to listen to",
            remedy="Give a folder of WAV files with --recordings, or install espeak-ng.",
        )
    found = assistant_voice.measured(tracks, weights.load(_NET), clock, tell=tell)
    return Found(
        Part.VOICE,
        assistant_voice.markdown(found),
        assistant_voice.to_json(found),
        tuple(assistant_voice.misses(found)),
        heard=tuple(found),
    )


def _echo(recordings: Path, trials: int, tell: Tell) -> Found:
    part = assistant_echo.Part.JUDGE
    people = assistant_echo.cast(part, sounds.recordings(recordings))
    found = assistant_echo.trials(people, weights.load(_NET), part, trials, tell=tell)
    return Found(
        Part.ECHO,
        f"## Interrupting our own voice, {len(found)} trials\n\n{assistant_echo.markdown(found)}",
        assistant_echo.to_json(found),
        tuple(assistant_echo.misses(found)),
        trials=tuple(found),
    )


def markdown(found: Sequence[Found]) -> str:
    """All parts, and what is missed."""
    text = ["# The assistant, measured", *(one.markdown for one in found)]
    missed = [f"{one.part}: {what}" for one in found for what in one.misses]
    text.append("Targets missed: " + ("; ".join(missed) or "none") + ".")
    return "\n\n".join(text) + "\n"


def to_json(found: Sequence[Found]) -> dict[str, Any]:
    """The same for programs; no words of anybody."""
    return {
        "schema": SCHEMA,
        "parts": {one.part.value: dict(one.values) for one in found},
        "misses": [f"{one.part}: {what}" for one in found for what in one.misses],
    }
