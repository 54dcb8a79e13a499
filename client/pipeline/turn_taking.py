"""Whose turn it is: how long somebody may be silent before they are answered, which words stop our voice, and what is only our own echo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from client.assistant.phrases import folded

AFTER_STATEMENT_S = 0.7
AFTER_OUR_QUESTION_S = 1.6
"""Whoever was asked something thinks before they answer, and while they do."""
WITH_ROOM_S = 6.0
"""Who has asked for it."""
OWN_WORDS = 0.8
"""An utterance of which so much is what we said just before is our own voice."""
_FEWEST_WORDS = 3
_QUESTION_MARKS = ("?", "？", "؟")

STOP: Mapping[str, tuple[str, ...]] = {
    "en": ("stop", "stop it", "stop talking", "be quiet", "quiet", "shut up", "enough"),
    "es": ("para", "pare", "basta", "alto", "cállate", "cállese", "silencio", "stop"),
    "fr": ("stop", "arrête", "arrêtez", "assez", "silence", "tais-toi", "taisez-vous", "ça suffit"),
    "de": ("stopp", "stop", "halt", "aufhören", "ruhe", "genug", "sei still"),
    "pt": ("para", "pare", "chega", "basta", "silêncio", "cala-te", "stop"),
    "zh": ("停", "停下", "停止", "别说了", "安静", "够了"),
    "hi": ("रुको", "रुकिए", "बस", "बस करो", "बंद करो", "चुप", "स्टॉप"),
    "ar": ("توقف", "توقفي", "قف", "كفى", "اسكت", "اصمت", "ستوب"),
}
"""Said alone, they always stop our voice."""
ROOM: Mapping[str, tuple[str, ...]] = {
    "en": (
        "wait",
        "wait a moment",
        "one moment",
        "just a moment",
        "let me think",
        "hold on",
        "give me a second",
        "give me a moment",
    ),
    "es": ("espera", "espere", "un momento", "déjame pensar", "déjeme pensar", "un segundo"),
    "fr": (
        "attends",
        "attendez",
        "un moment",
        "un instant",
        "laisse-moi réfléchir",
        "laissez-moi réfléchir",
        "une seconde",
    ),
    "de": (
        "warte",
        "warten sie",
        "moment",
        "einen moment",
        "lass mich überlegen",
        "lassen sie mich überlegen",
        "sekunde",
    ),
    "pt": ("espera", "espere", "um momento", "deixa-me pensar", "deixe-me pensar", "um segundo"),
    "zh": ("等一下", "等等", "稍等", "让我想想", "我想一下"),
    "hi": ("रुकिए ज़रा", "एक मिनट", "एक क्षण", "मुझे सोचने दो", "मुझे सोचने दीजिए", "ठहरिए"),
    "ar": ("انتظر", "انتظري", "لحظة", "لحظة من فضلك", "دعني أفكر", "دعيني أفكر"),
}
"""Whoever ends with one of them wants more time."""


def _base(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].lower()


def words(text: str) -> list[str]:
    """As they are compared: without case, accents and punctuation."""
    return [one for one in folded(text).split() if one not in {".", ","}]


def _phrases(table: Mapping[str, tuple[str, ...]], language: str) -> list[list[str]]:
    own = table.get(_base(language), ())
    english = table["en"] if _base(language) != "en" else ()
    return [words(one) for one in (*own, *english)]


def is_stop(text: str, language: str) -> bool:
    """Whether it is nothing but a word that stops, said once or again and again; in English, too."""
    said = words(text)
    stops = sorted(_phrases(STOP, language), key=len, reverse=True)
    if not said or len(said) > 12:
        return False
    while said:
        found = next((one for one in stops if one and said[: len(one)] == one), None)
        if found is None:
            return False
        said = said[len(found) :]
    return True


def asks_for_room(text: str, language: str) -> bool:
    """Whether its last words ask to be given time."""
    said = words(text)
    return any(one and said[-len(one) :] == one for one in _phrases(ROOM, language))


def is_only_room(text: str, language: str) -> bool:
    """Whether it asks for time, and nothing else."""
    return words(text) in _phrases(ROOM, language)


def is_question(text: str) -> bool:
    """Whether a text of ours ends with one."""
    return re.sub(r"[\s\]\)\"'\u00bb\u201d]+$|\s*\[[a-z0-9]+\]\s*$", "", text.strip()).endswith(
        _QUESTION_MARKS
    )


def patience_s(said: str, language: str, *, after_our_question: bool) -> float:
    """How long silence lasts before the turn is ours. said: all of the person's turn so far."""
    if asks_for_room(said, language):
        return WITH_ROOM_S
    return AFTER_OUR_QUESTION_S if after_our_question else AFTER_STATEMENT_S


def is_our_own(heard: str, ours: Iterable[str]) -> bool:
    """Whether what was heard is a piece of what we said. ours: sentences, in order. A word or two are nobody's, unless they are a whole
    sentence of ours.
    """
    said, sentences = words(heard), [words(one) for one in ours]
    if not said:
        return False
    if len(said) < _FEWEST_WORDS:
        return said in sentences
    together = [one for sentence in sentences for one in sentence]
    matcher = SequenceMatcher(None, together, said, autojunk=False)
    best = 0
    for start in range(0, max(1, len(together)), max(1, len(said))):
        window = together[max(0, start - len(said)) : start + 2 * len(said)]
        matcher.set_seq1(window)
        best = max(best, sum(block.size for block in matcher.get_matching_blocks()))
    return best >= OWN_WORDS * len(said)
