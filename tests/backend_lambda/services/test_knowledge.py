"""Articles are read strictly and go to the knowledge base under a version that their content names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_lambda.services.knowledge import MAX_BYTES, BadArticle, ingest, read, version

GOOD = "title: Heart rate\nreviewed: no\nsource: https://example.org/hr\nsource: https://example.org/2\n\nUsual is 60 to 100.\n"


class Kept:
    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.jobs: list[str] = []

    def put(self, key: str, data: bytes, media_type: str) -> None:
        self.objects[key] = (data, media_type)

    def keep_only(self, prefix: str, folder: str) -> None:
        self.objects = {key: one for key, one in self.objects.items() if key.startswith(f"{prefix}{folder}/")}

    def ingest(self, description: str) -> str:
        self.jobs.append(description)
        return f"job-{len(self.jobs)}"


def write(folder: Path, name: str, text: str | bytes = GOOD) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def test_each_article_goes_with_its_facts_under_one_version(tmp_path: Path) -> None:
    write(tmp_path, "en/heart-rate.md")
    write(tmp_path, "es/heart-rate.md", GOOD.replace("Heart rate", "Frecuencia cardíaca"))
    kept = Kept()
    name, job = ingest(read(tmp_path), kept)
    assert job == "job-1" and name in kept.jobs[0]
    assert set(kept.objects) == {
        f"knowledge/{name}/{language}/heart-rate.md{ending}"
        for language in ("en", "es")
        for ending in ("", ".metadata.json")
    }
    text, media_type = kept.objects[f"knowledge/{name}/en/heart-rate.md"]
    assert text.decode() == "# Heart rate\n\nUsual is 60 to 100.\n" and media_type == "text/markdown"
    facts = json.loads(kept.objects[f"knowledge/{name}/es/heart-rate.md.metadata.json"][0])[
        "metadataAttributes"
    ]
    assert facts["title"] == "Frecuencia cardíaca" and facts["reviewed"] == "no"
    assert facts["uri"] == "https://example.org/hr" and facts["version"] == name


def test_what_was_withdrawn_goes(tmp_path: Path) -> None:
    kept = Kept()
    ingest(read(write(tmp_path / "a", "en/old.md")), kept)
    name, _ = ingest(read(write(tmp_path / "b", "en/new.md")), kept)
    assert {key.partition("/en/")[0] for key in kept.objects} == {f"knowledge/{name}"}


def test_the_version_is_the_content(tmp_path: Path) -> None:
    first = version(read(write(tmp_path / "a", "en/heart-rate.md")))
    assert version(read(write(tmp_path / "b", "en/heart-rate.md"))) == first
    assert version(read(write(tmp_path / "c", "en/heart-rate.md", GOOD.replace("100", "90")))) != first


@pytest.mark.parametrize(
    "name, text",
    [
        ("en/Heart.md", GOOD),
        ("english/heart.md", GOOD),
        ("en/heart.md", GOOD.replace("source", "origin")),
        ("en/heart.md", GOOD.replace("title: Heart rate", "title:")),
        ("en/heart.md", GOOD.replace("reviewed: no\n", "")),
        ("en/heart.md", GOOD.partition("\n\n")[0]),
        ("en/heart.md", "just text"),
        ("en/heart.md", b"title: \xff\n\nx"),
        ("en/heart.md", GOOD + "x" * MAX_BYTES),
        ("heart.md", GOOD),
    ],
)
def test_what_is_no_article_is_refused_by_name(tmp_path: Path, name: str, text: str | bytes) -> None:
    with pytest.raises(BadArticle):
        read(write(tmp_path, name, text))
