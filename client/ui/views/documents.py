"""Somebody's documents, as their page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from client.language import listing, marked, said
from client.store.documents import Document
from client.store.outbox import Item, ItemState
from client.ui.views.history import LEFT_TO_RIGHT

KINDS: Mapping[str, str] = {
    "application/pdf": marked("PDF"),
    "image/png": marked("Picture (PNG)"),
    "image/jpeg": marked("Picture (JPEG)"),
    "application/json": marked("Data (JSON)"),
}
_ENDINGS: Mapping[str, str] = {
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "application/json": ".json",
}
REASONS: Mapping[str, str] = {
    "not_as_declared": marked("it did not arrive as it was sent"),
    "not_this_type": marked("it is of another type than it says"),
    "damaged": marked("it is damaged"),
    "unsupported": marked("it is of a rare kind"),
    "trailing_data": marked("something follows behind its end"),
    "polyglot": marked("another kind of file is inside it"),
    "encrypted": marked("it is locked"),
    "active_content": marked("it would do something when it is opened"),
    "bomb": marked("it grows beyond measure when it is unpacked"),
    "too_complex": marked("it is too complicated"),
    "too_many_pages": marked("it has too many pages"),
    "too_many_pixels": marked("it has too many pixels"),
    "location": marked("it says where it was taken"),
    "unknown_schema": marked("its kind of data is not known"),
    "malware": marked("the virus scanner found something"),
}
"""The clinic's reasons to hold a file back."""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One line of the list. when: on the clock of the place where it was added. what: kind, pages, size. drawn: it can be looked at here."""

    id: str
    when: str
    title: str
    what: str
    state: str
    media_type: str
    pages: int | None
    drawn: bool


def row(document: Document, item: Item | None, *, sent: bool, percent: int | None = None) -> DocumentRow:
    """item: what is still owed of it to the clinic. sent: it has arrived there. percent: of what is being sent now."""
    at = document.added_at + timedelta(minutes=document.utc_offset_min)
    return DocumentRow(
        id=document.id,
        when=f"{LEFT_TO_RIGHT}{at:%Y-%m-%d %H:%M}",
        title=document.title,
        what=listing(
            part
            for part in (
                said(KINDS.get(document.media_type, document.media_type)),
                pages(document.pages) if document.media_type == "application/pdf" else "",
                size(document.length_bytes),
            )
            if part
        ),
        state=state(document, item, sent=sent, percent=percent),
        media_type=document.media_type,
        pages=document.pages,
        drawn=document.media_type in {"application/pdf", "image/png", "image/jpeg"},
    )


def pages(count: int | None) -> str:
    """How many, in words; "" where nobody knows."""
    if count is None:
        return ""
    return said("1 page") if count == 1 else said("{count} pages", count=count)


def size(length_bytes: int) -> str:
    """In kB or MB, powers of ten."""
    if length_bytes < 999_500:
        return said("{size} kB", size=max(1, round(length_bytes / 1000)))
    return said("{size} MB", size=f"{length_bytes / 1e6:.1f}")


def state(document: Document, item: Item | None, *, sent: bool, percent: int | None) -> str:
    """How it stands with the clinic. What is still owed counts more than what was said of it earlier."""
    if item is not None:
        match item.state:
            case ItemState.PENDING:
                return said("Waits to be sent")
            case ItemState.SENDING:
                return (
                    said("Being sent")
                    if percent is None
                    else said("Being sent, {percent} %", percent=percent)
                )
            case ItemState.PARKED:
                return said("Not sent: it was refused")
            case _:
                return said("Kept here; not sent for now")
    match document.cloud_state:
        case "ready":
            return said("Sent; looked at: clean")
        case "quarantined":
            why = REASONS.get(document.cloud_reason or "")
            if why is None:
                return said("Sent; held back by the clinic")
            return said("Sent; held back by the clinic: {reason}", reason=said(why))
        case "failed":
            return said("Sent; could not be looked at yet")
        case "awaiting" | "processing":
            return said("Sent; being looked at")
        case _:
            return said("Sent") if sent else said("Kept here")


def copy_name(title: str, media_type: str) -> str:
    """A name for a copy: that of the document with the ending of what it is now, without what a disk can't have in a name."""
    kept = "".join("_" if letter in '<>:"/\\|?*' or ord(letter) < 32 else letter for letter in title)
    ending = _ENDINGS.get(media_type, "")
    known = next((one for one in (".pdf", ".png", ".jpeg", ".jpg") if kept.lower().endswith(one)), "")
    return (kept[: len(kept) - len(known)].rstrip(" .") or said("Document")) + ending


def zoom_steps() -> tuple[int, ...]:
    """Percent of the width that there is for a page."""
    return (100, 150, 200, 300)
