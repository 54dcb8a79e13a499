"""The log: one JSON object a line on standard error, and nothing in it that identifies a person.

No text from outside gets into it, neither a name nor the words of an error: a recording is often called after
the person in it, and no pattern finds every name.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

_LOGGER = logging.getLogger("health_helper")


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
            fields[name] = value if value is None or isinstance(value, (int, float)) else "<text>"
        return json.dumps(fields)


def start(*, verbose: bool) -> None:
    """Send the log to standard error if `verbose`, otherwise nowhere. May be called again."""
    for handler in list(_LOGGER.handlers):
        _LOGGER.removeHandler(handler)
    handler_: logging.Handler = logging.StreamHandler(sys.stderr) if verbose else logging.NullHandler()
    handler_.setFormatter(_JsonLines())
    _LOGGER.addHandler(handler_)
    _LOGGER.setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    _LOGGER.propagate = False


def event(name: str, /, **fields: float | bool | None) -> None:
    """Write one line: what happened (a fixed name, never made of data) and numbers about it."""
    _LOGGER.info(name, extra={"fields": fields})


def describe_bug(error: BaseException) -> str:
    """A traceback that may be sent to us: kinds of errors and places in the code; no messages, paths or values."""
    lines = ["Health Helper has met a bug of its own. Please report these lines:"]
    for link in _chain(error):
        lines.append(type(link).__name__)
        lines += [
            f"  at {_short(place.filename)}:{place.lineno} in {place.name}"
            for place in traceback.extract_tb(link.__traceback__)
        ]
    return "\n".join(lines)


def show_bug(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """For `sys.excepthook`: what nobody caught is our bug; the interpreter then ends with status 1."""
    del kind, where
    print(describe_bug(error), file=sys.stderr)


def show_bug_of_thread(bug: threading.ExceptHookArgs) -> None:
    """For `threading.excepthook`, which else prints messages and paths; the program goes on."""
    if bug.exc_value is not None and not isinstance(bug.exc_value, SystemExit):
        print(describe_bug(bug.exc_value), file=sys.stderr)


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
