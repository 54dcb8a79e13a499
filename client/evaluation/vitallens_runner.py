"""Measures one video with vitallens and prints what came of it as one line of JSON.

    .cache/peers/vitallens/bin/python -I vitallens_runner.py METHOD VIDEO

Runs inside the peer's own environment, so it imports nothing of ours. It asks for what its users ask for (the
defaults, the moving heart rate included), without the result file.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from importlib import metadata
from pathlib import Path


def main(method: str, video: str) -> None:
    """Print {"version", "heart_rate", "startup_cpu_s", "peak_rss_mb"}; heart_rate is null where no face was found.

    startup_cpu_s: processor seconds until the package was imported. peak_rss_mb: most memory of this process in
    10^6 bytes, without the programs that it starts; null where the system does not tell.
    """
    vitallens = importlib.import_module("vitallens")
    startup_cpu_s = sum(os.times()[:4])
    faces = vitallens.VitalLens(method=method, export_to_json=False)(video)
    found = {
        "version": metadata.version("vitallens"),
        "heart_rate": float(faces[0]["vitals"]["heart_rate"]["value"]) if faces else None,
        "startup_cpu_s": startup_cpu_s,
        "peak_rss_mb": peak_rss_mb(),
    }
    print(json.dumps(found))  # noqa: T201 (its output)


def peak_rss_mb() -> float | None:
    """As client.pipeline.memory measures it for a scan."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
