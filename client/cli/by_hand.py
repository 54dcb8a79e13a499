"""What a command says that ends: nothing is tried again by itself then."""

from __future__ import annotations

_INSTEAD = (
    ("It is tried again by itself", "{again}"),
    ("What waits is sent by itself then.", "{again} then."),
    ("What is measured is kept, and sent by itself then.", "What is measured is kept. {again} then."),
    ("What was kept is safe, and is sent by itself then.", "What was kept is safe. {again} then."),
)
"""In English, as the terminal is."""


def by_hand(remedy: str, again: str = "Run this command again") -> str:
    """A remedy of something that the window tries again by itself, for whoever has to do it. again: how, without a full stop."""
    for words, instead in _INSTEAD:
        remedy = remedy.replace(words, instead.format(again=again))
    return remedy
