"""Measures one video with open-rppg and prints what came of it as one line of JSON.

    .cache/peers/open-rppg/bin/python -I open_rppg_runner.py MODEL VIDEO

Runs inside the peer's own environment, so it imports nothing of ours. It asks for what its users ask for:
`rppg.Model(MODEL).process_video(VIDEO)`. The models' weights lie in that package and stay there.

One thing is better than its users have it: nets once compiled are kept beside the environment (JAX's persistent cache),
or each run would begin with most of a minute of compiling. The first run of each net on a machine pays it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import warnings
from importlib import metadata
from pathlib import Path


def main(model: str, video: str) -> None:
    """Print what vitallens_runner prints; heart_rate is null where the package gives none (no face, no wave).

    startup_cpu_s: processor seconds until the package was imported and the model was built and compiled.
    """
    warnings.simplefilter("ignore")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(sys.prefix) / "compiled")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    rppg = importlib.import_module("rppg")
    measuring = rppg.Model(model)
    startup_cpu_s = sum(os.times()[:4])
    said = measuring.process_video(video) or {}
    rate = said.get("hr")
    found = {
        "version": metadata.version("open-rppg"),
        "heart_rate": float(rate) if rate is not None and math.isfinite(rate) else None,
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
