"""Our articles on this device: read, checked and searched without a network.

assets/knowledge/LANGUAGE/ID.md are the same files that the cloud's knowledge base is fed with (backend_lambda.services.knowledge): lines
`title:`, `reviewed:` (a date or "no") and one or more `source:`, an empty line, paragraphs. words.toml says how people ask for them.

A text is looked up by its words' stems and by which words stand side by side, in SQLite's FTS5, in memory. Chinese is looked up by pairs of
characters: most of its words are two, and FTS5's trigrams find none of these. A word that is nowhere is tried once more as one of ours
with a slip in it. What fits too little of a text is not found: the search says that it does not know.

Some questions are answered by one paragraph alone, which shares few words with them ("is my HRV too low"): words.toml names these
paragraphs and the words that such a question holds, in whatever order. They come first.
"""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
import tomllib
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib.resources.abc import Traversable
from itertools import islice
from typing import Any

from client import config
from client.assistant.evidence import Passage
from client.assistant.phrases import folded
from client.errors import EnvironmentFault
from client.language import said

FALLBACK = "en"
WORDS_FILE = "words.toml"
MAX_BYTES = 100_000
MOST_SENTENCES = 3
"""In a passage."""
MOST_CHARACTERS, MOST_WORDS = 2000, 48
"""Of a text that is looked up; the rest of it is not looked at."""
MOST_TRIED = 6
"""Sentences of a text that are looked up by themselves where nothing fits the whole."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SENTENCE_END = re.compile(r"(?<=[.!?\u061f\u0964])\s+|(?<=[\u3002\uff01\uff1f])\s*")
_HAN = re.compile("[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KEYS = ("title", "reviewed", "source")
_PARAGRAPH = re.compile(r"([a-z0-9][a-z0-9-]{0,63}):([0-9]{1,2})")
_TABLE_KEYS = {"unspaced", "stop", "endings", "beginnings", "min_stem", "asked", "paragraphs"}
_MIN_STEM, _MIN_BEGINNING = 4, 5
"""So many letters have to stay where a word's ending is cut off; from so many on, a word is found by its beginning."""
_SHORT, _LONG, _LONGEST = 6, 10, 40
"""From so many letters on a word may have one slip, and from so many two; one that is longer still is no slip of one of ours."""
_TOKENS = "unicode61 remove_diacritics 2 categories ''L* N* M*'' tokenchars ''_''"
_TITLE, _ASKED, _PHRASE, _TEXT = 4.0, 6.0, 4.0, 1.0
"""What a word counts for the order: in an article's title, as a question by itself, as a part of one, in its text."""
_OF_PHRASE, _OF_TEXT = 0.6, 0.4
"""What is held of its weight against _ENOUGH where it is a part of a question only, or stands in the text only."""
_ENOUGH = 0.42
"""So much of a text's weight has to be an article's; weights are the logarithm of how rare a word is in our articles."""
_ENOUGH_NAMED = 0.3
"""So much of it by title or question."""
_ARTICLES = "SELECT rowid, -bm25(article, ?, ?, ?, ?) FROM article(?)"
_PASSAGES = "SELECT rowid, -bm25(passage) FROM passage(?)"
_UNKNOWN = 2.2
"""The weight of a word that none of our articles holds."""
_QUESTION = 1.2
"""The weight, at least, of a word that is a question of an article by itself, however many articles hold it."""
_GENERAL = 0.8
"""What is held of the weight of a word that is in no title and no question."""
_BESIDE = 0.6
"""Another article is told too from so much of the best one's score."""
_LONGEST_ASKED = 40
"""Words, or characters of Chinese, of a sentence that may ask for one paragraph; those of a longer one have less to do with each other."""
_AHEAD = 0.1
"""For each word of it that a question holds, what a paragraph is ahead of what fits best."""
_LEAD = 0.5
"""What an article begins with fits it best, as a part of what its best passage fits."""


class BadArticle(ValueError):
    """A file that is no article; the message names it and says why, in English, for whoever writes one."""


@dataclass(frozen=True, slots=True)
class Article:
    """One article in one language. reviewed: a date or "no". sources: names and addresses. text: paragraphs parted by empty lines."""

    id: str
    language: str
    title: str
    reviewed: str
    sources: tuple[str, ...]
    text: str

    def passages(self) -> list[str]:
        """Its paragraphs, in pieces of at most MOST_SENTENCES sentences."""
        return [piece for paragraph in self.text.split("\n\n") for piece in _pieces(paragraph)]


def _pieces(paragraph: str) -> list[str]:
    sentences = [one for one in _SENTENCE_END.split(" ".join(paragraph.split())) if one]
    between = "" if _HAN.search(paragraph) else " "
    parts = max(1, math.ceil(len(sentences) / MOST_SENTENCES))
    size = math.ceil(len(sentences) / parts)
    return [between.join(sentences[at : at + size]) for at in range(0, len(sentences), size)]


def parsed(language: str, name: str, content: bytes) -> Article:
    """The file LANGUAGE/NAME.md. Raises BadArticle."""
    place = f"{language}/{name}.md"
    if not _NAME.fullmatch(name) or not _LANGUAGE.fullmatch(language):
        raise BadArticle(f"{place}: names are lower-case letters, digits and '-'")
    if len(content) > MAX_BYTES:
        raise BadArticle(f"{place}: larger than {MAX_BYTES} bytes")
    try:
        head, _, text = content.decode("utf-8").replace("\r\n", "\n").partition("\n\n")
    except UnicodeDecodeError:
        raise BadArticle(f"{place}: not UTF-8") from None
    facts: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            raise BadArticle(f"{place}: {line!r} is no 'name: value'")
        if key not in _KEYS:
            raise BadArticle(f"{place}: {key!r} is none of {', '.join(_KEYS)}")
        facts.setdefault(key, []).append(value)
    for key in _KEYS:
        if not facts.get(key) or not all(facts[key]):
            raise BadArticle(f"{place}: no {key}")
        if key != "source" and len(facts[key]) > 1:
            raise BadArticle(f"{place}: more than one {key}")
    reviewed = facts["reviewed"][0]
    if reviewed != "no" and not _is_date(reviewed):
        raise BadArticle(f"{place}: reviewed is a date such as 2026-11-28, or no")
    if not text.strip():
        raise BadArticle(f"{place}: no text")
    if found := re.search(r"https?://|www\.|[<>]|\]\(|^#", text, re.MULTILINE):
        raise BadArticle(f"{place}: {found.group()!r} in the text, which is plain and holds no links")
    return Article(name, language, facts["title"][0], reviewed, tuple(facts["source"]), text.strip())


def _is_date(written: str) -> bool:
    try:
        return date.fromisoformat(written).isoformat() == written
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Words:
    """How a language's words are looked up. stop: small words, folded. asked: questions by article. unspaced: words are not parted.

    paragraphs: by article and number of the paragraph, sets of words: a question that holds one of the sets is answered there.
    """

    unspaced: bool
    stop: frozenset[str]
    beginnings: tuple[str, ...]
    endings: tuple[str, ...]
    min_stem: int
    asked: Mapping[str, tuple[str, ...]]
    paragraphs: Mapping[tuple[str, int], tuple[str, ...]]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Words:
        """A table of words.toml. Raises ValueError, KeyError or TypeError where it is not as it should be."""
        if strange := set(raw) - _TABLE_KEYS:
            raise ValueError(f"{min(strange)}: no such key")
        return cls(
            bool(raw.get("unspaced", False)),
            frozenset(_letters(raw["stop"])),
            tuple(sorted(_letters(raw.get("beginnings", ())), key=len, reverse=True)),
            tuple(sorted(_letters(raw.get("endings", ())), key=len, reverse=True)),
            int(raw.get("min_stem", _MIN_STEM)),
            {name: tuple(str(one) for one in given) for name, given in raw["asked"].items()},
            {
                _paragraph(name): tuple(str(one) for one in given)
                for name, given in raw.get("paragraphs", {}).items()
            },
        )

    def taken_apart(self, text: str) -> tuple[dict[str, str], list[str]]:
        """Its words by their stems, without the small ones, and pairs "a_b" of what stands side by side; each once, in order."""
        words: dict[str, str] = {}
        pairs: dict[str, None] = {}
        before = ""
        tokens = folded(text).split()
        if len(alone := [one for one in tokens if one[0].isalnum()]) == 1 and _HAN.match(alone[0]):
            return ({} if alone[0] in self.stop else {alone[0]: alone[0]}), []
        for token in tokens:
            if not token[0].isalnum():  # a sentence or a part of one ends
                before = ""
                continue
            now = self.stem(token)
            if before and _HAN.match(before + token) and not {before, token} & self.stop:
                words[before + token] = before + token
            elif before and not {before, now} <= self.stop:
                pairs[f"{before}_{now}"] = None
            if not _HAN.match(token) and token not in self.stop and not token.isdecimal():
                words.setdefault(now, token)
            before = now
        return words, list(pairs)

    def stem(self, word: str) -> str:
        """Without what is put before and after it, where enough stays; small words and characters as they are."""
        if word in self.stop or _HAN.match(word):
            return word
        for beginning in self.beginnings:
            if word.startswith(beginning) and len(word) - len(beginning) >= self.min_stem:
                word = word[len(beginning) :]
                break
        for ending in self.endings:
            if word.endswith(ending) and len(word) - len(ending) >= self.min_stem:
                return word[: -len(ending)]
        return word


def _paragraph(name: str) -> tuple[str, int]:
    """Of "medicines:2", the third paragraph."""
    if (found := _PARAGRAPH.fullmatch(name)) is None:
        raise ValueError(f"{name}: no ARTICLE:NUMBER")
    return found[1], int(found[2])


class _Wanted:
    """Words that a question holds which one paragraph answers: in any order, "a_b" side by side, of Chinese also inside of others."""

    def __init__(self, written: str, words: Words) -> None:
        pieces = written.split()
        self.size = len(pieces)
        self._beside = [folded(one.replace("_", " ")) for one in pieces if "_" in one]
        others = [folded(one).strip() for one in pieces if "_" not in one]
        self._inside = [f" {one} " for one in others if _HAN.match(one)]
        self._stems = [words.stem(one) for one in others if not _HAN.match(one)]

    def within(self, plain: str, stems: Collection[str]) -> bool:
        """plain: of `folded`; stems: of its words."""
        return all(one in plain for one in (*self._beside, *self._inside)) and all(
            stem in stems or (len(stem) >= _MIN_BEGINNING and any(one.startswith(stem) for one in stems))
            for stem in self._stems
        )


def _letters(given: Iterable[str]) -> list[str]:
    return [folded(one).strip() for one in given]


class _Index:
    """One language's articles in SQLite, in memory. Read-only once it is made, so several threads may look into it."""

    def __init__(self, articles: Sequence[Article], words: Words) -> None:
        self.articles = tuple(articles)
        self.words = words
        self.passages = [(at, text) for at, one in enumerate(articles) for text in one.passages()]
        self._wanted = [
            (rows, _Wanted(written, words))
            for name, rows in self._paragraphs()
            for written in words.paragraphs.get(name, ())
        ]
        self._leads = {at: row for row, (at, _) in reversed(list(enumerate(self.passages)))}
        self._sql = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._sql.close)
        self._sql.execute(
            f"CREATE VIRTUAL TABLE article USING fts5(title, asked, phrase, text, tokenize='{_TOKENS}')"
        )
        self._sql.execute(f"CREATE VIRTUAL TABLE passage USING fts5(text, tokenize='{_TOKENS}')")
        self._sql.execute("CREATE VIRTUAL TABLE vocabulary USING fts5(word, tokenize='trigram')")
        known: set[str] = set()
        self._sql.execute("BEGIN")
        for at, one in enumerate(articles):
            title, title_pairs = words.taken_apart(one.title)
            questions = [words.taken_apart(question) for question in words.asked.get(one.id, ())]
            single = {
                next(iter(of_words))
                for of_words, of_pairs in questions
                if len(of_words) == 1 and not of_pairs
            }
            parts = {word for of_words, of_pairs in questions for word in (*of_words, *of_pairs)} - single
            known.update(title.values(), (word for of_words, _ in questions for word in of_words.values()))
            columns = ([*title, *title_pairs], sorted(single), sorted(parts), words.taken_apart(one.text)[0])
            self._sql.execute(
                "INSERT INTO article(rowid, title, asked, phrase, text) VALUES (?, ?, ?, ?, ?)",
                (at, *(" ".join(column) for column in columns)),
            )
        self._sql.executemany(
            "INSERT INTO passage(rowid, text) VALUES (?, ?)",
            ((row, " ".join(words.taken_apart(text)[0])) for row, (_, text) in enumerate(self.passages)),
        )
        self._sql.executemany("INSERT INTO vocabulary(word) VALUES (?)", ((word,) for word in sorted(known)))
        self._sql.execute("COMMIT")

    def _paragraphs(self) -> Iterator[tuple[tuple[str, int], range]]:
        """Article and number of each paragraph, and its passages."""
        row = 0
        for one in self.articles:
            for number, paragraph in enumerate(one.text.split("\n\n")):
                size = len(_pieces(paragraph))
                yield (one.id, number), range(row, row + size)
                row += size

    def found(self, text: str, most: int) -> list[tuple[int, float]]:
        """Numbers of passages and how well they fit, the best first."""
        whole = text[:MOST_CHARACTERS]
        sentences = [one for one in _SENTENCE_END.split(whole) if one][-MOST_TRIED:]
        for piece in (whole, *reversed(sentences)):  # who tells a story asks at its end
            if rows := self._of_piece(piece):
                return rows[:most]
        return []

    def _of_piece(self, text: str) -> list[tuple[int, float]]:
        words, pairs = self.words.taken_apart(text)
        terms = self._terms(dict(islice(words.items(), MOST_WORDS)), pairs[:MOST_WORDS])
        rows = self._by_words(terms)
        ahead = self._ahead(text)
        best = max((score for _, score in rows), default=1.0)
        wanted = [(row, best * (1.0 + _AHEAD * size)) for rows_of, size in ahead.items() for row in rows_of]
        taken = {row for row, _ in wanted}
        rows = [*wanted, *((row, score) for row, score in rows if row not in taken)]
        rows.sort(key=lambda row: (-row[1], row[0]))
        return rows

    def _ahead(self, text: str) -> dict[range, int]:
        """Passages of paragraphs that one of the text's sentences asks for, and by how many words."""
        found: dict[range, int] = {}
        for sentence in _SENTENCE_END.split(text):
            plain = folded(sentence)
            tokens = plain.split()
            if len(tokens) <= _LONGEST_ASKED:
                stems = {self.words.stem(one) for one in tokens}
                for rows, wanted in self._wanted:
                    if wanted.size > found.get(rows, 0) and wanted.within(plain, stems):
                        found[rows] = wanted.size
        return found

    def _by_words(self, terms: Sequence[tuple[str, bool]]) -> list[tuple[int, float]]:
        fitting = self._fitting(terms)
        if not fitting:
            return []
        searched = [term for term, _ in terms]
        scores = self._scores(_ARTICLES, searched, _TITLE, _ASKED, _PHRASE, _TEXT)
        scores = {at: scores[at] * share for at, share in fitting.items()}
        best = max(scores.values())
        rows: list[tuple[int, float]] = []
        inside = self._scores(_PASSAGES, searched)
        for at in fitting:
            if scores[at] < _BESIDE * best:
                continue
            own = {row: inside.get(row, 0.0) for row, (of, _) in enumerate(self.passages) if of == at}
            highest = max(own.values()) or 1.0
            own[self._leads[at]] += _LEAD * highest
            rows += [(row, scores[at] * (0.5 + 0.5 * fit / highest)) for row, fit in own.items() if fit]
        return rows

    def _terms(self, words: Mapping[str, str], pairs: Sequence[str]) -> list[tuple[str, bool]]:
        """What is looked for, in the language of FTS5 (only letters and digits, in quotes), and whether it is a pair."""
        terms = []
        for stem, word in words.items():
            term = _quoted(stem)
            if not self._rows(term) and (meant := self._meant(word)):
                term = _quoted(self.words.stem(meant))
            terms.append((term, False))
        return [*terms, *((_quoted(pair), True) for pair in pairs)]

    def _meant(self, word: str) -> str:
        """One of our questions' words that this one is a slip of, or ""."""
        if not (_SHORT <= len(word) <= _LONGEST and word.isascii()):  # too many words are near a shorter one
            return ""
        pieces = " OR ".join(f'"{word[at : at + 3]}"' for at in range(len(word) - 2))
        likely = self._sql.execute("SELECT word FROM vocabulary(?) ORDER BY rank LIMIT 8", (pieces,))
        slips = 1 if len(word) < _LONG else 2
        for (other,) in likely.fetchall():
            if other[0] == word[0] and _slips(word, other) <= slips:
                return str(other)
        return ""

    def _fitting(self, terms: Sequence[tuple[str, bool]]) -> dict[int, float]:
        """Articles that enough of the text is about, and some of it by title or question; how much of it."""
        total = 0.0
        shares = dict.fromkeys(range(len(self.articles)), 0.0)
        named = dict.fromkeys(shares, 0.0)
        for term, is_pair in terms:
            fully = self._rows(f"asked : {term}")
            partly = self._rows(f"{{title phrase}} : {term}") - fully
            inside = set() if is_pair else self._rows(f"text : {term}") - fully - partly
            known = len(fully | partly | inside)
            weight = math.log(1.0 + len(self.articles) / (known + 0.5)) if known else _UNKNOWN
            if fully and not is_pair:
                weight = max(weight, _QUESTION)
            elif not fully and not partly:
                weight *= _GENERAL
            total += 0.0 if is_pair else weight
            for rows, part in ((fully, 1.0), (partly, _OF_PHRASE), (inside, _OF_TEXT)):
                for at in rows:
                    shares[at] += part * weight
                    named[at] += 0.0 if part == _OF_TEXT else part * weight
        return {
            at: share / max(total, _UNKNOWN)
            for at, share in shares.items()
            if share >= _ENOUGH * total and named[at] and named[at] >= _ENOUGH_NAMED * total
        }

    def _rows(self, query: str) -> set[int]:
        return {row for (row,) in self._sql.execute("SELECT rowid FROM article(?)", (query,)).fetchall()}

    def _scores(self, statement: str, terms: Iterable[str], *weights: float) -> dict[int, float]:
        return dict(self._sql.execute(statement, (*weights, " OR ".join(terms))).fetchall())


def _quoted(word: str) -> str:
    """As FTS5 takes it, a longer one for all that begins so. Of `folded`, so it holds letters, digits and dots alone."""
    return f'"{word}"' + "*" * (len(word) >= _MIN_BEGINNING and "_" not in word and not _HAN.match(word))


def _slips(one: str, other: str) -> int:
    """Letters put in, left out, changed, or two that changed places."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        last, before, row = before, row, [at]
        for to, meant in enumerate(other, 1):
            cost = min(before[to] + 1, row[to - 1] + 1, before[to - 1] + (letter != meant))
            if last and to > 1 and letter == other[to - 2] and one[at - 2] == meant:
                cost = min(cost, last[to - 2] + 1)
            row.append(cost)
    return row[-1]


class Knowledge:
    """A folder of articles. Each language is read and indexed when it is first asked for; nothing that is looked up is kept.

    Raises EnvironmentFault where the folder cannot be read or holds something else.
    """

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder
        self._read: dict[str, tuple[Article, ...]] = {}
        self._indexes: dict[str, _Index] = {}

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Codes of those that there are articles in."""
        try:
            return tuple(sorted(one.name for one in self._folder.iterdir() if one.is_dir()))
        except OSError as error:
            raise _broken(type(error).__name__) from None

    @cached_property
    def version(self) -> str:
        """Named by what it holds: the same articles and words are the same version."""
        together = hashlib.sha256()
        files = [self._folder.joinpath(WORDS_FILE)]
        try:
            for language in self.languages:
                within = self._folder.joinpath(language).iterdir()
                files += sorted((one for one in within if one.name.endswith(".md")), key=lambda one: one.name)
            for file in files:
                together.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise _broken(type(error).__name__) from None
        return together.hexdigest()[:16]

    def search(self, text: str, language: str, most: int = 3) -> tuple[Passage, ...]:
        """What fits a question, the best first, k1, k2 …; nothing where our articles do not know. text: any.

        Where there are no articles in `language` ("pt-BR" is pt), English ones are searched; a passage says its language.
        """
        if most < 1:
            return ()
        index = self._index(self._spoken(language))
        found = []
        for number, (row, score) in enumerate(index.found(text, most), 1):
            at, piece = index.passages[row]
            of = index.articles[at]
            found.append(
                Passage(f"k{number}", of.id, of.title, piece, of.sources[0], of.language, round(score, 3))
            )
        return tuple(found)

    def articles(self, language: str) -> tuple[Article, ...]:
        """All in that language, or in English where there are none, by their ids."""
        code = self._spoken(language)
        if code not in self._read:
            folder = self._folder.joinpath(code)
            try:
                files = sorted(
                    (one for one in folder.iterdir() if one.name.endswith(".md")), key=lambda one: one.name
                )
                self._read[code] = tuple(parsed(code, one.name[:-3], one.read_bytes()) for one in files)
            except (OSError, BadArticle) as error:
                raise _broken(str(error) if isinstance(error, BadArticle) else type(error).__name__) from None
        return self._read[code]

    def article(self, name: str, language: str) -> Article:
        """That article in that language, else in English (it says its language). Raises KeyError where there is none."""
        for code in dict.fromkeys((self._spoken(language), FALLBACK)):
            for one in self.articles(code):
                if one.id == name:
                    return one
        raise KeyError(name)

    def _spoken(self, language: str) -> str:
        code = language.replace("_", "-").partition("-")[0].lower()
        return code if code in self.languages else FALLBACK

    @cached_property
    def _words(self) -> Mapping[str, Words]:
        try:
            raw = tomllib.loads(self._folder.joinpath(WORDS_FILE).read_text(encoding="utf-8"))
            return {language: Words.of(table) for language, table in raw.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(f"{WORDS_FILE} {type(error).__name__}: {error}") from None

    def _index(self, language: str) -> _Index:
        """Two threads at once may make it twice, which does no harm."""
        if language not in self._indexes:
            words = self._words.get(language)
            if words is None:
                raise _broken(f"{WORDS_FILE} lacks {language}")
            try:
                self._indexes[language] = _Index(self.articles(language), words)
            except sqlite3.Error as error:  # a SQLite without FTS5 or its trigrams (3.34)
                raise _broken(f"{type(error).__name__}: {error}") from None
        return self._indexes[language]


def shipped() -> Knowledge:
    """The articles of this installation."""
    return Knowledge(config.assets().joinpath("knowledge"))


def _broken(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        title=said("The articles cannot be read ({why})", why=why), remedy=config.repair()
    )
