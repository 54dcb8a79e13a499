"""The process in which a file is looked at (see `apart`): first it gives up what it does not need, then it reads.

Standard input: one line of JSON, then the file. {"do": "picture", "media_type"}: cleaned (see `picture`). {"do": "pdf"}: checked and
counted. {"do": "page", "page", "longest_px"}: a page of a PDF, drawn. {"do": "small", "longest_px"}: a picture to be looked at. Standard output: a line once all is loaded, one line of JSON, bytes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from client.intake.apart import CPU_S, FILES, MEMORY_BYTES, STARTED
from client.intake.refusals import Refusal, Refused


def main() -> None:
    """Do the one job."""
    with os.fdopen(0, "rb") as given, os.fdopen(1, "wb") as answer:
        job = json.loads(given.readline())
        _load(job["do"])
        _give_up()
        answer.write(STARTED)
        answer.flush()
        try:
            facts, data = _done(job, given.read())
        except Refused as refused:
            facts, data = {"refused": str(refused.refusal)}, b""
        except (MemoryError, RecursionError):
            facts, data = {"refused": str(Refusal.TOO_COMPLEX)}, b""
        answer.write(json.dumps(facts).encode() + b"\n" + data)


def _load(job: str) -> None:
    """Before files and memory are bounded; a fault of ours shows before the file can be blamed."""
    importlib.import_module("client.intake.picture" if job in {"picture", "small"} else "client.intake.pdf")


def _give_up() -> None:
    """Memory, time, and writing files. Other systems than ours have no such limits; there only the parent's time-out holds."""
    if sys.platform != "linux":
        return
    import resource

    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),  # a picture of its memory would be the file on the disk
        (resource.RLIMIT_NOFILE, FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))


def _done(job: dict[str, Any], data: bytes) -> tuple[dict[str, object], bytes]:
    if job["do"] == "picture":
        from client.intake.kinds import MediaType
        from client.intake.picture import cleaned

        clean = cleaned(data, MediaType(job["media_type"]))
        return {"media_type": str(clean.media_type), "smaller": clean.smaller}, clean.data
    if job["do"] == "small":
        from client.intake.picture import small

        image = small(data, int(job["longest_px"]))
        return {"width": image.shape[1], "height": image.shape[0], "pages": 1}, image.tobytes()
    from client.intake import pdf

    if job["do"] == "pdf":
        return {"pages": pdf.checked_pages(data)}, b""
    drawn = pdf.drawn(data, int(job["page"]), int(job["longest_px"]))
    return {"width": drawn.width_px, "height": drawn.height_px, "pages": drawn.pages}, drawn.pixels


if __name__ == "__main__":
    main()
