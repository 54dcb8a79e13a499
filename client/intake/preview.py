"""What was kept, to be looked at: drawn in memory, never written anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.errors import BadInput
from client.intake import apart
from client.intake.accepting import interrupted
from client.intake.kinds import MediaType
from client.intake.refusals import Refused
from client.language import said

if TYPE_CHECKING:
    from edge_models.types import ByteArray

LONGEST_PX = 4_096
"""Of a page that is drawn, at most."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page. pixels: uint8 BGR [shape=(height, width, 3)]. pages: of the whole document."""

    pixels: ByteArray
    pages: int


def sheet(
    data: bytes,
    media_type: str,
    page: int,
    longest_px: int,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Sheet:
    """data: of a kept document. page: from 0. longest_px: of the longer side, in pixels, 1 to LONGEST_PX.

    Drawn in a process of its own (`apart`). Raises BadInput where it cannot be drawn, Interrupted, EnvironmentFault.
    """
    import numpy as np

    longest_px = max(1, min(longest_px, LONGEST_PX))
    try:
        answer = apart.ask(
            {"do": "page", "page": page, "longest_px": longest_px}
            if media_type == MediaType.PDF
            else {"do": "small", "longest_px": longest_px},
            data,
            cancelled=cancelled,
        )
        width, height, pages = (answer.number(name) for name in ("width", "height", "pages"))
    except apart.Cancelled:
        raise interrupted() from None
    except Refused:
        raise _cannot() from None
    if len(answer.data) != 3 * width * height or not answer.data:
        raise _cannot()
    return Sheet(np.frombuffer(answer.data, np.uint8).reshape(height, width, 3), pages)


def _cannot() -> BadInput:
    return BadInput(
        title=said("This page cannot be shown"),
        remedy=said("Save a copy and open it in another program."),
    )
