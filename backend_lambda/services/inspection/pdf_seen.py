"""Which letters of a page a person could see.

Looked at: whether they are drawn at all, how large, and where. Not looked at: their colour, and what is drawn over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pypdf.generic import ArrayObject, DictionaryObject

from backend_lambda.services.inspection.pdf_values import name_of, numbers_of, value_of

UNDRAWN = "[Some of this page's text is not drawn on it: what text recognition leaves behind a scanned picture, or what somebody hid.]"
"""In front of such a page's text."""
_SMALLEST_PT = 2.0
_NOT_DRAWN = {3, 7}
_SHOWING = {b"Tj", b"TJ", b"'", b'"'}
_PLACING = {b"BT", b"Td", b"TD", b"Tm", b"T*", b"'", b'"'}
_FORMS_WITHIN = 3
_MAX_RESOURCES = 1_000

Matrix = tuple[float, float, float, float, float, float]
_SAME: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(slots=True)
class _Writing:
    """The part of the graphics state that says how letters come out. spaced: beside a letter's own width, at most."""

    mode: int = 0
    size: float = 12.0
    letter_space: float = 0.0
    word_space: float = 0.0
    wide: float = 1.0
    leading: float = 0.0
    own_scale: bool = False
    """A font of drawings (Type 3): its size says nothing of its letters'."""


@dataclass(slots=True)
class Sight:
    """Follows the operators that pypdf meets on one page, and takes from it what nobody would see before it is read.

    count: called for each operator. undrawn: there was text behind a picture.
    """

    page: DictionaryObject
    count: Callable[[], None]
    undrawn: bool = False
    _box: tuple[float, float, float, float] | None = None
    _unit: float = 1.0
    _pictured: bool = False
    _base: Matrix = _SAME
    _resources: Any = None
    _writing: _Writing = field(default_factory=_Writing)
    _kept: list[_Writing] = field(default_factory=list)
    _outer: list[tuple[Matrix, Any, _Writing, list[_Writing]]] = field(default_factory=list)
    _line: float = 0.0

    def __post_init__(self) -> None:
        self._resources = inherited(self.page, "/Resources")
        self._pictured = _pictured(self._resources)
        self._box = _box(self.page)
        self._unit = next(iter(numbers_of([value_of(self.page, "/UserUnit")], 1) or ()), 1.0)

    def before(self, operator: bytes, operands: list[Any], cm: Sequence[float], tm: Sequence[float]) -> None:
        self.count()
        if operator in _PLACING:
            self._line = 0.0
        if operator in _SHOWING:
            if self._unseen(operator, operands, cm, tm):
                operands.clear()
        elif operator == b"Do":
            self._enter(operands, cm)
        elif operator == b"q":
            self._kept.append(replace(self._writing))
        elif operator == b"Q":
            self._writing = self._kept.pop() if self._kept else self._writing
        elif operator == b"Tf":
            self._font(operands)
        else:
            self._set(operator, operands)

    def after(self, operator: bytes, *_: object) -> None:
        if operator == b"Do" and self._outer:
            self._base, self._resources, self._writing, self._kept = self._outer.pop()

    def _enter(self, operands: list[Any], cm: Sequence[float]) -> None:
        """Each form is begun anew by pypdf; what it is drawn through is kept here."""
        self._outer.append((self._base, self._resources, replace(self._writing), self._kept))
        self._kept = []
        form = value_of(value_of(self._resources, "/XObject"), operands[0]) if operands else None
        if isinstance(form, DictionaryObject):
            own = numbers_of(value_of(form, "/Matrix"), 6)
            through = _times(tuple(cm), self._base)
            self._base = through if own is None else _times(own, through)
            self._resources = value_of(form, "/Resources") or self._resources

    def _font(self, operands: list[Any]) -> None:
        size = numbers_of(operands[1:], 1)
        if size is not None:
            self._writing.size = size[0]
            font = value_of(value_of(self._resources, "/Font"), operands[0])
            self._writing.own_scale = name_of(font, "/Subtype") == "/Type3"

    def _set(self, operator: bytes, operands: list[Any]) -> None:
        found = numbers_of(operands[-1:], 1)
        if found is None:
            return
        match operator:
            case b"Tr":
                self._writing.mode = int(found[0])
            case b"Tc":
                self._writing.letter_space = abs(found[0])
            case b"Tw":
                self._writing.word_space = abs(found[0])
            case b"Tz":
                self._writing.wide = abs(found[0]) / 100.0
            case b"TL":
                self._writing.leading = found[0]
            case b"TD":
                self._writing.leading = -found[0]

    def _unseen(self, operator: bytes, operands: list[Any], cm: Sequence[float], tm: Sequence[float]) -> bool:
        writing = self._writing
        if writing.mode in _NOT_DRAWN:
            if not self._pictured:
                return True
            self.undrawn = True
        at = (
            tuple(tm)
            if operator in {b"Tj", b"TJ"}
            else _times((1.0, 0.0, 0.0, 1.0, 0.0, -writing.leading), tm)
        )
        x_x, x_y, y_x, y_y, left, bottom = _times(at, _times(tuple(cm), self._base))
        height = abs(writing.size) * math.hypot(y_x, y_y)
        if height * self._unit < _SMALLEST_PT and not writing.own_scale:
            return True
        self._line += self._length(operands[-1:])
        if self._box is None or writing.own_scale:
            return False
        xs, ys = (left, left + self._line * x_x), (bottom, bottom + self._line * x_y)
        return (
            max(xs) + height < self._box[0]
            or max(ys) + height < self._box[1]
            or min(xs) - height > self._box[2]
            or min(ys) - height > self._box[3]
        )

    def _length(self, shown: list[Any]) -> float:
        """At most, in text space: no letter is wider than its font is large."""
        writing, length = self._writing, 0.0
        parts = list.__iter__(shown[0]) if shown and isinstance(shown[0], ArrayObject) else shown
        for part in parts:
            if isinstance(part, (str, bytes)):
                length += len(part) * (abs(writing.size) + writing.letter_space + writing.word_space)
            elif (offset := numbers_of([part], 1)) is not None:
                length += abs(offset[0] * writing.size) / 1000.0
        return length * max(1.0, writing.wide)


def inherited(page: DictionaryObject, key: str) -> Any:
    """As the page has it, or what it is in."""
    node: Any = page
    for _ in range(100):
        if not isinstance(node, DictionaryObject):
            return None
        if (found := value_of(node, key)) is not None:
            return found
        node = value_of(node, "/Parent")
    return None


def _pictured(resources: Any) -> bool:
    """Whether a page could draw a picture, also in a form."""
    waiting, looked_at = [(resources, 0)], 0
    while waiting:
        held, depth = waiting.pop()
        drawn = value_of(held, "/XObject")
        for key in list(dict.keys(drawn)) if isinstance(drawn, DictionaryObject) else ():
            looked_at += 1
            one = value_of(drawn, key)
            if name_of(one, "/Subtype") == "/Image":
                return True
            if isinstance(one, DictionaryObject) and depth < _FORMS_WITHIN and looked_at < _MAX_RESOURCES:
                waiting.append((value_of(one, "/Resources"), depth + 1))
    return False


def _box(page: DictionaryObject) -> tuple[float, float, float, float] | None:
    """What is shown of it: left, bottom, right, top. None: it does not say, or nothing that makes sense."""
    for key in ("/CropBox", "/MediaBox"):
        corners = numbers_of(inherited(page, key), 4)
        if corners is not None:
            left, right = sorted(corners[0::2])
            bottom, top = sorted(corners[1::2])
            if left < right and bottom < top:
                return left, bottom, right, top
    return None


def _times(m: Sequence[float], n: Sequence[float]) -> Matrix:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )
