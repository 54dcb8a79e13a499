"""Our articles: both sides read them, they promise nothing that we do not do, and people's questions find them."""

from __future__ import annotations

import re
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_lambda.services import knowledge as cloud
from client import config
from client.assistant import knowledge
from client.assistant.evidence import Library, Passage
from client.assistant.knowledge import Article, BadArticle, Knowledge, Words, parsed, shipped
from client.errors import EnvironmentFault

FOLDER = Path(str(config.assets())) / "knowledge"
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "pt", "zh")
QUESTIONS = tomllib.loads((Path(__file__).parent / "knowledge_questions.toml").read_text(encoding="utf-8"))
GOOD = "title: A\nreviewed: no\nsource: NHS, A: https://www.nhs.uk/\n\nOne. Two.\n"
HOSTILE = (
    "",
    " ",
    "*",
    '"',
    "'; DROP TABLE article; --",
    "NEAR(heart pulse, 2)",
    "heart AND NOT pulse OR",
    "title : pulse",
    "{title asked} : pulse",
    "^pulse",
    "pulse + rate",
    "-pulse",
    'heart" OR "rate',
    "col:val*",
    "heart_rate",
    "a_b_c __ _",
    "\x00\x01\x1b[31mpulse\x7f",
    "pulse\u202e\u200b\ufeffrate",
    "\ud800\udfff",
    "\U0001f600" * 50,
    "\u0301" * 500,
    "))))((((",
    "%s %d {0} {name}",
    "\ufdfa" * 200,
    "9" * 5000,
    "心" * 5000,
)


@pytest.fixture(scope="module")
def ours() -> Knowledge:
    return shipped()


def asked(name: str) -> Iterator[tuple[str, str, str]]:
    for language, sets in QUESTIONS.items():
        for article, questions in sets[name]["asked"].items():
            yield from ((language, article, question) for question in questions)


def unknown() -> list[tuple[str, str]]:
    return [(of, one) for of, sets in QUESTIONS.items() for its in sets.values() for one in its["nothing"]]


# --- The articles


def test_both_sides_read_the_same(ours: Knowledge) -> None:
    theirs = {(one.language, one.id): one for one in cloud.read(FOLDER)}
    mine = {(one.language, one.id): one for language in ours.languages for one in ours.articles(language)}
    assert theirs.keys() == mine.keys()
    for key, one in mine.items():
        other = theirs[key]
        assert (one.title, one.reviewed, list(one.sources), one.text) == (
            other.title,
            other.reviewed,
            list(other.sources),
            other.text,
        )


def test_every_language_has_the_same_articles_and_questions_for_them(ours: Knowledge) -> None:
    assert ours.languages == LANGUAGES
    ids = [one.id for one in ours.articles("en")]
    assert len(ids) >= 14
    words = tomllib.loads((FOLDER / knowledge.WORDS_FILE).read_text(encoding="utf-8"))
    assert tuple(sorted(words)) == LANGUAGES
    for language in LANGUAGES:
        assert [one.id for one in ours.articles(language)] == ids
        assert sorted(words[language]["asked"]) == ids
        for one in ours.articles(language):
            assert one.language == language and one.sources == ours.article(one.id, "en").sources


def every_article() -> list[Article]:
    of = shipped()
    return [one for language in of.languages for one in of.articles(language)]


@pytest.mark.parametrize("article", every_article(), ids=lambda one: f"{one.language}-{one.id}")
def test_articles_are_short_and_name_whom_they_rest_on(article: Article) -> None:
    if article.language == "zh":
        assert 150 <= len(article.text) <= 600
    else:
        assert 90 <= len(article.text.split()) <= 300
    assert article.reviewed == "no"
    addresses = [re.search(r"https://[^\s]+$", one) for one in article.sources]
    assert addresses[0] is not None
    known = r"https://(www\.nhs\.uk|www\.who\.int|www\.cdc\.gov|www\.heart\.org|www\.nice\.org\.uk|medlineplus\.gov|doi\.org)/"
    assert all(re.match(known, one.group()) for one in addresses if one)
    assert len(article.passages()) >= 4
    assert all(12 <= len(one) <= 700 for one in article.passages())


DOSE = re.compile(
    r"\d\s*(mg|mcg|µg|ml|iu|g\b|milli|مل|ملغ|مجم|मिग्रा|मिली|毫克|毫升|片\b|粒)|\d\s*(tablets?|pills?|tabletten|comprimés|comprimidos|pastillas|حبات|गोलियाँ)",
    re.IGNORECASE,
)
NAMES = re.compile(
    r"bisoprolol|metoprolol|atenolol|propranolol|aspirin|paracetamol|ibuprofen|digoxin|amiodaron",
    re.IGNORECASE,
)
NOT_SEEN = {
    "en": (r"blood pressure|oxygen|temperature|blood sugar", r"cannot|not measure"),
    "es": (r"presión arterial|oxígeno|temperatura|azúcar", r"no puede|no mide"),
    "fr": (r"tension artérielle|oxygène|température|sucre", r"ne peut pas|ne mesure pas"),
    "de": (r"Blutdruck|Sauerstoff|temperatur|zucker", r"weder|keine Temperatur"),
    "pt": (r"pressão arterial|oxigênio|temperatura|açúcar", r"não consegue|não mede"),
    "ar": (r"ضغط الدم|الأكسجين|الحرارة|سكر الدم", r"لا تستطيع|لا تقيس"),
    "zh": (r"血压|血氧|体温|血糖", r"不能|不测"),
    "hi": (r"रक्तचाप|ऑक्सीजन|तापमान|शुगर", r"नहीं माप"),
}
CAMERA = {
    "en": r"\bcamera\b|\bscan\b",
    "es": r"cámara|escaneo",
    "fr": r"caméra|\bscan\b",
    "de": r"Kamera|\bScan\b",
    "pt": r"câmera|leitura",
    "ar": r"الكاميرا|المسح",
    "zh": r"摄像头|扫描",
    "hi": r"कैमरा|स्कैन",
}


@pytest.mark.parametrize("article", every_article(), ids=lambda one: f"{one.language}-{one.id}")
def test_no_article_names_a_dose_or_says_that_the_camera_sees_what_it_does_not(article: Article) -> None:
    assert not DOSE.search(article.text) and not NAMES.search(article.text)
    what, denied = NOT_SEEN[article.language]
    for sentence in re.split(r"(?<=[.!?؟।])\s+|(?<=[。！？；;])", article.text):
        if re.search(CAMERA[article.language], sentence) and re.search(what, sentence, re.IGNORECASE):
            beside = re.search(r"typed|escritas|saisies|eingetippt|digitadas|مكتوبة|手工|हाथ से", sentence)
            assert re.search(denied, sentence) or beside, sentence


def test_the_claims_check_notices_a_claim() -> None:
    what, denied = NOT_SEEN["en"]
    claim = "The camera measures your blood pressure."
    assert re.search(CAMERA["en"], claim) and re.search(what, claim) and not re.search(denied, claim)
    assert (
        DOSE.search("Use 5 mg in the morning")
        and DOSE.search("nimm 2 Tabletten")
        and NAMES.search("Bisoprolol")
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_not_measured_is_denied_in_every_language(ours: Knowledge, language: str) -> None:
    what, denied = NOT_SEEN[language]
    first = ours.article("not-measured", language).passages()[0]
    assert re.search(denied, first)
    assert len(re.findall(what, first, re.IGNORECASE)) >= 3


# --- What is no article


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("title: A", "title A", "is no 'name: value'"),
        ("title: A", "titel: A", "'titel' is none of"),
        ("title: A", "title:", "no title"),
        ("title: A", "title: A\ntitle: B", "more than one title"),
        ("reviewed: no\n", "", "no reviewed"),
        ("reviewed: no", "reviewed: yes", "reviewed is a date"),
        ("reviewed: no", "reviewed: 20261128", "reviewed is a date"),
        ("source: NHS, A: https://www.nhs.uk/\n", "", "no source"),
        ("One. Two.", " ", "no text"),
        ("One.", "<b>One.</b>", "'<' in the text"),
        ("One.", "See https://a.example.", "'https://' in the text"),
        ("One.", "[One](x).", "'](' in the text"),
        ("One.", "# One.", "'#' in the text"),
        ("One.", "One." * 30_000, "larger than"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(before: str, after: str, told: str) -> None:
    assert before in GOOD
    with pytest.raises(BadArticle, match=re.escape(told)) as caught:
        parsed("en", "a", GOOD.replace(before, after, 1).encode())
    assert str(caught.value).startswith("en/a.md: ")


def test_a_good_one_is_read_whatever_its_line_ends() -> None:
    assert parsed("en", "a", GOOD.replace("\n", "\r\n").encode()) == parsed("en", "a", GOOD.encode())
    assert parsed("en", "a", GOOD.replace(": no", ": 2026-11-28").encode()).reviewed == "2026-11-28"
    with pytest.raises(BadArticle, match="not UTF-8"):
        parsed("en", "a", b"\xff" + GOOD.encode())
    with pytest.raises(BadArticle, match="lower-case"):
        parsed("en", "A", GOOD.encode())


def test_passages_are_three_sentences_at_most() -> None:
    seven = " ".join(f"Sentence {name}." for name in "abcdefg")
    one = Article("a", "en", "A", "no", ("NHS",), f"{seven}\n\nOne more? Yes.")
    counts = [piece.count("Sentence") for piece in one.passages()]
    assert sum(counts) == 7 and max(counts) <= knowledge.MOST_SENTENCES
    assert one.passages()[-1] == "One more? Yes."
    chinese = Article("a", "zh", "A", "no", ("NHS",), "一。二。三。四。")
    assert chinese.passages() == ["一。二。", "三。四。"]


# --- The search


@pytest.mark.parametrize(("language", "article", "question"), [*asked("first"), *asked("later")])
def test_a_question_finds_its_article_first(
    ours: Knowledge, language: str, article: str, question: str
) -> None:
    found = ours.search(question, language)
    assert [one.article for one in found[:1]] == [article]
    assert {one.language for one in found} == {language}


@pytest.mark.parametrize(("language", "question"), unknown())
def test_what_our_articles_do_not_know_is_not_found(ours: Knowledge, language: str, question: str) -> None:
    assert ours.search(question, language) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_enough_questions(language: str) -> None:
    first = QUESTIONS[language]["first"]
    assert sum(len(questions) for questions in first["asked"].values()) >= 10
    assert len(first["nothing"]) >= 5


@pytest.mark.parametrize(
    ("language", "story", "article"),
    [
        (
            "en",
            "Hello there. My daughter brought me here this morning by bus, and it rained all the way. What is RMSSD?",
            "pulse-rate-variability",
        ),
        (
            "de",
            "Guten Tag. Ich war mit meiner Enkelin im Zoo, wir haben Elefanten gesehen. Was ist ein normaler Puls?",
            "heart-rate",
        ),
        ("zh", "你好。我和孙女去了动物园，看见了大象和长颈鹿。血压能测吗？", "not-measured"),
        (
            "hi",
            "नमस्ते। हम पोती के साथ चिड़ियाघर गए और हाथी देखा। क्या कॉफ़ी से दिल तेज़ होता है?",
            "caffeine-exercise-stress",
        ),
    ],
)
def test_a_question_at_the_end_of_a_story_is_found(
    ours: Knowledge, language: str, story: str, article: str
) -> None:
    assert [one.article for one in ours.search(story, language)[:1]] == [article]


def test_a_passage_is_of_its_article_word_for_word(ours: Knowledge) -> None:
    library: Library = ours
    found = library.search("how fast should my heart beat", "en", 5)
    assert [one.id for one in found] == [f"k{number}" for number in range(1, len(found) + 1)]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        article = ours.article(one.article, "en")
        assert one.text in article.passages() and one.title == article.title
        assert one.source == article.sources[0] and one.score > 0
    assert found[0].text == ours.article("heart-rate", "en").passages()[0]


@pytest.mark.parametrize(("most", "found"), [(-1, 0), (0, 0), (1, 1), (2, 2)])
def test_no_more_is_found_than_was_wanted(ours: Knowledge, most: int, found: int) -> None:
    assert len(ours.search("what is a normal pulse", "en", most)) == found


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("language", LANGUAGES)
def test_any_text_is_words_and_nothing_else(ours: Knowledge, language: str, text: str) -> None:
    for one in ours.search(text, language):
        assert isinstance(one, Passage)


@pytest.mark.parametrize(
    ("hostile", "plain"),
    [
        ("resting* pulse*", "resting pulse"),
        ('"resting" AND "pulse"', "resting and pulse"),
        ("(resting) NEAR/2 ^pulse", "resting near pulse"),
        ("title:resting + -pulse", "title resting pulse"),
        ("rest\x00ing pulse", "rest ing pulse"),
    ],
)
def test_what_fts_takes_for_its_language_is_read_as_words(ours: Knowledge, hostile: str, plain: str) -> None:
    assert ours.search(hostile, "en") == ours.search(plain, "en")


def test_the_index_is_whole_after_hostile_texts(ours: Knowledge) -> None:
    before = ours.search("what is RMSSD", "en")
    for text in HOSTILE:
        ours.search(text, "en")
    assert ours.search("what is RMSSD", "en") == before != ()


def test_a_megabyte_is_looked_at_from_its_beginning_only(ours: Knowledge) -> None:
    question = "what is a normal resting pulse "
    begun_s = time.perf_counter()
    found = ours.search(question + "pulse oximeter " * 70_000, "en")
    assert found and time.perf_counter() - begun_s < 5  # not a speed: that it does not hang
    assert ours.search("x" * 1_000_000, "en") == ()
    assert ours.search("qxz " * 1000 + question, "en") == ()


@pytest.mark.parametrize(
    ("language", "written", "article"),
    [
        ("en", "what is my hart rate", "heart-rate"),
        ("en", "my palpitatoins", "see-a-doctor"),
        ("en", "BREETHING RATE", "breathing-rate"),
        ("de", "Hertzfrequenz", "heart-rate"),
        ("es", "palpitasiones", "see-a-doctor"),
    ],
)
def test_a_slip_in_a_word_is_forgiven(ours: Knowledge, language: str, written: str, article: str) -> None:
    assert [one.article for one in ours.search(written, language)[:1]] == [article]


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("es", "¿Presión?", "presion"),
        ("de", "ATEMZÜGE", "atemzuge"),
        ("ar", "النَّبْض", "النبض"),
        ("ar", "والأكسجين", "اكسجين"),
        ("hi", "नब्ज़", "नब्ज"),
        ("fr", "L'OXYGÈNE", "oxygene"),
        ("pt", "comprimidos", "comprimido"),
    ],
)
def test_accents_capitals_and_endings_do_not_matter(
    ours: Knowledge, language: str, one: str, other: str
) -> None:
    found = [passage.article for passage in ours.search(one, language)]
    assert found and found == [passage.article for passage in ours.search(other, language)]


def test_english_is_searched_where_there_are_no_articles_and_says_so(ours: Knowledge) -> None:
    found = ours.search("what is a normal pulse", "sv")
    assert found and {one.language for one in found} == {"en"}
    assert (
        ours.search("pulso normal", "pt-BR")
        == ours.search("pulso normal", "PT_br")
        == ours.search("pulso normal", "pt")
    )
    assert ours.article("fever", "sv").language == "en" and ours.article("fever", "es-MX").language == "es"
    assert ours.articles("../en") == ours.articles("en") and ours.articles("") == ours.articles("en")
    with pytest.raises(KeyError):
        ours.article("../../secrets", "en")


def test_a_single_character_is_a_word_where_words_are_not_parted(ours: Knowledge) -> None:
    assert [one.article for one in ours.search("药", "zh")[:1]] == ["medicines"]
    assert [one.article for one in ours.search("灯？", "zh")[:1]] == ["good-scan"]
    assert ours.search("我", "zh") == ()


def test_several_threads_may_search(ours: Knowledge) -> None:
    fresh = shipped()
    wanted = {language: ours.search("RMSSD", language) for language in LANGUAGES}
    wrong: list[str] = []

    def look() -> None:
        for _ in range(5):
            wrong.extend(of for of in LANGUAGES if fresh.search("RMSSD", of) != wanted[of])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == [] and all(wanted.values())


# --- Paragraphs that answer by themselves


def test_every_paragraph_that_is_named_is_there_and_is_found_by_its_words(ours: Knowledge) -> None:
    words = tomllib.loads((FOLDER / knowledge.WORDS_FILE).read_text(encoding="utf-8"))
    lost = []
    for language in LANGUAGES:
        for name, entries in words[language]["paragraphs"].items():
            article, _, number = name.partition(":")
            text = " ".join(ours.article(article, language).text.split("\n\n")[int(number)].split())
            between = "" if language == "zh" else " "
            for entry in entries:
                asked_for = entry.replace("_", " ").replace(" ", between)
                if not any(one.text in text for one in ours.search(asked_for, language, 4)):
                    lost.append((language, name, entry))
    assert not lost


PARAGRAPHED = """[en]
stop = ["my"]
endings = ["s"]
[en.asked]
a = ["pulse"]
[en.paragraphs]
"a:0" = ["red moon", "my moon"]
"a:1" = ["red moon three", "in_deep water"]
"""


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("is the moon red", "One. Two."),
        ("red moons", "One. Two."),
        ("is it my moon", "One. Two."),
        ("are three of these moons red", "Three. Four."),
        ("deep in cold water", ""),
        ("in deep cold water", "Three. Four."),
        ("what is in deep waters", "Three. Four."),
        ("the moon. Is it red", ""),
        ("red " + "very " * 40 + "moon", ""),
        ("moonlight and redness", ""),
    ],
)
def test_a_question_that_holds_the_words_is_answered_by_that_paragraph(
    tmp_path: Path, question: str, first: str
) -> None:
    where = folder(tmp_path, PARAGRAPHED)
    (where / "en" / "a.md").write_text(GOOD + "\nThree. Four.\n", encoding="utf-8")
    found = Knowledge(where).search(question, "en")
    assert [one.text for one in found[:1]] == ([first] if first else [])
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_all_of_a_paragraph_is_found(ours: Knowledge) -> None:
    first, second = ours.search("are you a real doctor", "en", 2)
    assert f"{first.text} {second.text}" == " ".join(
        ours.article("voice", "en").text.split("\n\n")[3].split()
    )


@pytest.mark.parametrize(("language", "written"), [("de", "wo ist die Toilette"), ("pt", "dor de dente")])
def test_another_word_is_no_slip(ours: Knowledge, language: str, written: str) -> None:
    assert ours.search(written, language) == ()


# --- A folder


def folder(tmp_path: Path, words: str = '[en]\nstop = []\n[en.asked]\na = ["pulse"]\n') -> Path:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "words.toml").write_text(words, encoding="utf-8")
    return tmp_path


def test_the_version_is_that_of_the_contents(tmp_path: Path) -> None:
    where = folder(tmp_path)
    first = Knowledge(where).version
    assert re.fullmatch(r"[0-9a-f]{16}", first) and Knowledge(where).version == first
    (where / "en" / "a.md").write_text(GOOD.replace("One", "Three"), encoding="utf-8")
    second = Knowledge(where).version
    (where / "words.toml").write_text("[en]\nstop = []\n[en.asked]\n", encoding="utf-8")
    assert len({first, second, Knowledge(where).version, shipped().version}) == 4


def test_a_damaged_installation_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        Knowledge(tmp_path / "nowhere").search("pulse", "en")
    assert caught.value.remedy == config.repair()
    where = folder(tmp_path)
    assert [one.article for one in Knowledge(where).search("pulse", "en")] == ["a"]
    (where / "en" / "a.md").write_text("no head", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=re.escape("en/a.md: 'no head' is no 'name: value'")):
        Knowledge(where).search("pulse", "en")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "[en",
        "[en]\n[en.asked]\n",
        "[en]\nstop = 3\n[en.asked]\n",
        "[en]\nstop = []\nstops = []\n[en.asked]\n",
        "en = 3\n",
        '[en]\nstop = []\n[en.asked]\n[en.paragraphs]\na = ["pulse"]\n',
        '[en]\nstop = []\n[en.asked]\n[en.paragraphs]\n"a:x" = ["pulse"]\n',
    ],
)
def test_words_that_are_not_as_they_should_be_are_told(tmp_path: Path, words: str) -> None:
    with pytest.raises(EnvironmentFault, match=r"words\.toml"):
        Knowledge(folder(tmp_path, words)).search("pulse", "en")


def test_a_sqlite_that_cannot_search_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "_TOKENS", "no such tokenizer")
    with pytest.raises(EnvironmentFault, match="OperationalError"):
        shipped().search("pulse", "en")


def test_stems_keep_enough_of_a_word() -> None:
    words = Words.of({"stop": ["the"], "endings": ["ing", "s"], "beginnings": ["un"], "asked": {}})
    assert [words.stem(one) for one in ("beats", "the", "gas", "breathing", "unwell", "king")] == [
        "beat",
        "the",
        "gas",
        "breath",
        "well",
        "king",
    ]
    assert words.taken_apart("The pulse, the Beats 72") == (
        {"pulse": "pulse", "beat": "beats"},
        ["the_pulse", "the_beat", "beat_72"],
    )
