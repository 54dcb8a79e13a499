"""How much memory this process has held at once, without a further library."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_rss_mb() -> float | None:
    """The most memory this process has held so far, in 10^6 bytes; None where the system does not tell.

    Linux: VmHWM of /proc/self/status (getrusage would also count what the process was started from).
    macOS: getrusage. Windows: not told yet.
    """
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return _from_proc(Path("/proc/self/status"))  # not there on Windows


def _from_proc(status: Path) -> float | None:
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None
