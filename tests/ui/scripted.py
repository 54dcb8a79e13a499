"""A camera and an engine of the tests' own for scans in the window that take two seconds; and a person who closes it."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from PySide6.QtWidgets import QWidget

from client.parts import WindowChoice
from client.pipeline.session import Goal
from edge_models.types import Frame
from tests.client.pipeline.fakes import FACTS, PICTURE, CountingEngine, ScriptedSource
from tests.ui.conftest import Room

CAMERA = replace(FACTS, name="Desk camera", live=True)


def _faster_than_life() -> Iterator[Frame]:
    for number in count():
        time.sleep(0.002)
        yield Frame(PICTURE, number / 30.0)


def with_camera(room: Room, engine: CountingEngine | None = None, accepted_s: float = 15.0) -> CountingEngine:
    """The room with a camera for which every picture counts: a scan of 15 s is over in one or two."""
    made = engine or CountingEngine()
    room.parts = replace(room.parts, engine=made.make)
    room.choice = WindowChoice(
        source=lambda: ScriptedSource(_faster_than_life(), CAMERA), goal=Goal(accepted_s=accepted_s)
    )
    return made


def close_as_a_person_does(window: QWidget) -> None:
    """As a window manager asks for it when its button is pressed: a message from outside (xcb, which Qt's windows need anyway)."""
    xcb = ctypes.CDLL(ctypes.util.find_library("xcb") or "libxcb.so.1")

    class Cookie(ctypes.Structure):
        _fields_ = (("sequence", ctypes.c_uint),)

    class Reply(ctypes.Structure):
        _fields_ = (("head", ctypes.c_uint32 * 2), ("atom", ctypes.c_uint32))

    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_intern_atom.restype = Cookie
    xcb.xcb_intern_atom_reply.restype = ctypes.POINTER(Reply)
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))

    def atom(name: bytes) -> int:
        cookie = xcb.xcb_intern_atom(connection, 0, len(name), name)
        return int(xcb.xcb_intern_atom_reply(connection, cookie, None).contents.atom)

    event = struct.pack(
        "=BBHII5I", 33, 32, 0, window.winId(), atom(b"WM_PROTOCOLS"), atom(b"WM_DELETE_WINDOW"), 0, 0, 0, 0
    )
    xcb.xcb_send_event(connection, 0, ctypes.c_uint32(window.winId()), 0, event)
    xcb.xcb_flush(connection)
    atom(b"WM_PROTOCOLS")  # once this is answered, the message has arrived
    xcb.xcb_disconnect(connection)
