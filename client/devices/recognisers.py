"""Speech to text on the device, where a clinic has put a model there: the extra `speech` (sherpa-onnx) and a folder that the policy names.

The folder holds `model.toml`, which says what the model is and the SHA-256 of each of its files; nothing is loaded that is not as it says:

    languages = ["en"]
    kind = "transducer"            # streaming: encoder, decoder, joiner, tokens; or "whisper" (whole utterances): encoder, decoder, tokens
    [files.encoder]
    name = "encoder.int8.onnx"
    sha256 = "…"

Tried with the library itself, as far as refusing goes; with a real model it was not, for none could be had here.
"""

from __future__ import annotations

import hashlib
import queue
import re
import threading
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client import log
from client.devices.ports import Transcript
from client.errors import EnvironmentFault, HealthHelperError
from client.language import said
from edge_models.types import Float32Array

RATE_HZ = 16_000
LIST = "model.toml"
_MAX_LIST_BYTES = 100_000
_FINISH_S = 3.0
_PARTS = {
    "transducer": ("encoder", "decoder", "joiner", "tokens"),
    "whisper": ("encoder", "decoder", "tokens"),
}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files are as its list says. paths: by part. bytes: of all files together."""

    kind: str
    languages: tuple[str, ...]
    paths: Mapping[str, Path]
    bytes: int


def checked(folder: Path) -> Model:
    """Reads every byte of it. Raises EnvironmentFault that says what is not as it should be."""
    try:
        data = (folder / LIST).read_bytes()[: _MAX_LIST_BYTES + 1]
        given = tomllib.loads(data.decode()) if len(data) <= _MAX_LIST_BYTES else {}
        kind, languages, files = given["kind"], tuple(given["languages"]), given["files"]
        wanted = {part: (str(files[part]["name"]), str(files[part]["sha256"])) for part in _PARTS[kind]}
    except OSError as error:
        raise _fault(said("{file} cannot be read", file=LIST)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _fault(said("{file} is not as agreed", file=LIST)) from error
    if (
        not isinstance(given["languages"], list)
        or not languages
        or not all(isinstance(one, str) and one.isalpha() for one in languages)
    ):
        raise _fault(said("{file} is not as agreed", file=LIST))
    paths, size = {}, 0
    for part, (name, sha256) in wanted.items():
        if Path(name).name != name:
            raise _fault(said("{file} is not as agreed", file=LIST))
        path = folder / name
        try:
            found = _sha256(path)
            size += path.stat().st_size
        except OSError as error:
            raise _fault(said("{file} cannot be read", file=name)) from error
        if found != sha256.lower():
            raise _fault(said("{file} is not the listed one and is refused", file=name))
        if part == "tokens" and not _lists_tokens(path):
            raise _fault(said("{file} is no list of tokens", file=name))
        paths[part] = path
    return Model(kind, languages, paths, size)


def _sha256(path: Path) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            summed.update(piece)
    return summed.hexdigest()


def _lists_tokens(path: Path) -> bool:
    """Whether each line is a token and its number: the library ends the whole program for a list that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return any(lines) and all(
        re.fullmatch(r"(?:.*\s)?[0-9]{1,7}", line.rstrip()) for line in lines if line.strip()
    )


def _fault(why: str) -> EnvironmentFault:
    return EnvironmentFault(
        title=said("Speech cannot be understood on this device: {why}", why=why),
        remedy=said("Whoever manages this computer puts the model into its folder again. Typing works."),
    )


def _library() -> Any:
    try:
        import sherpa_onnx
    except ImportError as error:
        raise _fault(said("the library sherpa-onnx is missing")) from error
    return sherpa_onnx


def _made(model: Model, language: str) -> Any:
    """Raises EnvironmentFault."""
    library, paths = _library(), {part: str(path) for part, path in model.paths.items()}
    try:
        if model.kind == "transducer":
            return library.OnlineRecognizer.from_transducer(**paths, num_threads=1, provider="cpu")
        return library.OfflineRecognizer.from_whisper(**paths, language=language, num_threads=1)
    except Exception as error:  # the library raises what it likes for a file that is no such model
        raise _fault(said("the model cannot be loaded ({kind})", kind=type(error).__name__)) from error


class LocalRecogniser:
    """Of a model folder. Loading takes seconds and happens in a thread of its own, once, when it is first made; see `ready`."""

    def __init__(
        self,
        folder: Path,
        *,
        load: Callable[[Path], Model] = checked,
        make: Callable[[Model, str], Any] = _made,
    ) -> None:
        self._folder, self._load, self._make = folder, load, make
        self._model: Model | None = None
        self._recognisers: dict[str, Any] = {}
        self.fault: HealthHelperError | None = None
        """Why it is not ready and never will be."""
        self._thread = threading.Thread(target=self._prepare, name="recogniser", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """For people."""
        return said("on this device")

    def ready(self, language: str) -> bool:
        """Whether the model is loaded and knows this language."""
        return _base(language) in self._recognisers

    def begin(self, language: str) -> LocalRecognition:
        """An utterance begins. Call it only where it is ready."""
        assert self._model is not None
        return LocalRecognition(
            self._recognisers[_base(language)], language, streams=self._model.kind == "transducer"
        )

    def loaded(self, within_s: float) -> bool:
        """Waits for the loading to end; whether it did."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _prepare(self) -> None:
        try:
            model = self._load(self._folder)
            made: dict[str, Any] = {}
            for language in model.languages:
                first = next(iter(made.values()), None)
                made[language] = (
                    first if first and model.kind == "transducer" else self._make(model, language)
                )
        except HealthHelperError as fault:
            self.fault = fault
            log.event("recogniser_unusable")
        else:
            self._model, self._recognisers = model, made


class LocalRecognition:
    """One utterance, decoded in a thread of its own while it is said (a model that streams) or at its end (Whisper)."""

    def __init__(self, recogniser: Any, language: str, *, streams: bool) -> None:
        self._recogniser, self._language, self._streams = recogniser, language, streams
        self._sound: queue.SimpleQueue[Float32Array | None] = queue.SimpleQueue()
        self._text = ""
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)
        self._thread.start()

    def push(self, samples: Float32Array) -> None:
        """More of it [shape=(n,), 16 kHz, full scale ±1]."""
        self._sound.put(samples)

    def partial(self) -> str:
        """What is understood so far; "" of a model that does not stream."""
        return self._text

    def finish(self) -> Transcript:
        """The text. Raises EnvironmentFault where the rest takes longer than 3 s, or the library fails."""
        self._sound.put(None)
        if not self._over.wait(_FINISH_S) or self._failed or self._cancelled.is_set():
            self.cancel()
            raise EnvironmentFault(
                title=said("What was said could not be understood on this device"),
                remedy=said("Say it again, or type it."),
                retry=True,
            )
        return Transcript(self._text, self._language, None)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._cancelled.set()
        self._sound.put(None)

    def _run(self) -> None:
        try:
            stream = self._recogniser.create_stream()
            while (samples := self._sound.get()) is not None and not self._cancelled.is_set():
                stream.accept_waveform(RATE_HZ, samples)
                if self._streams:
                    self._decode(stream)
            if not self._cancelled.is_set():
                self._end(stream)
        except Exception:  # noqa: BLE001 (the library's, of any kind; nothing of it may reach a log with what was said)
            self._failed = True
        finally:
            self._over.set()

    def _decode(self, stream: Any) -> None:
        while self._recogniser.is_ready(stream):
            self._recogniser.decode_stream(stream)
        self._text = str(self._recogniser.get_result(stream)).strip()

    def _end(self, stream: Any) -> None:
        if self._streams:
            stream.accept_waveform(
                RATE_HZ, np.zeros(RATE_HZ // 2, np.float32)
            )  # the last word needs what follows it
            stream.input_finished()
            self._decode(stream)
        else:
            self._recogniser.decode_stream(stream)
            self._text = str(stream.result.text).strip()


def _base(language: str) -> str:
    return language.partition("-")[0].lower()
