"""The log: one JSON object a line on standard error, and nothing in it that identifies a person.

Names of files, folders, addresses and anything quoted are cut out of every text before it is written:
a recording is often called after the person in it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType

_LOGGER = logging.getLogger("health_helper")

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_MAIL = re.compile(r"\S+@\S+\.\w+")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_PATH = re.compile(r"(?:[A-Za-z]:)?[^\s:,;()<>]*[/\\][^\s:,;()<>]*")
_FILE = re.compile(
    r"[^\s:,;()<>]+\.(?:mp4|avi|mkv|mov|webm|jpe?g|png|pdf|json|db|sqlite3?|onnx|npz?|txt)\b", re.IGNORECASE
)


def redact(text: str) -> str:
    """The text without addresses, paths, names of files and quoted parts."""
    for pattern, mark in (
        (_URL, "<url>"),
        (_MAIL, "<mail>"),
        (_QUOTED, "<text>"),
        (_PATH, "<path>"),
        (_FILE, "<file>"),
    ):
        text = pattern.sub(mark, text)
    return text


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "thread": record.threadName,
            "at_ms": round(record.relativeCreated, 1),
        }
        extra = getattr(record, "fields", {})
        for name, value in extra.items():
            fields[name] = redact(value) if isinstance(value, str) else value
        return json.dumps(fields, default=str)


def start(*, verbose: bool) -> None:
    """Send the log to standard error if `verbose`, otherwise nowhere. May be called again."""
    for handler in list(_LOGGER.handlers):
        _LOGGER.removeHandler(handler)
    handler_: logging.Handler = logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()
    handler_.setFormatter(_JsonLines())
    _LOGGER.addHandler(handler_)
    _LOGGER.setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    _LOGGER.propagate = False


def event(name: str, /, **fields: str | float | int | bool | None) -> None:
    """Write one line: what happened (a fixed name) and its fields. Texts among them are redacted."""
    _LOGGER.info(name, extra={"fields": fields})


def describe_bug(error: BaseException) -> str:
    """A traceback that may be sent to us: places in the code and redacted messages, no paths, no values."""
    lines = ["Health Helper has met a bug of its own. Please report these lines:"]
    for link in _chain(error):
        lines.append(f"{type(link).__name__}: {redact(str(link))}")
        lines += [
            f"  at {_short(place.filename)}:{place.lineno} in {place.name}"
            for place in traceback.extract_tb(link.__traceback__)
        ]
    return "\n".join(lines)


def show_bug(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """For `sys.excepthook`: what nobody caught is our bug; the interpreter then ends with status 1."""
    del kind, where
    print(describe_bug(error), file=sys.stderr)


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links


def _short(filename: str) -> str:
    parts = Path(filename).parts
    for top in ("client", "edge_models"):
        if top in parts:
            return "/".join(parts[len(parts) - 1 - parts[::-1].index(top) :])
    return parts[-1] if parts else "?"
