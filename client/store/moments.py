"""Identifiers and moments, as the rows of the store have them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta


def new_id() -> str:
    """A UUID, version 4."""
    return str(uuid.uuid4())


def utc_offset_min(moment: datetime) -> int:
    """What this computer's wall clock is ahead of UTC at a moment."""
    offset = moment.astimezone().utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


def milliseconds(moment: datetime) -> datetime:
    """The moment in UTC, without what is less than a millisecond."""
    utc = moment.astimezone(UTC)
    return utc - timedelta(microseconds=utc.microsecond % 1000)


def text_of(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: sorts as the moments do."""
    return milliseconds(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """What `text_of` has made."""
    return datetime.fromisoformat(text)
