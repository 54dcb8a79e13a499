"""Ten thousand requests to the local cloud while answers are lost and its parts crash: nothing may be lost or doubled.

    .venv/bin/python .ci/cloud_torture.py [--requests 10000] [--seed 1]

The last line says what was found; the exit status is 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    told = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the functions' log lines
    logging.disable(logging.INFO)
    from tests.contract.cloud_torture import run

    report = run(asked.requests, seed=asked.seed)
    lines = [
        *report.wrong[:20],
        f"statuses: {dict(sorted(report.statuses.items()))}, faults: {dict(report.faults)}",
    ]
    os.write(told, "\n".join([*lines, report.line()]).encode() + b"\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
