"""Files of people: sealed beside the database, each with a key of its own that is only in the database.

The plain bytes never touch the disk, and a file is never in the memory as a whole. The row and the file come into being together: the
file is sealed as ID.part, flushed, and gets its name ID.sealed inside the transaction of its row; a process that ends anywhere leaves
both or neither, and a file without a row, which nobody can read any more, is removed by `tidy`. What ends the row ends the key, and
with it the file, wherever copies of it may be.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from client import log
from client.errors import BadInput, Interrupted
from client.language import said
from client.store import consents, outbox
from client.store.database import (
    SET_ASIDE,
    Change,
    Database,
    Row,
    StoreFault,
    fault_of,
    flush,
    flush_folder,
    private,
)
from client.store.moments import milliseconds, moment_of, new_id, text_of, utc_offset_min
from client.store.sealing import CHUNK_BYTES, KEY_BYTES, SealBroken, seal_stream, unseal_stream

if TYPE_CHECKING:
    from filelock import BaseFileLock

FOLDER = "documents"
LONGEST_TITLE = 200
_SEALED, _PART, _LOCK = ".sealed", ".part", ".adding"
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")
SETTLED = ("ready", "quarantined")
"""States of a file in the cloud that stay. FAILED does not: it is looked at again."""


class Purpose(StrEnum):
    """What a document is, in the cloud's words. MEDICAL_REPORT: given by the person. SCAN_REPORT: made by us. SCAN_RECORD: all of a scan."""

    MEDICAL_REPORT = "medical_report"
    SCAN_REPORT = "scan_report"
    SCAN_RECORD = "scan_record"


class DocumentDamaged(StoreFault):
    """The sealed file is missing, cut or changed."""

    code = "document_damaged"

    def __init__(self) -> None:
        super().__init__(
            title=said("This document on this device is damaged or missing"),
            remedy=said("Add it again from where it came from, then delete this one."),
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A file as a list shows it. person: None for a guest. observation: that it is about. title: as the person knows it; never sent.

    sha256: of the plain bytes, hexadecimal. pages: None where it has none. added_at: UTC; utc_offset_min: what the wall clock there was
    ahead of it. cloud_state: what the cloud said of it last, None before; cloud_reason: a code beside it.
    """

    id: str
    person: str | None
    observation: str | None
    purpose: str
    title: str = field(repr=False)
    media_type: str
    length_bytes: int
    sha256: str
    pages: int | None
    added_at: datetime
    utc_offset_min: int
    cloud_state: str | None
    cloud_reason: str | None


def title_of(file_name: str) -> str:
    """A title from the name of a file or from what somebody typed: without its folders, in one line, of at most LONGEST_TITLE signs, and
    none of them invisible.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", file_name)[-1])
    seen = "".join(sign if sign.isprintable() or sign in _JOINERS else " " for sign in name)
    return " ".join(seen.split())[:LONGEST_TITLE].strip() or said("Document")


class Documents:
    """The documents of an open database. Raises StoreFault as the database does, and of its kinds for the files."""

    def __init__(self, database: Database, folder: Path | None = None) -> None:
        """folder: where the sealed files lie, made when there is one; None: `documents` beside the database."""
        self._database = database
        self._folder = database.path.parent / FOLDER if folder is None else folder

    def path_of(self, document: str) -> Path:
        """Where its sealed file lies."""
        return self._folder / f"{document}{_SEALED}"

    def add(
        self,
        chunks: Iterable[bytes],
        *,
        person: str | None,
        purpose: str,
        media_type: str,
        title: str,
        pages: int | None,
        now: datetime,
        observation: str | None = None,
        guest_agrees: bool = False,
        cancelled: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> Document:
        """Seal and keep a file, and owe it to the cloud where it is to be sent. Durable when this returns.

        chunks: the plain bytes in order; what they raise is passed on. title: also a file's name. observation: that the file is about, of
        the same person. guest_agrees: that it is sent, where person is None. cancelled: asked between chunks; then Interrupted is
        raised. progress: told how many plain bytes are sealed. Whatever is raised, nothing is left. Raises BadInput for a file of 0 bytes,
        and for a person or an observation that is not here.
        """
        if not purpose or not _MEDIA_TYPE.fullmatch(media_type) or (pages is not None and pages < 1):
            raise ValueError("no purpose, media type or number of pages")
        id_, key = new_id(), secrets.token_bytes(KEY_BYTES)
        part, lock = self._folder / f"{id_}{_PART}", self._lock_of(id_)
        with self._told():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            lock.acquire(timeout=0)  # while it is held, `tidy` leaves the part alone
        try:
            length_bytes, sha256 = self._seal(part, key, id_, chunks, cancelled, progress)
            made = Document(
                id=id_,
                person=person,
                observation=observation,
                purpose=str(purpose),
                title=title_of(title),
                media_type=media_type,
                length_bytes=length_bytes,
                sha256=sha256,
                pages=pages,
                added_at=milliseconds(now),
                utc_offset_min=utc_offset_min(now),
                cloud_state=None,
                cloud_reason=None,
            )
            self._keep(made, key, part, now=now, guest_agrees=guest_agrees)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            lock.release()
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
        return made

    def read(self, document: str) -> Iterator[bytes]:
        """The plain bytes, in proven pieces. DocumentDamaged may be raised after some: only at the end is it all of it. Raises BadInput
        where it is not there.
        """
        rows = self._database.ask(
            "SELECT key, length_bytes FROM document WHERE id = ? AND deleted_at IS NULL", (document,)
        )
        if not rows:
            raise _nothing()
        return self._opened(document, *rows[0])

    def get(self, document: str) -> Document | None:
        """One, or None where it is not there or deleted."""
        rows = self._database.ask(
            f"SELECT {_COLUMNS} FROM document WHERE id = ? AND deleted_at IS NULL",  # noqa: S608 (fixed text)
            (document,),
        )
        return _document(rows[0]) if rows else None

    def delete(self, document: str, now: datetime) -> bool:
        """Returns whether there was one to delete; `restore` puts it back."""
        with self._database.changes() as change:
            return bool(
                change.do(
                    "UPDATE document SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL",
                    (text_of(now), document),
                )
            )

    def restore(self, document: str) -> bool:
        """Undo `delete`. Returns whether it is back: not where its person or its observation is deleted, or it was purged."""
        with self._database.changes() as change:
            return bool(
                change.do(
                    f"UPDATE document SET deleted_at = NULL WHERE id = ? AND deleted_at IS NOT NULL{_ALONE}",  # noqa: S608 (fixed text)
                    (document,),
                )
            )

    def deleted(self, now: datetime, days: int = 30) -> list[tuple[datetime, Document]]:
        """What `restore` can put back, each with when it was deleted in the last so many days, the newest first."""
        rows = self._database.ask(
            f"SELECT deleted_at, {_COLUMNS} FROM document WHERE deleted_at >= ?{_ALONE}"  # noqa: S608 (fixed text)
            " ORDER BY deleted_at DESC, id DESC",
            (text_of(now - timedelta(days=days)),),
        )
        return [(moment_of(row[0]), _document(row[1:])) for row in rows]

    def set_cloud_state(self, document: str, state: str | None, reason: str | None = None) -> None:
        """What the cloud says of it. state: of the cloud's UploadState or of a newer version. reason: a code."""
        with self._database.changes() as change:
            change.do(
                "UPDATE document SET cloud_state = ?, cloud_reason = ? WHERE id = ? AND (cloud_state, cloud_reason) IS NOT (?, ?)",
                (state, reason, document, state, reason),
            )

    def waiting_for_cloud(self) -> list[str]:
        """Ids of those that were sent and whose state in the cloud may still change, the oldest first."""
        rows = self._database.ask(
            "SELECT id FROM document WHERE deleted_at IS NULL AND cloud_state NOT IN (?, ?) ORDER BY added_at, id",
            SETTLED,
        )
        return [row[0] for row in rows]

    def tidy(self) -> int:
        """Remove what was left by processes that ended in the middle: files without a row, and parts that nobody writes. Returns how many.

        Files without a row stay as long as a damaged database that was set aside is there: their keys may be in it.
        """
        removed = 0
        with self._told(), self._database.changes() as change:  # nobody renames meanwhile
            if not self._folder.is_dir():
                return 0
            known = {row[0] for row in change.ask("SELECT id FROM document")}
            keep = any(one.is_file() for one in self._database.path.parent.glob(f"{SET_ASIDE}*"))
            for file in sorted(self._folder.iterdir()):
                if file.suffix == _SEALED and file.stem not in known and not keep:
                    file.unlink(missing_ok=True)
                    removed += 1
                elif file.suffix in {_PART, _LOCK}:
                    removed += self._removed_of_the_dead(file)
        if removed:
            log.event("documents_tidied", files=removed)
        return removed

    def remove_files(self, documents: Iterable[str]) -> None:
        """Of rows that are gone. What can't be removed now, `tidy` tries again; without its key it is noise."""
        for document in documents:
            with contextlib.suppress(OSError):
                self.path_of(document).unlink(missing_ok=True)

    def list(self, person: str | None) -> list[Document]:
        """All of a person, the newest first."""
        rows = self._database.ask(
            f"SELECT {_COLUMNS} FROM document WHERE person IS ? AND deleted_at IS NULL ORDER BY added_at DESC, id DESC",  # noqa: S608 (fixed text)
            (person,),
        )
        return [_document(row) for row in rows]

    def _seal(
        self,
        part: Path,
        key: bytes,
        id_: str,
        chunks: Iterable[bytes],
        cancelled: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> tuple[int, str]:
        """How long it is in plain, and its SHA-256; the part is on the disk."""
        length_bytes, hashed = 0, hashlib.sha256()

        def counted() -> Iterator[bytes]:
            nonlocal length_bytes
            for chunk in chunks:
                if cancelled():
                    raise _cancelled()
                hashed.update(chunk)
                length_bytes += len(chunk)
                yield chunk
                progress(length_bytes)

        sealed = seal_stream(key, counted(), id_.encode())
        with self._told():
            file = private(part)
        try:
            for piece in sealed:
                with self._told():
                    file.write(piece)
            if not length_bytes:
                raise BadInput(
                    title=said("This file is empty"), remedy=said("Choose another one, or save it again.")
                )
            if cancelled():
                raise _cancelled()
            with self._told():
                flush(file)
        finally:
            with contextlib.suppress(OSError):
                file.close()
        return length_bytes, hashed.hexdigest()

    def _keep(self, made: Document, key: bytes, part: Path, *, now: datetime, guest_agrees: bool) -> None:
        sealed = self.path_of(made.id)
        with self._told():
            try:
                with self._database.changes() as change:
                    is_simulated = _check_owner(change, made)
                    change.do(
                        f"INSERT INTO document ({_COLUMNS}, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (fixed text)
                        (
                            made.id,
                            made.person,
                            made.observation,
                            made.purpose,
                            made.title,
                            made.media_type,
                            made.length_bytes,
                            made.sha256,
                            made.pages,
                            text_of(made.added_at),
                            made.utc_offset_min,
                            made.cloud_state,
                            made.cloud_reason,
                            key,
                        ),
                    )
                    agreed = (
                        guest_agrees
                        if made.person is None
                        else consents.is_given(change, made.person, consents.Subject.CLOUD)
                    )
                    if agreed and not is_simulated:
                        patient = made.person or outbox.patient_for(change, made.observation)
                        outbox.enqueue(change, outbox.ItemKind.DOCUMENT, made.id, patient, now)
                    part.replace(sealed)
                    flush_folder(self._folder)
            except BaseException:
                if not self._is_kept(made.id):
                    self.remove_files([made.id])
                raise

    def _is_kept(self, document: str) -> bool:
        """Also where it can't be found out: `tidy` will."""
        try:
            return bool(self._database.ask("SELECT 1 FROM document WHERE id = ?", (document,)))
        except StoreFault:
            return True

    def _opened(self, document: str, key: bytes, length_bytes: int) -> Iterator[bytes]:
        whole_bytes = 0
        try:
            with self.path_of(document).open("rb") as file:
                for piece in unseal_stream(key, iter(lambda: file.read(CHUNK_BYTES), b""), document.encode()):
                    whole_bytes += len(piece)
                    yield piece
        except (SealBroken, FileNotFoundError):
            raise DocumentDamaged from None
        except OSError as error:
            raise fault_of(error, self._database.path) from None
        if whole_bytes != length_bytes:
            raise DocumentDamaged

    def _lock_of(self, id_: str) -> BaseFileLock:
        from filelock import FileLock

        return FileLock(self._folder / f"{id_}{_LOCK}", mode=0o600)

    def _removed_of_the_dead(self, file: Path) -> int:
        from filelock import Timeout

        lock = self._lock_of(file.stem)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return 0  # somebody is writing it
        try:
            file.unlink(missing_ok=True)
        finally:
            lock.release()
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
        return int(file.suffix == _PART)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the operating system says of a file becomes a sentence."""
        try:
            yield
        except (OSError, NotImplementedError) as error:  # the latter of a file system without locks
            raise fault_of(error, self._database.path) from None


_ALONE = (
    " AND NOT EXISTS (SELECT 1 FROM person WHERE person.id = document.person AND person.deleted_at IS NOT NULL)"
    " AND NOT EXISTS (SELECT 1 FROM observation AS one INDEXED BY observation_there"
    "  WHERE one.id = document.observation AND one.deleted_at IS NOT NULL)"
)
"""What it belongs to is not deleted."""
_JOINERS = "\u200c\u200d"
_COLUMNS = (
    "id, person, observation, purpose, title, media_type, length_bytes, sha256, pages, added_at, utc_offset_min,"
    " cloud_state, cloud_reason"
)


def _check_owner(change: Change, made: Document) -> bool:
    """Returns whether it is about a simulated scan. Raises BadInput."""
    if made.person is not None and not change.ask(
        "SELECT 1 FROM person WHERE id = ? AND deleted_at IS NULL", (made.person,)
    ):
        raise BadInput(title=said("This person is not on this device"), remedy=said("Choose another one."))
    if made.observation is None:
        return False
    rows = change.ask(
        "SELECT simulated FROM observation WHERE id = ? AND person IS ? AND deleted_at IS NULL",
        (made.observation, made.person),
    )
    if not rows:
        raise _nothing()
    return bool(rows[0][0])


def _document(row: Row) -> Document:
    id_, person, about, purpose, title, media_type, length_bytes, sha256, pages, added_at, *rest = row
    return Document(
        id_,
        person,
        about,
        purpose,
        title,
        media_type,
        length_bytes,
        sha256,
        pages,
        moment_of(added_at),
        *rest,
    )


def _nothing() -> BadInput:
    return BadInput(
        title=said("This is not on this device any more"),
        remedy=said("Look at the list again; it may be among what was deleted."),
    )


def _cancelled() -> Interrupted:
    return Interrupted(
        title=said("This was cancelled"),
        remedy=said("Nothing of it was kept. Add it again if you want it kept."),
    )
