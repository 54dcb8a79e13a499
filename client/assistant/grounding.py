"""Holds an answer against its evidence, sentence by sentence: what is not proved, or is not ours to say, is never given out.

Nothing of a sentence is given before the whole of it has passed. The first that fails ends the answer.

A sentence that stands word for word in a passage of our articles is ours to say: it may speak of medicines, illnesses and what a camera
does not measure, in our own words. That goes for no other text: a document and what the cloud retrieves can be written by anybody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from client.assistant import phrases
from client.assistant.evidence import Evidence
from client.assistant.masking import PLACEHOLDERS
from client.assistant.moments import Moments
from client.assistant.numbers import NAMED, SMALL, Number, digits_in, with_digits, words_in
from client.assistant.phrases import Phrases, folded
from client.assistant.sentences import CITING, LONGEST, Splitter, cleaned
from client.assistant.triage import Level

MOST_CHARACTERS = 8_000
MOST_SENTENCES = 60
MOST_LIST_NUMBER = 9
FOREIGN_NUMBERS = 20
"""Number words of other languages count from here on; below they are words of this one, too ("once", "sept", "cent")."""
_IDS = re.compile(r"[A-Za-z]?[0-9]{1,3}")
_MARKUP = re.compile(
    r"<\s*[/!?A-Za-z]|&(?:#|[a-z]{2,8};)|!\s*\[|\]\s*\(|\]\s*:|\[\s*\]|\{\{|\}\}|\|.*\||\$\$|\\[a-z(\[]{1,}|javascript:|^\s*={3,}|^\s*-{3,}\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_LINK = re.compile(
    r"[a-z][a-z0-9+.-]*:\s?//|\bwww\s?\.|\b(?:mailto|tel|data|file|ftp|https?)\s?:|[^\s@]+\s?@\s?[^\s@]+|hxxp|\(dot\)|\[dot\]|\[at\]"
    r"|\b(?:dot|punto|ponto|punkt|point)\s+(?:com|org|net|info|health|io|de|es|fr|br|cn|in)\b|\u70b9\s?com|\u0646\u0642\u0637\u0629 \u0643\u0648\u0645"
    r"|(?<![\w.])[a-z0-9-]{2,}(?:\s?\.\s?[a-z0-9-]{2,})*\.[a-z]{2,}(?![\w])(?:/\S*)?",
    re.IGNORECASE,
)
_PHONE = re.compile(r"\+\s?[0-9]|(?<![0-9.,])[0-9]{2,}(?:[\s./()-]{1,2}[0-9]{2,}){2,}|[0-9]{6,}")
_LIST_NUMBER = re.compile(r"^\s*\(?([0-9]{1,2})[.)](?=\s+[^\W\d_])", re.MULTILINE)
_RUN = re.compile(r" (\S+)(?: \1){4}(?= )")
_PLACEHOLDER = re.compile(rf" ?(?:{'|'.join(map(re.escape, PLACEHOLDERS))})")
_PARTED = re.compile(
    r"(?<=[^\W\d_])[-\u00ad\u2010\u2011\u00b7_'\u2019](?=[^\W\d_])|(?<=\b[A-Za-z]) (?=[A-Za-z]\b)"
)
"""What parts the letters of a word, so that a rule does not see it: "pneu-monia", "p i l l s"."""
_LETTER = re.compile(r"[^\W\d_]")
_LATIN_SPARED = 4
"""Words of Latin letters in a row that a sentence in another script may hold (names, units)."""
_LETTERS_PER_WORD_ZH = 2


class Fault(StrEnum):
    """Why a sentence was held back: a code that may be counted and written down."""

    NUMBER = "number"
    CITATION = "citation"
    DOSE = "dose"
    DIAGNOSIS = "diagnosis"
    REASSURANCE = "reassurance"
    CAMERA = "camera"
    LINK = "link"
    MARKUP = "markup"
    LANGUAGE = "language"
    LEAK = "leak"
    REPEATED = "repeated"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Checked. text: with its citations [v1]; spoken: without. joint: what stands between it and the one before: "", " " or a line end."""

    text: str = field(repr=False)
    spoken: str = field(repr=False)
    citations: tuple[str, ...]
    joint: str


class Checker:
    """Of one answer. allowed: numbers that may be called (emergency number, crisis line). level: of triage, may rise meanwhile.

    cited_passages False: numbers of the evidence's passages count, their names do not (the cloud gives the same names to its own).
    """

    def __init__(
        self,
        evidence: Evidence,
        language: str,
        *,
        level: Level = Level.NONE,
        allowed: Collection[str] = (),
        cited_passages: bool = True,
    ) -> None:
        self._phrases = phrases.of(language)
        self._others = [phrases.of(code) for code in phrases.languages() if code != self._phrases.language]
        self._evidence = evidence
        self._proof = _Proof(evidence, self._phrases, allowed)
        if not cited_passages:
            self._proof.names -= {one.id for one in evidence.passages}
        self._splitter = Splitter(self._phrases.abbreviations, self._phrases.month_names)
        self._ours = {
            one
            for passage in evidence.passages
            if passage.language == self._phrases.language
            for one in _sentences(passage.text, self._phrases)
        }
        self._level = level
        self._seen: set[str] = set()
        self._characters = self._sentences = self._list_number = 0
        self.fault: Fault | None = None

    def raise_to(self, level: Level) -> None:
        """From now on nothing is said that goes against it."""
        self._level = max(self._level, level, key=lambda one: one.rank)

    def allow(self, name: str, text: str) -> None:
        """A passage that was supplied besides the evidence, and what it says."""
        self._proof.add(name, text)

    def push(self, piece: str) -> list[Sentence]:
        """Sentences that are whole now and passed. After a fault: nothing more."""
        if self.fault is not None:
            return []
        self._characters += len(piece)
        if self._characters > MOST_CHARACTERS:
            piece = piece[: max(0, len(piece) - (self._characters - MOST_CHARACTERS))]
        found = self._passed(self._splitter.push(piece))
        if self._characters > MOST_CHARACTERS or self._splitter.too_long:
            self._fail(Fault.TOO_LONG)
        return found

    def _fail(self, fault: Fault) -> None:
        """The first fault is the one that counts."""
        self.fault = self.fault or fault

    def finish(self) -> list[Sentence]:
        """The rest, whether its last sentence has an end or not."""
        return [] if self.fault is not None else self._passed(self._splitter.finish())

    def _passed(self, raw: Iterable[str]) -> list[Sentence]:
        found: list[Sentence] = []
        for one in raw:
            text = re.sub(r"[ \t]*\n\s*", "\n", _PLACEHOLDER.sub("", cleaned(one))).rstrip()
            bare = text.strip()
            if not bare:
                continue
            self.fault = self._fault(bare)
            if self.fault is not None:
                break
            lead = text[: len(text) - len(text.lstrip())]
            joint = "\n" if "\n" in lead else " " if lead else ""
            spoken = re.sub(r"\s+([.,;:!?\u3002])", r"\1", " ".join(CITING.sub(" ", bare).split()))
            found.append(Sentence(bare, spoken, tuple(_cited(bare)), joint if self._sentences else ""))
            self._sentences += 1
        return found

    def _fault(self, text: str) -> Fault | None:
        if self._sentences >= MOST_SENTENCES or len(text) > LONGEST:
            return Fault.TOO_LONG
        plain = with_digits(text)
        if any(name not in self._proof.names for name in _cited(plain)):
            return Fault.CITATION
        uncited = CITING.sub(" ", plain)
        if _MARKUP.search(uncited) or re.search(r"!\s*\[", plain):
            return Fault.MARKUP
        words = folded(uncited)
        measured = self._measured(words)
        called = uncited if measured else self._proof.without_called(uncited)
        if _LINK.search(self._without_abbreviations(uncited)) or _PHONE.search(
            self._proof.without_moments(called)
        ):
            return Fault.LINK
        numbers = self._of_numbers(called, words, measured, _cited(plain))
        ours = _compared(text) in self._ours
        joined = folded(_PARTED.sub("", uncited))
        rules = self._of_rules(words, ours=ours) or (
            self._of_rules(joined, ours=ours) if joined != words else None
        )
        language = None if ours else self._of_language(uncited)
        return rules or language or numbers or self._of_repetition(words)

    def _measured(self, words: str) -> set[str]:
        return {name for name, pattern in self._phrases.vitals.items() if pattern.search(words)}

    def _without_abbreviations(self, text: str) -> str:
        for one in self._phrases.abbreviations:
            text = re.sub(rf"(?<!\w){re.escape(one)}", " ", text, flags=re.IGNORECASE)
        return text

    def _of_rules(self, words: str, *, ours: bool) -> Fault | None:
        """ours: word for word of an article of ours, which may still not go against what triage says now."""
        own = words if self._phrases.masks is None else self._phrases.masks.sub(" .", words)
        for language in (self._phrases, *self._others):
            # What this language may deny is denied for all: "camera" and "temperature" are words of others, too
            masked = own if language.masks is None else language.masks.sub(" .", own)
            for rule in language.rules:
                fault = Fault(rule.fault)
                if self._level is Level.NONE if fault is Fault.REASSURANCE else ours:
                    continue
                if rule.holds(masked):
                    return fault
        return None

    def _of_language(self, text: str) -> Fault | None:
        own = self._phrases
        if any(
            script not in own.scripts and script not in _ANYWHERE
            for script in map(_script, _LETTER.findall(text))
        ):
            return Fault.LANGUAGE
        latin = re.findall(r"[A-Za-z\u00c0-\u024f]+", text)
        if "LATIN" not in own.scripts:
            other = (
                len(re.findall(r"[^\W\d_A-Za-z\u00c0-\u024f]+", text))
                if not own.unspaced
                else _chinese_letters(text)
            )
            return (
                Fault.LANGUAGE
                if len(latin) > _LATIN_SPARED
                or (len(latin) > 1 and not other)
                or any(self._is_of_a_sentence(word) for word in latin)
                else None
            )
        words = [word for word in folded(text).split() if word not in ",."]
        hits = own.share_of(words)
        theirs = max((other.share_of(words) for other in self._others), default=0)
        if theirs > hits and (hits == 0 or theirs >= 2 * hits) and theirs >= 2:
            return Fault.LANGUAGE
        return Fault.LANGUAGE if len(words) >= _LONG and hits < _LEAST_SHARE * len(words) else None

    def _is_of_a_sentence(self, word: str) -> bool:
        """A small word of another language ("is", "de"): then it is no name and no unit."""
        plain = folded(word).strip()
        return not word.isupper() and any(plain in other.function_words for other in self._others)

    def _of_numbers(self, text: str, words: str, measured: set[str], cited: Sequence[str]) -> Fault | None:
        listed = _LIST_NUMBER.sub(self._listed, text)
        plain = self._proof.without_moments(listed)
        beside = bool(measured) or self._phrases.units.search(words) is not None
        found = digits_in(plain, decimal_comma=self._phrases.decimal_comma)
        found += [
            one
            for one in words_in(plain, self._phrases)
            if one.value is None or one.value > (3 if beside else SMALL)
        ]
        found += [
            one
            for other in self._others
            if not other.unspaced
            for one in words_in(plain, other)
            if one.value is not None and one.value >= FOREIGN_NUMBERS and one.value % 100
        ]
        if any(not self._proof.holds(one, measured, cited) for one in found):
            return Fault.NUMBER
        # What a passage or a document says a value of the person is, is not what was measured
        own = bool(found) and self._phrases.asserted.holds(words)
        return Fault.NUMBER if own and not any(self._proof.measured(one) for one in found) else None

    def _listed(self, found: re.Match[str]) -> str:
        """Without the number of a list's point: the first, or the one after the last."""
        if int(found[1]) not in {1, self._list_number + 1} or int(found[1]) > MOST_LIST_NUMBER:
            return found[0]
        self._list_number = int(found[1])
        return " "

    def _of_repetition(self, words: str) -> Fault | None:
        if _RUN.search(words):
            return Fault.REPEATED
        if len(words.split()) >= 4:
            if words in self._seen:
                return Fault.REPEATED
            self._seen.add(words)
        return None


_LONG, _LEAST_SHARE = 7, 0.1
"""Of so many words less than this share are function words of the language: it is another one."""
_ANYWHERE = {"LATIN", "MICRO", "MODIFIER", "DEGREE", "FEMININE", "MASCULINE", "ARABIC TATWEEL"}
"""Words of Latin letters are counted apart."""
_AROUND = " -*\u2022\"'\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb\u300c\u300d.!?\u2026\u3002\uff01\uff1f\u061f\u0964"


def _script(letter: str) -> str:
    return phrases.script(letter)


def _chinese_letters(text: str) -> int:
    return len(re.findall(r"[\u3400-\u9fff]", text)) // _LETTERS_PER_WORD_ZH


def _compared(text: str) -> str:
    """A sentence as it is held against those of our articles: its letters, digits and marks, without citations and what stands around it."""
    return "".join(CITING.sub(" ", with_digits(cleaned(text))).casefold().split()).strip(_AROUND)


def _sentences(text: str, own: Phrases) -> list[str]:
    splitter = Splitter(own.abbreviations, own.month_names)
    whole = " ".join(text.split())
    return [_compared(one) for one in (*splitter.push(whole), *splitter.finish())]


def _cited(text: str) -> list[str]:
    return [name for one in CITING.finditer(text) for name in _IDS.findall(one[0])]


class _Proof:
    """What numbers and names the evidence holds."""

    def __init__(self, evidence: Evidence, own: Phrases, allowed: Collection[str]) -> None:
        self._own = own
        self._called = [
            re.compile(_spaced(one))
            for one in sorted(filter(None, map(_digits, allowed)), key=len, reverse=True)
        ]
        self._moments = Moments([fact.taken_at for fact in evidence.facts], own)
        self._of_facts: dict[str, list[tuple[float, bool]]] = {}
        for fact in evidence.facts:
            values = [
                (one, fact.unit == "%")
                for one in (fact.value, fact.low, fact.high, fact.window_s)
                if one is not None
            ]
            if fact.value is not None and fact.confidence is not None:
                values.append((100 * fact.confidence, True))
            self._of_facts.setdefault(fact.name, []).extend(values)
        if any(fact.low is not None for fact in evidence.facts):
            self._of_facts.setdefault("", []).append((95.0, True))  # the interval's
        self._of_texts: list[Number] = []
        for passage in evidence.passages:
            self._read(passage.text, passage.language)
        self._of_documents = {
            one.id: digits_in(with_digits(one.text), decimal_comma=own.decimal_comma)
            for one in evidence.documents
        }
        self.names = {one.id for one in evidence.facts} | {one.id for one in evidence.passages}
        self.names |= {one.id for one in evidence.documents}

    def add(self, name: str, text: str) -> None:
        self.names.add(name)
        self._read(text, self._own.language)

    def _read(self, text: str, language: str) -> None:
        read = phrases.of(language)
        self._of_texts += digits_in(with_digits(text), decimal_comma=read.decimal_comma)
        self._of_texts += words_in(with_digits(text), read)

    def without_called(self, text: str) -> str:
        """Without the numbers that may be called."""
        for pattern in self._called:
            text = pattern.sub(" ", text)
        return text

    def without_moments(self, text: str) -> str:
        """Without dates and times of the evidence."""
        return self._moments.without(text)

    def holds(self, number: Number, measured: Collection[str], cited: Collection[str]) -> bool:
        """Whether it stands in the evidence; where one vital sign is named, in what belongs to that."""
        if number.value is None:
            return False
        of_documents = [one for name in cited for one in self._of_documents.get(name, ())]
        if any(
            one.value == number.value and one.percent == number.percent
            for one in (*self._of_texts, *of_documents)
        ):
            return True
        return self.measured(number, {*measured, ""} if len(measured) == 1 else None)

    def measured(self, number: Number, names: Collection[str] | None = None) -> bool:
        """Whether it is of a measurement, or of one of these names."""
        if number.value is None:
            return False
        own = self._of_facts if names is None else names
        values = [one for name in own for one in self._of_facts.get(name, ())]
        half = 0.5 * 10**-number.decimals + 1e-9
        return any(
            abs(value - number.value) <= half and percent == number.percent for value, percent in values
        )


def _digits(allowed: str) -> str:
    return "".join(re.findall(r"[0-9]", with_digits(allowed)))


def _spaced(digits: str) -> str:
    return r"(?<![0-9.,])\+?" + r"[\s./()-]{0,2}".join(digits) + r"(?![0-9]|[.,][0-9]|\s?(?:%|/))"


__all__ = ["MOST_CHARACTERS", "MOST_SENTENCES", "NAMED", "Checker", "Fault", "Sentence"]
