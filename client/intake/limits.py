"""The most that is taken: what the server takes (its inspection's limits and those of an upload)."""

from __future__ import annotations

from collections.abc import Mapping

from client.intake.kinds import MediaType

MAX_BYTES: Mapping[MediaType, int] = {
    MediaType.PDF: 20_000_000,
    MediaType.PNG: 15_000_000,
    MediaType.JPEG: 15_000_000,
}
"""Of what is kept and sent."""
MAX_READ_BYTES: Mapping[MediaType, int] = {
    MediaType.PDF: 20_000_000,
    MediaType.PNG: 60_000_000,
    MediaType.JPEG: 60_000_000,
}
"""Of a file as it is handed in; a picture is encoded anew and may be smaller then."""
MAX_PAGES = 200
MAX_PIXELS = 40_000_000
MAX_SHRUNK_PIXELS = 200_000_000
"""Of a JPEG, which is then decoded at a half or a quarter of its size: phones make them with 50, 108 and 200 million."""
