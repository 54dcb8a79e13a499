"""What a scan says, in words: for every reason what was seen and what to do about it.

The tables hold English, marked for the translators; the functions return the person's language (client.language).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from client.language import Sentence, marked, said
from edge_models.types import Estimate, Reason

NOT_A_DEVICE = marked(
    "Not a medical device. It does not diagnose, and it does not replace a doctor or a measuring instrument."
)
SIMULATED = marked("SIMULATED - no person was measured")


@dataclass(frozen=True, slots=True)
class Words:
    """seen: a clause that can follow "because". remedy: one short sentence that asks for one thing. In English."""

    seen: str
    remedy: str


REASONS: Mapping[Reason, Words] = {
    Reason.NO_FACE: Words(
        marked("no face was seen"),
        marked("Let the camera see your whole face, with a light in front of you."),
    ),
    Reason.FACE_LEFT: Words(
        marked("the face left the picture"), marked("Come back into the picture and stay there.")
    ),
    Reason.TWO_FACES: Words(
        marked("there was more than one face"), marked("Only one person may be in the picture.")
    ),
    Reason.TOO_FAR: Words(
        marked("the face was too small in the picture"), marked("Come closer to the camera.")
    ),
    Reason.TOO_NEAR: Words(marked("the face was too near"), marked("Move back a little.")),
    Reason.OFF_CENTRE: Words(
        marked("the face was at the edge of the picture"), marked("Move to the middle of the picture.")
    ),
    Reason.TOO_DARK: Words(
        marked("it was too dark"), marked("Switch on a light in front of you, or turn towards a window.")
    ),
    Reason.TOO_BRIGHT: Words(
        marked("the face was too bright"), marked("Move away from the direct light, or dim it.")
    ),
    Reason.BACKLIT: Words(
        marked("the light came from behind"),
        marked("Turn round, so that the window or lamp is in front of you."),
    ),
    Reason.UNEVEN_LIGHT: Words(
        marked("one side of the face was much darker"),
        marked("Turn to the light, so that both sides of the face get it."),
    ),
    Reason.GLARE: Words(
        marked("the skin or the glasses shone"),
        marked("Dim or move the lamp that shines on the face, or dab the skin."),
    ),
    Reason.COVERED: Words(
        marked("something covered a part of the face"), marked("Take hand, mask or hair away from the face.")
    ),
    Reason.TILTED: Words(
        marked("the head was tilted"), marked("Hold your head upright, or turn the camera upright.")
    ),
    Reason.MOTION: Words(marked("there was too much movement"), marked("Hold your head still.")),
    Reason.TALKING: Words(marked("the mouth moved"), marked("Do not speak or chew for a moment.")),
    Reason.LIGHT_CHANGES: Words(
        marked("the light kept changing"),
        marked("Turn off screens or lamps that change; use one steady light."),
    ),
    Reason.EXPOSURE_DRIFT: Words(
        marked("the camera kept changing its exposure"),
        marked("Keep the light steady; switch the camera's automatic off."),
    ),
    Reason.FLICKER: Words(marked("the lamp flickers"), marked("Use daylight or another lamp.")),
    Reason.TOO_SHORT: Words(
        marked("there was too little usable signal"), marked("Measure for longer, at least half a minute.")
    ),
    Reason.TOO_FEW_FRAMES: Words(
        marked("too few pictures came"),
        marked("Close other programs, or use a camera with more frames per second."),
    ),
    Reason.LOW_FRAME_RATE: Words(
        marked("the camera gave too few pictures per second"),
        marked("Use more light (cameras slow down in the dark) or another camera."),
    ),
    Reason.FRAME_RATE_UNTRUSTED: Words(
        marked("the true frame rate of the recording is not known"),
        marked("Use a recording with true timestamps, or measure live."),
    ),
    Reason.SOURCE_STALLED: Words(
        marked("the pictures stopped coming"), marked("Check the cable or the network, then start again.")
    ),
    Reason.NO_PULSE: Words(
        marked("no pulse was seen in the skin"),
        marked("Use more and steadier light on the face, and hold still."),
    ),
    Reason.WEAK_PULSE: Words(
        marked("the pulse was too weak to be sure"), marked("Use more light on the face, and hold still.")
    ),
    Reason.NOT_FROM_SKIN: Words(
        marked("the signal does not come from living skin"),
        marked("Measure a person, not a picture; nothing may cover the face."),
    ),
    Reason.SOURCES_DISAGREE: Words(
        marked("two ways of measuring disagreed"), marked("Hold still, breathe calmly and measure again.")
    ),
    Reason.IMPLAUSIBLE: Words(
        marked("the number found cannot be right"), marked("Measure again; hold still in steady light.")
    ),
    Reason.TOO_FEW_BEATS: Words(
        marked("too few heartbeats were seen"), marked("Measure for longer, at least half a minute.")
    ),
    Reason.BEATS_UNCERTAIN: Words(
        marked("the single heartbeats were not sharp enough"),
        marked("Use more light on the face and hold quite still."),
    ),
    Reason.NO_BREATHING_SEEN: Words(
        marked("no breathing was seen"), marked("Let the chest be in the picture, and breathe calmly.")
    ),
}
"""Complete: a test asks for every Reason."""

VITALS: Mapping[str, str] = {
    "heart_rate": marked("Heart rate"),
    "respiratory_rate": marked("Breathing rate"),
    "rmssd": marked("Variability RMSSD"),
    "sdnn": marked("Variability SDNN"),
}

UNITS: Mapping[str, str] = {"/min": marked("/min"), "ms": marked("ms")}
"""Units of the vital signs, as the engine writes them."""


def vital_name(name: str) -> str:
    """How a vital sign is called in front of people; a new one by its own name."""
    return said(VITALS[name]) if name in VITALS else name.replace("_", " ").capitalize()


def number(estimate: Estimate) -> str | None:
    """Value and unit as people read them ("72 /min", "38 ms"), or None where the value is withheld."""
    if estimate.value is None:
        return None
    unit = UNITS.get(estimate.unit)
    return said("{value} {unit}", value=f"{estimate.value:.0f}", unit=said(unit) if unit else estimate.unit)


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
    return said("{low} to {high}", low=shown[0], high=shown[1])


NEEDS_S: Mapping[str, int] = {"heart_rate": 7, "respiratory_rate": 25, "rmssd": 60, "sdnn": 60}
"""Seconds of good signal without which a vital sign is never shown; a test holds it against the engine."""


_SHORT = (Reason.TOO_SHORT, Reason.TOO_FEW_FRAMES)


def lacks(name: str, estimate: Estimate) -> int | None:
    """How many seconds of good signal the vital sign needs, where it is withheld because there were fewer; else None."""
    needs_s = NEEDS_S.get(name)
    short = estimate.value is None and estimate.reasons[0] in _SHORT
    return needs_s if short and needs_s is not None and estimate.window_s < needs_s else None


def told_as(reason: Reason, name: str, estimate: Estimate) -> Reason:
    """The reason as it is to be worded for a withheld vital sign. In a second there are few pictures whatever the camera gives: of a
    scan that short it is told that it was too short, which can be helped.
    """
    few = reason is Reason.TOO_FEW_FRAMES and lacks(name, estimate) is not None
    return Reason.TOO_SHORT if few else reason


def remedy(reason: Reason, name: str, estimate: Estimate) -> str:
    """What to do about a reason for which a vital sign is withheld; of one that was too short, how long it takes."""
    needed_s = lacks(name, estimate)
    if reason is Reason.TOO_SHORT and needed_s is not None:
        return said("Measure for longer: {needed} s of good signal or more.", needed=needed_s)
    return said(REASONS[reason].remedy)


SURE = 0.95
"""Above this confidence a reason is no doubt any more."""


def is_remark(estimate: Estimate) -> bool:
    """Whether what stood in the way of a shown value is a remark only; else it makes the value less sure."""
    return estimate.confidence > SURE


def why_not(name: str, estimate: Estimate) -> str:
    """Why the value is withheld ("not shown: it was too dark"); the first reason is the one that counts."""
    needed_s = lacks(name, estimate)
    if needed_s is not None:
        return said(
            "not shown: it needs {needed} s of good signal, there were {found}",
            needed=needed_s,
            found=int(estimate.window_s),
        )
    return said("not shown: {why}", why=said(REASONS[estimate.reasons[0]].seen))


def gave_up(limit: Reason | None) -> Sentence:
    """Why a scan ended by itself before its time, and what to do. limit: what stood in the way most."""
    words = REASONS[limit or Reason.TOO_SHORT]
    return Sentence(
        marked("Ended early, because going on would not have helped: {why}. {remedy} Then start again."),
        {"why": Sentence(words.seen), "remedy": Sentence(words.remedy)},
    )


def saved_words(saved_reason: str | None) -> str:
    """One sentence about what was kept; None for a reason: it was saved. A reason of a newer version is named as it is."""
    if saved_reason is None:
        return said("Saved on this device.")
    why = _NOT_SAVED.get(saved_reason)
    return said("Not saved: {why}.", why=said(why) if why else saved_reason)


_NOT_SAVED: Mapping[str, str] = {
    "no_save": marked("you asked for that"),
    "simulated": marked("nobody was measured"),
    "nothing_shown": marked("there is no heart rate to keep"),
    "keyring_missing": marked("this system has no key store"),
    "keyring_locked": marked("the key store of this system is locked"),
    "keyring_failed": marked("the key store of this system fails"),
    "store_key_lost": marked("the key of the store is not on this system"),
    "store_wrong_key": marked("the store was locked with another key"),
    "store_damaged": marked("the store is damaged"),
    "store_newer": marked("a newer version has written the store"),
    "store_read_only": marked("the store may not be written to"),
    "store_busy": marked("another program is using the store"),
    "store_renewed": marked("the store was mended or renewed meanwhile"),
    "store_closed": marked("the store was closed meanwhile"),
    "document_damaged": marked("the file on the disk is damaged"),
    "store_missing": marked("the database of the store is missing"),
    "store_unavailable": marked("a library of the store is not installed"),
    "store_failed": marked("the store could not be read or written"),
    "disk_full": marked("the disk is full"),
}
"""Why a scan was not kept, by the code in its JSON."""
