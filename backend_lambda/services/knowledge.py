"""Our articles into the knowledge base: one version at a time, each article with its sources.

An article is a Markdown file `LANGUAGE/ID.md` that begins with lines `title:`, `reviewed:` (a date or "no") and one or more `source:`,
then an empty line and the text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
PREFIX = "knowledge/"
MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Article:
    """One article in one language."""

    id: str
    language: str
    title: str
    reviewed: str
    sources: Sequence[str]
    text: str


class BadArticle(Exception):
    """A file that is no article; the message names it and says why."""


class KnowledgeStore(Protocol):
    """Where a knowledge base takes its documents from, and what makes it read them."""

    def put(self, key: str, data: bytes, media_type: str) -> None: ...

    def keep_only(self, prefix: str, folder: str) -> None:
        """Takes away what lies in other folders below the prefix, so that the next reading forgets it."""

    def ingest(self, description: str) -> str:
        """Begins to read; returns the job's identifier."""


def read(folder: Path) -> list[Article]:
    """All articles of a folder, in order. Raises BadArticle."""
    found = [_article(path) for path in sorted(folder.glob("*/*.md"))]
    if not found:
        raise BadArticle(f"{folder} holds no LANGUAGE/ID.md")
    return found


def _article(path: Path) -> Article:
    language, name = path.parent.name, path.stem
    if not _NAME.fullmatch(name) or not _LANGUAGE.fullmatch(language):
        raise BadArticle(f"{path}: names are lower-case letters, digits and '-'")
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise BadArticle(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        head, _, text = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError as error:
        raise BadArticle(f"{path}: not UTF-8") from error
    facts: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            raise BadArticle(f"{path}: {line!r} is no 'name: value'")
        facts.setdefault(key.strip(), []).append(value.strip())
    for wanted in ("title", "reviewed", "source"):
        if not facts.get(wanted) or not all(facts[wanted]):
            raise BadArticle(f"{path}: no {wanted}")
    if not text.strip():
        raise BadArticle(f"{path}: no text")
    return Article(name, language, facts["title"][0], facts["reviewed"][0], facts["source"], text.strip())


def version(articles: Sequence[Article]) -> str:
    """Named by what they hold: the same articles are the same version."""
    together = hashlib.sha256()
    for article in articles:
        together.update(repr(article).encode())
    return together.hexdigest()[:16]


def ingest(articles: Sequence[Article], store: KnowledgeStore) -> tuple[str, str]:
    """Puts them under their version, takes older versions away and has them read: what was withdrawn is not found any more.

    Returns version and job. May be done again.
    """
    name = version(articles)
    for article in articles:
        key = f"{PREFIX}{name}/{article.language}/{article.id}.md"
        store.put(key, f"# {article.title}\n\n{article.text}\n".encode(), "text/markdown")
        facts = {
            "metadataAttributes": {
                "id": article.id,
                "language": article.language,
                "title": article.title,
                "reviewed": article.reviewed,
                "version": name,
                "uri": article.sources[0],
            }
        }
        store.put(f"{key}.metadata.json", json.dumps(facts, ensure_ascii=False).encode(), "application/json")
    store.keep_only(PREFIX, name)
    return name, store.ingest(f"Health Helper articles {name}")
