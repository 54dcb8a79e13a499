"""PDF (ISO 32000-2), read by pypdf within limits.

What a file does when it is opened is looked for twice: in every object that the cross-reference table knows, and as names in the raw
bytes and in every unpacked object stream, for another reader may find objects that this one does not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pypdf import PageObject, PdfReader, apply_configuration
from pypdf.errors import LimitReachedError
from pypdf.filters import ASCII85Decode, ASCIIHexDecode, LZWDecode, RunLengthDecode
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    PdfObject,
    StreamObject,
    TextStringObject,
)

from backend_lambda.services.inspection import jpeg
from backend_lambda.services.inspection.findings import Finding, Limits, Reason, Refused
from backend_lambda.services.inspection.inflating import inflated_bytes, unpacked
from backend_lambda.services.inspection.pdf_seen import UNDRAWN, Sight
from backend_lambda.services.inspection.pdf_values import followed, name_of, number_of, value_of
from backend_lambda.services.inspection.text import cleaned

logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # its warnings quote the document

_SPACE = b" \t\r\n\f\x00"
_END = re.compile(rb"startxref[\s\x00]*\d{1,12}[\s\x00]*(?:%%EOF[\s\x00]*)+\Z")
_END_WITHIN = 2_048
_NAME = re.compile(rb"/((?:[A-Za-z0-9]|#[0-9A-Fa-f]{2}){3,60})(?![A-Za-z0-9#])")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_ACTIVE_NAMES = {
    *(b"JavaScript", b"Launch", b"EmbeddedFile", b"EmbeddedFiles", b"RichMedia", b"XFA", b"SubmitForm"),
    *(b"ImportData", b"GoToE"),
}
_ACTIVE_KEYS = {
    *("/JS", "/JavaScript", "/EmbeddedFiles", "/EF", "/XFA", "/RichMediaContent", "/RichMediaSettings"),
}
_ACTIVE_ACTIONS = {
    *("/JavaScript", "/Launch", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE", "/Rendition"),
    *("/Movie", "/Sound", "/RichMediaExecute", "/GoTo3DView"),
}
_ACTIVE_KINDS = {"/RichMedia", "/Movie", "/Sound", "/Screen", "/FileAttachment", "/3D", "/EmbeddedFile"}
_HARMLESS_WHEN_OPENED = {"/GoTo", "/Named"}
_MAX_ACTIONS = 100
"""One after the other, when a file is opened."""
_CALLS_WHEN_OPENED = re.compile(
    rb"/OpenAction[\s\x00]*<<[^>]{0,400}?/URI[\s\x00]*[(<]"
    rb"|/(?:A|#41){2}[\s\x00]*<<[\s\x00]*/(?:[OCEXDUKFV]|Fo|Bl|P[OCVI]|W[CSP]|D[SP])[\s\x00]*(?:<<|\d)"
)
_OBJECT = re.compile(rb"[\s\x00]{0,16}(\d{1,10})[\s\x00]{1,16}(\d{1,5})[\s\x00]{1,16}obj")
_MAX_OBJECTS = 60_000
_MAX_VALUES = 1_500_000
"""Entries of all dictionaries and arrays together."""
_MAX_DEPTH = 100
_MAX_TREE = 4
"""Nodes of the page tree for each page that is allowed."""
_SEARCHED_BYTES = 400_000_000
"""Where a reference leads nowhere, pypdf searches the whole file for it: so many bytes in all."""
_STREAM_BYTES, _ALL_STREAMS_BYTES = 32_000_000, 200_000_000
_OBJECT_STREAMS_BYTES = 20_000_000
_ALL_PICTURES_BYTES = 2_000_000_000
_SLOW_BYTES = 16_000_000
"""In and out of the filters that pypdf has in Python."""
_MAX_FILTERS = 4
_FLATE = {"/FlateDecode", "/Fl"}
_SLOW: dict[str, Callable[[bytes], bytes]] = {
    "/ASCII85Decode": ASCII85Decode.decode,
    "/A85": ASCII85Decode.decode,
    "/ASCIIHexDecode": ASCIIHexDecode.decode,
    "/AHx": ASCIIHexDecode.decode,
    "/LZWDecode": LZWDecode.decode,
    "/LZW": LZWDecode.decode,
    "/RunLengthDecode": RunLengthDecode.decode,
    "/RL": RunLengthDecode.decode,
}
_PICTURES = {"/DCTDecode", "/DCT", "/JPXDecode", "/CCITTFaxDecode", "/CCF", "/JBIG2Decode"}
_SLACK_BYTES = 1 << 16
_TEXT_SOURCE_BYTES = 4_000_000
"""Page contents that are read for text."""
_TEXT_OPERATORS = 300_000
"""In all, where there are forms (content that pages draw, again and again if they like)."""
_CONFIGURATION: dict[str, Any] = {
    "maximum_declared_stream_length": _STREAM_BYTES,
    "array_based_stream_maximum_output_length": _STREAM_BYTES,
    "lzw_maximum_output_length": _SLOW_BYTES // 2,
    "run_length_maximum_output_length": _SLOW_BYTES // 2,
    "zlib_maximum_output_length": _STREAM_BYTES,
    "zlib_maximum_recovery_input_length": 20_000,
    "stream_filters_maximum_length": _MAX_FILTERS,
    "stream_decoding_work_maximum_length": 100_000_000,
    "stream_parsing_work_maximum_count": 500_000,
    "page_tree_maximum_depth": _MAX_DEPTH,
    "page_tree_maximum_page_entries": 100_000,
    "xform_maximum_invocations_per_extraction": 100,
    "jbig2dec_binary": None,
    "disable_legacy_handling": True,
}


def inspect_pdf(data: bytes, limits: Limits) -> Finding:
    """Raises Refused."""
    _check_ends(data)
    if _has_active_name(data):
        raise Refused(Reason.ACTIVE_CONTENT)
    with apply_configuration(**_CONFIGURATION, page_tree_maximum_entries=_MAX_TREE * limits.pages):
        try:
            return _read(data, limits)
        except LimitReachedError as error:
            raise Refused(Reason.TOO_COMPLEX) from error


def _check_ends(data: bytes) -> None:
    end = data.rfind(b"%%EOF")
    if end < 0:
        raise Refused(Reason.DAMAGED)
    if data[end + 5 :].strip(_SPACE):
        raise Refused(Reason.TRAILING_DATA)
    if not _END.search(data, max(0, len(data.rstrip(_SPACE)) - _END_WITHIN)):
        raise Refused(Reason.TRAILING_DATA if b"startxref" in data else Reason.DAMAGED)


def _has_active_name(data: bytes) -> bool:
    """Names may be written with #xx for any letter."""
    for found in _NAME.finditer(data):
        name = found.group(1)
        if b"#" in name:
            name = _ESCAPE.sub(lambda digits: bytes.fromhex(digits.group(1).decode()), name)
        if name in _ACTIVE_NAMES:
            return True
    return _CALLS_WHEN_OPENED.search(data) is not None


def _read(data: bytes, limits: Limits) -> Finding:
    try:
        reader = PdfReader(
            BytesIO(data), root_object_recovery_limit=100, xref_stream_maximum_entries=2 * _MAX_OBJECTS
        )
        encrypted = reader.is_encrypted
    except (LimitReachedError, RecursionError, MemoryError):
        raise
    except Exception as error:  # pypdf: "broken PDF files might cause other Exceptions"
        raise Refused(Reason.ENCRYPTED if b"/Encrypt" in data else Reason.DAMAGED) from error
    if encrypted:
        raise Refused(Reason.ENCRYPTED)
    walk = _Walk(reader, data, limits)
    walk.all_objects()
    pages = _pages(reader, limits)
    text, complete = _text(reader, walk, limits)
    return Finding(pages=pages, text=text, text_complete=complete)


@dataclass(slots=True)
class _Walk:
    """Once over every object. stream_bytes: unpacked length, by object number. forms: whether there are any."""

    reader: PdfReader
    data: bytes
    limits: Limits
    values: int = 0
    searched: int = 0
    slow: int = 0
    streams: int = 0
    pictures: int = 0
    forms: bool = False
    stream_bytes: dict[int, int] = field(default_factory=dict)
    wanted: set[tuple[int, int]] = field(default_factory=set)

    def all_objects(self) -> None:
        plain = [(generation, number) for generation, table in self.reader.xref.items() for number in table]
        packed = [(0, number) for number in self.reader.xref_objStm]
        if len(plain) + len(packed) > _MAX_OBJECTS:
            raise Refused(Reason.TOO_COMPLEX)
        self._check_places()
        self._check_object_streams()
        self._look_into(self.reader.trailer)
        for generation, number in [*plain, *packed]:
            self._object(generation, number)
        known = {*plain, *packed}
        for _ in self.wanted - known:
            self._searches()

    def _check_places(self) -> None:
        """Where the table is wrong, pypdf searches."""
        for generation, table in self.reader.xref.items():
            for number, at in table.items():
                if self.reader.xref_free_entry.get(generation, {}).get(number):
                    continue
                found = _OBJECT.match(self.data, at) if 0 <= at < len(self.data) else None
                if found is None or (int(found[1]), int(found[2])) != (number, generation):
                    self._searches()

    def _check_object_streams(self) -> None:
        """Before anything is taken out of them: pypdf makes all that is in one at once."""
        total = 0
        for number in {container for container, _ in self.reader.xref_objStm.values()}:
            found = followed(IndirectObject(number, 0, self.reader))
            if isinstance(found, StreamObject):
                total += self._unpacked_length(found, _OBJECT_STREAMS_BYTES)[0]
                if total > _OBJECT_STREAMS_BYTES:
                    raise Refused(Reason.BOMB)

    def _searches(self) -> None:
        self.searched += len(self.data)
        if self.searched > _SEARCHED_BYTES:
            raise Refused(Reason.DAMAGED)

    def _object(self, generation: int, number: int) -> None:
        try:
            found = self.reader.get_object(IndirectObject(number, generation, self.reader))
        except (LimitReachedError, RecursionError, MemoryError):
            raise
        except Exception:  # noqa: BLE001  (pypdf raises all sorts; an object that cannot be read is none)
            self._searches()
            return
        if found is None:
            return
        self._look_into(found)
        if isinstance(found, StreamObject):
            self.stream_bytes[number] = self._measure(found)
            self.forms = self.forms or name_of(found, "/Subtype") == "/Form"

    def _look_into(self, top: PdfObject) -> None:
        waiting: list[tuple[Any, int]] = [(top, 0)]
        while waiting:
            value, depth = waiting.pop()
            if isinstance(value, IndirectObject):
                self.wanted.add((value.generation, value.idnum))
                continue
            if isinstance(value, DictionaryObject):
                inside: list[Any] = list(dict.values(value))
                self._check_dictionary(value)
            elif isinstance(value, ArrayObject):
                inside = list(list.__iter__(value))
            else:
                continue
            self.values += len(inside)
            if self.values > _MAX_VALUES or depth > _MAX_DEPTH:
                raise Refused(Reason.TOO_COMPLEX)
            waiting.extend((part, depth + 1) for part in inside)

    def _check_dictionary(self, found: DictionaryObject) -> None:
        if (
            not _ACTIVE_KEYS.isdisjoint(found)
            or name_of(found, "/S") in _ACTIVE_ACTIONS
            or name_of(found, "/Subtype") in _ACTIVE_KINDS
            or name_of(found, "/Type") == "/EmbeddedFile"
            or (isinstance(found, StreamObject) and "/F" in found)  # its bytes are in another file
            or _acts_when_opened(found)
            or _acts_on_its_own(found)
        ):
            raise Refused(Reason.ACTIVE_CONTENT)

    def _measure(self, stream: StreamObject) -> int:
        """Its length, unpacked. Pictures by what they say they are."""
        picture = name_of(stream, "/Subtype") == "/Image"
        length, data = self._unpacked_length(
            stream, self._picture_bytes(stream) if picture else _STREAM_BYTES
        )
        self._add(length, picture=picture)
        if name_of(stream, "/Type") == "/ObjStm" and _has_active_name(data):
            raise Refused(Reason.ACTIVE_CONTENT)
        return length

    def _unpacked_length(self, stream: StreamObject, allowed: int) -> tuple[int, bytes]:
        """And what is in it, which is unpacked for object streams only."""
        filters = _filters(stream)
        data: bytes = stream._data  # noqa: SLF001  (as it is in the file; get_data() would unpack it without our bounds)
        length = len(data)
        for place, name in enumerate(filters):
            if name in _PICTURES:
                self._check_picture(name, data)
                break
            if name in _FLATE:
                came = inflated_bytes(data, allowed)
                if came is None:
                    raise Refused(Reason.BOMB)
                length = came
                if place + 1 < len(filters) or name_of(stream, "/Type") == "/ObjStm":
                    data = unpacked(data, allowed)
            elif name in _SLOW:
                data = self._slowly(name, data)
                length = len(data)
            else:
                break  # unknown to readers too
        return length, data

    def _add(self, length: int, *, picture: bool) -> None:
        if picture:
            self.pictures += length
        else:
            self.streams += length
        if self.streams > _ALL_STREAMS_BYTES or self.pictures > _ALL_PICTURES_BYTES:
            raise Refused(Reason.BOMB)

    def _slowly(self, name: str, data: bytes) -> bytes:
        self.slow += len(data)
        if self.slow > _SLOW_BYTES:
            raise Refused(Reason.TOO_COMPLEX)
        try:
            data = _SLOW[name](data)
        except (LimitReachedError, MemoryError):
            raise Refused(Reason.BOMB) from None
        except Exception:  # noqa: BLE001  (as in `_object`: what cannot be unpacked is empty)
            data = b""
        self.slow += len(data)
        return data

    def _picture_bytes(self, picture: StreamObject) -> int:
        """As many as its pixels can take: four samples each, and a byte before each row for the predictor."""
        width, height = number_of(picture, "/Width"), number_of(picture, "/Height")
        if width * height > self.limits.pixels:
            raise Refused(Reason.TOO_MANY_PIXELS)
        bits = number_of(picture, "/BitsPerComponent") or 8
        return height * (1 + width * 4 * min(bits, 16) // 8) + _SLACK_BYTES

    def _check_picture(self, name: str, data: bytes) -> None:
        """A JPEG in a PDF is a JPEG with all its notes. What else is wrong with it is the reader's trouble."""
        if name in {"/DCTDecode", "/DCT"}:
            try:
                jpeg.check_head(data, self.limits)
            except Refused as refused:
                if refused.reason in {Reason.LOCATION, Reason.TOO_MANY_PIXELS}:
                    raise


def _acts_when_opened(found: DictionaryObject) -> bool:
    """Whether it does more than show a place in itself."""
    first = value_of(found, "/OpenAction")
    if first is None or isinstance(
        first, (ArrayObject, NullObject, NameObject, TextStringObject, ByteStringObject)
    ):
        return False  # nothing, or a destination
    waiting: list[Any] = [first]
    for _ in range(_MAX_ACTIONS):
        if not waiting:
            return False
        action = waiting.pop()
        if not isinstance(action, DictionaryObject):
            return True
        if "/S" in action and name_of(action, "/S") not in _HARMLESS_WHEN_OPENED:
            return True
        following = value_of(action, "/Next")
        if isinstance(following, ArrayObject):
            waiting.extend(followed(one) for one in list.__iter__(following))
        elif following is not None:
            waiting.append(following)
    return True


def _acts_on_its_own(found: DictionaryObject) -> bool:
    """Whether it has "additional actions", which begin when a page is turned to, a pointer moves … A font may be called AA too."""
    actions = value_of(found, "/AA")
    if not isinstance(actions, DictionaryObject) or isinstance(actions, StreamObject):
        return False
    each = (value_of(actions, key) for key in list(dict.keys(actions)))
    return any(isinstance(one, DictionaryObject) and "/S" in one for one in each)


def _filters(stream: StreamObject) -> list[str]:
    value = value_of(stream, "/Filter")
    parts = list(list.__iter__(value)) if isinstance(value, ArrayObject) else [value]
    if len(parts) > _MAX_FILTERS:
        raise Refused(Reason.TOO_COMPLEX)
    names = [followed(part) for part in parts]
    return [str(name) for name in names if isinstance(name, NameObject)]


def _pages(reader: PdfReader, limits: Limits) -> int:
    try:
        root = reader.root_object
    except (LimitReachedError, RecursionError, MemoryError):
        raise
    except Exception as error:
        raise Refused(Reason.DAMAGED) from error
    waiting: list[tuple[Any, int]] = [(value_of(root, "/Pages"), 0)]
    pages = 0
    visited = 0
    while waiting:
        node, depth = waiting.pop()
        visited += 1
        if visited > _MAX_TREE * limits.pages or depth > _MAX_DEPTH:
            raise Refused(Reason.TOO_COMPLEX)
        if not isinstance(node, DictionaryObject):
            continue
        kids = value_of(node, "/Kids")
        if isinstance(kids, ArrayObject):
            if len(kids) > _MAX_TREE * limits.pages:
                raise Refused(Reason.TOO_MANY_PAGES)
            waiting.extend((followed(kid), depth + 1) for kid in list.__iter__(kids))
        else:
            pages += 1
            if pages > limits.pages:
                raise Refused(Reason.TOO_MANY_PAGES)
    if not pages:
        raise Refused(Reason.DAMAGED)
    return pages


class _Enough(BaseException):
    """Work that is too much. No Exception, for pypdf catches those of forms and goes on."""


def _text(reader: PdfReader, walk: _Walk, limits: Limits) -> tuple[str, bool]:
    """What can be had of it within the limits; nothing that goes wrong here speaks against the file."""
    parts: list[str] = []
    complete = True
    source = length = operators = 0

    def count() -> None:
        nonlocal operators
        operators += 1
        if walk.forms and operators > _TEXT_OPERATORS:
            raise _Enough

    for page in _readable(reader, limits):
        source += _content_bytes(page, walk.stream_bytes)
        if source > _TEXT_SOURCE_BYTES or length > limits.characters:
            return _cut(parts, limits), False
        try:
            sight = Sight(page, count)
            part = cleaned(
                page.extract_text(visitor_operand_before=sight.before, visitor_operand_after=sight.after)
            )
        except MemoryError:
            raise
        except _Enough:
            return _cut(parts, limits), False
        except Exception:  # noqa: BLE001  (as in `_object`: a page whose letters cannot be read)
            complete = False
            continue
        if sight.undrawn and part:
            part = f"{UNDRAWN}\n{part}"
        parts.append(part)
        length += len(part) + 1
    return _cut(parts, limits), complete and length <= limits.characters


def _cut(parts: list[str], limits: Limits) -> str:
    return "\n".join(part for part in parts if part)[: limits.characters]


def _readable(reader: PdfReader, limits: Limits) -> Iterator[PageObject]:
    try:
        yield from (reader.pages[at] for at in range(min(len(reader.pages), limits.pages)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (as in `_object`)
        return


def _content_bytes(page: PageObject, stream_bytes: dict[int, int]) -> int:
    raw = page.raw_get("/Contents") if "/Contents" in page else None
    value = followed(raw)
    references = list(list.__iter__(value)) if isinstance(value, ArrayObject) else [raw]
    return sum(stream_bytes.get(one.idnum, 0) for one in references if isinstance(one, IndirectObject))
