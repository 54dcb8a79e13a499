"""What a scan says, in words: for every reason what was seen and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_models.types import Estimate, Reason

NOT_A_DEVICE = (
    "Not a medical device. It does not diagnose, and it does not replace a doctor or a measuring instrument."
)
SIMULATED = "SIMULATED - no person was measured"


@dataclass(frozen=True, slots=True)
class Words:
    """seen: a clause that can follow "because". remedy: one short sentence that asks for one thing."""

    seen: str
    remedy: str


REASONS: Mapping[Reason, Words] = {
    Reason.NO_FACE: Words(
        "no face was seen", "Let the camera see your whole face, with a light in front of you."
    ),
    Reason.FACE_LEFT: Words("the face left the picture", "Come back into the picture and stay there."),
    Reason.TWO_FACES: Words("there was more than one face", "Only one person may be in the picture."),
    Reason.TOO_FAR: Words("the face was too small in the picture", "Come closer to the camera."),
    Reason.TOO_NEAR: Words("the face was too near", "Move back a little."),
    Reason.OFF_CENTRE: Words("the face was at the edge of the picture", "Move to the middle of the picture."),
    Reason.TOO_DARK: Words("it was too dark", "Switch on a light in front of you, or turn towards a window."),
    Reason.TOO_BRIGHT: Words("the face was too bright", "Move away from the direct light, or dim it."),
    Reason.BACKLIT: Words(
        "the light came from behind", "Turn round, so that the window or lamp is in front of you."
    ),
    Reason.UNEVEN_LIGHT: Words(
        "one side of the face was much darker", "Turn to the light, so that both sides of the face get it."
    ),
    Reason.GLARE: Words(
        "the skin or the glasses shone", "Dim or move the lamp that shines on the face, or dab the skin."
    ),
    Reason.COVERED: Words(
        "something covered a part of the face", "Take hand, mask or hair away from the face."
    ),
    Reason.TILTED: Words("the head was tilted", "Hold your head upright, or turn the camera upright."),
    Reason.MOTION: Words("there was too much movement", "Hold your head still."),
    Reason.TALKING: Words("the mouth moved", "Do not speak or chew for a moment."),
    Reason.LIGHT_CHANGES: Words(
        "the light kept changing", "Turn off screens or lamps that change; use one steady light."
    ),
    Reason.EXPOSURE_DRIFT: Words(
        "the camera kept changing its exposure", "Keep the light steady; switch the camera's automatic off."
    ),
    Reason.FLICKER: Words("the lamp flickers", "Use daylight or another lamp."),
    Reason.TOO_SHORT: Words(
        "there was too little usable signal", "Measure for longer, at least half a minute."
    ),
    Reason.TOO_FEW_FRAMES: Words(
        "too few pictures came", "Close other programs, or use a camera with more frames per second."
    ),
    Reason.LOW_FRAME_RATE: Words(
        "the camera gave too few pictures per second",
        "Use more light (cameras slow down in the dark) or another camera.",
    ),
    Reason.FRAME_RATE_UNTRUSTED: Words(
        "the true frame rate of the recording is not known",
        "Use a recording with true timestamps, or measure live.",
    ),
    Reason.SOURCE_STALLED: Words(
        "the pictures stopped coming", "Check the cable or the network, then start again."
    ),
    Reason.NO_PULSE: Words(
        "no pulse was seen in the skin", "Use more and steadier light on the face, and hold still."
    ),
    Reason.WEAK_PULSE: Words(
        "the pulse was too weak to be sure", "Use more light on the face, and hold still."
    ),
    Reason.NOT_FROM_SKIN: Words(
        "the signal does not come from living skin",
        "Measure a person, not a picture; nothing may cover the face.",
    ),
    Reason.SOURCES_DISAGREE: Words(
        "two ways of measuring disagreed", "Hold still, breathe calmly and measure again."
    ),
    Reason.IMPLAUSIBLE: Words(
        "the number found cannot be right", "Measure again; hold still in steady light."
    ),
    Reason.TOO_FEW_BEATS: Words(
        "too few heartbeats were seen", "Measure for longer, at least half a minute."
    ),
    Reason.BEATS_UNCERTAIN: Words(
        "the single heartbeats were not sharp enough", "Use more light on the face and hold quite still."
    ),
    Reason.NO_BREATHING_SEEN: Words(
        "no breathing was seen", "Let the chest be in the picture, and breathe calmly."
    ),
}
"""Complete: a test asks for every Reason."""

VITALS: Mapping[str, str] = {
    "heart_rate": "Heart rate",
    "respiratory_rate": "Breathing rate",
    "rmssd": "Variability RMSSD",
    "sdnn": "Variability SDNN",
}


def vital_name(name: str) -> str:
    """How a vital sign is called in front of people; a new one by its own name."""
    return VITALS.get(name, name.replace("_", " ").capitalize())


def number(estimate: Estimate) -> str | None:
    """Value and unit as people read them ("72 /min", "38 ms"), or None where the value is withheld."""
    if estimate.value is None:
        return None
    return f"{estimate.value:.0f} {estimate.unit}"


def interval(estimate: Estimate) -> str | None:
    """The 95 % interval ("70 to 74"), or None where the value is withheld.

    With one decimal where whole numbers would hide that it has a width.
    """
    return interval_text(estimate.low, estimate.high)


def interval_text(low: float | None, high: float | None) -> str | None:
    """As `interval`, of its two numbers."""
    if low is None or high is None:
        return None
    shown = f"{low:.0f}", f"{high:.0f}"
    if shown[0] == shown[1]:
        shown = f"{low:.1f}", f"{high:.1f}"
    return f"{shown[0]} to {shown[1]}"


NEEDS_S: Mapping[str, int] = {"heart_rate": 7, "respiratory_rate": 25, "rmssd": 60, "sdnn": 60}
"""Seconds of good signal without which a vital sign is never shown; a test holds it against the engine."""


def why_not(name: str, estimate: Estimate) -> str:
    """Why the value is withheld ("not shown: it was too dark"); the first reason is the one that counts."""
    reason, needs_s = estimate.reasons[0], NEEDS_S.get(name)
    if reason is Reason.TOO_SHORT and needs_s is not None and estimate.window_s < needs_s:
        return (
            f"not shown: it needs {needs_s} s of good signal, there were {int(estimate.window_s)} "
            f"(measure longer: --seconds {needs_s + 10})"
        )
    return f"not shown: {REASONS[reason].seen}"


def gave_up(limit: Reason | None) -> str:
    """Why a scan ended by itself before its time, and what to do. limit: what stood in the way most."""
    words = REASONS[limit or Reason.TOO_SHORT]
    return (
        f"Ended early, because going on would not have helped: {words.seen}. {words.remedy} Then start again."
    )


def saved_words(saved_reason: str | None) -> str:
    """One sentence about what was kept; None for a reason: it was saved. A reason of a newer version is named as it is."""
    if saved_reason is None:
        return "Saved on this device."
    return f"Not saved: {_NOT_SAVED.get(saved_reason, saved_reason)}."


_NOT_SAVED: Mapping[str, str] = {
    "no_save": "you asked for that",
    "simulated": "nobody was measured",
    "nothing_shown": "there is no heart rate to keep",
    "keyring_missing": "this system has no key store",
    "keyring_locked": "the key store of this system is locked",
    "keyring_failed": "the key store of this system fails",
    "store_key_lost": "the key of the store is not on this system",
    "store_wrong_key": "the store was locked with another key",
    "store_damaged": "the store is damaged",
    "store_newer": "a newer version has written the store",
    "store_read_only": "the store may not be written to",
    "store_busy": "another program is using the store",
    "store_missing": "the database of the store is missing",
    "store_unavailable": "a library of the store is not installed",
    "store_failed": "the store could not be read or written",
    "disk_full": "the disk is full",
}
"""Why a scan was not kept, by the code in its JSON."""
