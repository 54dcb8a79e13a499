"""Clients, their cloud and the network between them under kill -9: nothing may be lost, doubled or corrupted. `make torture` starts it.

    .venv/bin/python .ci/sync_torture.py [--kills 1000] [--seed 1] [--sabotage lost|doubled|corrupt]

The last line says what was found, and the exit status is 1 where something is wrong. --sabotage breaks the client on purpose, which must be found.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sabotage", choices=("lost", "doubled", "corrupt"))
    parser.add_argument("--folder", type=Path, help="an empty one, where everything lies and stays")
    asked = parser.parse_args()
    if os.name != "posix":
        print("This needs kill -9, fork and /proc of POSIX.", file=sys.stderr)
        return 4
    logging.disable(logging.INFO)
    from tests.contract.sync_torture import run

    began_s = time.monotonic()

    def told(words: str) -> None:
        print(f"{time.monotonic() - began_s:6.0f} s  {words}", flush=True)

    again = f"make torture N={asked.kills} SEED={asked.seed}"
    report = run(asked.kills, seed=asked.seed, sabotage=asked.sabotage, folder=asked.folder, told=told)
    for line in report.lines():
        print(line)
    if not report.right:
        print(f"the same plan again: {again}")
    told("done")
    print(report.line())
    return 0 if report.right else 1


if __name__ == "__main__":
    sys.exit(main())
