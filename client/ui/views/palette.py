"""The colours of the two themes, and the contrast between two colours (WCAG 2.1, "contrast ratio")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """Each colour as #rrggbb.

    window, surface: behind everything, and behind a card. raised: behind a button. text, muted: words, and those of less weight.
    accent: what is chosen or acts, with on_accent upon it. good, warning, danger: words of these meanings.
    notice: behind a message, whose words are in `text`. line: borders; control: borders of what can be used. pulse: the curves.
    """

    window: str
    surface: str
    raised: str
    text: str
    muted: str
    accent: str
    on_accent: str
    good: str
    warning: str
    danger: str
    notice: str
    line: str
    control: str
    pulse: str


LIGHT = Palette(
    window="#f4f6f8",
    surface="#ffffff",
    raised="#e7ecf1",
    text="#16202a",
    muted="#4a5763",
    accent="#0a5c8f",
    on_accent="#ffffff",
    good="#1b6e3c",
    warning="#8a4b00",
    danger="#a3121f",
    notice="#fff3d6",
    line="#d3dae1",
    control="#6f7d8a",
    pulse="#b01030",
)
DARK = Palette(
    window="#11161b",
    surface="#1a2128",
    raised="#28323c",
    text="#edf1f5",
    muted="#aab6c2",
    accent="#7cc4f2",
    on_accent="#08202f",
    good="#7fd8a0",
    warning="#ffc36b",
    danger="#ff9ca0",
    notice="#3a3018",
    line="#333e49",
    control="#8593a1",
    pulse="#ff7f95",
)
THEMES = {"light": LIGHT, "dark": DARK}

WORDS_ON: tuple[tuple[str, str], ...] = (
    *((words, behind) for words in ("text", "muted") for behind in ("window", "surface", "raised")),
    ("on_accent", "accent"),
    ("text", "notice"),
    *((words, behind) for words in ("good", "warning", "danger") for behind in ("window", "surface")),
    ("accent", "window"),
    ("accent", "surface"),
)
"""Which words stand on what: 4.5:1 at least (WCAG 2.1, 1.4.3)."""
SHAPES_ON: tuple[tuple[str, str], ...] = (
    ("control", "window"),
    ("control", "surface"),
    ("pulse", "surface"),
    ("accent", "raised"),
)
"""Which shapes that mean something stand on what: 3:1 at least (WCAG 2.1, 1.4.11)."""


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (#rrggbb), 1 to 21: (lighter + 0.05) / (darker + 0.05) in relative luminance."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB, 0 to 1."""
    parts = (int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
