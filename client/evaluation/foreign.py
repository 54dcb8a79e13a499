"""What is of other programs: files of MATLAB, HDF5 and PNG, and WebRTC's ear for speech. The one place that loads scipy, h5py, Pillow and
webrtcvad, when asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from client.errors import BadInput, EnvironmentFault
from edge_models.types import ByteArray, FloatArray


@contextmanager
def _needed(what: str, path: Path) -> Iterator[None]:
    """What is missing for this format, or broken in the file, in one sentence."""
    try:
        yield
    except ImportError as error:
        raise EnvironmentFault(
            title=f"{what} is not installed", remedy="Run 'make bench' (or python packaging/setup.py bench)."
        ) from error
    except Exception as error:  # whatever a parser stumbles over is the file's fault
        raise BadInput(
            title=f"{path.name} cannot be read ({type(error).__name__})",
            remedy="Copy it again, or leave it out.",
        ) from error


def matlab(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The named variables of a MATLAB file up to version 7.2. Raises EnvironmentFault without scipy, BadInput otherwise."""
    with _needed("scipy", path):
        from scipy.io import loadmat

        return dict(loadmat(str(path), variable_names=list(names)))


def hdf5(path: Path, names: tuple[str, ...]) -> dict[str, FloatArray]:
    """Those of the named data sets at the top of an HDF5 file that are there. Raises as `matlab`, for h5py."""
    with _needed("h5py", path):
        import h5py

        with h5py.File(path, "r") as file:
            return {name: np.asarray(file[name], np.float64).ravel() for name in names if name in file}


def png(path: Path) -> ByteArray:
    """A picture as BGR [shape=(height, width, 3)]. Raises as `matlab`, for Pillow."""
    with _needed("Pillow", path):
        from PIL import Image

        with Image.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB"), np.uint8)
        return np.ascontiguousarray(rgb[:, :, ::-1])


def webrtc_speech(sound: FloatArray) -> FloatArray:
    """What WebRTC's detector says of each 10 ms of sound [shape=(n,), 16 kHz, full scale ±1]: the share of its four modes that hear speech.

    Raises EnvironmentFault without webrtcvad.
    """
    try:
        import webrtcvad
    except ImportError as error:
        raise EnvironmentFault(
            title="webrtcvad is not installed",
            remedy="Run 'make bench' (or python packaging/setup.py bench).",
        ) from error
    frame = 160
    raw = (sound.clip(-1.0, 1.0) * 32767.0).astype("<i2")
    frames = [raw[at : at + frame].tobytes() for at in range(0, len(raw) - frame + 1, frame)]
    said = np.zeros(len(frames))
    for mode in range(4):
        detector = webrtcvad.Vad(mode)
        said += [detector.is_speech(one, 16_000) for one in frames]
    return said / 4.0
