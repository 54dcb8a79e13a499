"""Words that stand for what is personal or secret, how they are looked for, and the programs of the test of canaries (test_canary.py).

A canary is a few random words that are nowhere by chance. It is looked for as it is and as programs write things down: UTF-8, UTF-16,
Latin-1, hexadecimal, base64 from every third byte, percent signs, the escapes of JSON, Python, HTML and mail; composed and decomposed, in
capitals too. The functions at the end are what processes of their own do.
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import os
import quopri
import random
import re
import signal
import socket
import ssl
import sys
import threading
import traceback
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote, quote_plus

import numpy as np

from client.store import journal
from client.store.journal import Journal

_ASCII, _ACCENTED, _ARABIC = "bcdfghjkmnpqrtvwxz", "àçèéîñõöşüž", "بتثجحدذرزسشصطظعغفقكلمنهي"
_LEAST = 8
"""Bytes of the shortest form that is looked for."""
PAGE_BYTES = 4096
_FREE_BYTES = 80
"""Behind each page of SQLCipher 4: its initialisation vector [16] and its tag [64]."""


@dataclass(frozen=True)
class Canary:
    """name: of the field that it is in. words: each is looked for by itself."""

    name: str
    words: tuple[str | bytes, ...]

    @property
    def text(self) -> str:
        """As it is put into a field."""
        return " ".join(str(word) for word in self.words)


def text_canary(name: str, chance: random.Random, *, plain: bool = False) -> Canary:
    """plain: in ASCII, where a field takes no more; otherwise with an accented and an Arabic word."""
    ascii_ = "".join(chance.choices(_ASCII, k=12))
    if plain:
        return Canary(name, (ascii_,))
    return Canary(
        name, (ascii_, *("".join(chance.choices(letters, k=9)) for letters in (_ACCENTED, _ARABIC)))
    )


def forms(word: str | bytes) -> set[bytes]:
    """How it may be written down."""
    if isinstance(word, bytes):
        return {form for form in _of_bytes(word) if len(form) >= _LEAST}
    found: set[bytes] = set()
    for text in {
        unicodedata.normalize(kind, cased)
        for kind in ("NFC", "NFD")
        for cased in (word, word.upper(), word.lower(), word.casefold())
    }:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1"):
            with contextlib.suppress(UnicodeEncodeError):
                found |= _of_bytes(text.encode(encoding))
        escaped = [quote(text), quote_plus(text), json.dumps(text)[1:-1], ascii(text)[1:-1]]
        escaped.append(text.encode("ascii", "xmlcharrefreplace").decode())
        escaped.append("".join(f"&#x{ord(sign):x};" for sign in text))
        escaped.append(quopri.encodestring(text.encode()).decode().strip())
        for one in escaped:
            found |= {one.encode(), re.sub(r"[%=\\&].[0-9A-Fa-f]+", lambda hit: hit[0].lower(), one).encode()}
    return {form for form in found if len(form) >= _LEAST}


def _of_bytes(raw: bytes) -> set[bytes]:
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw)
        # The signs that hold a neighbour's bits too, and the padding, say nothing of it.
        coded = coded[(8 * before + 5) // 6 : (8 * (before + len(raw))) // 6]
        found |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Finder:
    """Looks for all forms of all canaries in one go."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._forms: dict[bytes, list[tuple[bytes, str]]] = {}
        for canary in canaries:
            for word in canary.words:
                for form in forms(word):
                    self._forms.setdefault(form[:_LEAST], []).append((form, canary.name))
        begins = np.frombuffer(b"".join(self._forms), dtype=">u8").astype(np.uint64)
        self._begins = np.sort(begins)
        self._first = np.zeros(1 << 16, dtype=bool)
        self._first[(self._begins >> np.uint64(48)).astype(np.intp)] = True

    def __call__(self, data: bytes) -> set[str]:
        """The names of those that are in it."""
        if len(data) < _LEAST:
            return set()
        octets = np.frombuffer(data, dtype=np.uint8)
        pairs = (octets[:-1].astype(np.uint16) << 8) | octets[1:]
        at = np.flatnonzero(self._first[pairs])
        at = at[at <= len(data) - _LEAST]
        begins = np.zeros(len(at), dtype=np.uint64)
        for k in range(_LEAST):
            begins = (begins << np.uint64(8)) | octets[at + k].astype(np.uint64)
        hits = at[np.isin(begins, self._begins)]
        return {
            name
            for place in hits.tolist()
            for form, name in self._forms[data[place : place + _LEAST]]
            if data.startswith(form, place)
        }


# --- What is encrypted, read with the key ----------------------------------------------------------


def entropy_bits(data: bytes) -> float:
    """Of a byte of it. Of PAGE_BYTES random ones it is 7.95 ± 0.01."""
    share = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256) / len(data)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def pages(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of each page of a database or, where its name ends so, of each frame of its log, old ones too."""
    data = path.read_bytes()
    if path.name.endswith("-wal"):
        for at in range(32, len(data), 24 + PAGE_BYTES):
            yield int.from_bytes(data[at : at + 4], "big"), data[at + 24 : at + 24 + PAGE_BYTES]
    else:
        for at in range(0, len(data), PAGE_BYTES):
            yield at // PAGE_BYTES + 1, data[at : at + PAGE_BYTES]


def decrypted(path: Path, key: bytes) -> bytes:
    """Every byte of every page in the clear: rows, free pages, and what is left between rows. As SQLCipher 4 does it with a raw key (AES-256 in
    CBC; its tags are the database's own business).
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    found = []
    for number, page in pages(path):
        if len(page) == PAGE_BYTES:
            end = PAGE_BYTES - _FREE_BYTES
            opener = Cipher(AES(key), CBC(page[end : end + 16])).decryptor()
            found.append(opener.update(page[16 if number == 1 else 0 : end]) + opener.finalize())
    return b"".join(found)


def journal_in_the_clear(path: Path, key: bytes) -> bytes:
    """All records that can be read, behind gaps too."""
    opened = Journal(path, key)
    return b"\n".join(
        json.dumps(opened.read(record), ensure_ascii=False, default=bytes.hex).encode()
        for record in journal.records([path])
        if opened.is_whole(record)
    )


# --- Processes -------------------------------------------------------------------------------------

NOTES_WRITING = """
import os, sys
_busy = []
def _note(event, arguments):
    if event == "open" and not _busy and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        if (flags or 0) & (os.O_WRONLY | os.O_RDWR) or set(mode or "") & set("wax+"):
            _busy.append(1)
            try:
                with open({file!r}, "a") as file:
                    file.write(repr(os.path.join(os.getcwd(), os.fsdecode(path))) + chr(10))
            except Exception:
                pass  # the process in which files are looked at may write none
            finally:
                _busy.pop()
sys.addaudithook(_note)
"""
"""A sitecustomize.py: notes each file that a process opens to write into it, gone again or not."""


def cloud(folder: str) -> None:
    """The local cloud. Says where it is in a line of JSON; then for each line it gets: "code" → an enrolment code, anything else → the
    name of a folder where all lies that the cloud has.
    """
    from tests.stand_ins.api_gateway import ApiGateway
    from tests.stand_ins.local_cloud import LocalCloud

    told = os.dup(1)
    os.dup2(2, 1)  # where the functions log and measure
    place, lock = Path(folder), threading.Lock()
    parse = BaseHTTPRequestHandler.parse_request

    def parsed(self: BaseHTTPRequestHandler) -> bool:
        fine = parse(self)
        if fine:
            line = {"to": type(self).__module__, "line": self.requestline, "headers": self.headers.items()}
            with lock, (place / "requests").open("a") as file:
                file.write(json.dumps(line) + "\n")
        return fine

    def keeping_tokens(gateway: ApiGateway) -> None:
        answer_of = gateway._buffered

        def answered(event: dict[str, Any], context: Any) -> dict[str, Any]:
            answer = answer_of(event, context)
            if event["path"] in {"/v1/token", "/v1/devices/enrol"} and answer["statusCode"] < 300:
                with lock, (place / "tokens").open("a") as file:
                    file.write(str(answer["body"]) + "\n")
            return answer

        gateway._buffered = answered

    with mock.patch.object(BaseHTTPRequestHandler, "parse_request", parsed), LocalCloud() as running:
        keeping_tokens(running.gateway)
        clinic_id = running.add_clinic()
        os.write(told, json.dumps({"url": running.url, "clinic_id": str(clinic_id)}).encode() + b"\n")
        for number, line in enumerate(sys.stdin):
            if line.strip() == "code":
                answer = running.enrolment_code(clinic_id)
            else:
                answer = str(place / f"had-{number}")
                _dump(running, Path(answer))
            os.write(told, answer.encode() + b"\n")


def _dump(running: Any, into: Path) -> None:
    import psycopg

    into.mkdir()
    with psycopg.connect(running.urls.superuser, autocommit=True) as connection:
        for _ in range(100):  # until it has looked into each file
            if not connection.execute("SELECT 1 FROM upload WHERE state = 'processing'").fetchall():
                break
            threading.Event().wait(0.05)
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with (into / f"table-{table}").open("wb") as file:
                for kind in ("binary", "text"):
                    with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT {kind})") as rows:
                        for row in rows:
                            file.write(row)
    (into / "postgres-log").write_text(running.postgres.log())
    objects: list[list[Any]] = []
    with running.aws.s3._lock:  # the server may be looking into files
        for bucket in running.aws.s3.buckets.values():
            for key, version in [(key, one) for key, them in bucket.versions.items() for one in them]:
                name, is_marker = f"object-{len(objects)}", version.content is None
                (into / name).write_bytes(b"" if is_marker else version.read())
                facts = [bucket.name, key, version.id, version.headers, version.tags, is_marker]
                objects.append([name, *facts])
    (into / "objects").write_text(json.dumps(objects))
    (into / "mails").write_text(json.dumps([[m.to, m.subject, m.text] for m in running.aws.ses.messages]))
    bugs = [*running.lost_events, *running.gateway.faults, *map(repr, running.aws.failures)]
    (into / "bugs").write_text(json.dumps(bugs))


def command(*arguments: str) -> int:
    """`health-helper` with these arguments, as it is started."""
    from client import app

    with mock.patch.object(sys, "argv", ["health-helper", *arguments]):
        return app.main()


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def several(lines: str) -> None:
    """JSON: a list of commands, one after the other in this process, up to the first that fails."""
    for arguments in json.loads(lines):
        if (status := command(*arguments)) != 0:
            sys.exit(status)


def enter(name: str, note: str) -> None:
    """Keep a pressure that is an emergency, with a note, for somebody."""
    from client import app
    from client.clock import SystemClock
    from client.store.entries import to_observation
    from client.store.observations import Kind

    clock = SystemClock()
    with app.real_parts(clock).store() as kept:
        [person] = [one.id for one in kept.observations.people() if one.name == name]
        values = {"systolic": 190.0, "diastolic": 125.0, "pulse": None}
        kept.observations.save(to_observation(Kind.BLOOD_PRESSURE, values, clock.utc(), person, note=note))


def scan_with_camera(camera: str, clip: str, name: str) -> None:
    """A scan in front of a camera of this name, which shows a clip."""
    from client import app
    from client.devices.video_file import VideoFile
    from client.parts import CameraEntry

    class Camera(VideoFile):
        def open(self) -> Any:
            return replace(super().open(), name=camera)

        def facts(self) -> Any:
            return replace(super().facts(), name=camera)

    with (
        mock.patch.object(app, "_cameras", return_value=[CameraEntry("0", camera)]),
        mock.patch.object(app, "_camera", return_value=Camera(Path(clip))),
    ):
        _say(f"exit {command('cameras')}")
        sys.exit(command("scan", "--camera", "0", "--person", name, "--json", "--verbose"))


def share(email: str, fhir_token: str) -> None:
    """Mail a link to a report that the cloud has; and keep a token of a FHIR server, and send it a transaction."""
    from client import app
    from client.clock import SystemClock
    from client.cloud import faults, fhir_server, wire
    from client.cloud.credentials import Credentials
    from client.cloud.service import Cloud
    from client.cloud.transport import Transport
    from client.policy import Policy
    from client.store.documents import Purpose
    from client.store.moments import new_id
    from client.vault import SystemVault

    clock, vault = SystemClock(), SystemVault()
    with app.real_parts(clock).store() as kept:
        people = [one.id for one in kept.observations.people()]
        reports = [
            one.id
            for person in people
            for one in kept.documents.list(person)
            if one.purpose == Purpose.SCAN_REPORT
        ]
    transport = Transport(Policy(), clock, "1.0")
    with closing(transport):
        its = Cloud(transport, Credentials(vault))
        for _ in range(100):  # the server looks into each file
            if its.upload(reports[0]).state == wire.UploadState.READY:
                break
            threading.Event().wait(0.1)
        body = json.dumps({"id": new_id(), "upload_id": reports[0], "email": email}).encode()
        its._ask("POST", "/v1/shares", body=body)
        fhir_server.keep_token(vault, fhir_token)
        with _echoing(500) as url:
            try:
                fhir_server.FhirServer(transport, vault, url).send({"resourceType": "Bundle", "entry": []})
            except faults.CloudFault as fault:
                _say(f"{fault.title}. {fault.remedy} {fault!r}")


@contextlib.contextmanager
def _echoing(status: int) -> Iterator[str]:
    """A server that answers everything with what it was asked, headers and all."""
    from http.server import ThreadingHTTPServer

    class Echo(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def _any(self) -> None:
            body = json.dumps({"code": "internal", "detail": str(self.headers)}).encode()
            self.send_response(status, "no")
            for name, value in (
                ("Content-Type", "application/problem+json"),
                ("Content-Length", len(body)),
                ("Proxy-Authenticate", self.headers.get("Proxy-Authorization", "Basic")),
            ):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_CONNECT = _any  # noqa: N815 (the library's names)

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


# --- Faults and bugs -------------------------------------------------------------------------------


@contextlib.contextmanager
def _meeting(file: str) -> Iterator[None]:
    """Which kinds of errors of ours are made in this block, into a file."""
    from client.errors import HealthHelperError

    met: set[str] = set()
    real = HealthHelperError.__init__

    def made(self: HealthHelperError, **words: Any) -> None:
        met.add(type(self).__name__)
        real(self, **words)

    with mock.patch.object(HealthHelperError, "__init__", made):
        yield
    Path(file).write_text("\n".join(sorted(met)))


def _tried(*arguments: str) -> None:
    """A command; what it lets pass is a bug and is shown as such."""
    try:
        _say(f"exit {command(*arguments)}")
    except Exception:  # noqa: BLE001 (what the interpreter would do)
        sys.excepthook(*sys.exc_info())


def bug(words: str) -> None:
    """One that nobody catches, with all that is personal in its message, its cause, its frames and its values."""
    from client.store.observations import Observations

    def people(_self: Observations) -> list[Any]:
        personal = json.loads(words)
        raise KeyError(*personal) from ValueError(personal)

    with mock.patch.object(Observations, "people", people):
        sys.exit(command("people"))


def bug_in_a_thread(words: str) -> None:
    """The same in the thread that sends, and in one of the intake's; ended by Ctrl-C after that."""
    from client.intake import apart
    from client.pipeline.sync import Uploader

    met: list[int] = []

    def stepped(_self: Uploader) -> float:
        met.append(1)
        if len(met) > 1:
            os.kill(os.getpid(), signal.SIGINT)
            return 60.0
        raise RuntimeError(*json.loads(words))

    def give(_to: Any, job: bytes, data: bytes) -> None:
        raise RuntimeError(job, data, words)

    with mock.patch.object(Uploader, "_stepped", stepped):
        _tried("sync", "--watch")
    with (
        mock.patch.object(apart, "_give", give),
        mock.patch.object(apart, "LIMIT_S", 0.1),
        contextlib.suppress(Exception),
    ):
        apart.ask({"do": "pdf", "words": words}, words.encode(), limit_s=0.1)


def store_faults(file: str, scratch: str, name: str, document: str) -> None:
    """Every kind, with the person's name in what the libraries and the system say."""
    from keyring.errors import InitError, KeyringLocked, NoKeyringError
    from sqlcipher3 import dbapi2

    from client import config, vault
    from client.store import database
    from client.store.database import FILE_NAME, Change, Database, Row
    from client.vault import SystemVault

    add = ("people", "--add", f"{name} {{}}")

    def saying(error_name: str | None) -> Callable[..., int]:
        def do(_self: Change, sql: str, values: Sequence[object] = ()) -> int:
            error = dbapi2.OperationalError(f"{sql} {values} {name}")
            error.sqlite_errorname = error_name
            raise error

        return do

    def refusing(error: Exception) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            raise error

        return refuse

    class Copy:
        """Of the whole store, to be damaged."""

        count = 0

        def __enter__(self) -> Path:
            import shutil

            Copy.count += 1
            self.folder = Path(scratch) / f"copy-{Copy.count}"
            shutil.copytree(config.store_folder(), self.folder)
            self._patch = mock.patch.object(config, "store_folder", return_value=self.folder)
            self._patch.start()
            return self.folder

        def __exit__(self, *_: object) -> None:
            self._patch.stop()

    with _meeting(file):
        for error_name in (
            *Database._FAULTS,
            "SQLITE_IOERR_WRITE",
            "SQLITE_CANTOPEN",
            "SQLITE_CONSTRAINT",
            None,
        ):
            with mock.patch.object(Change, "do", saying(error_name)):
                _tried(*add)
        for number in (28, 5, 30, 13):  # no space, input/output, read-only, no right
            error = OSError(number, f"{os.strerror(number)} {name}", f"{scratch}/{name}")
            with mock.patch.object(journal, "flush", refusing(error)), Copy():
                _tried(*add)
        with mock.patch.dict(sys.modules, {"sqlcipher3": None}):
            _tried("people")
        with mock.patch.object(database, "migrations", return_value=database.migrations()[:-1]):
            _tried("people")
        asked = Database.ask

        def closing(store: Database, sql: str, values: Sequence[object] = ()) -> list[Row]:
            store.close()  # as a window that is locked meanwhile
            return asked(store, sql, values)

        with mock.patch.object(Database, "ask", closing):
            _tried(*add)
        with mock.patch.object(
            database, "_identity", side_effect=((0, number) for number in itertools.count())
        ):
            _tried(*add)
        for key in (None, os.urandom(32)):
            with mock.patch.object(SystemVault, "read", return_value=key):
                _tried("people")
        for fault in (KeyringLocked(name), InitError(name), NoKeyringError(name), RuntimeError(name)):
            with mock.patch.object(vault, "_backend", refusing(fault)):
                _tried("people")
        with Copy() as folder:
            for path in (*folder.glob(f"{FILE_NAME}*"), *folder.glob("backups/*.db")):
                path.unlink()
            _tried("people")
        with Copy() as folder:  # mended from its backup
            (folder / FILE_NAME).write_bytes(os.urandom(4 * PAGE_BYTES))
            _tried("people")
        with Copy() as folder:  # and not to be mended
            for path in folder.rglob("*"):
                if path.is_file() and path.name != "key-id":
                    path.write_bytes(os.urandom(4 * PAGE_BYTES))
            _tried("people")
        with Copy() as folder:
            for path in folder.glob("documents/*.sealed"):
                path.write_bytes(path.read_bytes()[:-1])
            _tried("documents", "save", document, f"{scratch}/never.pdf")
            _tried("doctor", "--repair")


def cloud_faults(
    file: str, words: str, proxy_password: str, code: str, policy: str, name: str, document: str
) -> None:
    """Every kind, while something of this person waits; the answers and the libraries' errors repeat what is personal, and what was asked with its tokens."""
    import httpx

    from client.cli import sync as command_line
    from client.clock import SystemClock
    from client.cloud import transport
    from client.cloud.faults import Closed
    from client.policy import Policy
    from client.vault import SystemVault

    real = httpx.HTTPTransport.handle_request

    def repeated(request: httpx.Request) -> str:
        return f"{request.url} {request.headers.raw} {words}"

    def problem(status: int, refusal: str, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
        def answer(request: httpx.Request) -> httpx.Response:
            body = {
                "code": refusal,
                "title": words[:450],
                "detail": repeated(request),
                "request_id": words[-150:],
                "type": words[150:300],
            }
            return httpx.Response(
                status,
                headers={
                    "Content-Type": "application/problem+json",
                    "Date": _DATE,
                    "X-Said": quote(words),
                    **headers,
                },
                stream=httpx.ByteStream(json.dumps({**body, "status": status}).encode()),
                extensions={"network_stream": io.BytesIO()},
            )

        return answer

    def page(status: int, media_type: str) -> Callable[[httpx.Request], httpx.Response]:
        return lambda request: httpx.Response(
            status,
            headers={"Content-Type": media_type, "Location": f"https://example.org/{quote(words)}"},
            stream=httpx.ByteStream(repeated(request).encode("utf-8", "replace")),
            extensions={"network_stream": io.BytesIO()},
        )

    def broken(
        kind: type[httpx.HTTPError], *causes: BaseException, text: str = ""
    ) -> Callable[[httpx.Request], Any]:
        def answer(request: httpx.Request) -> Any:
            error = kind(f"{text}{repeated(request)}")
            if causes:
                raise error from causes[0]
            raise error

        return answer

    def certificate(number: int) -> ssl.SSLCertVerificationError:
        error = ssl.SSLCertVerificationError(words)
        error.verify_code = number
        return error

    def answering(path: str, answer: Callable[[httpx.Request], Any]) -> Any:
        def handle(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            if path and not request.url.path.startswith(path):
                return real(self, request)
            answered = answer(request)
            assert isinstance(answered, httpx.Response)
            return answered

        return mock.patch.object(httpx.HTTPTransport, "handle_request", handle)

    with (
        _meeting(file),
        mock.patch.object(command_line, "_PATIENCE_S", 0.0),
        mock.patch.object(transport, "_issuer", return_value=None),
    ):
        everything = [
            broken(httpx.ConnectError, ConnectionRefusedError(111, words)),
            broken(httpx.ConnectError, OSError(101, words)),
            broken(httpx.ConnectError, socket.gaierror(-2, words)),
            broken(httpx.ConnectError, ssl.SSLError(1, words)),
            *(broken(httpx.ConnectError, certificate(number)) for number in (20, 10, 9, 62)),
            broken(httpx.RemoteProtocolError),
            *(broken(kind) for kind in (httpx.ConnectTimeout, httpx.WriteTimeout, httpx.ReadTimeout)),
            broken(httpx.ProxyError, text="407 "),
            *(page(status, "text/html") for status in (200, 302, 511)),
            page(200, "application/json"),
            problem(503, "unavailable"),
            problem(429, "rate_limited", **{"Retry-After": "7"}),
            problem(403, "budget_spent"),
        ]
        for has_route in (True, False):
            with mock.patch.object(transport, "has_route", return_value=has_route):
                for answer in everything if has_route else everything[1:3]:
                    with answering("", answer):
                        _tried("sync", "--once")
        for path, answer in (
            ("/v1/uploads", problem(422, "invalid")),
            ("/documents/", page(403, "application/xml")),
            ("/documents/", problem(410, "gone")),
            ("/v1/observations", page(200, "application/json")),
            ("/v1/observations", problem(400, "bad_request")),
            ("/v1/observations", problem(410, "gone")),
        ):
            enter(name, words[:100])  # something more is to be sent
            _tried("documents", "add", document, "--person", name)
            with answering(path, answer):
                _tried("sync", "--once")
                _tried("sync", "--status", "--json")
            _tried("sync", "--retry")
        _tried("sync", "--once")
        url = str(json.loads(SystemVault().read("device") or b"{}").get("url"))
        for answer in (problem(400, "code_invalid"), page(200, "application/json")):
            with answering("/v1/devices", answer):
                _tried("enrol", code, "--url", url, "--yes")
        _tried("enrol", code[:-1] + ("2" if code[-1] != "2" else "3"), "--url", url, "--yes")
        far = "https://clinic.example.org"
        before = os.environ["HEALTH_HELPER_POLICY"]
        os.environ["HEALTH_HELPER_POLICY"] = policy
        with _echoing(407) as proxy:
            for scheme, place in (
                ("http", proxy.removeprefix("http://")),
                ("http", "127.0.0.1:1"),
                ("socks9", "127.0.0.1:1"),
            ):
                Path(policy).write_text(f'proxy = "http://somebody:{proxy_password}@{place}"\n')
                if scheme == "socks9":  # a policy can't name it, the environment can
                    Path(policy).write_text("")
                    os.environ["https_proxy"] = f"socks9://somebody:{proxy_password}@{place}"
                _tried("enrol", code, "--url", far, "--yes")
        del os.environ["https_proxy"]
        Path(policy).write_text('ca_file = "not-there.pem"\n')
        _tried("enrol", code, "--url", far, "--yes")
        Path(policy).write_text(f'proxy = "somebody:{proxy_password}"\n')  # half a policy is none
        _tried("sync", "--once")
        os.environ["HEALTH_HELPER_POLICY"] = before
        closed = transport.Transport(Policy(), SystemClock(), "1.0")
        closed.close()
        with contextlib.suppress(Closed):
            closed.request("GET", url)
        real_read = SystemVault.read
        with mock.patch.object(
            SystemVault, "read", lambda self, name: None if name == "device" else real_read(self, name)
        ):
            _tried("sync", "--once")
        for answer in (problem(401, "unauthenticated"), problem(401, "device_revoked")):
            with answering("/v1/token", answer):
                _tried("sync", "--once")


_DATE = "Sat, 28 Nov 2026 06:00:00 GMT"


def kinds_below(kind: type[Any]) -> Iterator[str]:
    """The names of all kinds of it, itself not."""
    one: type[Any]
    for one in kind.__subclasses__():
        yield one.__name__
        yield from kinds_below(one)


# --- The window ------------------------------------------------------------------------------------


def window(name: str, clip: str, document: str, words: str) -> None:
    """Somebody at the window: measures, saves for a person, adds a document, looks at each page, meets a bug, closes it."""
    from PySide6.QtCore import QTimer

    from client import config
    from client.ui.preferences import CONSENT_VERSION, PreferencesFile
    from client.ui.start import make_app

    path = config.preferences_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = PreferencesFile(path)
    wanted = file.load()
    wanted.consent, wanted.language = CONSENT_VERSION, "en"
    assert file.save(wanted)
    steps = _steps(make_app(), name, Path(document), json.loads(words))

    def go_on() -> None:
        try:
            next(steps, None)
        except BaseException:  # noqa: BLE001 (told to the test, which fails)
            os.write(1, b"failed " + traceback.format_exc().encode())
            os._exit(1)

    timer = QTimer()
    timer.setInterval(10)
    timer.timeout.connect(go_on)
    timer.start()
    sys.exit(command("window", "--video", clip, "--verbose"))


def _steps(app: Any, name: str, document: Path, words: Collection[str]) -> Iterator[None]:
    from client.store.observations import Observations
    from client.ui.shelf import Open
    from client.ui.window import Window
    from tests.ui.looking import click

    while not (
        shown := [one for one in app.topLevelWidgets() if isinstance(one, Window) and one.isVisible()]
    ):
        yield
    found = shown[0]
    while not isinstance(found._shelf.state, Open) or found.person.findText(name) < 0:
        yield
    at = found.person.findText(name)
    found.person.setCurrentIndex(at)
    found._choose_person(at)
    click(found.scan.start)
    while found.pages.currentWidget() is not found.result:
        yield
    assert found.result is not None and found.result.save_button is not None
    click(found.result.save_button)
    while not found.notice.words.startswith("Saved for"):
        yield
    os.write(1, b"saved\n")
    found.go_to_documents()
    while found._shelf.busy:
        yield
    found.documents.add_files([document])
    while found.documents.adding or found._shelf.busy:
        yield
    os.write(1, b"added\n")
    for go in (found.go_to_history, found.go_to_settings, found.go_to_tasks, found.go_to_sync):
        go()
        for _ in range(10):
            yield
    with mock.patch.object(
        Observations, "lines", lambda *_, **__: (_ for _ in ()).throw(RuntimeError(*words))
    ):
        found.go_to_history()
        for _ in range(30):
            yield
    found.close()
