"""What the cloud does for this device: one method for each request, and only answers that fit what was asked."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Never, TypeVar
from urllib.parse import urlencode

from client.cloud import faults
from client.cloud.chat import Chat, ChatEvent, events
from client.cloud.credentials import Credentials, Entry, Key, ask_signed, signed_headers, time_was_wrong
from client.cloud.forms import Unfit, identifier
from client.cloud.transport import Reply, Transport, address, read_answer, refuse
from client.cloud.wire import (
    ANSWER_BYTES,
    Answer,
    BatchResult,
    Code,
    Config,
    Erased,
    Export,
    Heartbeat,
    NewSynthesis,
    NewTranscription,
    NewUpload,
    ObservationBatch,
    Request,
    StoredObservation,
    Transcription,
    Upload,
    UploadUrl,
)

A = TypeVar("A", bound=Answer)

_UNAUTHORIZED, _PUT = 401, "PUT"
_HAD_ALREADY = 412
_CHAT, _ANSWER_S = "/v1/chat", 120.0
"""An answer is 800 tokens at most; the function itself ends after 60 s."""
_MP3, _SOUND_BYTES = "audio/mpeg", 6_000_000
"""Lambda answers with 6 MB at most."""
_NOT_OURS = {"authorization", "connection", "cookie", "dpop", "host", "te", "transfer-encoding", "upgrade"}
"""Headers that a place for a file has no business to ask for."""
_FINAL = {Code.DEVICE_REVOKED, Code.CLOCK_SKEW, Code.PROOF_REPLAYED}
"""Another access token would change nothing."""


class Cloud:
    """For one thread at a time. Each method raises CloudFault, and VaultFault where a new sign-in needs a key store that is closed."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials
        self.device_id: str | None = None
        """As which device is asked, and as no other: NotEnrolled where the key store has another by now. None: as any."""

    @property
    def clock_offset_s(self) -> float | None:
        """How far this computer's clock is ahead of the server's; None: not known yet."""
        return self._transport.server_clock.offset_s

    def send_observations(self, batch: ObservationBatch) -> BatchResult:
        """Each place of the batch is answered, once."""
        result = self._answer("POST", "/v1/observations", BatchResult, request=batch)
        answered = {one.at: one for one in result.results}
        if set(answered) != set(range(len(batch.observations))):
            raise faults.AnswerUnreadable("BatchResult.results")
        for at, sent in enumerate(batch.observations):
            if answered[at].id not in {None, identifier(sent.id)}:
                raise faults.AnswerUnreadable("BatchResult.results.id")
        return result

    def announce(self, new: NewUpload) -> UploadUrl:
        """A place for a file; the same again gets another. url None: it is there already."""
        entry, reply = self._ask("POST", "/v1/uploads", body=_body(new), most_bytes=UploadUrl.most_bytes)
        found = read_answer(reply, UploadUrl)
        if found.id != identifier(new.id):
            raise faults.AnswerUnreadable("UploadUrl.id")
        if found.url is not None and not _may_take_files(found.url, entry.url):
            raise faults.AnswerUnreadable("UploadUrl.url")
        return found

    def put(self, place: UploadUrl, chunks: Iterable[bytes], length_bytes: int) -> None:
        """Send a file there, or find that it is there already. It is looked at once it is `complete`.

        chunks: are asked for one at a time as they leave; raising in them cancels, and comes out as it is. Nothing of the device's sign-in goes
        along. Raises UrlExpired where another place has to be announced; ValueError where the chunks are not length_bytes long.
        """
        if place.url is None:
            return
        names = {name.lower(): value for name, value in place.headers.items()}
        if place.method != _PUT or _NOT_OURS & set(names):
            raise faults.AnswerUnreadable("UploadUrl.headers")
        if names.get("content-length", str(length_bytes)) != str(length_bytes):
            raise faults.AnswerUnreadable("UploadUrl.headers.content-length")
        if place.expires_at is not None and place.expires_at <= self._transport.server_clock.utc():
            raise faults.UrlExpired
        reply = self._transport.put(
            place.url, headers=place.headers, chunks=chunks, length_bytes=length_bytes
        )
        _judge_put(reply)

    def complete(self, upload_id: str) -> Upload:
        """The file is there: the server looks into it. Its state may still change."""
        return self._upload("POST", upload_id, "/complete")

    def upload(self, upload_id: str) -> Upload:
        """What became of a file."""
        return self._upload("GET", upload_id)

    def erase(self, patient_id: str) -> Erased:
        """All of a patient, for good. ServerBusy: some copies are not gone yet; ask again."""
        return self._answer("DELETE", "/v1/observations", Erased, query={"patient_id": patient_id})

    def export(self, patient_id: str) -> Iterator[StoredObservation | Upload]:
        """All that the server has of a patient, page by page, each once."""
        query = {"patient_id": patient_id}
        seen: set[str] = set()
        while True:
            page = self._answer("GET", "/v1/observations/export", Export, query=query)
            for upload in page.uploads:
                if upload.id not in seen:
                    seen.add(upload.id)
                    yield upload
            yield from page.observations
            if page.next_cursor is None:
                return
            if page.next_cursor in seen:
                raise faults.AnswerUnreadable("Export.next_cursor")
            seen.add(page.next_cursor)
            query["cursor"] = page.next_cursor

    def config(self) -> Config:
        """What this clinic may use."""
        return self._answer("GET", "/v1/config", Config)

    def heartbeat(self, beat: Heartbeat) -> None:
        """Tell how this device is."""
        self._ask("POST", "/v1/heartbeat", body=_body(beat))

    def ask(self, question: Chat) -> Generator[ChatEvent, None, None]:
        """The answer to a question, as it comes: a start first, a done or an error last. Closing the iterator before cuts it off, and
        nobody works on for nothing. Until then nothing else can be asked here.
        """
        with closing(self._answering(_body(question))) as pieces:
            yield from events(pieces)

    def _answering(self, body: bytes) -> Generator[bytes, None, None]:
        for again in (True, True, False):
            entry, key, token = self._signed_in()
            at = self._transport.server_clock.utc()
            url = f"{entry.url}{_CHAT}"
            sent = signed_headers(key, "POST", url, at, access_token=token)
            stream = self._transport.stream("POST", url, headers=sent, body=body, limit_s=_ANSWER_S)
            with closing(stream):
                reply = next(stream)
                if not isinstance(reply, Reply):
                    raise faults.AnswerUnreadable("stream")
                if 200 <= reply.status < 300:
                    for piece in stream:
                        if isinstance(piece, bytes):
                            yield piece
                    return
            if again and time_was_wrong(reply, at, self._transport):
                continue
            if reply.status == _UNAUTHORIZED:
                self._credentials.drop(token)
                problem = reply.problem
                if again and (problem is None or problem.code not in _FINAL):
                    continue
            self._refuse(entry, reply)

    def transcription(self, wanted: NewTranscription) -> Transcription:
        """A place to stream speech to; good for minutes, for one stream."""
        return self._answer("POST", "/v1/speech/transcription", Transcription, request=wanted)

    def synthesize(self, wanted: NewSynthesis) -> bytes:
        """A text as sound, MP3."""
        _, reply = self._ask(
            "POST", "/v1/speech/synthesis", body=_body(wanted), most_bytes=_SOUND_BYTES, answer_type=_MP3
        )
        if reply.media_type != _MP3 or not reply.body:
            raise faults.AnswerUnreadable("synthesis")
        return reply.body

    def _upload(self, method: str, upload_id: str, what: str = "") -> Upload:
        known = identifier(upload_id)
        found = self._answer(method, f"/v1/uploads/{known}{what}", Upload)
        if found.id != known:
            raise faults.AnswerUnreadable("Upload.id")
        return found

    def _answer(
        self,
        method: str,
        path: str,
        kind: type[A],
        *,
        request: Request | None = None,
        query: dict[str, str] | None = None,
    ) -> A:
        body = None if request is None else _body(request)
        asked = "" if query is None else "?" + urlencode(query)
        _, reply = self._ask(method, path, query=asked, body=body, most_bytes=kind.most_bytes)
        return read_answer(reply, kind)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        most_bytes: int = ANSWER_BYTES,
        answer_type: str | None = None,
    ) -> tuple[Entry, Reply]:
        """A success, and who has asked. With another access token once, where the server takes this one no more."""
        entry, reply = self._asked(method, path, query, body, most_bytes, answer_type)
        if reply.status == _UNAUTHORIZED:
            problem = reply.problem
            if problem is None or problem.code not in _FINAL:
                entry, reply = self._asked(method, path, query, body, most_bytes, answer_type)
        if not 200 <= reply.status < 300:
            self._refuse(entry, reply)
        return entry, reply

    def _refuse(self, entry: Entry, reply: Reply) -> Never:
        try:
            refuse(reply)
        except faults.DeviceRevoked:
            self._credentials.end(entry, faults.DeviceRevoked)
            raise

    def _signed_in(self) -> tuple[Entry, Key, str]:
        entry, key, token = self._credentials.signed_in(self._transport)
        if self.device_id is not None and entry.device_id != self.device_id:
            raise faults.NotEnrolled
        return entry, key, token

    def _asked(
        self,
        method: str,
        path: str,
        query: str,
        body: bytes | None,
        most_bytes: int,
        answer_type: str | None,
    ) -> tuple[Entry, Reply]:
        entry, key, token = self._signed_in()
        reply = ask_signed(
            self._transport,
            key,
            method,
            entry.url,
            path,
            query=query,
            body=body,
            access_token=token,
            most_bytes=most_bytes,
            answer_type=answer_type,
        )
        if reply.status == _UNAUTHORIZED:
            self._credentials.drop(token)
        return entry, reply


def _body(request: Request) -> bytes:
    """What cannot be written down is refused here as the server would refuse it: for this item, for good."""
    try:
        return request.body()
    except Unfit:
        raise faults.Refused(422, Code.INVALID) from None


def _may_take_files(url: str, api: str) -> bool:
    """Plain HTTP, which is for this machine itself only, never where the API is elsewhere: its answer would choose what of us is knocked at."""
    try:
        scheme = address(url).scheme
    except Unfit:
        return False
    return scheme == "https" or api.startswith("http:")


def _judge_put(reply: Reply) -> None:
    """The object store speaks XML and knows no problems of ours."""
    status = reply.status
    if 300 <= status < 400 or status == 511 or (status < 500 and reply.media_type == "text/html"):
        raise faults.CaptivePortal
    if status in {200, 201, 204, _HAD_ALREADY}:
        return
    if status == 403 or (status == 400 and b"Expired" in reply.body):
        raise faults.UrlExpired  # also for a signature that is not right: another announcement makes another
    if status == 400 and b"RequestTimeout" in reply.body:
        raise faults.TimedOut("send")
    if status == 429:
        raise faults.RateLimited(reply.retry_after_s)
    if status >= 500 or status in {408, 409}:  # 409: somebody else is sending the same just now
        raise faults.ServerBusy(503 if status == 500 else status, None, reply.retry_after_s)
    raise faults.Refused(status)
