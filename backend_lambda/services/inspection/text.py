"""Text as people see it."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}
_KEPT = {"\n", "\t", "\u200c", "\u200d"}
"""Line ends, and the joiners without which Persian and Hindi are misspelt."""
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def cleaned(text: str) -> str:
    """Without what nobody sees: control and format characters, among them those that turn text round or hide it, and selectors.

    What a person cannot see a model should not read. How letters are drawn is not known here (see `pdf_seen`).
    """
    text = _SELECTORS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))
    return "".join(
        letter for letter in text if letter in _KEPT or unicodedata.category(letter) not in _UNSEEN
    ).strip()
