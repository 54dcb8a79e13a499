"""The packages that Health Helper is compared with: each in an environment of its own, locked, outside the app's.

Adding one: an entry in `known`, a runner that imports nothing of ours, a lock in requirements/.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.clock import Clock
from client.errors import EnvironmentFault
from client.evaluation.outcomes import HEART_RATE, Reading
from client.evaluation.process import Ended, run_to_end

ROOT = Path(__file__).resolve().parents[2]
"""The checkout: locks and environments lie in it; an installed application has neither."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another package that measures a heart rate from a video.

    name: as shown: package, version, method. folder: its environment. lock: what is in it. runner: the script that its Python runs, followed
    by `arguments` and the video; prints the JSON that vitallens_runner describes. programs: what must be on the path.
    """

    name: str
    folder: Path
    lock: Path
    runner: Path
    arguments: tuple[str, ...]
    programs: tuple[str, ...]

    @property
    def package(self) -> str:
        """The name without the method: what its environment is named after."""
        return self.name.rpartition(" ")[0]

    def command(self, video: Path) -> list[str]:
        """What measures this video. Raises EnvironmentFault where the peer or what it needs is missing."""
        if not self._is_installed():
            raise EnvironmentFault(
                title=f"{self.name} is not installed for the comparison",
                remedy="Run 'health-helper bench install-peers' and try again.",
            )
        if missing := self.missing_program():
            raise EnvironmentFault(
                title=f"{self.name} needs the program {missing}",
                remedy="Run 'apt-get install ffmpeg' (as root; macOS: 'brew install ffmpeg') and try again.",
            )
        # -I: nothing of this folder, the person's settings or our environment gets into the peer.
        return [str(self._python), "-I", str(self.runner), *self.arguments, str(video)]

    def digest(self) -> str:
        """Changes with what is in its environment and with its runner; hexadecimal."""
        return hashlib.sha256(self._digest().encode() + self.runner.read_bytes()).hexdigest()[:20]

    def missing_program(self) -> str | None:
        """A program that it needs and that is not on the path."""
        return next((program for program in self.programs if shutil.which(program) is None), None)

    def install(self, clock: Clock) -> bool:
        """Make its environment from the lock; False where it is there already. A torn-off attempt starts again.

        Raises EnvironmentFault with the installer's last words.
        """
        if self._is_installed():
            return False
        self._stamp.unlink(missing_ok=True)
        # The interpreter itself, not that of our environment: the peer's must not lean on ours.
        base = str(getattr(sys, "_base_executable", None) or sys.executable)
        pip = [
            sys.executable,
            "-I",
            "-m",
            "pip",
            "--python",
            str(self._python),
            "--disable-pip-version-check",
        ]
        locked = ["--no-input", "--require-hashes", "--only-binary=:all:", "-r", str(self.lock)]
        steps: Sequence[Sequence[str]] = (
            [base, "-I", "-m", "venv", "--clear", "--without-pip", str(self.folder)],
            [*pip, "install", *locked],
        )
        for command in steps:
            ended = run_to_end(command, clock=clock)
            if ended.status:
                raise EnvironmentFault(
                    title=f"{self.name} could not be installed: {ended.last_words}",
                    remedy="Check the network and try again.",
                )
        self._stamp.write_text(self._digest(), "utf-8")
        return True

    def _is_installed(self) -> bool:
        wanted = self._digest()
        return self._stamp.is_file() and self._stamp.read_text("utf-8") == wanted

    @property
    def _python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def _stamp(self) -> Path:
        """Written last, so that it is there only beside a whole environment; names the lock it was made from."""
        return self.folder / "health-helper-stamp.txt"

    def _digest(self) -> str:
        try:
            return hashlib.sha256(self.lock.read_bytes()).hexdigest()
        except OSError as error:
            raise EnvironmentFault(
                title=f"{self.lock.name} is missing: peers are compared in a checkout of the source only",
                remedy="Clone the repository, run 'make setup' and try there.",
            ) from error


def known() -> tuple[Peer, ...]:
    """Every peer; those of one package share an environment.

    vitallens: POS (Wang et al. 2017), CHROM and G on the whole face box, by the package's own pipeline.
    open-rppg: FacePhys and ME, nets trained on the set RLAP, by the package's own pipeline on JAX.
    """
    here = Path(__file__)
    vitallens, open_rppg = (ROOT / ".cache" / "peers" / name for name in ("vitallens", "open-rppg"))
    locks = ROOT / "requirements"
    return (
        *(
            Peer(
                name=f"vitallens 0.6.2 {method.upper()}",
                folder=vitallens,
                lock=locks / "peers-vitallens.txt",
                runner=here.with_name("vitallens_runner.py"),
                arguments=(method,),
                programs=("ffmpeg", "ffprobe"),
            )
            for method in ("pos", "chrom", "g")
        ),
        *(
            Peer(
                name=f"open-rppg 0.1.1 {name}",
                folder=open_rppg,
                lock=locks / "peers-open-rppg.txt",
                runner=here.with_name("open_rppg_runner.py"),
                arguments=(model,),
                programs=(),
            )
            for name, model in (("FacePhys", "FacePhys.rlap"), ("ME", "ME-flow.rlap"))
        ),
    )


def yardstick() -> Peer:
    """The one whose cost ours is held against: the leanest of those that need no net."""
    return known()[0]


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What a whole program said of a video, beside what it cost it."""

    vitals: Mapping[str, Reading]
    live: tuple[tuple[float, float | None, float | None, float | None], ...]
    startup_cpu_s: float | None
    peak_rss_mb: float | None


def answer_of(ended: Ended) -> PeerAnswer:
    """From the last line of output: a runner's JSON, or that of our own `scan --json` (whose status 3 is an answer).

    Raises ValueError with the program's last words where it has none.
    """
    lines = ended.output.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else None
    except ValueError:
        said = None
    if not isinstance(said, dict) or ended.status not in ((0, 3) if "schema" in said else (0,)):
        raise ValueError(f"ended with status {ended.status}: {ended.last_words}")
    if "schema" not in said:
        return PeerAnswer(
            {HEART_RATE: Reading(said["heart_rate"])}, (), said["startup_cpu_s"], said["peak_rss_mb"]
        )
    fields = ("value", "low", "high", "confidence")
    return PeerAnswer(
        {
            name: Reading(**{field: vital[field] for field in fields}, reasons=tuple(vital["reasons"]))
            for name, vital in said["vitals"].items()
        },
        tuple((point["t_s"], point["heart_rate"], point["low"], point["high"]) for point in said["trend"]),
        said["cost"]["startup_cpu_s"],
        said["cost"]["peak_rss_mb"],
    )
