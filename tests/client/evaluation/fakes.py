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


FAKE_RPPG = """
import os
import sys

class Model:
    def __init__(self, model):
        assert model == "FacePhys.rlap" and os.environ["JAX_COMPILATION_CACHE_DIR"].startswith(sys.prefix)

    def process_video(self, video):
        return None if "nobody" in video else {"hr": float("nan") if "noise" in video else 66.5, "SQI": 0.2}
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
    return existing_peer(folder)


def existing_peer(folder: Path) -> Peer:
    """The peer that `scripted_peer` made in the folder."""
    return Peer(
        name="fake peer",
        folder=folder / ".cache" / "peers" / "fake",
        lock=folder / "peers-fake.txt",
        runner=folder / "runner.py",
        arguments=("pos",),
        programs=(),
    )


def says(answer: object, status: int = 0) -> str:
    """A script that prints some chatter, then an answer, and ends."""
    return f"import sys\nprint('chatter')\nprint({json.dumps(answer)!r})\nsys.exit({status})\n"


def wheel(folder: Path, name: str = "vitallens", version: str = "0.6.2") -> tuple[Path, str]:
    """A wheel in place of a peer's: vitallens (71.25 in every video) or open-rppg (66.5); its path and SHA-256."""
    file_name = name.replace("-", "_")
    path = folder / f"{file_name}-{version}-py3-none-any.whl"
    info = f"{file_name}-{version}.dist-info"
    module, source = ("vitallens", FAKE_VITALLENS) if name == "vitallens" else ("rppg", FAKE_RPPG)
    files = {
        f"{module}/__init__.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},sha256={_url_safe(text)},{len(text)}\n" for file, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def _url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
