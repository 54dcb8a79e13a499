"""PortAudio, for one thread at a time: what microphones and loudspeakers share. Nothing else of ours loads it."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from client import config
from client.errors import EnvironmentFault
from client.language import said

_ANSWERS_WITHIN_S = 5.0


class PortAudio:
    """The library, for one thread at a time: it is made for no more. streams: of ours that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.streams = 0

    @contextmanager
    def asked(self, patience_s: float = _ANSWERS_WITHIN_S) -> Iterator[Any]:
        """The module sounddevice, while nobody else is in it. Loaded here first, for it looks at all devices when it is.

        patience_s: how long to wait for others; −1 as long as it takes. Raises EnvironmentFault.
        """
        if not self._lock.acquire(timeout=patience_s):
            raise EnvironmentFault(
                title=said("The sound system does not answer"),
                remedy=said("Restart it, or this computer, then try again."),
                retry=True,
            )
        try:
            library = _library()
            try:
                yield library
            except library.PortAudioError as error:
                raise unusable() from error
        finally:
            self._lock.release()

    def look_again(self, library: Any) -> None:
        """PortAudio lists devices when it starts, so it is started again. Not while it is in use: that would end it."""
        if self.streams:
            return
        if library._initialized:  # noqa: SLF001 (sounddevice has no other way to list anew)
            library._terminate()  # noqa: SLF001
        library._initialize()  # noqa: SLF001


portaudio = PortAudio()


def _library() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise EnvironmentFault(
            title=said("The library sounddevice can't be loaded"), remedy=config.repair()
        ) from error
    except OSError as error:  # the wheel for Linux comes without PortAudio
        raise EnvironmentFault(
            title=said("The library PortAudio is missing"),
            remedy=said(
                "Install it (under Debian and Ubuntu: sudo apt-get install libportaudio2), then try again."
            ),
            retry=True,
        ) from error
    except Exception as error:  # (PortAudioError, of a module that is not there now)
        raise unusable() from error
    # Its last words to the devices would keep the program from ending where the sound system hangs.
    atexit.unregister(sounddevice._exit_handler)  # noqa: SLF001
    return sounddevice


def unusable() -> EnvironmentFault:
    return EnvironmentFault(
        title=said("The sound system can't be used"),
        remedy=said("Restart it, or this computer, then try again."),
        retry=True,
    )
