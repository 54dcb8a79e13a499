"""The words of the person's language. The source is English; the window gives a translator, a terminal none.

Sentences that are made where they are shown go through `said`. Those in a table, made before a language is known, are
`marked` there, and go through `said` where they are shown. Both names are known to `make translations`, which collects them
into `assets/i18n/*.ts`.
"""

from __future__ import annotations

from collections.abc import Callable

Translate = Callable[[str], str]


def _english(text: str) -> str:
    return text


_translate: Translate = _english


def said(text: str, /, **values: object) -> str:
    """The text in the person's language, with {name} replaced by each of `values`."""
    translated = _translate(text)
    if not values:
        return translated
    try:
        return translated.format(**values)
    except (
        KeyError,
        IndexError,
        ValueError,
    ):  # a translation with another place for a value: better English than none
        return text.format(**values)


def marked(text: str, /) -> str:
    """The text as it is; only marks it as one to translate."""
    return text


def use(translate: Translate | None) -> None:
    """From now on `said` asks this. None: English."""
    global _translate  # noqa: PLW0603 (one person, one language: as the locale of a process)
    _translate = translate or _english
