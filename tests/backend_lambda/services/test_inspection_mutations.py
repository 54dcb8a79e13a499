"""Any file at all has a finding, and finding it costs a bounded number of steps: lines of Python that run, not time that passes."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import FrameType
from typing import Any, Self

import pypdf
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend_lambda.services.inspection import Finding, inspect
from tests.backend_lambda.services.making_files import (
    GOOD,
    JPEG,
    JSON,
    PDF,
    PNG,
    chunk,
    exif,
    found,
    jpeg,
    one_page,
    png,
    report,
    tiff,
    updated,
    with_object_streams,
)


def most_steps(data: bytes) -> int:
    """A few hundred for each byte, and what pypdf spends on looking for what is missing. Honest files take a tenth of it."""
    return 300_000 + 400 * len(data)


class TooManySteps(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


class Counted:
    """`with Counted() as steps:` counts lines in `steps.count`. Raises TooManySteps."""

    def __init__(self, most: int) -> None:
        self.count, self._most = 0, most

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _call(self, _frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._line

    def _line(self, _frame: FrameType, _event: str, _arg: Any) -> Any:
        self.count += 1
        if self.count > self._most:
            raise TooManySteps
        return self._line


SEEDS: list[tuple[str, bytes]] = [
    (PDF, report()),
    (PDF, one_page()),
    (PDF, updated(one_page())),
    (PDF, with_object_streams({5: b"<</Title(Report)>>", 6: b"[1 2 3]"})),
    (PNG, png(interlace=0, before=[chunk(b"eXIf", tiff(place=False)), chunk(b"tEXt", b"Title\x00Report")])),
    (JPEG, jpeg(notes=[exif(tiff(place=True))])),
    (JPEG, jpeg(notes=[exif(tiff(place=False))])),
    (JSON, GOOD[JSON]),
]
TOKENS = [
    *(
        b"obj",
        b"endobj",
        b"stream\n",
        b"endstream",
        b"xref\n",
        b"trailer\n",
        b"startxref\n",
        b"%%EOF\n",
        b"<<",
        b">>",
    ),
    *(
        b"[",
        b"]",
        b"(",
        b")",
        b"/Kids",
        b"/Prev",
        b"/Length",
        b"/Filter",
        b"/FlateDecode",
        b"/Type",
        b"/ObjStm",
        b" 0 R ",
    ),
    *(
        b"1 0 R",
        b"2 0 R",
        b"4 0 R",
        b"99999999999",
        b"-1",
        b"0",
        b"\x00",
        b"\xff",
        b"\xff\xd9",
        b"\xff\xda",
        b"{",
        b'"',
    ),
]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """An honest file in which bytes were changed, taken away, doubled, moved, or replaced by words of its own language."""
    media_type, seed = draw(st.sampled_from(SEEDS))
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 1, 1, 2, 4, 16, 64, 256]))
        match draw(st.sampled_from(["flip", "cut", "double", "word", "over", "bytes"])):
            case "flip":
                if data:
                    data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + length]
            case "double":
                data[at:at] = bytes(data[at : at + length]) * draw(st.sampled_from([1, 2, 50]))
            case "word":
                data[at:at] = draw(st.sampled_from(TOKENS))
            case "over":
                word = draw(st.sampled_from(TOKENS))
                data[at : at + len(word)] = word
            case _:
                data[at : at + length] = draw(st.binary(max_size=length))
    return media_type, bytes(data)


def looked_at(media_type: str, data: bytes) -> Finding:
    with Counted(most_steps(data)):
        return found(data, media_type)


@pytest.fixture(autouse=True, scope="module")
def everything_loaded() -> None:
    """What is loaded once is not counted: a changed file may be the first that needs some part of the PDF library."""
    for part in pkgutil.iter_modules(pypdf.__path__, "pypdf."):
        importlib.import_module(part.name)
    for media_type, data in SEEDS:
        found(data, media_type)


@pytest.mark.parametrize(("media_type", "data"), SEEDS)
def test_an_honest_file_takes_few_steps(media_type: str, data: bytes) -> None:
    with Counted(most_steps(data)) as steps:
        found(data, media_type)
    assert 0 < steps.count < most_steps(data) // 10


def test_too_many_steps_are_noticed() -> None:
    with pytest.raises(TooManySteps), Counted(50):
        found(report(), PDF)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
@example((PDF, one_page().replace(b"0 6\n", b"0 999999999\n", 1)))
@example((PDF, one_page(trailer=b"/Prev 9")))
def test_a_changed_file_has_a_finding(changed: tuple[str, bytes]) -> None:
    media_type, data = changed
    first = looked_at(media_type, data)
    assert looked_at(media_type, data) == first
    if first.reason is not None:
        assert (first.pages, first.text) == (None, "")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=2_000))
def test_any_bytes_have_a_finding(media_type: str, data: bytes) -> None:
    beginning = {PDF: b"%PDF-1.4\n", PNG: b"\x89PNG\r\n\x1a\n", JPEG: b"\xff\xd8\xff", JSON: b"{"}[media_type]
    looked_at(media_type, data)
    assert looked_at(media_type, beginning + data).reason is not None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_wrong_hash_is_never_passed(media_type: str, sha256: str) -> None:
    assert inspect(GOOD[media_type], media_type, sha256).reason == "not_as_declared"
