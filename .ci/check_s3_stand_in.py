"""The S3 stand-in of the tests beside an S3 by others: the same checks against both.

    .venv/bin/python .ci/check_s3_stand_in.py

The other one is LocalStack (localstack-core, no Docker), in an environment of its own under .cache, which is made on the first run
(about 200 MB) and reached on loopback alone. It is no judge in everything: what it is known to let pass is listed below.
Exit status: 0 the stand-in passes all, and the other one all but those; 1 not so; 4 LocalStack cannot be installed or started.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.stand_ins.aws import s3_checks  # noqa: E402 (the path comes first)
from tests.stand_ins.aws.server import AwsStandIn  # noqa: E402

FOLDER = ROOT / ".cache" / "localstack"
PINS = [
    "localstack-core[base-runtime]==4.12.0",
    "cbor2==5.6.5",
    "pyOpenSSL==24.3.0",
    "cryptography==43.0.3",
    "service_identity==24.2.0",
]
"""Later ones die at its start, or need Python 3.12."""
KNOWN_TO_PASS = {
    "put_unsigned",
    "post_with_a_wrong_secret",
    "post_of_a_field_nobody_allowed",
    "sdk_with_a_wrong_secret",
    "no_lock_without_leave",
}
"""LocalStack 4.12 checks no signatures in headers and forms, lets who signs nothing write, takes fields that a policy does not name,
and locks in any bucket."""
STARTS_WITHIN_S = 90.0


class NotThere(Exception):
    """LocalStack could not be installed or started; says why."""


def install() -> Path:
    """Its Python. Nothing is done where it is there already."""
    python = FOLDER / "venv" / "bin" / "python"
    done = FOLDER / "installed.txt"
    if done.is_file() and done.read_text() == "\n".join(PINS):
        return python
    print(f"installs {PINS[0]} into {FOLDER}", flush=True)
    venv.create(FOLDER / "venv", with_pip=True, clear=True)
    ran = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if ran.returncode:
        raise NotThere(ran.stderr.strip()[-2000:])
    done.write_text("\n".join(PINS))
    return python


@contextmanager
def localstack() -> Iterator[str]:
    """Its address."""
    python = install()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": folder,  # what it remembers of its plug-ins would otherwise be read from the last run
            "GATEWAY_SERVER": "hypercorn",  # the other one listens on every address
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "LOCALSTACK_HOST": f"localhost:{port}",
            "SERVICES": "s3",
            "S3_SKIP_SIGNATURE_VALIDATION": "0",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
            "FILESYSTEM_ROOT": folder,
        }
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(python), "-m", "localstack.runtime.main"],
                env=environment,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with opener.open(f"{url}/_localstack/health", timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise NotThere(f"it did not start: {log.read_text(errors='replace')[-2000:]}")


def run(ground: s3_checks.Ground) -> dict[str, str]:
    """By check: "", or what was wrong."""
    ground.prepare()
    found: dict[str, str] = {}
    for check in (*s3_checks.SIGNATURES, *s3_checks.STORING):
        try:
            check(ground)
        except Exception:  # noqa: BLE001 (whatever goes wrong is a result)
            found[check.__name__] = traceback.format_exc(limit=-1).strip().splitlines()[-1][:160]
        else:
            found[check.__name__] = ""
    ground.close()
    return found


def main() -> int:
    with AwsStandIn() as own:
        ours = run(s3_checks.Ground(own.url, own.key.access_key, own.key.secret))
    try:
        with localstack() as url:
            theirs = run(s3_checks.Ground(url, "test", "test"))
    except (NotThere, OSError, subprocess.TimeoutExpired) as error:
        print(f"LocalStack is not there: {error}")
        return 4
    wrong = 0
    for name, problem in ours.items():
        other = theirs[name]
        is_right = not problem and (not other) == (name not in KNOWN_TO_PASS)
        wrong += not is_right
        marks = [f"{'passes' if not one else 'FAILS':7}" for one in (problem, other)]
        print(f"{'     ' if is_right else 'WRONG'} stand-in {marks[0]} LocalStack {marks[1]} {name}")
        for one in filter(None, (problem, other)):
            print(f"        {one}")
    for title, checks in (("signatures", s3_checks.SIGNATURES), ("storing", s3_checks.STORING)):
        names = [check.__name__ for check in checks]
        figures = [sum(not found[name] for name in names) for found in (ours, theirs)]
        print(f"{title}: stand-in {figures[0]}/{len(names)}, LocalStack {figures[1]}/{len(names)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
