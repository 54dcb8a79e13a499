"""Server-sent events (WHATWG HTML, "Server-sent events"): one event of the wire format is one block of lines."""

from __future__ import annotations

from pydantic import BaseModel


def block(event: BaseModel) -> bytes:
    """`event:` and one `data:` line of JSON, which has no line break of its own."""
    name = getattr(event, "event", "message")
    return f"event: {name}\ndata: {event.model_dump_json()}\n\n".encode()
