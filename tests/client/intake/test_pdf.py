"""PDFs: what is refused is refused by the server too, and what it takes is taken here."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable

import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, TextStringObject

from backend_lambda.services.inspection import inspect
from client.intake import pdf
from client.intake.refusals import Refusal, Refused
from tests.client.intake import making


def _verdict(data: bytes) -> str | None:
    try:
        pdf.checked_pages(data)
    except Refused as refused:
        return str(refused.refusal)
    return None


def _servers(data: bytes) -> str | None:
    found = inspect(data, "application/pdf", hashlib.sha256(data).hexdigest()).reason
    return None if found is None else str(found)


def _action(kind: str, **more: str) -> DictionaryObject:
    made = DictionaryObject({NameObject("/S"): NameObject(kind)})
    made.update({NameObject(f"/{key}"): TextStringObject(value) for key, value in more.items()})
    return made


def _opens_with(action: DictionaryObject) -> Callable[[PdfWriter], object]:
    return lambda writer: writer.root_object.update({NameObject("/OpenAction"): action})


def _packed(body: bytes) -> bytes:
    """With objects in an object stream, which only an unpacker sees."""
    inside = zlib.compress(b"9 0 " + body)
    stream = (
        b"8 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n%s\nendstream\nendobj\n"
    )
    plain = making.report()
    at = plain.rindex(b"xref", 0, plain.rindex(b"startxref"))
    return plain[:at] + stream % (len(inside), inside) + plain[at:]


ACTIVE: dict[str, Callable[[], bytes]] = {
    "script": lambda: making.rewritten(_opens_with(_action("/JavaScript", JS="app.alert(1)"))),
    "file within": lambda: making.rewritten(lambda writer: writer.add_attachment("a.exe", b"MZ")),
    "program": lambda: making.rewritten(_opens_with(_action("/Launch", F="cmd.exe"))),
    "script that is spelt otherwise": lambda: making.report().replace(
        b"/Type /Catalog", b"/Type /Catalog /OpenAction<</S/J#61vaScript/JS(x)>>"
    ),
    "call when opened": lambda: making.rewritten(_opens_with(_action("/URI", URI="http://x"))),
    "other file": lambda: making.rewritten(_opens_with(_action("/GoToR", F="//host/x"))),
    "sound": lambda: making.rewritten(_opens_with(_action("/Sound"))),
    "form that sends": lambda: making.rewritten(_opens_with(_action("/SubmitForm", F="http://x"))),
}


@pytest.mark.parametrize("name", ACTIVE)
def test_what_would_do_something_when_it_is_opened_is_refused(name: str) -> None:
    data = ACTIVE[name]()
    assert _servers(data) == "active_content"
    assert _verdict(data) == "active_content"


def test_what_hides_in_an_object_stream_is_seen() -> None:
    assert _verdict(_packed(b"<</S/JavaScript/JS(x)>>")) == "active_content"
    assert _verdict(_packed(b"<</S/GoTo>>")) is None


def _encrypted(user: str, owner: str | None = None) -> bytes:
    return making.rewritten(lambda writer: writer.encrypt(user, owner, algorithm="RC4-128"))


OTHERS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "honest": (making.report, None),
    "rewritten": (lambda: making.rewritten(lambda _writer: None), None),
    "with a password": (lambda: _encrypted("secret"), "encrypted"),
    "locked against changes": (lambda: _encrypted("", "owner"), "encrypted"),
    "something behind it": (lambda: making.report() + b"PK stuff", "trailing_data"),
    "a ZIP behind it": (
        lambda: making.report() + b"PK\x05\x06" + bytes(18),
        "polyglot",
    ),
    "a page of HTML inside": (
        lambda: making.report().replace(b"%%EOF", b"<script >x</script>\n%%EOF"),
        "polyglot",
    ),
    "another PDF inside": (lambda: making.report() + making.report(), "polyglot"),
    "no end": (lambda: making.report().replace(b"%%EOF", b""), "damaged"),
    "half": (lambda: making.report()[:700], "damaged"),
    "too many pages": (lambda: making.report(201), "too_many_pages"),
    "as many pages as may be": (lambda: making.report(200), None),
}


@pytest.mark.parametrize("name", OTHERS)
def test_verdicts_are_those_of_the_server(name: str) -> None:
    make, verdict = OTHERS[name]
    data = make()
    assert (_verdict(data), _servers(data)) == (verdict, verdict)


def test_a_bomb_in_object_streams_is_seen_without_unpacking_it() -> None:
    assert _verdict(_packed(b"<<>>" + bytes(60_000_000))) == "bomb"


def test_pages_are_counted_and_drawn() -> None:
    data = making.report(3)
    assert pdf.checked_pages(data) == 3
    drawn = pdf.drawn(data, 1, 842)
    assert (drawn.height_px, drawn.pages) == (842, 3)
    assert abs(drawn.width_px - 595) <= 1
    assert len(drawn.pixels) == 3 * drawn.width_px * drawn.height_px
    assert drawn.pixels.count(b"\xff\xff\xff") > 100_000 and min(drawn.pixels) < 60  # letters on paper
    with pytest.raises(IndexError):
        pdf.drawn(data, 3, 842)


@pytest.mark.parametrize("box", [(100_000, 100_000), (14_400, 1), (1, 14_400), (0.001, 0.001), (612, 0)])
def test_a_page_of_any_size_is_drawn_within_bounds(box: tuple[float, float]) -> None:
    def change(writer: PdfWriter) -> None:
        from pypdf.generic import FloatObject

        sides = [FloatObject(value) for value in (0, 0, *box)]
        writer.pages[0][NameObject("/MediaBox")] = ArrayObject(sides)

    drawn = pdf.drawn(making.rewritten(change), 0, 10**9)
    assert max(drawn.width_px, drawn.height_px) <= pdf.LONGEST_PX
    assert len(drawn.pixels) == 3 * drawn.width_px * drawn.height_px


def test_damage_is_a_refusal_or_a_document() -> None:
    """Whatever else is raised would be a bug; that pdfium survives is what the process of its own is for."""
    plain = making.report()
    for at in range(9, len(plain), 13):
        assert _verdict(plain[:at] + b"?" + plain[at + 1 :]) in {None, *map(str, Refusal)}
