"""Stands in for API Gateway where no socket is wanted: the event that it would make of a request. For tests; never shipped."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.stand_ins.api_gateway import BufferedContext, proxy_event


def event(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: object = None,
    request_id: str | None = None,
) -> dict[str, Any]:
    """body: bytes and text go as they are, anything else as JSON (with its media type, unless the headers name one)."""
    sent = list(headers.items() if isinstance(headers, Mapping) else headers)
    if isinstance(body, bytes):
        data = body
    elif isinstance(body, str):
        data = body.encode()
    else:
        data = b"" if body is None else json.dumps(body).encode()
    if data and not any(name.lower() == "content-type" for name, _ in sent):
        sent.append(("Content-Type", "application/json"))
    target = quote(path)
    if pairs := list(query.items() if isinstance(query, Mapping) else query):
        target += "?" + urlencode(pairs)
    return proxy_event(method, target, sent, data, "192.0.2.1", request_id or str(uuid.uuid4()))


def context(request_id: str = "") -> BufferedContext:
    return BufferedContext(request_id or str(uuid.uuid4()))
