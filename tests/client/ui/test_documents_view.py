"""What the documents page says of each document."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend_lambda.services.inspection import Reason
from client.store.documents import Document
from client.store.outbox import Item
from client.ui.views import documents

AT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
LETTER = Document(
    id="d1",
    person=None,
    observation=None,
    purpose="medical_report",
    title="Letter.pdf",
    media_type="application/pdf",
    length_bytes=1_234_567,
    sha256="0" * 64,
    pages=3,
    added_at=AT,
    utc_offset_min=60,
    cloud_state=None,
    cloud_reason=None,
)


def _item(state: str) -> Item:
    return Item(1, "d1", "document", "p", state, AT, 0, None)


def test_a_row_says_when_on_the_clock_of_the_place_what_and_how_large() -> None:
    row = documents.row(LETTER, None, sent=False)
    assert row.when == "\u200e2026-03-02 00:30"
    assert row.what == "PDF, 3 pages, 1.2 MB"
    assert row.state == "Kept here" and row.drawn
    assert (
        documents.row(replace(LETTER, pages=1, length_bytes=5), None, sent=False).what == "PDF, 1 page, 1 kB"
    )
    picture = replace(LETTER, media_type="image/jpeg", pages=1, length_bytes=999_499)
    assert documents.row(picture, None, sent=False).what == "Picture (JPEG), 999 kB"
    newer = documents.row(replace(LETTER, media_type="text/x", pages=None), None, sent=False)
    assert (newer.what, newer.drawn) == ("text/x, 1.2 MB", False)


@pytest.mark.parametrize(
    ("item", "cloud_state", "reason", "sent", "percent", "words"),
    [
        ("pending", None, None, False, None, "Waits to be sent"),
        ("sending", None, None, False, None, "Being sent"),
        ("sending", None, None, False, 40, "Being sent, 40 %"),
        ("parked", None, None, False, None, "Not sent: it was refused"),
        ("held", None, None, False, None, "Kept here; not sent for now"),
        ("pending", "failed", None, True, None, "Waits to be sent"),
        (None, None, None, True, None, "Sent"),
        (None, "processing", None, True, None, "Sent; being looked at"),
        (None, "ready", None, True, None, "Sent; looked at: clean"),
        (
            None,
            "quarantined",
            "malware",
            True,
            None,
            "Sent; held back by the clinic: the virus scanner found something",
        ),
        (None, "quarantined", "of_a_newer_server", True, None, "Sent; held back by the clinic"),
        (None, "failed", None, True, None, "Sent; could not be looked at yet"),
        (None, "of_a_newer_server", None, True, None, "Sent"),
    ],
)
def test_how_it_stands_with_the_clinic(
    item: str | None, cloud_state: str | None, reason: str | None, sent: bool, percent: int | None, words: str
) -> None:
    document = replace(LETTER, cloud_state=cloud_state, cloud_reason=reason)
    owed = None if item is None else _item(item)
    assert documents.row(document, owed, sent=sent, percent=percent).state == words


def test_every_reason_of_the_server_has_words() -> None:
    assert set(documents.REASONS) == {str(reason) for reason in Reason}


@pytest.mark.parametrize(
    ("title", "media_type", "name"),
    [
        ("Letter.pdf", "application/pdf", "Letter.pdf"),
        ("Scan.PNG", "image/jpeg", "Scan.jpg"),
        ("a/b\\c:d?.pdf", "application/pdf", "a_b_c_d_.pdf"),
        ("Dr. Who", "application/pdf", "Dr. Who.pdf"),
        (".pdf", "application/pdf", "Document.pdf"),
    ],
)
def test_a_copy_has_the_ending_of_what_it_is(title: str, media_type: str, name: str) -> None:
    assert documents.copy_name(title, media_type) == name
