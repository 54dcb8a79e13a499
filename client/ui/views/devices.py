"""Devices to choose from, which come and go."""

from __future__ import annotations

from collections.abc import Sequence

from client.language import said
from client.parts import CameraEntry, MicrophoneEntry, VoiceEntry


def choices(
    unchosen: str, found: Sequence[CameraEntry] | Sequence[MicrophoneEntry] | Sequence[VoiceEntry], kept: str
) -> list[tuple[str, str]]:
    """Words and id of each: what is taken where nobody chose, what was found, and the one that was chosen where it is not there now."""
    rows = [(unchosen, ""), *((one.name, one.id) for one in found)]
    if kept and kept not in {one.id for one in found}:
        rows.append((said("{name} (not there now)", name=kept.partition(": ")[2] or kept), kept))
    return rows
