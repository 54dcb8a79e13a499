"""The application: devices, pipeline, commands, window."""

from __future__ import annotations

import os

# From 1.29 on ONNX Runtime records and uploads what it runs on, unless told not to before it is loaded. We send nothing anywhere.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
