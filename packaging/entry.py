"""Where the frozen application starts: the command `health-helper`, in a program of its own."""

from __future__ import annotations

import ctypes.util
import os
import sys
import warnings
from pathlib import Path

INTERRUPTED = 130


def main() -> int:
    """Make good what a frozen program lacks, then run the command; the exit status."""
    if (
        sys.stdout is None and len(sys.argv) == 1
    ):  # a double click on the program without a terminal (Windows, macOS)
        sys.argv.append("window")
    if sys.argv[1:3] == [
        "-m",
        "client.intake",
    ]:  # a file that may be hostile is looked into by a process of its own
        from client.intake.__main__ import main as look_inside

        look_inside()
        return 0
    if sys.argv[1:3] == [
        "-m",
        "client",
    ]:  # how the benchmark starts this program again; here it has no interpreter
        del sys.argv[1:3]
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # a program without a terminal has none to complain to
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    if (
        "LD_LIBRARY_PATH_ORIG" in os.environ
    ):  # what this program starts is none of ours: it gets the system's libraries
        os.environ["LD_LIBRARY_PATH"] = os.environ.pop("LD_LIBRARY_PATH_ORIG")
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)
    # ONNX Runtime would make an identifier of this computer and send what it notes to its maker. Nothing is sent anywhere.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # sounddevice asks for PortAudio where the system keeps its libraries; here it lies beside the program (Linux).
    of_the_system, portaudio = ctypes.util.find_library, Path(sys.prefix) / "libportaudio.so.2"
    if portaudio.exists():
        ctypes.util.find_library = lambda name: str(portaudio) if name == "portaudio" else of_the_system(name)
    # The report has no pictures, so Pillow is left out (freeze.py).
    warnings.filterwarnings("ignore", message="Pillow could not be imported")
    try:
        from client.__main__ import main as start

        return start()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
