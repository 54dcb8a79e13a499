"""OpenCV, made quiet before its first use: what it and FFmpeg print belongs in our sentences, not on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from client import config

if TYPE_CHECKING:
    from edge_models.types import ByteArray

MAX_PIXELS = 64_000_000
"""More than this in one picture (8K is 33 million) is taken for a mistake or an attack, and refused."""

MIN_SIDE_PX = 16
"""Fewer in width or height are no picture of anything; edge_models.scan takes no less."""

BLACK_MEAN = 8.0
"""Mean grey level (0 to 255) below which a picture shows nothing."""

_SETTINGS = {
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET; without it every damaged frame prints lines to stderr
    # A playlist or a damaged container must never make FFmpeg open a network address.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file",
    # Without it, opening a camera on Windows takes up to a minute (hardware transforms are probed first).
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS": "0",
    # V4L2 waits 10 s for a frame otherwise; a silent camera must be noticed within 2 s.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1",
}


def prepare_opencv() -> None:
    """Import cv2 with its settings in place. Call before the first use of cv2 in a function; cheap to repeat.

    Settings that somebody has already put into the environment are left as they are.
    """
    for name, value in _SETTINGS.items():
        config.set_default(name, value)
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def sealed(image: ByteArray) -> ByteArray:
    """The same picture, no longer writable: a Frame is shared between threads and never written to."""
    image.flags.writeable = False
    return image


def coarse(image: ByteArray) -> ByteArray:
    """Green of every 8th pixel of every 8th line [shape=(ceil(height/8), ceil(width/8))]: for cheap looks."""
    return np.ascontiguousarray(image[::8, ::8, 1])


def is_black(image: ByteArray) -> bool:
    """Whether nothing can be seen: a covered lens, a privacy switch, a device that is not awake yet.

    A dim room with a face in it has a mean well above; sensor noise in the dark stays below.
    """
    return float(coarse(image).mean()) < BLACK_MEAN
