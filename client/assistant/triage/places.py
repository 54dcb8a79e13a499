"""Which number is called where. The place is never guessed from a language: a wrong number is worse than none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

NUMBERS_FILE = "emergency_numbers.toml"
_COUNTRY = re.compile(r"[A-Z]{2}")
_SENTENCE = re.compile(
    r"[^.!?\u3002\u0964\u061f]*\{crisis\}[^.!?\u3002\u0964\u061f]*[.!?\u3002\u0964\u061f]*"
)


@dataclass(frozen=True, slots=True)
class Place:
    """country: ISO 3166-1, two capitals. number: for an ambulance. crisis: a line for thoughts of suicide, as it is dialled or written."""

    country: str
    number: str
    crisis: str | None = None


class Places:
    """The numbers of all countries that we know them of."""

    def __init__(self, content: bytes) -> None:
        raw = tomllib.loads(content.decode("utf-8"))
        crisis = raw["crisis"]
        self._all = {code: Place(code, number, crisis.get(code)) for code, number in raw["emergency"].items()}

    def of(self, country: str | None, regions: Iterable[str | None]) -> Place | None:
        """country: as whoever manages this computer has set it. regions: what the system says of where it is, or None; used where they
        agree on the number. None where that is not known.
        """
        if country is not None:
            return self._all.get(country)
        named = [
            self._all.get(region) for region in regions if region is not None and _COUNTRY.fullmatch(region)
        ]
        if not named or any(
            place is None or place.number != named[0].number for place in named if named[0] is not None
        ):
            return None
        return named[0]


def region_of(locale_name: str | None) -> str | None:
    """The country in a locale's name: "pt_BR.UTF-8" and "pt-BR" BR, "zh_Hant_TW" TW, "C", "de" and nothing None."""
    pieces = re.split(r"[-_]", re.split(r"[.@]", locale_name or "")[0])
    return next((piece for piece in pieces[1:] if _COUNTRY.fullmatch(piece)), None)


def filled(text: str, place: Place | None, local_number: str) -> str:
    """The text with the place's numbers. Where there is no crisis line the sentence with it is left out."""
    crisis = None if place is None else place.crisis
    whole = text if crisis else _SENTENCE.sub("", text)
    return (
        whole.replace("{crisis}", crisis or "")
        .replace("{number}", local_number if place is None else place.number)
        .strip()
    )
