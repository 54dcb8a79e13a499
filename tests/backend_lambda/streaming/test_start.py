"""The chat function's start as Lambda calls it: with the interpreter and the bootstrap that it would have run itself."""

from __future__ import annotations

import json
import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stand_ins.runtime_api import RuntimeApi

STREAMING = Path(__file__).resolve().parents[3] / "backend_lambda" / "streaming"
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
BOOTSTRAP = "/var/runtime/bootstrap.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell's script, for Lambda's Linux")

HANDLER = """
import os, sys
from backend_lambda.streaming.runtime import Prelude

def answer(event, context):
    print("measured once")  # not flushed
    yield Prelude(200, {"Content-Type": "text/plain"})
    facts = [sys.executable, os.getcwd(), sys.modules["backend_lambda"].__file__, os.environ.get("PYTHONPATH", "")]
    for fact in facts:
        yield (fact + "\\n").encode()
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A /var/task with the runtime and a handler of our own; and a decoy for whoever looks elsewhere first."""
    folder = tmp_path / "var task"
    package = folder / "backend_lambda"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copytree(STREAMING, package / "streaming", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "probe.py").write_text(HANDLER)
    decoy = tmp_path / "runtime" / "backend_lambda"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise SystemExit('Lambda\\'s own packages were found first')\n")
    return folder


@contextmanager
def lambda_calls(task: Path, api: RuntimeApi, *arguments: str, path: str = "/usr/bin:/bin") -> Iterator[subprocess.Popen[str]]:  # fmt: skip
    """The wrapper's process, from a folder that is not the task's."""
    environment = {
        "PATH": path,
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(task.parent / "runtime"),
        "PYTHONPATH": str(task.parent / "runtime"),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "_HANDLER": "probe.answer",
    }
    with subprocess.Popen(
        [str(task / "backend_lambda" / "streaming" / "start"), *arguments],
        env=environment,
        cwd=task.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            api.invoke("nobody", {})  # the API waits for one, on behalf of a process that is gone


@pytest.mark.parametrize(
    "arguments",
    [(PYTHON, BOOTSTRAP), (PYTHON, "-X", "frozen_modules=off", BOOTSTRAP), ("/var/runtime/bootstrap",), ()],
    ids=["as documented", "with options", "another way", "nothing"],
)
def test_an_answer_is_streamed(task: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    first = tmp_path / "bin"  # as /var/lang/bin in Lambda's PATH
    first.mkdir()
    (first / "python3").symlink_to(PYTHON)
    with RuntimeApi() as api:
        api.invoke("a-request", {})
        with lambda_calls(task, api, *arguments, path=f"{first}:/usr/bin:/bin") as process:
            answer = api.answers.get(timeout=60)
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 30)[0]
            assert process.stdout.readline() == "measured once\n"  # while the process lives on
            assert process.poll() is None
    assert answer.path.endswith("/a-request/response")
    assert answer.headers["lambda-runtime-function-response-mode"] == "streaming"
    head, _, body = answer.body.partition(b"\0" * 8)
    assert json.loads(head)["statusCode"] == 200
    executable, folder, package, python_path = body.decode().splitlines()
    assert Path(executable) == Path(arguments[0] if len(arguments) > 1 else first / "python3")
    assert folder == str(task)
    assert package == str(task / "backend_lambda" / "__init__.py")
    assert python_path == str(tmp_path / "runtime")  # as it was
    assert len(answer.chunks) == 5


def test_the_interpreter_that_is_named_is_the_one_that_runs(task: Path, tmp_path: Path) -> None:
    """Also where the path has another one first."""
    decoy = tmp_path / "bin" / "python3"
    decoy.parent.mkdir()
    decoy.write_text("#!/bin/sh\nexit 9\n")
    decoy.chmod(0o755)
    with RuntimeApi() as api:
        api.invoke("a-request", {})
        with lambda_calls(task, api, PYTHON, BOOTSTRAP, path=f"{decoy.parent}:/usr/bin:/bin"):
            assert api.answers.get(timeout=60).path.endswith("/response")


def test_without_a_task_it_ends_at_once(task: Path) -> None:
    done = subprocess.run(
        [str(STREAMING / "start"), PYTHON, BOOTSTRAP],
        env={"PATH": "/usr/bin:/bin", "LAMBDA_TASK_ROOT": str(task / "nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "nowhere" in done.stderr


def test_it_may_be_executed_and_has_lines_of_unix() -> None:
    """Git keeps both: a fresh clone shows them."""
    start = STREAMING / "start"
    assert stat.S_IMODE(start.stat().st_mode) & 0o111 == 0o111
    assert start.read_bytes().startswith(b"#!/bin/sh\n")
    assert b"\r" not in start.read_bytes()


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_git_knows_that_it_may_be_executed() -> None:
    """Where the file's own rights say nothing, as on a disk that knows none."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "--", "start"],
        cwd=STREAMING,
        capture_output=True,
        text=True,
        check=False,
    )
    if not listed.stdout:
        pytest.skip("not in a repository of git, or not in it yet")
    assert listed.stdout.startswith("100755 ")
