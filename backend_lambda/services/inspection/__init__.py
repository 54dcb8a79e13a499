"""What a file is, and whether anything speaks against it. Pure: bytes in, a finding out; no clock, no network, no files.

Whoever sent the file may be an enemy: every loop and every expansion has a bound that is counted, never timed, so that the same file
has the same finding everywhere. `apart` runs the whole of it in a process of its own, without credentials, memory or time to spare.
"""

from __future__ import annotations

from backend_lambda.services.inspection.findings import LIMITS, Finding, Limits, Reason
from backend_lambda.services.inspection.inspect import inspect

__all__ = ["LIMITS", "Finding", "Limits", "Reason", "inspect"]
