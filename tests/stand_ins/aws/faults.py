"""Part of the AWS stand-in, which is never shipped: trouble on demand, per service, for so many requests or until it is cleared."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happens to a request instead of its answer (delayed: before it)."""

    UNAVAILABLE = "unavailable"
    """503; of S3: SlowDown."""
    BROKEN = "broken"
    """500."""
    THROTTLED = "throttled"
    """429."""
    DENIED = "denied"
    """403."""
    DELAYED = "delayed"
    SILENT = "silent"
    """The connection stays open for `seconds` and nothing comes."""
    RESET = "reset"
    CUT = "cut"
    """The head of an answer and half of its body."""
    RUBBISH = "rubbish"
    """200, and bytes that mean nothing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """seconds: of DELAYED and SILENT. body: of RUBBISH. retry_after_s: of THROTTLED and UNAVAILABLE."""

    kind: Kind
    seconds: float = 0.0
    body: bytes = b"\x00<rubbish"
    retry_after_s: float | None = None


class Faults:
    """The switches. Services are named as boto3 names its clients ("s3", "bedrock-runtime", "sesv2" …)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: dict[str, tuple[Fault, int | None]] = {}

    def set(self, service: str, fault: Fault, times: int | None = None) -> None:
        """times: for the next so many requests; None: until it is cleared."""
        with self._lock:
            self._set[service] = (fault, times)

    def clear(self, service: str | None = None) -> None:
        """None: all of them."""
        with self._lock:
            if service is None:
                self._set.clear()
            else:
                self._set.pop(service, None)

    def take(self, service: str) -> Fault | None:
        """What happens to this request."""
        with self._lock:
            fault, times = self._set.get(service, (None, 0))
            if fault is None:
                return None
            if times is not None:
                if times <= 1:
                    del self._set[service]
                else:
                    self._set[service] = (fault, times - 1)
            return fault
