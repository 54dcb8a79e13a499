"""`python -m client` and the command `health-helper`."""

from __future__ import annotations

import sys

from client import config

INTERRUPTED = 130
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""numpy's linear algebra reads these when it is loaded. Its threads only wait for each other on matrices as
small as ours: a scan costs a tenth more CPU with them."""


def main() -> int:
    """Run the command; the exit status. Ctrl-C before the command has begun ends it as quietly as later."""
    for name in ONE_THREAD:
        config.set_default(name, "1")
    try:
        from client.app import main as start

        return start()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
