"""How fast the backend is on loopback: an open-loop mixed load, the first streamed token, what a cold start imports, how large it is.

    .venv/bin/python .ci/cloud_speed.py [--rate 100] [--seconds 30] [--plot FILE] [--bundle]

Starts the local cloud as `make cloud` does (a database that waits for the disk) and asks it from this process, so client and server
share the machine's cores. Latency counts from the moment when a request should have begun, not from when it did: a server
that stalls is not excused (no coordinated omission). Prints a table and what was missed; the exit status is 1 where something was.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
DEVICES = 20
WORKERS = 48
TURNS = 40
FIRST_TOKEN_S = 0.2
TARGETS = {
    "API, 95th percentile, ms": 200.0,
    "API, errors": 0.0,
    "streaming adds to the model's first token, 95th percentile, ms": 50.0,
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """An enrolled device: its key, its tokens, a connection for each thread."""

    def __init__(self, url: str, code: str) -> None:
        self.url = url
        self._key = generate_private_key(SECP256R1())
        numbers = self._key.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        self._jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self.token = ""
        self._lock = threading.Lock()
        body = {"code": code, "public_key": self._jwk, "software_version": "1.0"}
        status, answer = self.ask("POST", "/v1/devices/enrol", body, signed_in=False)
        assert status in {200, 201}, answer
        self.refresh = json.loads(answer)["refresh_token"]
        self.patients = [str(uuid.uuid4()) for _ in range(20)]
        assert self.renew() == 200

    def renew(self) -> int:
        with self._lock:
            body = {"refresh_token": self.refresh, "request_id": str(uuid.uuid4())}
            status, answer = self.ask("POST", "/v1/token", body, signed_in=False)
            if status == 200:
                found = json.loads(answer)
                self.token, self.refresh = found["access_token"], found["refresh_token"]
            return status

    def headers(self, method: str, path: str, *, signed_in: bool) -> dict[str, str]:
        claims: dict[str, Any] = {
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": self.url + path,
            "iat": int(time.time()),
        }
        if signed_in:
            claims["ath"] = b64(hashlib.sha256(self.token.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._jwk}
        message = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(message.encode(), ECDSA(SHA256())))
        proof = f"{message}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        made = {"DPoP": proof, "Content-Type": "application/json"}
        return made | ({"Authorization": f"DPoP {self.token}"} if signed_in else {})

    def ask(
        self, method: str, path: str, body: object = None, *, query: str = "", signed_in: bool = True
    ) -> tuple[int, bytes]:
        connection = _connection(self.url)
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, path + query, data, self.headers(method, path, signed_in=signed_in))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise


_own = threading.local()


def _connection(url: str) -> http.client.HTTPConnection:
    if not hasattr(_own, "connection"):
        _own.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    found: http.client.HTTPConnection = _own.connection
    return found


def observation(patient: str) -> dict[str, Any]:
    rate = random.uniform(50, 110)
    return {
        "id": str(uuid.uuid4()),
        "patient_id": patient,
        "kind": "scan",
        "taken_at": datetime.now(UTC).isoformat(),
        "utc_offset_min": 60,
        "software_version": "1.0",
        "values": {
            "heart_rate": {
                "value": rate,
                "low": rate - 1,
                "high": rate + 1,
                "unit": "/min",
                "confidence": 0.97,
                "window_s": 38.2,
            },
            "respiratory_rate": {"value": None, "unit": "/min", "reasons": ["sources_disagree"]},
        },
        "quality": {"score": 0.9},
        "facts": {"measured_fps": 30.0, "accepted_s": 38.2},
    }


def saves(device: Device) -> int:
    patient = random.choice(device.patients)
    found = [observation(patient) for _ in range(random.choice((1, 1, 1, 5)))]
    return device.ask("POST", "/v1/observations", {"observations": found})[0]


def reads(device: Device) -> int:
    patient = random.choice(device.patients)
    return device.ask("GET", "/v1/observations", query=f"?patient_id={patient}&limit=20")[0]


def beats(device: Device) -> int:
    body = {
        "software_version": "1.0",
        "system": "Linux",
        "waiting": 2,
        "parked": 0,
        "oldest_waiting_s": 3.0,
        "scans": 4,
        "scans_shown": 3,
    }
    return device.ask("POST", "/v1/heartbeat", body)[0]


def configures(device: Device) -> int:
    return device.ask("GET", "/v1/config")[0]


def announces(device: Device) -> int:
    body = {
        "id": str(uuid.uuid4()),
        "patient_id": random.choice(device.patients),
        "purpose": "medical_report",
        "media_type": "application/pdf",
        "length_bytes": 200_000,
        "sha256": hashlib.sha256(os.urandom(8)).hexdigest(),
    }
    return device.ask("POST", "/v1/uploads", body)[0]


MIX: list[tuple[int, str, Callable[[Device], int]]] = [
    (40, "save observations", saves),
    (35, "read a page", reads),
    (10, "heartbeat", beats),
    (5, "config", configures),
    (5, "announce an upload", announces),
    (5, "renew a token", Device.renew),
]


def load(
    devices: list[Device], rate_hz: float, seconds: float
) -> tuple[dict[str, list[float]], Counter[str]]:
    """Latencies in ms by kind, and what was not answered as it should."""
    works = [(name, work) for weight, name, work in MIX for _ in range(weight)]
    plan = [random.choice(works) for _ in range(int(rate_hz * seconds))]
    took: dict[str, list[float]] = defaultdict(list)
    wrong: Counter[str] = Counter()
    lock, at = threading.Lock(), iter(range(len(plan)))
    began_s = time.perf_counter() + 0.5

    def work() -> None:
        while True:
            with lock:
                number = next(at, None)
            if number is None:
                return
            due_s = began_s + number / rate_hz
            if (wait_s := due_s - time.perf_counter()) > 0:
                time.sleep(wait_s)
            name, one = plan[number]
            try:
                status = one(devices[number % len(devices)])
            except (OSError, http.client.HTTPException) as error:
                status, name = 0, f"{name}: {type(error).__name__}"
            ms = 1000.0 * (time.perf_counter() - due_s)
            with lock:
                took[name].append(ms)
                if status not in {200, 201, 204}:
                    wrong[f"{name}: {status}"] += 1

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, wrong


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100.0))]


def streamed(devices: list[Device], aws_url: str) -> list[float]:
    """What is added to the model's first token, ms; one turn after the other, by one device after the other (each may ask 20 a minute)."""
    added = []
    body = json.dumps(
        {
            "conversation_id": str(uuid.uuid4()),
            "patient_id": devices[0].patients[0],
            "language": "en",
            "turns": [{"role": "person", "text": "Is my pulse all right?"}],
            "triage": {"level": "none"},
        }
    )
    script(
        aws_url,
        {"pieces": ["URGENCY: none\nOne ", "two ", "three."], "first_s": FIRST_TOKEN_S, "every_s": 0.02},
    )
    connection = http.client.HTTPConnection(urlsplit(devices[0].url).netloc, timeout=30)
    for at in range(TURNS):
        device = devices[at % len(devices)]
        began_s = time.perf_counter()
        connection.request("POST", "/v1/chat", body, device.headers("POST", "/v1/chat", signed_in=True))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        while True:
            line = answer.readline()
            assert line, "the stream ended before a delta"
            if line.startswith(b"event: delta"):
                added.append(1000.0 * (time.perf_counter() - began_s - FIRST_TOKEN_S))
                break
        answer.read()
    return added


def script(aws_url: str, says: dict[str, Any]) -> None:
    """What the stand-in for the model says from now on."""
    from tests.stand_ins.aws.control import PREFIX

    connection = http.client.HTTPConnection(urlsplit(aws_url).netloc, timeout=10)
    connection.request("POST", f"{PREFIX}bedrock", json.dumps(says), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()


def imports() -> dict[str, float]:
    """Processor ms of importing each function's handler, over bare Python; the best of five."""
    found = {}
    for name, module in (
        ("api", "backend_lambda.handler"),
        ("chat", "backend_lambda.app, backend_lambda.streaming.handler, backend_lambda.streaming.runtime"),
        ("processing", "backend_lambda.processing"),
    ):
        found[name] = min(_cpu_ms(f"import {module}") for _ in range(5)) - min(
            _cpu_ms("pass") for _ in range(5)
        )
    return found


def _cpu_ms(code: str) -> float:
    told = "import resource as r;u=r.getrusage(r.RUSAGE_SELF);print(u.ru_utime+u.ru_stime)"
    ran = subprocess.run(
        [PYTHON, "-c", f"{code}\n{told}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return 1000.0 * float(ran.stdout)


ONLY_PROCESSING = ("pypdf",)


def bundles() -> dict[str, float]:
    """MB of a zip for arm64 and Python 3.13: the backend and its locked packages, less what only the processing function loads."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bundle"
        subprocess.run(
            [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile",
             "--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64", "--python-version", "3.13",
             "--only-binary", ":all:", "--target", str(target), "--require-hashes", "-r", "requirements/cloud.txt"],
            cwd=ROOT, check=True,
        )  # fmt: skip
        whole, less = Path(folder) / "whole.zip", Path(folder) / "less.zip"
        for made, left_out in ((whole, ()), (less, ONLY_PROCESSING)):
            _zip(made, target, left_out)
        sizes = {made: made.stat().st_size / 1e6 for made in (whole, less)}
        return {"processing": sizes[whole], "API and chat": sizes[less]}


def _zip(made: Path, target: Path, left_out: tuple[str, ...]) -> None:
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for base, kind in ((target, "*"), (ROOT, "backend_lambda/**/*")):
            for path in sorted(base.rglob("*") if kind == "*" else base.glob(kind)):
                inside = path.relative_to(base)
                if (
                    path.is_file()
                    and "__pycache__" not in path.parts
                    and not inside.parts[0].startswith(left_out or ("//",))
                ):
                    archive.write(path, inside)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--bundle", action="store_true")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    cloud = subprocess.Popen(
        [PYTHON, "-m", "tests.stand_ins.local_cloud", "--durable", "--devices", str(DEVICES)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert cloud.stdout is not None
        facts = json.loads(cloud.stdout.readline())
        threading.Thread(target=lambda: [None for _ in cloud.stdout or ()], daemon=True).start()
        devices = [Device(facts["url"], code) for code in facts["enrolment_codes"]]
        load(devices, asked.rate / 2, 3.0)  # everything is loaded and connected
        took, wrong = load(devices, asked.rate, asked.seconds)
        added = streamed(devices, facts["aws_url"])
    finally:
        cloud.terminate()
        ended = cloud.wait(30)
    assert ended == 0, f"the local cloud ended with {ended}"
    every = [ms for one in took.values() for ms in one]
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{asked.rate:g} requests a second for {asked.seconds:g} s, client and server on the same cores")
    for name, values in sorted(took.items()):
        print(
            f"  {name:24} {len(values):6} p50 {percentile(values, 50):7.1f}  p95 {percentile(values, 95):7.1f} ms"
        )
    for name, count in wrong.items():
        print(f"  wrong: {name}: {count}")
    found = {
        "API, median, ms": percentile(every, 50),
        "API, 95th percentile, ms": percentile(every, 95),
        "API, 99th percentile, ms": percentile(every, 99),
        "API, errors": float(sum(wrong.values())),
        "streaming adds to the model's first token, median, ms": percentile(added, 50),
        "streaming adds to the model's first token, 95th percentile, ms": percentile(added, 95),
        **{f"processor time of importing the {name} function, ms": ms for name, ms in imports().items()},
        **{
            f"bundle of {name}, arm64 and Python 3.13, zip, MB": mb
            for name, mb in (bundles() if asked.bundle else {}).items()
        },
    }
    missed = []
    for name, value in found.items():
        limit = TARGETS.get(name)
        print(f"{name:66} {value:8.1f}" + (f"   (at most {limit:g})" if limit is not None else ""))
        if limit is not None and not value <= limit:
            missed.append(name)
    if asked.plot is not None:
        _draw(took, asked.plot)
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


def _draw(took: dict[str, list[float]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.0, 3.0))
    for name, values in sorted(took.items()):
        ordered = sorted(values)
        axes.step(ordered, [(at + 1) / len(ordered) for at in range(len(ordered))], label=name)
    axes.set_xscale("log")
    axes.axvline(200.0, color="grey", linestyle=":")
    axes.set_xlabel("answer after, ms (from when it was due)")
    axes.set_ylabel("share of requests")
    axes.legend(fontsize=7)
    figure.savefig(file, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    sys.exit(main())
