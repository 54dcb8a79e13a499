"""Third-party files (nets, the demo's picture, the report's letters): read from disk, believed only by their hash.

`edge_models/weights/MODELS.toml` lists them; `make setup` puts them into `edge_models/weights/third_party/`.
The nets themselves (edge_models.nets) take the bytes that `load` returns and never see a path; what can only read
a file by its name gets it from `checked_path`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from pathlib import Path

from client.config import repair
from client.errors import EnvironmentFault
from client.language import marked, said

PURPOSES = (
    marked("finds the face in a picture"),
    marked("the licence text that must travel with every copy of face_rfb_320"),
    marked("hears whether somebody speaks"),
    marked("the licence text that must travel with every copy of speech_silero"),
    marked("the face of the simulated person (demo and tests)"),
    marked("the letters of the report, Latin and Arabic"),
    marked("the bold letters of the report, Latin and Arabic"),
    marked("the licence text that must travel with every copy of the report's fonts"),
)
"""Those of MODELS.toml, for the translators, who see the code only; a test asks for every one."""


class FileState(StrEnum):
    """What is on the disk, compared with the list."""

    GOOD = "good"
    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One entry of MODELS.toml, as far as the app needs it. size: bytes. sha256: 64 lower-case hex digits."""

    name: str
    file_name: str
    sha256: str
    size: int
    purpose: str


def folder() -> Traversable:
    """Where MODELS.toml lies: in the installed, the editable and the frozen package alike."""
    return files("edge_models").joinpath("weights")


def listed(place: Traversable | None = None) -> Mapping[str, ListedFile]:
    """Every entry of MODELS.toml by name, in its order.

    Raises EnvironmentFault when the list itself is missing or broken.
    """
    try:
        text = (place or folder()).joinpath("MODELS.toml").read_text(encoding="utf-8")
        tables = tomllib.loads(text)["files"]
        fields = ListedFile.__slots__
        return {
            name: ListedFile(name=name, **{key: table[key] for key in fields if key != "name"})
            for name, table in tables.items()
        }
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise EnvironmentFault(
            title=said(
                "The list of weights (MODELS.toml) cannot be read ({kind})", kind=type(error).__name__
            ),
            remedy=said("Restore it from the repository or install Health Helper again."),
        ) from error


def load(name: str, place: Traversable | None = None) -> bytes:
    """The bytes of a listed file, its size and SHA-256 checked.

    name: a key of `listed()`. place: another folder laid out like edge_models/weights (tests).
    Raises KeyError for a name that is not listed (our bug), EnvironmentFault with the remedy for a file that
    is missing, unreadable or not the listed one.
    """
    entry = listed(place)[name]
    state, content = _read(entry, place or folder())
    if state is FileState.GOOD:
        return content
    raise EnvironmentFault(
        title=said(_HAPPENED[state], name=entry.file_name, purpose=said(entry.purpose)), remedy=repair()
    )


_HAPPENED = {
    FileState.MISSING: marked("{name} ({purpose}) is missing"),
    FileState.ALTERED: marked("{name} ({purpose}) is not the listed one and is refused"),
    FileState.UNREADABLE: marked("{name} ({purpose}) cannot be read"),
}


@contextmanager
def checked_path(name: str, place: Traversable | None = None) -> Iterator[Path]:
    """The path of a listed file, checked as by `load` and with the same errors; good inside the `with` only."""
    load(name, place)
    with as_file((place or folder()).joinpath("third_party", listed(place)[name].file_name)) as path:
        yield path


def states(place: Traversable | None = None) -> tuple[tuple[ListedFile, FileState], ...]:
    """Every listed file with its state on this disk (for `health-helper doctor`)."""
    return tuple((entry, _read(entry, place or folder())[0]) for entry in listed(place).values())


def _read(entry: ListedFile, place: Traversable) -> tuple[FileState, bytes]:
    """State and content; the content is empty unless it is good."""
    try:
        content = place.joinpath("third_party", entry.file_name).read_bytes()
    except FileNotFoundError:
        return FileState.MISSING, b""
    except OSError:
        return FileState.UNREADABLE, b""
    if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
        return FileState.ALTERED, b""
    return FileState.GOOD, content
