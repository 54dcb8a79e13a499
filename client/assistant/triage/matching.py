"""What a language's rules find in a text.

Words of the text become elements of the lexicon, elements become spans of each named list, spans become matches of the rules' patterns, and
matches are taken back where a negation, the past or a general question reaches them. What is unsure counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from client.assistant.triage.data import Data, Pattern, Rule, names_in, pattern
from client.assistant.triage.levels import Level
from client.assistant.triage.lexicon import Element, Lexicon
from client.assistant.triage.reading import Words, read

_SENTENCE_COUNTS = 2
"""Words for which the end of a sentence inside a match counts."""
_MOST_TRIED = 20_000
"""Combinations of spans that are tried for a pattern: only texts made to be slow have more."""
_AT_THE_BEGINNING = 3
"""Words: a cue that begins so early in its sentence, with a comma after it, holds for what follows the comma."""
_NOTED = (
    *("negation_before", "negation_after", "denial", "past", "present", "general", "but", "or", "subject"),
)
SYMPTOM = "symptom"
"""The list of [words] of what somebody who feels ill says, which readings out of range need beside them."""


class Span(NamedTuple):
    """Words from `start` up to but not with `end`. sure: none of them was taken for a misspelling."""

    start: int
    end: int
    sure: bool = True


class Noted(NamedTuple):
    """A word, and the lists that it is part of, by their names (those of [context] in brackets)."""

    word: str
    lists: tuple[str, ...] = ()


class Part(NamedTuple):
    """Of a text. words: as the language reads them; noted: the same with their lists, some in their parts."""

    words: Sequence[str]
    noted: Sequence[Noted]


Match = tuple[Span, ...]
Group = int
"""Number of a list of terms."""


_Term = tuple[int, ...]
"""Its parts, one after another: an element, or (below zero) another group, see `_as_part`. Plain numbers: there are tens of thousands of
them, which the garbage collector then need not look at.
"""


@dataclass(frozen=True, slots=True)
class _Seek:
    """A pattern with its parts as groups."""

    groups: tuple[Group, ...]
    ordered: tuple[bool, ...]
    reach: int


@dataclass(frozen=True, slots=True)
class _Rule:
    rule: Rule
    when: tuple[_Seek, ...]
    hints: tuple[_Seek, ...]
    unless: tuple[Group, ...]


class Finding(NamedTuple):
    """What a text holds, by the rules of a language. hint: category of what makes an emergency likelier; None where one was found, or nothing."""

    level: Level
    category: str | None
    hint: str | None = None


class Language:
    """A language's data made ready; the same for every text."""

    def __init__(self, data: Data) -> None:
        self.code, self.say = data.language, data.say
        self.data = data
        self.lexicon = Lexicon(data.letters)
        self.groups: list[list[_Term]] = []
        self.named: dict[str, Group] = {}
        self._literal: dict[str, Group] = {}
        for name in data.words:
            self.named[name] = self._new_group()
        for name, given in data.words.items():
            self._fill(self.named[name], given)
        self.rules = [self._compiled(rule) for rule in data.rules]
        self._symptom: _Seek | None = _Seek((self.named[SYMPTOM],), (), 0) if SYMPTOM in self.named else None
        self.context = {name: self._filled(given) for name, given in data.context.items()}
        self.mask = self._filled(data.mask)
        self.lexicon.know(data.function_words)
        self.lexicon.know(data.exact)
        self.lexicon.seal(data.prefixes)
        self.function_words = frozenset(
            word for one in data.function_words for word in read(one, data.letters).words
        )

    def read(self, text: str) -> Words:
        """The text's words, by this language's letters."""
        return read(text, self.data.letters)

    def look(self, text: str) -> Look:
        """A text under these rules."""
        return Look(self, self.read(text))

    def judge(self, text: str) -> Finding:
        """The highest level that is left of all that is found; of equal ones the first rule's."""
        return self.look(text).finding()

    def has_symptom(self, text: str) -> bool:
        """Whether somebody says to feel ill (the list SYMPTOM), and takes it back nowhere."""
        return self._symptom is not None and self.look(text).holds(self._symptom)

    def _new_group(self) -> Group:
        self.groups.append([])
        return len(self.groups) - 1

    def _filled(self, given: Iterable[str]) -> Group:
        group = self._new_group()
        self._fill(group, given)
        return group

    def _fill(self, group: Group, given: Iterable[str]) -> None:
        terms = [term for written in given for term in self._terms(written)]
        self.groups[group] = list(dict.fromkeys(terms))

    def _terms(self, written: str) -> list[_Term]:
        """Words and <names>, one after another."""
        names = names_in(written)
        ways: list[_Term] = [()]
        rest = written
        for name in names:
            before, _, rest = rest.partition(f"<{name}>")
            ways = [
                (*way, *literal, _as_part(self.named[name]))
                for way in ways
                for literal in self._literals(before)
            ]
        return [(*way, *literal) for way in ways for literal in self._literals(rest) if (*way, *literal)]

    def _literals(self, written: str) -> list[_Term]:
        terms = self.lexicon.terms(written) if written.strip() else []
        return list(terms) or [()]

    def _part(self, written: str) -> Group:
        """The group of a pattern's part: a named list itself, or one made for it."""
        names = names_in(written)
        if len(names) == 1 and written == f"<{names[0]}>":
            return self.named[names[0]]
        if written not in self._literal:
            self._literal[written] = self._filled([written])
        return self._literal[written]

    def _seek(self, one: Pattern, reach: int) -> _Seek:
        return _Seek(tuple(self._part(part) for part in one.parts), one.ordered, reach)

    def _compiled(self, rule: Rule) -> _Rule:
        return _Rule(
            rule,
            tuple(self._seek(one, rule.reach) for one in rule.when),
            tuple(self._seek(one, rule.reach) for one in rule.hints),
            tuple(self._part(part) for written in rule.unless for part in pattern(written).parts),
        )


class Look:
    """One text under a language's rules."""

    def __init__(self, language: Language, words: Words) -> None:
        self._language = language
        self._found: dict[Element, list[Span]] = {}
        self._spans: dict[Group, list[Span]] = {}
        self._sentence: list[int] = []
        self._comma: list[bool] = []
        self._words: list[str] = []
        self._asked = words.asked
        self.words = words.words
        """As the language reads them; `noted` has some of them in their parts."""
        self._sentence_of_words = words.sentence
        self._look_up(words)
        self._take_masked_out()
        self._breaks: set[int] | None = None
        self._buts: set[int] | None = None
        self._reached: dict[Span, set[int]] = {}
        self._void_cues: dict[str, list[Span]] = {}
        self._finding: Finding | None = None

    # --- Words to spans

    def _look_up(self, words: Words) -> None:
        lexicon = self._language.lexicon
        known: dict[str, tuple[list[Element], list[Element], list[str]]] = {}
        spans: list[tuple[int, int, list[Element], list[Element]]] = []
        for word, sentence, comma in zip(words.words, words.sentence, words.after_comma, strict=True):
            if word not in known:
                known[word] = self._elements(lexicon, word)
            sure, unsure, pieces = known[word]
            start = len(self._words)
            for place, piece in enumerate(pieces or [word]):
                self._words.append(piece)
                self._sentence.append(sentence)
                self._comma.append(comma and not place)
                if pieces:
                    if piece not in known:
                        known[piece] = self._elements(lexicon, piece)
                    spans.append((start + place, start + place + 1, *known[piece][:2]))
            spans.append((start, len(self._words), sure, unsure))
        spans += [
            (at, at + 2, lexicon.joined(self._words[at], self._words[at + 1]), [])
            for at in range(len(self._words) - 1)
            if self._sentence[at] == self._sentence[at + 1]
        ]
        for start, end, sure, unsure in spans:
            for element in sure:
                self._found.setdefault(element, []).append(Span(start, end))
            for element in unsure:
                self._found.setdefault(element, []).append(Span(start, end, sure=False))

    @staticmethod
    def _elements(lexicon: Lexicon, word: str) -> tuple[list[Element], list[Element], list[str]]:
        sure = lexicon.exactly(word)
        if lexicon.is_known(word):
            return sure, [], []
        for rest in lexicon.without_prefix(word):
            sure = sure + lexicon.exactly(rest)
        unsure = [] if sure else lexicon.about(word)
        return sure, unsure, [] if unsure else lexicon.pieces(word)

    def _take_masked_out(self) -> None:
        """No word of a masked phrase is part of anything."""
        masked = {at for span in self._sure(self._language.mask) for at in range(span.start, span.end)}
        self._spans.clear()
        if masked:
            self._found = {
                element: [span for span in spans if not masked.intersection(range(span.start, span.end))]
                for element, spans in self._found.items()
            }

    def _of(self, group: Group) -> list[Span]:
        """Where any of its terms stands, by their beginnings."""
        if group not in self._spans:
            found: set[Span] = set()
            for term in self._language.groups[group]:
                if term[0] < 0 or term[0] in self._found:
                    found.update(self._chained(term))
            self._spans[group] = sorted(found)
        return self._spans[group]

    def _sure(self, group: Group) -> list[Span]:
        return [span for span in self._of(group) if span.sure]

    def _chained(self, term: _Term) -> list[Span]:
        whole = self._of_part(term[0])
        for part in term[1:]:
            if not whole:
                return []
            after: dict[int, list[Span]] = {}
            for span in self._of_part(part):
                after.setdefault(span.start, []).append(span)
            whole = [
                Span(one.start, other.end, one.sure and other.sure)
                for one in whole
                for other in after.get(one.end, ())
                if self._sentence[other.start] == self._sentence[one.end - 1]
            ]
        return whole

    def _of_part(self, part: int) -> list[Span]:
        return self._found.get(part, []) if part >= 0 else self._of(_as_part(part))

    # --- Spans to matches

    def _matches(self, seek: _Seek) -> Iterator[Match]:
        parts = [self._of(group) for group in seek.groups]
        if not all(parts):
            return
        if len(parts) == 1:
            yield from ((span,) for span in parts[0])
            return
        width = seek.reach + sum(max(span.end - span.start for span in spans) for spans in parts)
        order = sorted(range(len(parts)), key=lambda part: len(parts[part]))
        tried = 0
        for first in parts[order[0]]:
            chosen: list[dict[int, Span]] = [{order[0]: first}]
            for part in order[1:]:
                near = _within(parts[part], first.end - width, first.start + width)
                chosen = [
                    {**one, part: span} for one in chosen for span in near if not _overlap(span, one.values())
                ]
                tried += len(chosen)
                if not chosen or tried > _MOST_TRIED:
                    break
            else:
                for one in chosen:
                    match = tuple(one[part] for part in range(len(parts)))
                    if self._fits(match, seek):
                        yield match
            if tried > _MOST_TRIED:
                return

    def _fits(self, match: Match, seek: _Seek) -> bool:
        if any(
            ordered and other.start < one.start
            for one, other, ordered in zip(match, match[1:], seek.ordered, strict=False)
        ):
            return False
        start, end = min(span.start for span in match), max(span.end for span in match)
        between = end - start - sum(span.end - span.start for span in match)
        sentences = self._sentence[end - 1] - self._sentence[start]
        return between + _SENTENCE_COUNTS * sentences <= seek.reach

    # --- What is left of them

    def finding(self) -> Finding:
        """The highest level, and the category of the first rule that gives it."""
        if self._finding is None:
            self._finding = self._judged()
        return self._finding

    def _judged(self) -> Finding:
        found = [(one, self._all(one.when), self._all(one.hints)) for one in self._language.rules]
        emergencies = [
            (one, matches, hints) for one, matches, hints in found if one.rule.level is Level.EMERGENCY
        ]
        used = {
            at
            for _, *both in emergencies
            for matches in both
            for match in matches
            for span in match
            for at in range(*span[:2])
        }
        for one, matches, _ in emergencies:
            if any(self._counts(one, match, used) for match in matches):
                return Finding(Level.EMERGENCY, one.rule.category)
        hinted = (
            one.rule.category
            for one, _, hints in emergencies
            if any(self._counts(one, match, used) for match in hints)
        )
        hint = next(hinted, None)
        for one, matches, _ in found:
            if one.rule.level is Level.URGENT and any(self._counts(one, match, used) for match in matches):
                return Finding(Level.URGENT, one.rule.category, hint)
        return Finding(Level.NONE, None, hint)

    def noted(self) -> list[Noted]:
        """Each word with the lists that it is part of: those of [words], and of [context] that negations and times are found with; and where it stands.
        What a misspelled word may be counts too. The second reader reads this: a list says of a rare word what it means.
        """
        language = self._language
        lists: list[set[str]] = [set() for _ in self._words]
        spans = [(name, self._of(group)) for name, group in language.named.items()]
        spans += [(f"[{name}]", self._cues(name)) for name in _NOTED]
        for name, found in spans:
            for span in found:
                for at in range(span.start, min(span.end, len(lists))):
                    lists[at].add(name)
        for at, (names, sentence) in enumerate(zip(lists, self._sentence, strict=True)):
            names.update(
                name
                for name, so in (
                    ("[begins]", not at or sentence != self._sentence[at - 1]),
                    ("[comma]", self._comma[at]),
                    ("[asked]", sentence in self._asked),
                )
                if so
            )
        return [Noted(word, tuple(sorted(names))) for word, names in zip(self._words, lists, strict=True)]

    def parts(self) -> list[Part]:
        """The whole text, and where it has several sentences each of them: what is said beside a sentence does not hide it."""
        noted = self.noted()
        whole = [Part(self.words, noted)]
        sentences = dict.fromkeys(self._sentence)
        if len(sentences) < 2:
            return whole
        of_words: dict[int, list[str]] = {}
        of_noted: dict[int, list[Noted]] = {}
        for word, sentence in zip(self.words, self._sentence_of_words, strict=True):
            of_words.setdefault(sentence, []).append(word)
        for one, sentence in zip(noted, self._sentence, strict=True):
            of_noted.setdefault(sentence, []).append(one)
        return whole + [Part(of_words[one], of_noted[one]) for one in sentences]

    def _all(self, seeks: Iterable[_Seek]) -> list[Match]:
        return [match for seek in seeks for match in self._matches(seek)]

    def holds(self, seek: _Seek) -> bool:
        """Whether the pattern is found and not taken back."""
        return any(not self._is_void(match, set()) for match in self._matches(seek))

    def _counts(self, one: _Rule, match: Match, used: set[int]) -> bool:
        if one.rule.negatable and self._is_void(match, used):
            return False
        sentences = self._sentences(match)
        return not any(
            self._sentence[span.start] in sentences for group in one.unless for span in self._sure(group)
        )

    def _sentences(self, match: Match) -> set[int]:
        return {self._sentence[at] for span in match for at in range(span.start, span.end)}

    def _cues(self, name: str) -> list[Span]:
        return self._sure(self._language.context[name])

    def _is_void(self, match: Match, used: set[int]) -> bool:
        return (
            self._is_negated(match, used)
            or self._is_elsewhere(match, "past")
            or self._is_elsewhere(match, "general")
        )

    def _is_negated(self, match: Match, used: set[int]) -> bool:
        """used: words of what was found to be an emergency: "can't" of "can't breathe" takes nothing else back."""
        data = self._language.data
        end = max(span.end for span in match)
        if self._is_denied(end):
            return True
        for cue in self._negations("negation_before"):
            reached = self._after_negation(cue, data.negation_reach)
            if any(span.start in reached for span in match) and not self._is_used(cue, match, used):
                return True
        for cue in self._negations("negation_after"):
            near = 0 <= cue.start - end < data.negation_after_reach
            if near and not self._parted(end, cue.start) and not self._is_used(cue, match, used):
                return True
        return False

    def _is_denied(self, end: int) -> bool:
        """Whether what ends there was asked ("chest pain?") and the next sentence begins with a denial ("no, none")."""
        if not 0 < end < len(self._words) or self._sentence[end] == self._sentence[end - 1]:
            return False
        return self._sentence[end - 1] in self._asked and any(
            cue.start == end for cue in self._negations("denial")
        )

    def _negations(self, name: str) -> list[Span]:
        """Its cues without those that only look like one."""
        if name not in self._void_cues:
            looks = {at for span in self._cues("negation_not") for at in range(span.start, span.end)}
            subjects = {span.start for span in self._cues("subject")}
            self._void_cues[name] = [
                cue
                for cue in self._cues(name)
                if looks.isdisjoint(range(cue.start, cue.end))
                and not (name != "denial" and cue.end - cue.start == 1 and cue.end in subjects)
            ]
        return self._void_cues[name]

    @staticmethod
    def _is_used(cue: Span, match: Match, used: set[int]) -> bool:
        return _overlap(cue, match) or not used.isdisjoint(range(cue.start, cue.end))

    def _after_negation(self, cue: Span, reach: int) -> set[int]:
        """Places of words that a negation before them reaches. "Or" carries it on."""
        if cue in self._reached:
            return self._reached[cue]
        stops = {span.start: span.end for span in self._cues("negation_stops_at")}
        carries = {span.start: span.end for span in self._cues("or")}
        reached: set[int] = set()
        at, left, skipped = cue.end, reach, False
        while at < len(self._words) and not self._parted(cue.end, at):
            if at in carries:
                left, skipped, at = reach, False, carries[at]
                continue
            if skipped or left <= 0:
                # "no chest pain or …": the words of what was negated do not count on the way to an "or"
                following = [start for start in carries if at <= start <= at + 1]
                if not following:
                    break
                at = following[0]
                continue
            reached.add(at)
            if at in stops:
                skipped = True
            at, left = at + 1, left - 1
        self._reached[cue] = reached
        return reached

    def _parted(self, start: int, end: int) -> bool:
        """Whether a comma, a "but" or a sentence's end lies between two words, that before `start` and that at `end`."""
        if self._buts is None:
            self._buts = {span.start for span in self._cues("but")}
        buts = self._buts
        if start <= 0 or end >= len(self._words):
            return False
        if self._sentence[start - 1] != self._sentence[end]:
            return True
        return any(self._comma[at] or at in buts for at in range(start, end + 1))

    def _is_elsewhere(self, match: Match, name: str) -> bool:
        """Whether all of it lies in the past, or is asked in general, with nothing of the present in its sentences."""
        sentences = self._sentences(match)
        own = {at for span in match for at in range(span.start, span.end)}
        cues = [
            cue
            for cue in self._cues(name)
            if self._sentence[cue.start] in sentences and not own.issuperset(range(cue.start, cue.end))
        ]
        if not cues or any(self._sentence[cue.start] in sentences for cue in self._cues("present")):
            return False
        data = self._language.data
        reach = data.past_reach if name == "past" else data.general_reach
        reached: set[int] = set()
        for cue in cues:
            reached |= self._around(cue, reach) | set(range(cue.start, cue.end))
        return all(span.start in reached for span in match)

    def _around(self, cue: Span, reach: int) -> set[int]:
        """Places of words in the cue's clause, as far as it reaches."""
        breaks = self._clauses()
        reached: set[int] = set()
        crosses = self._comma[cue.end] if cue.end < len(self._words) else False
        crosses = crosses and self._is_early(cue)
        for at in range(cue.end, min(cue.end + reach, len(self._words))):
            if at in breaks and not (at == cue.end and crosses):
                break
            reached.add(at)
        for at in range(cue.start - 1, max(cue.start - reach, 0) - 1, -1):
            if at + 1 in breaks:
                break
            reached.add(at)
        return reached

    def _is_early(self, cue: Span) -> bool:
        start = bisect_left(self._sentence, self._sentence[cue.start])
        return cue.start - start < _AT_THE_BEGINNING

    def _clauses(self) -> set[int]:
        """Where a clause begins: a sentence, "but", and a comma or an "and" with somebody right after it."""
        if self._breaks is None:
            subjects = {span.start for span in self._cues("subject")}
            breaks = {span.start for span in self._cues("but")}
            breaks |= {span.start for span in self._cues("and") if {span.end, span.end + 1} & subjects}
            for at in range(len(self._words)):
                if at and self._sentence[at] != self._sentence[at - 1]:
                    breaks.add(at)
                if self._comma[at] and {at, at + 1} & subjects:
                    breaks.add(at)
            self._breaks = breaks
        return self._breaks


def _as_part(group: Group) -> int:
    """A group as part of a term; the other way round too."""
    return -1 - group


def _within(spans: Sequence[Span], first: int, last: int) -> Sequence[Span]:
    """Of spans sorted by their beginnings those that begin from `first` to `last`."""
    return spans[bisect_left(spans, (first,)) : bisect_left(spans, (last + 1,))]


def _overlap(span: Span, others: Iterable[Span]) -> bool:
    return any(span.start < other.end and other.start < span.end for other in others)
