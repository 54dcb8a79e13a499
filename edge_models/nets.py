"""Every ONNX session of the app. One thread and no spinning: a default session burns a third of a core at rest.

Weights come in as bytes that the caller has verified; no file is opened here.
"""

from __future__ import annotations

import cv2
import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

from edge_models.types import Box, ByteArray, Float32Array

_AS_TRAINED: Float32Array = (np.arange(256, dtype=np.float32) - 127.0) / 128.0
"""What the face net reads for each grey level."""


def session(weights: bytes) -> ort.InferenceSession:
    """A session on one CPU thread that sleeps when it has nothing to do.

    Raises ValueError for bytes that are no ONNX model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as error:
        raise ValueError(f"these {len(weights)} bytes are no ONNX model that can be run: {error}") from error


class FaceNet:
    """Faces in a picture by RFB-320 ("Ultra-Light-Fast-Generic-Face-Detector-1MB", version RFB, 320×240).

    Input: float32 [1, 240, 320, 3], RGB, (x − 127) / 128. Output: float32 [1, 4420, 6], a row per anchor:
    background score, face score, x0, y0, x1, y1 as fractions of the input's width and height.
    """

    _WIDTH_PX = 320
    _HEIGHT_PX = 240
    _MIN_SCORE = 0.7
    _MAX_IOU = 0.3

    def __init__(self, weights: bytes) -> None:
        self._session = session(weights)
        net_input, net_output = self._session.get_inputs()[0], self._session.get_outputs()[0]
        if net_input.shape[1:] != [self._HEIGHT_PX, self._WIDTH_PX, 3] or net_output.shape[-1] != 6:
            raise ValueError(f"not the RFB-320 net: it maps {net_input.shape} to {net_output.shape}")
        self._input_name = net_input.name
        self._canvas: ByteArray = np.full((self._HEIGHT_PX, self._WIDTH_PX, 3), 127, np.uint8)

    def detect(self, image: ByteArray) -> list[tuple[Box, float]]:
        """All faces in a BGR picture of any size, surest first, as (box in its pixels, score in [0.7, 1]).

        The picture keeps its aspect (grey bars), because a squeezed portrait clip loses faces.
        """
        height, width = image.shape[:2]
        scale = min(self._WIDTH_PX / width, self._HEIGHT_PX / height)
        inner_width = min(self._WIDTH_PX, max(1, round(width * scale)))
        inner_height = min(self._HEIGHT_PX, max(1, round(height * scale)))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        self._canvas[:] = 127
        self._canvas[:inner_height, :inner_width] = cv2.resize(
            image, (inner_width, inner_height), interpolation=interpolation
        )
        net_input = cv2.LUT(cv2.cvtColor(self._canvas, cv2.COLOR_BGR2RGB), _AS_TRAINED)[None]
        rows: Float32Array = np.asarray(
            self._session.run(None, {self._input_name: net_input})[0], np.float32
        )[0]
        rows = rows[rows[:, 1] >= self._MIN_SCORE]
        if not len(rows):
            return []
        to_x, to_y = self._WIDTH_PX * width / inner_width, self._HEIGHT_PX * height / inner_height
        corners = rows[:, 2:6] * np.array([to_x, to_y, to_x, to_y], np.float32)
        boxes = [(float(x0), float(y0), float(x1 - x0), float(y1 - y0)) for x0, y0, x1, y1 in corners]
        scores = [float(s) for s in rows[:, 1]]
        keep = cv2.dnn.NMSBoxes(boxes, scores, self._MIN_SCORE, self._MAX_IOU)
        faces = [(Box(*boxes[int(i)]), min(1.0, scores[int(i)])) for i in np.asarray(keep).reshape(-1)]
        return sorted(faces, key=lambda face: -face[1])


class SpeechNet:
    """Whether somebody speaks, 32 ms after 32 ms, by Silero VAD 6.2 (16 kHz).

    Input: float32 [1, 576], the last 64 samples of the block before and 512 new ones, full scale ±1; state [2, 1, 128]; rate, int64.
    Output: probability [1, 1] and the next state. What it says depends on what it heard before: one net for one microphone.

    In loud music its state runs full within half a minute, and it hears nobody any more; so where it has heard nobody for 2 s the state
    begins anew (measured: health-helper bench assistant --part voice; the area under the curve at 0 dB of music is 0.96 then, not 0.73).
    """

    RATE_HZ = 16_000
    BLOCK = 512
    _CONTEXT = 64
    _NOBODY, _ANEW_BLOCKS = 0.3, 62

    def __init__(self, weights: bytes) -> None:
        self._session = session(weights)
        wanted, given = [one.name for one in self._session.get_inputs()], self._session.get_outputs()
        if set(wanted) != {"input", "state", "sr"} or len(given) != 2:
            raise ValueError(f"not the Silero net of 16 kHz: it wants {wanted}")
        self._rate = np.array(self.RATE_HZ, np.int64)
        self._input: Float32Array = np.zeros((1, self._CONTEXT + self.BLOCK), np.float32)
        self._state: Float32Array = np.zeros((2, 1, 128), np.float32)
        self._nobody_blocks = 0

    def reset(self) -> None:
        """Forget what was heard: another stream begins."""
        self._input[:] = 0.0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._state = np.zeros_like(self._state)
        self._nobody_blocks = 0

    def probability(self, block: Float32Array) -> float:
        """Of speech in these 32 ms [shape=(512,), full scale ±1], 0 to 1. What is no number counts as silence."""
        self._input[0, : self._CONTEXT] = self._input[0, -self._CONTEXT :]
        np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0, copy=True).clip(
            -1.0, 1.0, out=self._input[0, self._CONTEXT :]
        )
        found, self._state = self._session.run(
            None, {"input": self._input, "state": self._state, "sr": self._rate}
        )
        probability = float(found[0, 0])
        self._nobody_blocks = self._nobody_blocks + 1 if probability < self._NOBODY else 0
        if self._nobody_blocks >= self._ANEW_BLOCKS:
            self._begin_anew()
        return probability
