"""`python -m client` and the command `health-helper`."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command; the exit status. Ctrl-C before the command has begun ends it as quietly as later."""
    try:
        from client.app import main as start

        return start()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
