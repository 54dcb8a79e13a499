"""Speech to text by the clinic's cloud: what is said is streamed to a place that the server names, and comes back as text while it is said.

Spoken there is either the protocol of Amazon Transcribe streaming (event-stream frames over a web socket; the URL is signed and good for
minutes) or that of Deepgram (plain sound, JSON back; developers.deepgram.com/reference/listen-live). Of the sound nothing is kept.
"""

from __future__ import annotations

import contextlib
import json
import queue
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect

from client.cloud import event_stream, faults
from client.cloud.forms import Unfit
from client.cloud.transport import trust, way_through
from client.cloud.wire import NewTranscription, Transcription
from client.policy import Policy
from edge_models.types import Float32Array

RATE_HZ = 16_000
_CHUNK = 1_600
"""Samples that are sent at once: 100 ms, as Amazon advises (50 to 200 ms)."""
_OPEN_S = 5.0
_FINISH_S = 3.0
_LOOK_S = 0.02
_MOST_WAITING = 600
"""Pieces that wait to be sent: more than an utterance has."""
_MOST_BYTES = 256_000
_LONGEST_TEXT = 4_000

_REGIONS = {
    "en": "en-US",
    "es": "es-US",
    "fr": "fr-FR",
    "de": "de-DE",
    "pt": "pt-BR",
    "zh": "zh-CN",
    "hi": "hi-IN",
    "ar": "ar-SA",
}
"""As Transcribe names what it hears, where nothing says of which country."""


@dataclass(slots=True)
class _Heard:
    """What is understood. parts: by the name that the other side gives each, in order; the newest of each is right."""

    parts: dict[str, str] = field(default_factory=dict, repr=False)
    confidences: dict[str, float] = field(default_factory=dict)

    def text(self) -> str:
        return " ".join(part.strip() for part in self.parts.values() if part.strip())[:_LONGEST_TEXT]

    def confidence(self) -> float | None:
        found = list(self.confidences.values())
        return sum(found) / len(found) if found else None


class _Protocol(Protocol):
    """How sound goes there and text comes back. read: raises Unfit for rubbish, CloudFault for a refusal."""

    def sound(self, pcm: bytes) -> bytes: ...

    def end(self) -> bytes | str: ...

    def read(self, message: bytes | str, heard: _Heard) -> None: ...


class _Transcribe:
    """Of Amazon ("Setting up a WebSocket stream")."""

    def sound(self, pcm: bytes) -> bytes:
        headers = {
            ":message-type": "event",
            ":event-type": "AudioEvent",
            ":content-type": "application/octet-stream",
        }
        return event_stream.encode(headers, pcm)

    def end(self) -> bytes | str:
        return self.sound(b"")

    def read(self, message: bytes | str, heard: _Heard) -> None:
        if isinstance(message, str):
            raise Unfit("a frame")
        frame = event_stream.decode(message)
        if frame.headers.get(":message-type") == "exception":
            _refuse(frame.headers.get(":exception-type", ""))
        if frame.headers.get(":event-type") != "TranscriptEvent":
            return
        for result in _json(frame.payload)["Transcript"]["Results"]:
            best = result["Alternatives"][0]
            name = str(result["ResultId"])
            heard.parts[name] = str(best["Transcript"])
            given = [one["Confidence"] for one in best.get("Items") or () if "Confidence" in one]
            if given and not result.get("IsPartial"):
                heard.confidences[name] = min(1.0, max(0.0, float(sum(given)) / len(given)))


class _Deepgram:
    """Of Deepgram."""

    def __init__(self) -> None:
        self._final = 0

    def sound(self, pcm: bytes) -> bytes:
        return pcm

    def end(self) -> bytes | str:
        return json.dumps({"type": "CloseStream"})

    def read(self, message: bytes | str, heard: _Heard) -> None:
        found = _json(message)
        if found.get("type") == "Error":
            _refuse(str(found.get("err_code") or ""))
        if found.get("type") != "Results":
            return
        best = found["channel"]["alternatives"][0]
        heard.parts[str(self._final)] = str(best["transcript"])
        if found.get("is_final"):
            if best.get("transcript"):
                heard.confidences[str(self._final)] = min(1.0, max(0.0, float(best["confidence"])))
            self._final += 1


_PROTOCOLS: dict[str, Callable[[], _Protocol]] = {"transcribe": _Transcribe, "deepgram": _Deepgram}


def _json(data: bytes | str) -> Any:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise Unfit("an object")
    return found


def _refuse(kind: str) -> None:
    if kind == "LimitExceededException":
        raise faults.RateLimited(None)
    raise faults.ServerBusy(503, None, None)


@dataclass(frozen=True, slots=True)
class CloudTranscript:
    """What was said. confidence: 0 to 1, None where nobody said."""

    text: str = field(repr=False)
    language: str
    confidence: float | None


class CloudRecognition:
    """One utterance. Nothing here waits but `finish`; a thread of its own speaks to the other side."""

    def __init__(
        self, ask: Callable[[NewTranscription], Transcription], policy: Policy, language: str
    ) -> None:
        """ask: for a place, over the network; called in the thread."""
        self._ask, self._policy, self._language = ask, policy, language
        self._sound: queue.Queue[Float32Array | None] = queue.Queue(_MOST_WAITING)
        self._heard = _Heard()
        self._text = ""
        self._fault: Exception | None = None
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)
        self._thread.start()

    def push(self, samples: Float32Array) -> None:
        """More of it [shape=(n,), 16 kHz, full scale ±1]."""
        try:
            self._sound.put_nowait(samples)
        except queue.Full:  # the other side takes nothing: it will be told at the end
            self.cancel()

    def partial(self) -> str:
        """What is understood so far."""
        return self._text

    def finish(self) -> CloudTranscript:
        """The text. Raises CloudFault: also where the rest does not come within 3 s."""
        with contextlib.suppress(queue.Full):
            self._sound.put_nowait(None)
        if not self._over.wait(_FINISH_S):
            self.cancel()
            raise faults.TimedOut("answer")
        if self._fault is not None:
            raise self._fault
        if self._cancelled.is_set():
            raise faults.Closed
        return CloudTranscript(self._heard.text(), self._language, self._heard.confidence())

    def cancel(self) -> None:
        """Nobody wants it any more; what was not sent never will be."""
        self._cancelled.set()
        with contextlib.suppress(queue.Full):
            self._sound.put_nowait(None)

    def _run(self) -> None:
        try:
            self._speak()
        except faults.CloudFault as fault:
            self._fault = fault
        except ssl.SSLCertVerificationError:  # a ValueError, too
            self._fault = faults.CertificateUntrusted(None)
        except (Unfit, ValueError, KeyError, IndexError, TypeError, AttributeError):
            self._fault = faults.AnswerUnreadable("transcription")
        except TimeoutError:
            self._fault = faults.TimedOut("answer")
        except InvalidHandshake:
            self._fault = faults.ServerBusy(503, None, None)
        except (WebSocketException, OSError, EOFError):
            self._fault = faults.ConnectionBroken()
        except Exception as error:  # noqa: BLE001 (belongs to whoever calls finish: a locked key store, or a bug of ours)
            self._fault = error
        finally:
            self._over.set()

    def _speak(self) -> None:
        place = self._ask(NewTranscription(_spoken(self._language), RATE_HZ))
        if place.protocol not in _PROTOCOLS:
            raise faults.AnswerUnreadable("Transcription.protocol")
        if self._cancelled.is_set():
            return
        protocol = _PROTOCOLS[place.protocol]()
        with _connected(place, self._policy) as line:
            whole = False
            with contextlib.suppress(ConnectionClosed):  # why, stands in what came before
                self._send_all(line, protocol)
                if self._cancelled.is_set():
                    return
                line.send(protocol.end())
                whole = True
            with contextlib.suppress(ConnectionClosedOK):
                while (
                    not self._cancelled.is_set()
                ):  # whoever waits for ever would keep the thread and the connection
                    with contextlib.suppress(TimeoutError):
                        self._take(protocol, line.recv(timeout=_LOOK_S))
            if not (whole or self._cancelled.is_set()):
                raise faults.ConnectionBroken

    def _send_all(self, line: ClientConnection, protocol: _Protocol) -> None:
        """Until nothing more comes; what comes back meanwhile is read."""
        waiting: list[Float32Array] = []
        while not self._cancelled.is_set():
            try:
                samples = self._sound.get(timeout=_LOOK_S)
            except queue.Empty:
                self._read_what_came(line, protocol)
                continue
            if samples is not None:
                waiting.append(samples)
            if waiting and (samples is None or sum(map(len, waiting)) >= _CHUNK):
                line.send(protocol.sound(_pcm(np.concatenate(waiting))))
                waiting.clear()
                self._read_what_came(line, protocol)
            if samples is None:
                return

    def _read_what_came(self, line: ClientConnection, protocol: _Protocol) -> None:
        with contextlib.suppress(TimeoutError):
            while not self._cancelled.is_set():
                self._take(protocol, line.recv(timeout=0))

    def _take(self, protocol: _Protocol, message: bytes | str) -> None:
        protocol.read(message, self._heard)
        self._text = self._heard.text()


class CloudRecogniser:
    """The clinic's. ask: see CloudRecognition. is_ready: whether the cloud can be asked at all, in this language."""

    def __init__(
        self,
        ask: Callable[[NewTranscription], Transcription],
        policy: Policy,
        name: str,
        is_ready: Callable[[str], bool],
    ) -> None:
        self._ask, self._policy, self._name, self._is_ready = ask, policy, name, is_ready

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    def ready(self, language: str) -> bool:
        """Without waiting."""
        return self._is_ready(language)

    def begin(self, language: str) -> CloudRecognition:
        """An utterance begins."""
        return CloudRecognition(self._ask, self._policy, language)


def _spoken(language: str) -> str:
    return language if "-" in language else _REGIONS.get(language, language)


def _pcm(samples: Float32Array) -> bytes:
    """16 bits, little-endian, as both protocols want it."""
    whole = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return bytes((np.clip(whole, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())


def _connected(place: Transcription, policy: Policy) -> ClientConnection:
    """With exactly the headers that the server has named. A redirect is not followed to anywhere less safe."""
    url = httpx.URL(place.url)
    proxy = way_through(policy, url)
    return connect(
        place.url,
        ssl=trust(policy.ca_file) if url.scheme == "wss" else None,
        additional_headers=dict(place.headers),
        user_agent_header=None,
        compression=None,
        open_timeout=_OPEN_S,
        close_timeout=1.0,
        ping_interval=None,
        max_size=_MOST_BYTES,
        proxy=proxy,
        proxy_ssl=trust(policy.ca_file) if proxy is not None and proxy.startswith("https:") else None,
    )
