"""The overview of a person: any number of pages, each numbered, nothing lost between two."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from client.reports.contents import Everything, Person
from client.reports.overview import render
from edge_models.types import Reason
from tests.client.cli.test_card import RECORD
from tests.client.pipeline.fakes import estimate, scan_result
from tests.client.reports.kept import AT, CONSENTS, document, entry, everything, scan
from tests.client.reports.languages import in_a_long_language as in_a_long_language  # noqa: PLC0414 (a fixture)
from tests.client.reports.languages import in_arabic as in_arabic  # noqa: PLC0414 (a fixture)
from tests.client.reports.languages import in_language as in_language  # noqa: PLC0414 (a fixture)
from tests.client.reports.pages import alternatives, metadata, opened


def pages(pdf: bytes) -> list[str]:
    """What is written on each, read by another library than the one that wrote it."""
    with opened(pdf) as document_:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in document_]


def many(count: int) -> Everything:
    scans = tuple(scan(number) for number in range(count, 0, -1))
    readings = tuple(
        replace(
            entry("blood_pressure", {"systolic": 120.0 + n % 9, "diastolic": 80.0, "pulse": 61.0}, n),
            taken_at=AT - timedelta(days=n),
        )
        for n in range(count)
    )
    return everything(
        scans=scans, entries=readings, documents=tuple(document(n, f"Letter {n}") for n in range(9))
    )


def test_all_is_told() -> None:
    (page,) = pages(render(everything()))
    for expected in (
        "Ada Łukasz",
        "Record number R-0815",
        "All that is kept on this device, 2026-11-20 10:30 UTC+01:00",
        "Not a medical device.",
        "Heart rate by camera",
        "62 /min (60 to 64)",
        "not shown",
        "121/79 mmHg, 64 /min",
        "36.6 °C",
        "Letter",
        document().sha256[:20],
        "not agreed, or taken back",
        "Page 1 of 1",
    ):
        assert expected in page


def test_any_number_of_pages_is_numbered_and_nothing_is_lost() -> None:
    kept = many(70)
    found = pages(render(kept))
    assert len(found) > 4
    for number, page in enumerate(found, 1):
        assert page.count(f"Page {number} of {len(found)}") == 1
    text = " ".join(found)
    for one in kept.scans():
        assert f"{one.record.taken_at + timedelta(minutes=330):%Y-%m-%d %H:%M}" in text
    assert text.count("When Heart rate") == sum("/min (60 to 64)" in page for page in found), (
        "titles on each page"
    )


def test_what_is_drawn_is_told_in_words() -> None:
    told = alternatives(render(many(5)))
    assert (
        told[0] == "The heart rates of 5 scans from 2026-10-26 to 2026-11-15: between 62 and 62 per minute."
    )
    assert told[2].startswith("5 values from 2026-11-16 to 2026-11-20: between 120 and 124.")


def test_nothing_at_all_is_a_page() -> None:
    empty = everything(person=Person("x"), scans=(), entries=(), documents=(), consents=())
    (page,) = pages(render(empty))
    assert "Page 1 of 1" in page and "Scans by camera" not in page and "Ada" not in page


def test_simulated_scans_are_listed_as_such_and_not_drawn() -> None:
    simulated = [scan(n, replace(RECORD, simulated=True)) for n in (1, 2, 3)]
    pdf = render(everything(scans=simulated, entries=()))
    assert pages(pdf)[0].count("simulated") == 3 and alternatives(pdf) == []


def test_a_scan_without_values_has_its_row() -> None:
    vitals = {name: estimate(None, Reason.TOO_DARK) for name in RECORD.result.vitals}
    (page,) = pages(render(everything(scans=(scan(1, replace(RECORD, result=scan_result(vitals=vitals))),))))
    assert page.count("not shown") >= 4


def test_it_is_for_archives_and_the_same_again() -> None:
    pdf = render(everything())
    assert "<pdfaid:part>3</pdfaid:part>" in metadata(pdf)
    assert pdf == render(everything())


@pytest.mark.usefixtures("in_language")
def test_every_word_goes_through_the_persons_language() -> None:
    (page,) = pages(render(everything(consents=CONSENTS)))
    for _ in range(4):
        page = re.sub(r"«[^«»]*»", "", page)
    left = set(re.sub(r"[0-9a-f]{16,}", "", page).split())
    known = {"Health", "Helper", "Ada", "Łukasz", "Letter", "SHA-256", "%", "UTC+01:00", "UTC+05:30"}
    assert all(word in known or re.fullmatch(r"[\d:.,/()–-]+", word) for word in left), left - known


@pytest.mark.usefixtures("in_a_long_language")
def test_long_words_and_titles_stay_on_their_pages() -> None:
    kept = replace(many(40), documents=tuple(document(n, "W" * 200) for n in range(30)))
    with opened(render(kept)) as document_:
        for page in document_:
            text = page.get_textpage()
            boxes = [text.get_charbox(index) for index in range(text.count_chars())]
            for (left, bottom, right, top), _ in itertools.groupby(boxes):
                assert left > 40.0 and right < 555.0 and bottom > 20.0 and top < 822.0


@pytest.mark.usefixtures("in_arabic")
def test_a_language_from_right_to_left_is_mirrored() -> None:
    with opened(render(everything(), language="ar")) as document_:
        text = document_[0].get_textpage()
        whole = text.get_text_range()
        left, *_ = text.get_charbox(whole.index("Health Helper"))
        assert left > 300.0
