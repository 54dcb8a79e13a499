"""Motion JPEG over HTTP: what network cameras and phone camera apps send (multipart/x-mixed-replace).

Read with httpx, not with OpenCV's FFmpeg: certificates are checked, credentials stay out of messages, and a
stream that stalls, lies or never ends is told apart from one that works.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import random
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from email.message import Message
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx
import numpy as np

from client.clock import Clock, SystemClock
from client.devices.multipart import MultipartReader, Part, jpeg_size_px
from client.devices.opencv import MAX_PIXELS, MIN_SIDE_PX, is_black, prepare_opencv, sealed
from client.devices.ports import SourceFacts
from client.devices.relay import NothingCame, Relay
from client.errors import BadInput, EnvironmentFault, HealthHelperError, SourceStalled
from client.language import Sentence, marked, said
from edge_models.types import ByteArray, Frame, Reason

_MAX_BAD_IN_A_ROW = 60
"""So much that cannot be decoded before any picture: this is no stream of JPEG pictures."""
_MAX_STAMP_STEP_S = 10.0
_MIN_STEP_S = 1e-3
_BLOCK_S, _BLOCK_PICTURES = 1.0, 5
_JITTER_S, _WRONG_RATE, _MAX_DRIFT_S = 0.1, 0.02, 0.75
"""A stream's clock may leave arrival by the jitter and this share of the time since, and by no more in all."""
_SAME_CLOCK_S = 2.0
_JOIN_S = 1.0
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_KNOWN_TYPES = {
    "text/html": marked("a web page"),
    "image/jpeg": marked("a single picture"),
    "": marked("data without a type"),
}
_UNKNOWN_TYPE = marked("something else")
_KEPT_FRAMES = 16
"""Networks deliver in bursts; half a second of them is kept for a reader who is late."""


class HttpMjpeg:
    """`FrameSource` over an MJPEG stream. Live: frames come at their own pace and the newest are kept.

    url: http or https; a user name and password in it are used and never shown.
    stall_s: silence after which `read` raises SourceStalled. first_frame_s: how long `open` waits.
    give_up_s: after so long without a picture the stream is over (`read` gives None, the facts say why).
    trust: the certificates to trust; None for the system's.

    Times are the stream's own (`X-Timestamp`, seconds, in each part's header) while they are there, increase and
    advance as arrival does, otherwise the moments of arrival on the machine's monotonic clock; the facts say which.
    Where a wrong clock was followed for too large a part of the stream, the facts distrust it
    (Reason.FRAME_RATE_UNTRUSTED).
    """

    def __init__(
        self,
        url: str,
        *,
        stall_s: float = 1.5,
        first_frame_s: float = 5.0,
        give_up_s: float = 30.0,
        clock: Clock | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._given_url = url
        self._stall_s = stall_s
        self._first_frame_s = first_frame_s
        self._give_up_s = give_up_s
        self._clock = clock or SystemClock()
        self._trust = trust
        self._relay = Relay(_KEPT_FRAMES)
        self._connection: _Connection | None = None
        self._waiting: Frame | None = None
        self._name = ""
        self._opened = False
        self._quiet_since_s = 0.0

    def open(self) -> SourceFacts:
        """Connect and wait for the first picture. Raises BadInput or EnvironmentFault; nothing stays open."""
        url = _checked(self._given_url)
        self._name = _public_name(url)
        prepare_opencv()
        self._connection = _Connection(
            url,
            name=self._name,
            relay=self._relay,
            clock=self._clock,
            trust=self._trust or ssl.create_default_context(),
            stall_s=self._stall_s,
            first_frame_s=self._first_frame_s,
            give_up_s=self._give_up_s,
        )
        self._connection.start()
        try:
            self._waiting = self._relay.take(self._first_frame_s)
        except NothingCame:
            fault = self._connection.why_nothing_came()
            self.close()
            raise fault from None
        except BaseException:
            self.close()
            raise
        if self._waiting is None:
            fault = self._connection.why_it_ended()
            self.close()
            raise fault
        self._opened = True
        self._quiet_since_s = self._clock.now_s()
        return self.facts()

    def read(self) -> Frame | None:
        """The next picture; None at the stream's end and after close. Raises SourceStalled when it is silent."""
        if not self._opened:
            raise RuntimeError("read before open")
        frame, self._waiting = self._waiting, None
        if frame is not None:
            self._relay.count_drops()
        else:
            try:
                # Counted from the last picture, not from this call: who reads late hears of it no later.
                frame = self._relay.take(max(0.0, self._quiet_since_s + self._stall_s - self._clock.now_s()))
            except NothingCame:
                self._quiet_since_s = self._clock.now_s()
                raise SourceStalled(
                    title=said(
                        "{name} has sent no picture for {seconds} s",
                        name=self._name,
                        seconds=f"{self._stall_s:g}",
                    ),
                    remedy=said("Check the camera and its network; the connection is tried again by itself."),
                    retry=True,
                ) from None
        self._quiet_since_s = self._clock.now_s()
        return frame

    def facts(self) -> SourceFacts:
        """What is known now: which times are used, what was skipped, how often it was connected again."""
        connection = self._connection
        if connection is None:
            return SourceFacts(self._name, True, False, None, 0, 0)
        notes = connection.notes()
        if self._relay.dropped:
            notes.append(
                Sentence(
                    marked("{count} pictures were dropped because this computer was late."),
                    {"count": self._relay.dropped},
                )
            )
        return SourceFacts(
            name=self._name,
            live=True,
            simulated=False,
            header_fps=None,
            width_px=connection.size_px[0],
            height_px=connection.size_px[1],
            warnings=connection.warnings(),
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Cut the connection, also while another thread reads."""
        self._waiting = None
        self._relay.clear()
        if self._connection is not None:
            self._connection.stop()


class _Dropped(Exception):
    """The connection is gone or silent; another may be tried."""


class _Connection:
    """The thread that sits in the socket: connects, takes parts out, decodes, connects again.

    A thread is needed because a socket's read cannot be given up on from outside in time without losing
    the connection. `stop` shuts the socket down, which wakes that read at once.
    """

    _FIRST_PAUSE_S: ClassVar[float] = 0.25
    _LONGEST_PAUSE_S: ClassVar[float] = 5.0

    def __init__(
        self,
        url: httpx.URL,
        *,
        name: str,
        relay: Relay,
        clock: Clock,
        trust: ssl.SSLContext,
        stall_s: float,
        first_frame_s: float,
        give_up_s: float,
    ) -> None:
        self._credentials = (url.username, url.password) if url.userinfo else None
        # Without them in the URL, no message and no log line of the library can repeat them.
        self._url = url.copy_with(username=None, password=None) if url.userinfo else url
        self._name = name
        self._relay = relay
        self._clock = clock
        self._trust = trust
        self._stall_s = stall_s
        self._first_frame_s = first_frame_s
        self._give_up_s = give_up_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mjpeg-reader", daemon=True)
        self._socket_lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._times = _StreamTimes()
        self._answered = False
        self._parts_seen = 0
        self._pictures = 0
        self._black = 0
        self._bad = 0
        self._bad_in_a_row = 0
        self._reconnections = 0
        self._last_picture_s = 0.0
        self.size_px = (0, 0)
        self.gave_up = False

    def start(self) -> None:
        """Begin to connect."""
        self._last_picture_s = self._clock.now_s()
        self._thread.start()

    def stop(self) -> None:
        """End the thread. While it connects it cannot be woken; it then ends by itself at its time limit."""
        self._stopped.set()
        with self._socket_lock:
            self._shut_down()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _shut_down(self) -> None:
        if self._socket is not None:
            # The plain socket's own method: the TLS one drops its state under the reading thread.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _run(self) -> None:
        pause_s = self._FIRST_PAUSE_S
        try:
            while not self._stopped.is_set():
                pictures = self._pictures
                try:
                    self._stream()
                except _Dropped as dropped:
                    if self._pictures == 0 and isinstance(dropped.__cause__, HealthHelperError):
                        self._relay.end(dropped.__cause__)
                        return
                else:
                    self._relay.end()
                    return
                if self._pictures > pictures:
                    pause_s = self._FIRST_PAUSE_S
                if self._clock.now_s() - self._last_picture_s > self._give_up_s:
                    self.gave_up = True
                    self._relay.end()
                    return
                # Jitter: two clients of one camera must not come back in step.
                self._stopped.wait(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, self._LONGEST_PAUSE_S)
                self._reconnections += 1
        except BaseException as error:  # noqa: BLE001 (carried to the reader's thread, which raises it)
            self._relay.end(error)
        finally:
            self._relay.end()  # whatever happened: nobody waits for a thread that is gone

    def _stream(self) -> None:
        """One connection from its first byte to its last. Returns at the stream's own end."""
        # Twice the stall: a camera that stops for a moment goes on over the same connection.
        timeout = httpx.Timeout(self._first_frame_s, read=2 * self._stall_s)
        # No proxy from the environment: a camera stands in the house, and its URL may carry a password.
        with httpx.Client(timeout=timeout, verify=self._trust, trust_env=False) as client:
            try:
                self._receive(client)
            except httpx.TimeoutException:
                raise _Dropped from None  # `open` has its own limit; later, silence is tried again
            except (httpx.HTTPError, ssl.SSLError) as error:
                raise _Dropped from _connection_fault(self._name, error)
            finally:
                with self._socket_lock:
                    self._socket = None

    def _receive(self, client: httpx.Client) -> None:
        auth: httpx.Auth | None = httpx.BasicAuth(*self._credentials) if self._credentials else None
        response = self._request(client, auth)
        asks_for_digest = response.headers.get("www-authenticate", "").lower().startswith("digest")
        if response.status_code == httpx.codes.UNAUTHORIZED and self._credentials and asks_for_digest:
            response.close()
            response = self._request(client, httpx.DigestAuth(*self._credentials))
        with contextlib.closing(response):
            self._answered = True
            self._check(response)
            reader = MultipartReader(_boundary(response.headers))
            self._times.new_connection()
            rubbish = 0
            for data in response.iter_raw():
                if self._stopped.is_set():
                    return
                for part in reader.feed(data, self._clock.now_s()):
                    self._take(part)
                self._count_bad(reader.rubbish - rubbish)
                rubbish = reader.rubbish
                if reader.ended:
                    return
                if self._pictures and self._clock.now_s() - self._last_picture_s > 2 * self._stall_s:
                    raise _Dropped  # bytes trickle in, pictures do not
            # A body that ends as its own length or chunks say is complete; one that just stops was cut.
            if not ({"content-length", "transfer-encoding"} & set(response.headers)):
                raise _Dropped

    def _request(self, client: httpx.Client, auth: httpx.Auth | None) -> httpx.Response:
        request = client.build_request(
            "GET",
            self._url,
            headers={"Accept": "multipart/x-mixed-replace, */*", "Accept-Encoding": "identity"},
        )
        request.extensions["trace"] = self._note_socket
        return client.send(request, auth=auth, stream=True)

    def _note_socket(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore while it connects: remembers the socket, so that `stop` can wake its reader."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._socket_lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._stopped.is_set():
                    self._shut_down()

    def _check(self, response: httpx.Response) -> None:
        """Raises _Dropped, from what the status line or the type say is wrong."""
        if response.status_code != httpx.codes.OK:
            raise _Dropped from _status_fault(self._name, response)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("multipart/"):
            return
        fault = BadInput(
            title=said(
                "{name} sends {what}, not an MJPEG stream",
                name=self._name,
                what=said(_KNOWN_TYPES.get(kind, _UNKNOWN_TYPE)),
            ),
            remedy=said(
                "Look up the address of the camera's MJPEG stream (multipart/x-mixed-replace) in its manual."
            ),
        )
        raise _Dropped from fault

    def _take(self, part: Part) -> None:
        self._parts_seen += 1
        image = _decoded(part.body)
        if image is None:
            self._count_bad(1)
            return
        if min(image.shape[:2]) < MIN_SIDE_PX:
            self._refuse_small(image)
            return
        self._bad_in_a_row = 0
        if self._pictures == 0 and is_black(image):
            self._black += 1
            return
        t_s = self._times.next(part.arrived_s, part.headers.get("x-timestamp"))
        if t_s is None:
            return
        if self._pictures == 0:
            self.size_px = image.shape[1], image.shape[0]
        self._pictures += 1
        self._last_picture_s = self._clock.now_s()
        self._relay.put(Frame(sealed(image), t_s))

    def _refuse_small(self, image: ByteArray) -> None:
        if self._pictures:
            self._count_bad(1)
            return
        raise BadInput(
            title=said(
                "{name} sends pictures of {width}×{height} pixels, too small for a face",
                name=self._name,
                width=image.shape[1],
                height=image.shape[0],
            ),
            remedy=said("Choose a larger picture in the camera's settings, 640×480 for example."),
        )

    def _count_bad(self, count: int) -> None:
        """Later in a stream, rubbish is a silence like any other: `read` says so, and what was measured is kept."""
        self._bad += count
        self._bad_in_a_row += count
        if self._pictures == 0 and self._bad_in_a_row >= _MAX_BAD_IN_A_ROW:
            raise self._rubbish()

    def _rubbish(self) -> BadInput:
        return BadInput(
            title=said(
                "{name} sends data that are no JPEG pictures ({count} could not be decoded)",
                name=self._name,
                count=self._bad,
            ),
            remedy=said(
                "Check the stream in a browser; restart the camera, or choose MJPEG in its settings."
            ),
        )

    def why_nothing_came(self) -> HealthHelperError:
        """The fault when the time for the first picture is over."""
        if self._bad or self._parts_seen > self._black:
            return self._rubbish()
        if self._black:
            return EnvironmentFault(
                title=said("{name} shows only black", name=self._name),
                remedy=said("Take the cover off the lens, switch its privacy mode off, or give it light."),
                retry=True,
            )
        seconds = f"{self._first_frame_s:g}"
        return EnvironmentFault(
            title=said(
                "{name} answered but sent no picture within {seconds} s", name=self._name, seconds=seconds
            )
            if self._answered
            else said("{name} did not answer within {seconds} s", name=self._name, seconds=seconds),
            remedy=said("Check that the camera is on and not used by others, then try again."),
            retry=True,
        )

    def why_it_ended(self) -> HealthHelperError:
        """The fault when the stream was over before its first picture."""
        if self._bad:
            return self._rubbish()
        return EnvironmentFault(
            title=said("{name} ended its stream before the first picture", name=self._name),
            remedy=said("Check that the camera is on and not used by others, then try again."),
            retry=True,
        )

    def warnings(self) -> tuple[Reason, ...]:
        """What forbids to trust the stream, as far as it is known now."""
        stalled = (Reason.SOURCE_STALLED,) if self.gave_up else ()
        return (*stalled, Reason.FRAME_RATE_UNTRUSTED) if self._times.untrusted else stalled

    def notes(self) -> list[Sentence]:
        """About the times used and about what went wrong."""
        notes = [self._times.note()] if self._pictures else []
        if self._bad:
            words = marked("{count} pictures in the stream could not be decoded and were skipped.")
            notes.append(Sentence(words, {"count": self._bad}))
        if self._reconnections:
            words = marked("The stream broke off; it was connected again ({count} ×).")
            notes.append(Sentence(words, {"count": self._reconnections}))
        if self.gave_up:
            words = marked("The stream broke off and did not come back within {seconds} s.")
            notes.append(Sentence(words, {"seconds": f"{self._give_up_s:g}"}))
        return notes


class _Drift:
    """How far a stream's clock has left the moments of arrival.

    A network delays pictures and never hurries them: the least lateness within a second is that of the clocks.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._began_s = 0.0
        self._count = 0
        self._least_s = math.inf
        self.drift_s = 0.0

    def agrees(self, t_s: float, arrived_s: float) -> bool:
        """Take in a picture; whether the clock still advances as arrival does."""
        if self._count == 0:
            self._began_s, self._least_s = arrived_s, math.inf
        self._count += 1
        late_s = arrived_s - t_s
        if late_s < -_SAME_CLOCK_S:  # nothing comes before it was taken: no need to wait
            self.drift_s = late_s
            return False
        self._least_s = min(self._least_s, late_s)
        if self._count < _BLOCK_PICTURES or arrived_s - self._began_s < _BLOCK_S:
            return True
        self._count = 0
        if self._first is None:
            self._first = self._began_s, self._least_s
            return True
        since_s = self._began_s - self._first[0]
        self.drift_s = self._least_s - self._first[1]
        return abs(self.drift_s) <= min(_JITTER_S + _WRONG_RATE * since_s, _MAX_DRIFT_S)


class _StreamTimes:
    """Chooses between the stream's own stamps and the moments of arrival; the result always increases."""

    def __init__(self) -> None:
        self._drift = _Drift()
        self._drifted_s = 0.0
        self._first_s: float | None = None
        self._trusted = True
        self._last_stamp_s: float | None = None
        self._offset_s = 0.0
        self._last_s: float | None = None
        self._used_stamps = False
        self._new = True

    def new_connection(self) -> None:
        """The next stamp may start anywhere: the camera may have started again."""
        self._new = True

    def next(self, arrived_s: float, stamp: str | None) -> float | None:
        """The picture's time in seconds, or None for a picture that was sent twice."""
        stamp_s = _seconds(stamp) if self._trusted else None
        if stamp_s is None:
            # One part without a stamp is enough: a mixture of two clocks would be no clock at all.
            if self._trusted:
                self._go_by_arrival(arrived_s)
            t_s = max(arrived_s + self._offset_s, self._step_over(-math.inf))
        elif self._last_stamp_s is None or (self._new and not self._goes_on(stamp_s, arrived_s)):
            t_s = self._step_over(arrived_s)
            self._offset_s = t_s - stamp_s
            self._used_stamps = True
            self._drift = _Drift()
        else:
            step_s = stamp_s - self._last_stamp_s
            if step_s == 0:
                return None
            t_s = stamp_s + self._offset_s
            if not (self._new or 0 < step_s <= _MAX_STAMP_STEP_S):
                t_s = self._go_by_arrival(arrived_s)
            elif not self._drift.agrees(t_s, arrived_s):
                self._drifted_s = abs(self._drift.drift_s)
                t_s = self._go_by_arrival(arrived_s)
        self._new = False
        self._last_stamp_s, self._last_s = stamp_s, t_s
        if self._first_s is None:
            self._first_s = t_s
        return t_s

    def _go_by_arrival(self, arrived_s: float) -> float:
        """Trust no stamp from now on; the time of the picture that has just arrived."""
        self._trusted = False
        t_s = self._step_over(arrived_s)
        self._offset_s = t_s - arrived_s
        return t_s

    @property
    def untrusted(self) -> bool:
        """Whether following a wrong clock, before it was noticed, has spoilt the rate of the whole so far."""
        if self._first_s is None or self._last_s is None or not self._drifted_s:
            return False
        return self._drifted_s > _WRONG_RATE * (self._last_s - self._first_s)

    def _goes_on(self, stamp_s: float, arrived_s: float) -> bool:
        """Whether a stamp on a new connection still belongs to the clock of the last one."""
        t_s = stamp_s + self._offset_s
        return self._step_over(t_s) == t_s and abs(t_s - arrived_s) < _SAME_CLOCK_S

    def _step_over(self, t_s: float) -> float:
        """`t_s`, or a little after the last time if that is later."""
        return t_s if self._last_s is None else max(t_s, self._last_s + _MIN_STEP_S)

    def note(self) -> Sentence:
        """Which clock the times come from."""
        if self._trusted:
            return Sentence(marked("Times are the stream's own (X-Timestamp)."))
        if self._drifted_s:
            words = marked(
                "Times are those of arrival: the stream's own (X-Timestamp) ran away from them by {seconds} s before that "
                "was certain."
            )
            return Sentence(words, {"seconds": f"{self._drifted_s:.1f}"})
        if self._used_stamps:
            return Sentence(marked("Times are those of arrival: the stream's own (X-Timestamp) jumped."))
        return Sentence(marked("Times are those of arrival at this computer."))


def _seconds(stamp: str | None) -> float | None:
    try:
        value = float(stamp) if stamp is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _decoded(data: bytes) -> ByteArray | None:
    """The picture, BGR uint8 [shape=(height, width, 3)], or None if it is none (or absurdly large)."""
    import cv2

    size_px = jpeg_size_px(data)
    if size_px is None or not 0 < size_px[0] * size_px[1] <= MAX_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return image  # type: ignore[return-value]


def _checked(text: str) -> httpx.URL:
    remedy = said("Give an address like http://192.168.1.20:8080/video.")
    try:
        url = httpx.URL(text.strip())
        port = urlsplit(text.strip()).port  # httpx takes a number that is no port for part of the name
    except (httpx.InvalidURL, TypeError, ValueError):
        raise BadInput(title=said("The address of the stream is not a URL"), remedy=remedy) from None
    if url.scheme not in ("http", "https"):
        raise BadInput(
            title=said(
                "The address of the stream starts with {scheme}; only http:// and https:// can be read",
                scheme=f"{url.scheme}://",
            )
            if url.scheme.isalnum()
            else said("The address of the stream does not start with http:// or https://"),
            remedy=remedy,
        )
    if port == 0 or not (_HOST.fullmatch(url.raw_host.decode("ascii")) or _is_ipv6(url.host)):
        raise BadInput(title=said("The address of the stream names no computer"), remedy=remedy)
    return url


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _public_name(url: httpx.URL) -> str:
    """Host and port: paths and queries of cameras' addresses carry passwords often enough."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port is None else f"{host}:{url.port}"


def _boundary(headers: httpx.Headers) -> str | None:
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    boundary = message.get_param("boundary")
    return boundary if isinstance(boundary, str) else None


def _status_fault(name: str, response: httpx.Response) -> HealthHelperError:
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return BadInput(
            title=said("{name} asks for a user name and a password (401)", name=name),
            remedy=said("Put the right ones into the address: http://user:password@host/…."),
        )
    if status == httpx.codes.FORBIDDEN:
        return BadInput(
            title=said("{name} refuses this user (403)", name=name),
            remedy=said("Use another user, or allow this one to see the stream in the camera's settings."),
        )
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        return BadInput(
            title=said("{name} has no stream at this path ({status})", name=name, status=status),
            remedy=said("Look up the path of the MJPEG stream in the camera's manual."),
        )
    if response.is_redirect:
        return BadInput(
            title=said("{name} says that the stream is elsewhere ({status})", name=name, status=status),
            remedy=said("Open the address in a browser and use the one that it ends at."),
        )
    if response.is_server_error:
        return EnvironmentFault(
            title=said("{name} has a fault of its own ({status})", name=name, status=status),
            remedy=said("Restart the camera, or wait until others stop using it."),
            retry=True,
        )
    return BadInput(
        title=said("{name} answered with status {status} instead of a stream", name=name, status=status),
        remedy=said("Check the address."),
    )


def _connection_fault(name: str, error: Exception) -> HealthHelperError:
    """The sentence for a failed or broken connection. The library's own text is not repeated."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in causes)

    if caused_by(ssl.SSLCertVerificationError):
        return EnvironmentFault(
            title=said("The certificate of {name} is not trusted", name=name),
            remedy=said(
                "Install the camera's certificate (or its authority's) on this computer, or use http://."
            ),
        )
    if caused_by(ssl.SSLError):
        return EnvironmentFault(
            title=said("{name} does not speak TLS as expected", name=name),
            remedy=said("Check the port, or use http:// in the address."),
        )
    if caused_by(socket.gaierror):
        return EnvironmentFault(
            title=said("No computer named {name} is known", name=name),
            remedy=said("Check the spelling and the network."),
            retry=True,
        )
    if caused_by(ConnectionRefusedError):
        return EnvironmentFault(
            title=said("{name} refuses the connection", name=name),
            remedy=said("Check that the camera's stream is switched on and that the port is right."),
            retry=True,
        )
    if isinstance(error, httpx.ProtocolError):
        return EnvironmentFault(
            title=said("{name} broke off or does not speak HTTP", name=name),
            remedy=said("Check the port, and open the address in a browser."),
            retry=True,
        )
    return EnvironmentFault(
        title=said("{name} cannot be reached", name=name),
        remedy=said("Check the network and the address."),
        retry=True,
    )
