"""The words of the person's language. The source is English; the window gives a translator, a terminal none.

Sentences that are made where they are shown go through `said`. Those in a table, made before a language is known, are
`marked` there, and go through `said` where they are shown. Both names are known to `make translations`, which collects them
into `assets/i18n/*.ts`. What is kept and shown later, perhaps in another language, is a `Sentence`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Sentence:
    """Language-free until it is shown: `str` of it is in the language of that moment.

    text: English, marked. values: by the names in it, as they are to be read; one can be a sentence itself.
    """

    text: str
    values: Mapping[str, str | int | Sentence] = field(default_factory=dict)

    def __str__(self) -> str:
        return said(self.text, **self.values)

    @property
    def english(self) -> str:
        """Its source."""
        if not self.values:
            return self.text
        plain = {
            name: value.english if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return self.text.format(**plain)


def listing(parts: Iterable[str], /) -> str:
    """The parts one after another ("a, b, c"), with the comma of the person's language; "" for none."""
    whole = ""
    for part in parts:
        whole = said("{one}, {other}", one=whole, other=part) if whole else part
    return whole


def use(translate: Translate | None) -> None:
    """From now on `said` asks this. None: English."""
    global _translate  # noqa: PLW0603 (one person, one language: as the locale of a process)
    _translate = translate or _english
