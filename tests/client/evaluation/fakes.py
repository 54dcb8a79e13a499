"""A peer that is a script of the tests' own, and wheels made by hand, so that nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

from client.evaluation.cost import Run
from client.evaluation.peers import Peer

GOOD = {"version": "1", "heart_rate": 70.5, "startup_cpu_s": 0.001, "peak_rss_mb": 50.0}
FAKE_VITALLENS = """
import sys
print("chatter")

class VitalLens:
    def __init__(self, method, export_to_json):
        assert method == "pos" and not export_to_json

    def __call__(self, video):
        if "nobody" in video:
            return []
        return [{"vitals": {"heart_rate": {"value": 71.25}}}]
"""


def run(tool: str, cpu_s: float, **changes: float | None) -> Run:
    """A run that is plain but for what is named."""
    fields: dict[str, float | None] = {
        "wall_s": cpu_s,
        "startup_cpu_s": 0.5,
        "decode_cpu_s": 1.0,
        "measure_cpu_s": cpu_s - 1.5,
        "peak_rss_mb": 200.0,
        "heart_rate": 72.0,
        **changes,
    }
    return Run(tool=tool, cpu_s=cpu_s, **fields)  # type: ignore[arg-type]


def scripted_peer(folder: Path, script: str) -> Peer:
    """A peer that counts as installed; its Python is this one, its runner is the script."""
    home = folder / ".cache" / "peers" / "fake"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)
    runner, lock = folder / "runner.py", folder / "peers-fake.txt"
    runner.write_text(script, encoding="utf-8")
    lock.write_text("fake==1\n", encoding="utf-8")
    (home / "health-helper-stamp.txt").write_text(hashlib.sha256(lock.read_bytes()).hexdigest(), "utf-8")
    return Peer(name="fake peer", folder=home, lock=lock, runner=runner, arguments=("pos",), programs=())


def says(answer: object, status: int = 0) -> str:
    """A script that prints some chatter, then an answer, and ends."""
    return f"import sys\nprint('chatter')\nprint({json.dumps(answer)!r})\nsys.exit({status})\n"


def wheel(folder: Path) -> tuple[Path, str]:
    """A wheel of a package `vitallens` that measures 71.25 in every video; its path and SHA-256."""
    path = folder / "vitallens-0.6.2-py3-none-any.whl"
    info = "vitallens-0.6.2.dist-info"
    files = {
        "vitallens/__init__.py": FAKE_VITALLENS,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: vitallens\nVersion: 0.6.2\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_url_safe(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def _url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
