"""The .ts files: every sentence of the code is in them, finished, with the same places for values."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import string
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import language
from client.config import assets
from client.language import listing, marked, said
from client.ui.translations import LANGUAGES, words_of
from client.ui.views import entry

ROOT = Path(__file__).resolve().parents[3]
TRANSLATED = [code for code in LANGUAGES if code != "en"]
LETTERS = {"es": r"[a-záéíóúñü]", "ar": r"[\u0600-\u06ff]"}
SAME_IN_ALL = {"RMSSD", "SDNN"}


@pytest.fixture(autouse=True)
def english_afterwards() -> Iterator[None]:
    yield
    language.use(None)


def messages(path: Path) -> dict[str, ET.Element]:
    root = ET.fromstring(path.read_bytes())
    return {str(m.findtext("source")): m for m in root.iter("message")}


def places(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every sentence in the code, as Qt's own program finds them."""
    spec = importlib.util.spec_from_file_location("health_helper_setup", ROOT / "packaging" / "setup.py")
    assert spec is not None and spec.loader is not None
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    folder = tmp_path_factory.mktemp("i18n")
    (folder / "es.ts").write_text('<?xml version="1.0"?><!DOCTYPE TS><TS version="2.1" language="es"></TS>')
    done = subprocess.run(setup.translations(folder), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(messages(folder / "es.ts"))


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_of_the_code_is_translated(code: str, collected: set[str]) -> None:
    path = Path(str(assets().joinpath("i18n", f"{code}.ts")))
    found = messages(path)
    assert collected == set(found), "run 'make translations', then translate what is new"
    finished = words_of(path)
    assert not collected - set(finished), "not translated yet"


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_places_of_its_source_and_is_in_its_language(code: str) -> None:
    for source, translation in words_of(Path(str(assets().joinpath("i18n", f"{code}.ts")))).items():
        assert places(source) == places(translation), (source, translation)
        words = re.sub(r"\{\w*\}", "", source)
        if code == "ar" and re.search("[a-z]{3}", words) and "*." not in words:
            assert re.search(LETTERS[code], translation), (source, translation)


def test_the_collection_sees_both_names(collected: set[str]) -> None:
    assert len(collected) > 200
    assert "Your heart rate is {rate} per minute" in collected  # said
    assert "it was too dark" in collected  # marked


def test_what_is_said_later_is_marked_where_it_is_made() -> None:
    """A sentence of plain text would be in no .ts file, and English for everybody."""
    plain = [
        f"{path.name}, line {node.lineno}"
        for path in sorted((ROOT / "client").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Sentence"
        and isinstance(node.args[0], (ast.Constant, ast.JoinedStr))
    ]
    assert plain == []


def test_a_value_goes_to_its_place_and_a_broken_translation_falls_back() -> None:
    assert said("{a} of {b}", a=1, b=2) == "1 of 2"
    assert marked("{a}") == "{a}" and said("{a}") == "{a}"
    language.use({"{a} of {b}": "{b}: {a}", "{a}!": "{c}?", "{a}.": "{"}.get)  # type: ignore[arg-type]
    assert said("{a} of {b}", a=1, b=2) == "2: 1"
    assert said("{a}!", a=1) == "1!"
    assert said("{a}.", a=1) == "1."


@pytest.mark.parametrize("content", [b"", b"<TS", b"\xff\xfe", b"<?xml version='1.0'?><TS/>"])
def test_a_file_that_is_no_translation_has_no_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "xx.ts"
    path.write_bytes(content)
    assert words_of(path) == {}
    assert words_of(tmp_path / "none.ts") == {}


def test_what_is_unfinished_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "xx.ts"
    shutil.copy(Path(str(assets().joinpath("i18n", "es.ts"))), path)
    path.write_text(
        "<TS><context><name/><message><source>a</source><translation type='unfinished'>x</translation></message>"
        "<message><source>b</source><translation>y</translation></message></context></TS>"
    )
    assert words_of(path) == {"b": "y"}


def test_a_list_has_the_comma_of_the_language() -> None:
    assert (listing([]), listing(["a"]), listing("abc")) == ("", "a", "a, b, c")
    assert listing(["{a}", "{one}"]) == "{a}, {one}"  # a name, not a place for a value
    language.use(lambda text: words_of(Path(str(assets().joinpath("i18n", "ar.ts")))).get(text, text))
    assert listing("abc") == "a، b، c"


def test_a_reading_has_units_and_commas_of_the_language() -> None:
    language.use(lambda text: words_of(Path(str(assets().joinpath("i18n", "ar.ts")))).get(text, text))
    words = entry.words("blood_pressure", {"systolic": 128.0, "diastolic": 82.0, "pulse": 70.0})
    assert "128/82" in words and "، " in words
    assert not re.search("[A-Za-z,]", words), words
