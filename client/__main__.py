"""`python -m client` and the command `health-helper`."""

from __future__ import annotations

import gc
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
        gc.disable()  # what is loaded now stays to the end: looking for garbage in it costs a tenth of the start,
        from client.app import main as start

        gc.freeze()  # and as much again at the end
        gc.enable()
        return start()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        # CPython 3.11 notes a Ctrl-C that comes through an exec of text (a dataclass being made, say) and dies of it when it ends, though
        # somebody has dealt with it; the next exec of text that ends well takes the note back.
        exec("")  # noqa: S102 (nothing of anybody's is run)


if __name__ == "__main__":
    sys.exit(main())
