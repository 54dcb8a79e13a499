"""Speech to text on the device: what is not as its list says is refused, one utterance after the other is understood, and nobody waits long.

The library is a stand-in where something shall be understood, for there is no model here; the real sherpa-onnx refuses what is none.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.devices import recognisers as module
from client.devices.recognisers import LocalRecogniser, LocalRecognition, Model, checked
from client.errors import EnvironmentFault
from edge_models.types import Float32Array

PARTS = {
    "transducer": ("encoder", "decoder", "joiner", "tokens"),
    "whisper": ("encoder", "decoder", "tokens"),
}
SECOND: Float32Array = np.zeros(16_000, np.float32)


def put(folder: Path, kind: str = "transducer", languages: tuple[str, ...] = ("en",)) -> Path:
    """A folder as agreed, whose files are no model."""
    lines = [f"languages = {json.dumps(list(languages))}", f'kind = "{kind}"']
    for part in PARTS[kind]:
        content = b"a 0\nb 1\n" if part == "tokens" else f"this is no {part}".encode()
        (folder / f"{part}.onnx").write_bytes(content)
        lines += [
            f"[files.{part}]",
            f'name = "{part}.onnx"',
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        ]
    (folder / "model.toml").write_text("\n".join(lines))
    return folder


# The folder


@pytest.mark.parametrize("kind", ["transducer", "whisper"])
def test_a_folder_as_agreed_is_taken(tmp_path: Path, kind: str) -> None:
    model = checked(put(tmp_path, kind, ("en", "es")))
    assert (model.kind, model.languages) == (kind, ("en", "es"))
    assert set(model.paths) == set(PARTS[kind])
    assert model.bytes == sum(path.stat().st_size for path in model.paths.values())


def test_upper_case_digits_of_a_hash_are_the_same(tmp_path: Path) -> None:
    list_ = put(tmp_path) / "model.toml"
    list_.write_text(
        "\n".join(
            f'sha256 = "{line[10:-1].upper()}"' if line.startswith("sha256") else line
            for line in list_.read_text().splitlines()
        )
    )
    assert checked(tmp_path).kind == "transducer"


def test_a_file_that_is_another_is_refused(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "joiner.onnx").write_bytes(b"something else")
    with pytest.raises(EnvironmentFault, match=r"joiner\.onnx is not the listed one"):
        checked(tmp_path)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "tokens.onnx").unlink()
    with pytest.raises(EnvironmentFault, match=r"tokens\.onnx cannot be read") as told:
        checked(tmp_path)
    assert "Typing works" in told.value.remedy
    assert str(tmp_path) not in told.value.title, "no places of the machine"


def test_no_list_no_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(EnvironmentFault, match=r"model\.toml cannot be read"):
            checked(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"kind = ",
        b'kind = "transducer"',
        b'kind = "another"\nlanguages = ["en"]\n[files]',
        b'kind = ["transducer"]\nlanguages = ["en"]\n[files]',
        b'kind = "whisper"\nlanguages = 3\n[files]',
        b'kind = "whisper"\nlanguages = ["en"]\nfiles = 3',
        b'kind = "whisper"\nlanguages = ["en"]\n[files]\nencoder = "x"',
        b'kind = "whisper"\nlanguages = ["en"]\n[files.encoder]\nname = "x"',
        b"#" * 200_000,
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.toml").write_bytes(content)
    with pytest.raises(EnvironmentFault, match=r"model\.toml is not as agreed"):
        checked(tmp_path)


@pytest.mark.parametrize("languages", ["[]", '[""]', "[1]", '["../x"]', '"en"'])
def test_languages_that_are_none_are_refused(tmp_path: Path, languages: str) -> None:
    list_ = put(tmp_path) / "model.toml"
    list_.write_text(list_.read_text().replace('languages = ["en"]', f"languages = {languages}"))
    with pytest.raises(EnvironmentFault, match=r"model\.toml is not as agreed"):
        checked(tmp_path)


@pytest.mark.parametrize("name", ["../encoder.onnx", "/etc/passwd", "a/b", "..", ".", ""])
def test_a_file_outside_the_folder_is_none_of_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    list_ = put(folder) / "model.toml"
    (tmp_path / "encoder.onnx").write_bytes(b"this is no encoder")
    list_.write_text(list_.read_text().replace('name = "encoder.onnx"', f'name = "{name}"'))
    with pytest.raises(EnvironmentFault):
        checked(folder)


# The library


LOADS = """
import sys
from pathlib import Path
from client.devices.recognisers import LocalRecogniser
made = LocalRecogniser(Path(sys.argv[1]))
assert made.loaded(20.0) and not made.ready("en")
print(made.fault.title)
"""


@pytest.mark.parametrize("content", [b"", b"this is no list", b"a 0\nb\n", b"\xff\xfe 0", b"a 0\nb x\n"])
def test_a_list_of_tokens_that_is_none_is_refused_before_the_library_ends_the_program(
    tmp_path: Path, content: bytes
) -> None:
    list_ = put(tmp_path) / "model.toml"
    before = hashlib.sha256((tmp_path / "tokens.onnx").read_bytes()).hexdigest()
    (tmp_path / "tokens.onnx").write_bytes(content)
    list_.write_text(list_.read_text().replace(before, hashlib.sha256(content).hexdigest()))
    with pytest.raises(EnvironmentFault, match=r"tokens\.onnx is no list of tokens"):
        checked(tmp_path)


@pytest.mark.parametrize("kind", ["transducer", "whisper"])
def test_the_real_library_refuses_what_is_no_model(tmp_path: Path, kind: str) -> None:
    """In a process of its own: it prints, and a model that is none may end a process."""
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            LOADS,
            str(put(tmp_path, kind)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert ran.returncode == 0, ran.stderr
    assert "Speech cannot be understood on this device: the model cannot be loaded" in ran.stdout


def test_without_the_library_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    made = LocalRecogniser(put(tmp_path))
    assert made.loaded(5.0)
    assert made.fault is not None and "sherpa-onnx is missing" in made.fault.title
    assert not made.ready("en")


def test_it_is_asked_with_the_files_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def kept(**given: Any) -> str:
        asked.append(given)
        return "a recogniser"

    monkeypatch.setitem(
        sys.modules,
        "sherpa_onnx",
        SimpleNamespace(
            OnlineRecognizer=SimpleNamespace(from_transducer=kept),
            OfflineRecognizer=SimpleNamespace(from_whisper=kept),
        ),
    )
    for kind in PARTS:
        assert module._made(checked(put(tmp_path, kind)), "es") == "a recogniser"
    assert set(PARTS["transducer"]) <= set(asked[0]) and asked[1]["language"] == "es"
    assert all(given["num_threads"] == 1 for given in asked)


# Understanding


class FakeStream:
    """What it is given, as text: a digit for each push that is not silence."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self.finished = False
        self.taken = 0
        self.result = SimpleNamespace(text="")

    def accept_waveform(self, rate: int, samples: Float32Array) -> None:
        assert rate == 16_000
        self.heard.append(float(samples[0]))

    def input_finished(self) -> None:
        self.finished = True


class FakeLibrary:
    """A recogniser of sherpa-onnx, of both kinds. slow_s: each decoding takes so long. fails: it raises."""

    def __init__(self, *, slow_s: float = 0.0, fails: bool = False) -> None:
        self.slow_s, self.fails = slow_s, fails
        self.streams: list[FakeStream] = []

    def create_stream(self) -> FakeStream:
        self.streams.append(FakeStream())
        return self.streams[-1]

    def is_ready(self, stream: FakeStream) -> bool:
        return stream.taken < len(stream.heard)

    def decode_stream(self, stream: FakeStream) -> None:
        if self.fails:
            raise RuntimeError("what somebody said")
        time.sleep(self.slow_s)
        stream.taken = len(stream.heard)
        stream.result.text = f" {self.get_result(stream)} "

    def get_result(self, stream: FakeStream) -> str:
        return " ".join(f"word{one:.0f}" for one in stream.heard[: stream.taken] if one)


def a_model(kind: str, *languages: str) -> Callable[[Path], Model]:
    return lambda _folder: Model(kind, languages, {}, 0)


def ready(kind: str, library: FakeLibrary, *languages: str) -> LocalRecogniser:
    made = LocalRecogniser(Path("model"), load=a_model(kind, *languages), make=lambda *_: library)
    assert made.loaded(5.0) and made.fault is None
    return made


def word(number: int) -> Float32Array:
    return np.full(512, number, np.float32)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5.0
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_model_that_streams_is_understood_while_it_is_said() -> None:
    recognition = ready("transducer", FakeLibrary(), "en").begin("en-GB")
    assert recognition.partial() == ""
    recognition.push(word(1))
    wait_for(lambda: recognition.partial() == "word1")
    recognition.push(word(2))
    transcript = recognition.finish()
    assert (transcript.text, transcript.language, transcript.confidence) == ("word1 word2", "en-GB", None)
    assert "word" not in repr(transcript)


def test_the_last_word_gets_the_silence_it_needs() -> None:
    library = FakeLibrary()
    recognition = ready("transducer", library, "en").begin("en")
    recognition.push(word(1))
    recognition.finish()
    assert library.streams[0].heard == [1.0, 0.0] and library.streams[0].finished


def test_whisper_is_asked_once_at_the_end() -> None:
    recognition = ready("whisper", FakeLibrary(), "en", "es").begin("es")
    for number in (1, 2, 3):
        recognition.push(word(number))
    assert recognition.partial() == ""
    assert recognition.finish().text == "word1 word2 word3"


def test_one_utterance_after_the_other() -> None:
    made = ready("transducer", FakeLibrary(), "en")
    for number in range(1, 4):
        recognition = made.begin("en")
        recognition.push(word(number))
        assert recognition.finish().text == f"word{number}"


def test_it_is_ready_in_its_languages_once_it_is_loaded() -> None:
    go_on = threading.Event()

    def make(_model: Model, _language: str) -> FakeLibrary:
        assert go_on.wait(5.0)
        return FakeLibrary()

    made = LocalRecogniser(Path("model"), load=a_model("whisper", "en", "es"), make=make)
    assert not made.ready("en") and not made.loaded(0.0)
    go_on.set()
    assert made.loaded(5.0)
    assert made.ready("en") and made.ready("es-MX") and not made.ready("de")


def test_a_model_that_streams_is_loaded_once_for_all_its_languages() -> None:
    made: list[str] = []

    def make(_model: Model, language: str) -> FakeLibrary:
        made.append(language)
        return FakeLibrary()

    recogniser = LocalRecogniser(Path("model"), load=a_model("transducer", "en", "es"), make=make)
    assert recogniser.loaded(5.0) and recogniser.ready("es") and made == ["en"]


def test_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FINISH_S", 0.1)
    recognition = ready("whisper", FakeLibrary(slow_s=0.5), "en").begin("en")
    recognition.push(word(1))
    with pytest.raises(EnvironmentFault, match="could not be understood") as told:
        recognition.finish()
    assert told.value.retry and "type" in told.value.remedy
    recognition._thread.join(5.0)


@pytest.mark.parametrize("kind", ["transducer", "whisper"])
def test_a_library_that_fails_is_told_without_a_word_of_what_was_said(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    recognition = ready(kind, FakeLibrary(fails=True), "en").begin("en")
    recognition.push(word(1))
    with pytest.raises(EnvironmentFault, match="could not be understood"):
        recognition.finish()
    assert "somebody" not in "".join(capfd.readouterr())


def test_what_is_cancelled_is_over_and_gives_nothing() -> None:
    recognition: LocalRecognition = ready("transducer", FakeLibrary(), "en").begin("en")
    recognition.push(word(1))
    recognition.cancel()
    recognition.cancel()
    recognition._thread.join(5.0)
    assert not recognition._thread.is_alive()
    with pytest.raises(EnvironmentFault):
        recognition.finish()


def test_pushing_does_not_wait() -> None:
    recognition = ready("transducer", FakeLibrary(slow_s=0.2), "en").begin("en")
    began_s = time.monotonic()
    for number in range(10):
        recognition.push(word(number))
    assert time.monotonic() - began_s < 0.1
    recognition.cancel()
    recognition._thread.join(10.0)
