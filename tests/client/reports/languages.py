"""Languages that nobody speaks, to see what is translated and whether there is room for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from client import language


@pytest.fixture
def in_language() -> Iterator[None]:
    """Every translated text stands in «quotes»."""
    language.use(lambda text: f"«{text}»")
    yield
    language.use(None)


@pytest.fixture
def in_a_long_language() -> Iterator[None]:
    """Every translated text is two fifths longer, in words of usual length."""
    language.use(lambda text: f"{text} {('larga palabra ' * 20)[: round(0.4 * len(text)) - 1]}".rstrip())
    yield
    language.use(None)


ARABIC = {
    "Heart rate": "معدل النبض",
    "Variability RMSSD": "RMSSD تغير",
    "Vital signs": "العلامات الحيوية",
    "Result of a scan, {when}": "نتيجة فحص، {when}",
    "Source: {source}": "المصدر: {source}",
    "{value} {unit}": "{value} {unit}",
    "/min": "في الدقيقة",
    "In an emergency call for help, whatever this says.": "في حالة الطوارئ اطلب المساعدة، مهما قال هذا التقرير.",
}


@pytest.fixture
def in_arabic() -> Iterator[None]:
    """A few words of it; the rest stays English, as where a translation is not finished."""
    language.use(lambda text: ARABIC.get(text, text))
    yield
    language.use(None)
