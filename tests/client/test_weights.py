"""client.weights: a listed file is read only when it is exactly the listed one."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path

import pytest

from client import weights
from client.errors import EnvironmentFault
from client.weights import FileState

CONTENT = b"a net of twenty-eight bytes."


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder like edge_models/weights with one good file in it."""
    (tmp_path / "third_party").mkdir()
    (tmp_path / "third_party" / "net.onnx").write_bytes(CONTENT)
    (tmp_path / "MODELS.toml").write_text(
        "[files.net]\n"
        'source = "a_wheel"\n'
        'file_name = "net.onnx"\n'
        f'sha256 = "{hashlib.sha256(CONTENT).hexdigest()}"\n'
        f"size = {len(CONTENT)}\n"
        'licence = "MIT"\norigin = "here"\npurpose = "a test"\n',
        encoding="utf-8",
    )
    return tmp_path


def test_a_good_file_is_loaded(place: Path) -> None:
    assert weights.load("net", place) == CONTENT
    assert [(entry.name, state) for entry, state in weights.states(place)] == [("net", FileState.GOOD)]


def test_what_reads_by_name_gets_the_checked_file(place: Path) -> None:
    with weights.checked_path("net", place) as path:
        assert path.read_bytes() == CONTENT


def test_what_reads_by_name_gets_no_altered_file(place: Path) -> None:
    (place / "third_party" / "net.onnx").write_bytes(CONTENT[:-1])
    with pytest.raises(EnvironmentFault, match="is not the listed one"), weights.checked_path("net", place):
        pytest.fail("it was handed out")


def test_a_missing_file_says_what_to_run(place: Path) -> None:
    (place / "third_party" / "net.onnx").unlink()
    with pytest.raises(EnvironmentFault, match=r"net\.onnx \(a test\) is missing.*make setup") as caught:
        weights.load("net", place)
    assert caught.value.exit_status == 4
    assert weights.states(place)[0][1] is FileState.MISSING


def test_a_missing_folder_is_a_missing_file(place: Path) -> None:
    (place / "third_party" / "net.onnx").unlink()
    (place / "third_party").rmdir()
    assert weights.states(place)[0][1] is FileState.MISSING


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT[:-1], id="truncated"),
        pytest.param(b"", id="empty"),
        pytest.param(CONTENT + b"\n", id="longer"),
        pytest.param(b"A" + CONTENT[1:], id="one byte differs"),
    ],
)
def test_an_altered_file_is_refused(place: Path, content: bytes) -> None:
    (place / "third_party" / "net.onnx").write_bytes(content)
    with pytest.raises(EnvironmentFault, match=r"is not the listed one.*make setup"):
        weights.load("net", place)
    assert weights.states(place)[0][1] is FileState.ALTERED


def test_a_file_that_cannot_be_read_is_told_apart(place: Path) -> None:
    (place / "third_party" / "net.onnx").unlink()
    (place / "third_party" / "net.onnx").mkdir()
    with pytest.raises(EnvironmentFault, match=r"cannot be read.*make setup"):
        weights.load("net", place)
    assert weights.states(place)[0][1] is FileState.UNREADABLE


def test_a_name_that_is_not_listed_is_our_own_bug(place: Path) -> None:
    with pytest.raises(KeyError):
        weights.load("net.onnx", place)


@pytest.mark.parametrize("text", ["not toml at all [", "[other]\n", "[files.net]\nsize = 3\n"])
def test_a_broken_list_is_a_fault_of_the_installation(place: Path, text: str) -> None:
    (place / "MODELS.toml").write_text(text, encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"MODELS\.toml.*Restore it"):
        weights.load("net", place)


def test_a_lost_list_is_a_fault_of_the_installation(place: Path) -> None:
    (place / "MODELS.toml").unlink()
    with pytest.raises(EnvironmentFault, match=r"MODELS\.toml.*Restore it"):
        weights.states(place)


def test_every_file_of_the_real_list_is_good_on_this_machine() -> None:
    found = {entry.name: state for entry, state in weights.states()}
    assert {"face_rfb_320", "face_rfb_320_licence", "astronaut"} <= found.keys()
    assert {"report_font", "report_font_bold", "report_font_licence"} <= found.keys()
    assert set(found.values()) == {FileState.GOOD}


def test_the_real_list_says_where_every_file_comes_from() -> None:
    table = tomllib.loads(weights.folder().joinpath("MODELS.toml").read_text(encoding="utf-8"))
    for name, entry in table["files"].items():
        wheel = table["wheels"][entry["source"]]
        assert wheel["file_name"].startswith(f"{wheel['package'].replace('-', '_')}-{wheel['version']}-"), (
            name
        )
        assert len(wheel["sha256"]) == 64, name
        assert entry["licence"], name
        if card := entry.get("model_card"):
            assert entry["sha256"] and weights.folder().joinpath(card).is_file(), name
            assert entry["input"]["shape"] and entry["output"]["shape"], name


def test_what_every_file_is_for_can_be_translated() -> None:
    assert {entry.purpose for entry in weights.listed().values()} == set(weights.PURPOSES)


def test_an_installed_application_is_installed_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "third_party" / "net.onnx").unlink()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(EnvironmentFault, match=r"is missing\. Install Health Helper again\.$"):
        weights.load("net", place)
