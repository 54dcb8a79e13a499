"""A PulseAudio of the test's own: its microphone hears what a test plays. Real capture through PortAudio, without hardware."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RATE = 48000
TONE = """
import math, struct, sys
amplitude, rate = float(sys.argv[1]), int(sys.argv[2])
wave = b"".join(struct.pack("<f", amplitude * math.sin(2 * math.pi * 1000 * i / rate)) for i in range(rate // 10))
while True:
    sys.stdout.buffer.write(wave)
"""
"""A sine of 1 kHz without an end, as 32-bit floats (full scale ±1)."""


def what_is_lacking() -> str:
    """Why there can be no sound server here; empty when there can."""
    if not sys.platform.startswith("linux"):
        return "PulseAudio is of Linux"
    for name in ("pulseaudio", "pacat"):
        if not shutil.which(name):
            return f"there is no {name} (Debian's packages pulseaudio and pulseaudio-utils)"
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        return "PortAudio has no way to PulseAudio (Debian's package libasound2-plugins)"
    return (
        ""
        if ctypes.util.find_library("portaudio")
        else "there is no PortAudio (Debian's package libportaudio2)"
    )


class SoundServer:
    """A running one. It and what it plays end with the test."""

    def __init__(self, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PULSE_SERVER": f"unix:{folder / 'native'}",
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        self._playing: list[subprocess.Popen[bytes]] = []
        self.process = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"),
                f"--load=module-native-protocol-unix socket={folder / 'native'} auth-anonymous=1",
                f"--load=module-null-sink sink_name=loop rate={RATE} channels=1",
            ],
            env={name: value for name, value in self._environment.items() if name != "PULSE_SERVER"},
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 10.0
        while not (folder / "native").exists():
            assert self.process.poll() is None and time.monotonic() < deadline_s, "PulseAudio did not start"
            time.sleep(0.02)

    def reach(self, patch: pytest.MonkeyPatch) -> None:
        """From now on this process's sound goes there."""
        for name in ("PULSE_SERVER", "PULSE_COOKIE", "XDG_RUNTIME_DIR"):
            patch.setenv(name, self._environment[name])

    def play(self, amplitude: float) -> None:
        """A sine of 1 kHz until the end. amplitude: of full scale, 0 to 1; its level is 20·log10 of it, dBFS."""
        tone = subprocess.Popen(
            [sys.executable, "-c", TONE, str(amplitude), str(RATE)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # where it says that nobody listens any more
        )
        player = subprocess.Popen(
            [
                "pacat",
                "--playback",
                "--raw",
                "--format=float32le",
                f"--rate={RATE}",
                "--channels=1",
                "--device=loop",
            ],
            stdin=tone.stdout,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        assert tone.stdout is not None
        tone.stdout.close()
        self._playing += [player, tone]

    def freeze(self) -> None:
        """It hangs: it neither answers nor ends."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """As if it was stopped, or its only microphone taken away."""
        for process in (*self._playing, self.process):
            process.kill()
            process.wait()
        self._playing.clear()


@contextmanager
def sound_server() -> Iterator[SoundServer]:
    """A server with a microphone that hears nothing yet. Skips the test where there can be none."""
    if lacking := what_is_lacking():
        pytest.skip(lacking)
    with (
        tempfile.TemporaryDirectory(prefix="hh-") as folder,  # a socket's path has room for 107 bytes
        pytest.MonkeyPatch.context() as patch,
    ):
        server = SoundServer(Path(folder))
        server.reach(patch)
        try:
            yield server
        finally:
            server.end()
