"""The process in which a file is looked at (see `apart`): first it gives up what it does not need, then it reads.

Standard input: one line of JSON (media_type, sha256), then the file. Standard output: a line once all is loaded, then the finding.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from backend_lambda.services.inspection.apart import CPU_S, FILES, MEMORY_BYTES, STARTED
from backend_lambda.services.inspection.inspect import inspect


def _give_up() -> None:
    """Memory, time, and writing files. Other systems than ours have no such limits; there only the parent's time-out holds."""
    if sys.platform != "win32":
        import resource

        for kind, limit in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CPU, CPU_S),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, FILES),
        ):
            hard = resource.getrlimit(kind)[1]
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (limit, limit))


def main() -> None:
    _give_up()
    asked = json.loads(sys.stdin.buffer.readline())
    if asked["media_type"] == "application/pdf":
        import backend_lambda.services.inspection.pdf  # noqa: F401  (a fault of ours shows before the file can be blamed)
    sys.stdout.write(STARTED + "\n")
    sys.stdout.flush()
    found = inspect(sys.stdin.buffer.read(), asked["media_type"], asked["sha256"])
    json.dump(asdict(found), sys.stdout)  # ASCII


if __name__ == "__main__":
    main()
