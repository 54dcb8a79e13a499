"""What others are told of what happened here: accepted observations, and that somebody needs help.

The store is the truth. Telling fails no request, and none waits for it longer than stands here; what was not told is counted, and
an alarm is on each count. Both ways are off unless the settings name where to tell.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, TypeVar

from backend_lambda.ports import Ports, VitalsRecord
from backend_lambda.principals import Device
from backend_lambda.wire import Observation, StoredObservation, Urgency

T = TypeVar("T")
PUT_WITHIN_S = 0.9
"""A batch's answer waits for its feed no longer. Then its observations count as lost to the feed, though some may have come through."""
PAUSE_S = 10.0
"""After a feed was silent for all that time, the next batches do not ask it: one request in so many seconds waits, not each."""
TELL_WITHIN_S = 2.0
"""For the end of an answer that is an emergency; by then the person has all of it."""
LOST = "vitals_stream_lost"
NOT_TOLD = "urgent_case_not_told"
"""Counts, both without a clinic, so that one alarm is on all of them."""


class _Aside(Generic[T]):
    """Work in a thread of its own, which nobody has to wait for. What it raises is lost with its text."""

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._work = work
        self._done: list[T] = []
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads
            self._thread = None

    def _run(self) -> None:
        # its text may hold what was to be told; there is no result then, and that is counted
        with contextlib.suppress(Exception):
            self._done.append(self._work())

    def result(self, within_s: float) -> T | None:
        """None: there is none in that time."""
        if self._thread is not None:
            self._thread.join(within_s)
        return self._done[0] if self._done else None

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()


class VitalsFeed:
    """Hands on what was stored for the first time. May lack something (this function ended, the stream was down) or repeat it.

    What it is given must be of a clinic that allows it (`wire.Feature.ANALYSIS`), and in the audit.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._paused_until_s: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is anybody to hand it to."""
        return self._ports.vitals_stream is not None

    def stored(self, device: Device, received_at: datetime, observations: Sequence[Observation]) -> None:
        """After the commit. Raises nothing."""
        stream = self._ports.vitals_stream
        if stream is None or not observations:
            return
        lost = len(observations)
        if not self._is_paused():
            records = [vitals_record(device, received_at, one) for one in observations]
            telling = _Aside("vitals", lambda: stream.put(device.clinic_id, records))
            not_taken = telling.result(PUT_WITHIN_S)
            if not_taken is not None:
                lost = min(max(0, not_taken), lost)
            elif telling.runs:
                self._paused_until_s = self._ports.clock.now_s() + PAUSE_S
        if lost:
            self._ports.measures.add(LOST, float(lost), "Count")

    def _is_paused(self) -> bool:
        return self._paused_until_s is not None and self._ports.clock.now_s() < self._paused_until_s


def vitals_record(device: Device, received_at: datetime, observation: Observation) -> VitalsRecord:
    """JSON of `wire.StoredObservation` and `clinic_id`: UTF-8, keys sorted, no blanks."""
    stored = StoredObservation(
        **{name: getattr(observation, name) for name in Observation.model_fields},
        received_at=received_at.astimezone(UTC),
        device_id=device.id,
    )
    body = {**stored.model_dump(mode="json"), "clinic_id": str(device.clinic_id)}
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return VitalsRecord(patient_id=observation.patient_id, data=text.encode())


class CallForHelp:
    """Of one question. Tells once, at once, beside the answer."""

    def __init__(self, ports: Ports, device: Device) -> None:
        self._ports, self._device = ports, device
        self._telling: _Aside[bool] | None = None

    def call(self) -> None:
        """Somebody is in danger. Says which device, and neither who nor why. Waits for nothing."""
        cases = self._ports.urgent_cases
        if cases is None or self._telling is not None:
            return
        device, at = self._device, self._ports.clock.utc()
        self._telling = _Aside(
            "urgent-case", lambda: cases.tell(device.clinic_id, device.id, str(Urgency.EMERGENCY), at)
        )

    def settle(self) -> None:
        """Once the answer is given: a function that has answered is stopped where it stands, so what is under way is waited for."""
        if self._telling is None:
            return
        if not self._telling.result(TELL_WITHIN_S):
            self._ports.measures.add(NOT_TOLD, 1.0, "Count")
