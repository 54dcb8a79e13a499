"""The import contracts of pyproject.toml hold, and each of them breaks when its rule is broken on purpose."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@dataclass(frozen=True, slots=True)
class Offence:
    """An import that contract `contract` must refuse, added to the end of a module (made if it is not there)."""

    contract: str
    module: str
    line: str


OFFENCES = (
    Offence("client-layers", "client/errors.py", "import client.records"),
    Offence("client-layers", "client/pipeline/slots.py", "import client.cli.scan"),
    Offence("client-layers", "client/reports/wording.py", "import client.devices.ports"),
    Offence("client-layers", "client/cloud/wire.py", "import client.store.observations"),
    Offence("client-layers", "client/utilities.py", ""),  # a module that nobody gave a layer
    Offence("edge-layers", "edge_models/signal/spectrum.py", "import edge_models.scan"),
    Offence("edge-layers", "edge_models/scan.py", "import edge_models.simulate.scene"),
    Offence("edge-layers", "edge_models/quality.py", "import edge_models.regions"),
    Offence("edge-layers", "edge_models/face.py", "import edge_models.fusion"),
    Offence("edge-layers", "edge_models/pulse.py", "import edge_models.vitals.spec"),
    Offence("edge-layers", "edge_models/helpers.py", ""),  # a module that nobody gave a layer
    Offence("ports", "client/cli/scan.py", "import client.devices.video_file"),
    Offence("ports", "client/pipeline/run.py", "import client.devices.simulated"),
    Offence(
        "vitals-independent", "edge_models/vitals/heart_rate.py", "import edge_models.vitals.respiratory_rate"
    ),
    Offence("vitals-independent", "edge_models/vitals/new_one.py", "import edge_models.vitals.heart_rate"),
    Offence("edge-alone", "edge_models/types.py", "import client.errors"),
    Offence("edge-alone", "edge_models/types.py", "import backend_lambda"),
    Offence("edge-pure", "edge_models/scan.py", "import threading"),
    Offence("edge-pure", "edge_models/face.py", "from time import monotonic"),
    Offence("edge-pure", "edge_models/nets.py", "from pathlib import Path"),
    Offence("edge-pure", "edge_models/signal/beats.py", "def f() -> None:\n    import httpx"),
    Offence("client-backend", "client/app.py", "import backend_lambda.handler"),
    Offence("client-backend", "client/cloud/wire.py", "import backend_lambda.wire"),
    Offence("scipy", "edge_models/signal/filters.py", "from scipy import signal"),
    Offence("scipy", "client/records.py", "import scipy"),
    Offence("scipy", "client/evaluation/layouts.py", "def f() -> None:\n    from scipy.io import loadmat"),
    Offence("bench-extras", "client/evaluation/layouts.py", "import h5py"),
    Offence("bench-extras", "client/evaluation/report.py", "from matplotlib import pyplot"),
    Offence("bench-extras", "client/reports/pdf.py", "import PIL"),
    Offence("onnxruntime", "client/app.py", "import onnxruntime"),
    Offence("onnxruntime", "edge_models/face.py", "import onnxruntime"),
    Offence("qt", "client/pipeline/run.py", "from PySide6 import QtCore"),
    Offence("qt", "client/reports/pdf.py", "from PySide6 import QtGui"),
    Offence("views", "client/ui/views/scan.py", "from PySide6 import QtCore"),
    Offence("views", "client/ui/views/scan.py", "import client.ui.widgets.layout"),
    Offence("window-layers", "client/ui/widgets/ring.py", "import client.ui.pages.scan"),
    Offence("window-layers", "client/ui/pages/scan.py", "import client.ui.window"),
    Offence("window-layers", "client/ui/helpers.py", ""),  # a module that nobody gave a layer
    Offence("ports", "client/ui/window.py", "import client.devices.camera"),
    Offence("terminal", "client/pipeline/run.py", "import rich"),
    Offence("terminal", "client/reports/wording.py", "import typer"),
    Offence("network", "client/reports/files.py", "import httpx"),
    Offence("network", "client/app.py", "import urllib.request"),
    Offence("network", "client/pipeline/outgoing.py", "import httpx"),
    Offence("keyring", "client/records.py", "import keyring"),
    Offence("store", "client/reports/files.py", "import sqlite3"),
    Offence("store", "client/store/opening.py", "import sqlcipher3"),
    Offence("store", "client/store/opening.py", "from cryptography.fernet import Fernet"),
    Offence("store-layers", "client/store/journal.py", "import client.store.database"),
    Offence("store-layers", "client/store/helpers.py", ""),  # a module that nobody gave a layer
    Offence("clock", "client/pipeline/run.py", "import time"),
    Offence("processes", "client/pipeline/run.py", "import subprocess"),
    Offence("processes", "client/devices/camera_list.py", "def f() -> None:\n    from subprocess import run"),
    Offence("processes", "client/evaluation/peers.py", "import multiprocessing"),
    Offence("pictures", "client/pipeline/run.py", "import cv2"),
    Offence("microphone", "client/app.py", "def f() -> None:\n    import sounddevice"),
    Offence("microphone", "client/devices/camera.py", "from sounddevice import InputStream"),
    Offence("ports", "client/ui/pages/settings.py", "import client.devices.microphones"),
    Offence("backend-ports", "backend_lambda/services/chat.py", "import backend_lambda.aws.bedrock"),
    Offence(
        "backend-ports",
        "backend_lambda/services/speech.py",
        "import backend_lambda.speech_providers.cartesia",
    ),
    Offence("backend-layers", "backend_lambda/store/usage.py", "import backend_lambda.auth.gate"),
    Offence("backend-layers", "backend_lambda/helpers.py", ""),  # a module that nobody gave a layer
    Offence("backend-alone", "backend_lambda/wire.py", "import client.records"),
    Offence("backend-alone", "backend_lambda/services/prompt.py", "import numpy"),
    Offence("backend-layers", "backend_lambda/handler.py", "import backend_lambda.maintenance"),
    Offence("backend-layers", "backend_lambda/rotation.py", "import backend_lambda.processing"),
    Offence(
        "backend-layers", "backend_lambda/speech_providers/deepgram.py", "import backend_lambda.aws.speech"
    ),
    Offence(
        "backend-layers", "backend_lambda/store/usage.py", "import backend_lambda.speech_providers.deepgram"
    ),
    Offence("backend-layers", "backend_lambda/planning/demand.py", "import backend_lambda.settings"),
    Offence("backend-planning", "backend_lambda/services/chat.py", "import backend_lambda.planning.demand"),
    Offence("backend-planning", "backend_lambda/__main__.py", "import backend_lambda.planning.demand"),
    Offence("backend-alone", "backend_lambda/maintenance.py", "import simpy"),
    Offence("backend-alone", "backend_lambda/planning/demand.py", "import matplotlib"),
    Offence("backend-alone", "backend_lambda/planning/demand.py", "import httpx"),
    Offence("backend-cache", "backend_lambda/store/admission.py", "import valkey"),
    Offence("backend-aws", "backend_lambda/services/uploads.py", "def f() -> None:\n    import botocore"),
    Offence("backend-sql", "backend_lambda/services/chat.py", "import psycopg"),
    Offence("backend-lambda", "backend_lambda/services/chat.py", "import aws_lambda_powertools"),
    Offence("backend-lambda", "backend_lambda/auth/gate.py", "import http.client"),
    Offence("pdf", "client/cli/scan.py", "def f() -> None:\n    import fpdf"),
    Offence("client-layers", "client/intake/__init__.py", "import client.store.observations"),
    Offence("client-layers", "client/policy.py", "import client.vault"),
    Offence("network", "client/cloud/backoff.py", "import ssl"),
    Offence("keyring", "client/cloud/credentials.py", "import keyring"),
    Offence("store", "client/cloud/service.py", "from cryptography import x509"),
    Offence("store-layers", "client/store/outbox.py", "import client.store.observations"),
    Offence("one-library-one-place", "client/reports/pdf.py", "import pypdfium2"),
    Offence("one-library-one-place", "client/ui/pages/sync.py", "import segno"),
    Offence("one-library-one-place", "client/pipeline/sync.py", "import jwt"),
    Offence("pictures", "client/ui/pages/documents.py", "import cv2"),
)


def lint_imports(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache", "--no-logo", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source without anything else, to be spoilt."""
    beside = shutil.ignore_patterns("third_party", "__pycache__", ".aws-sam")
    for package in ("client", "edge_models", "backend_lambda"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=beside)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    ran = lint_imports(ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "offence", OFFENCES, ids=lambda o: f"{o.contract}: {o.module}: {o.line.split()[-1:]}"
)
def test_a_contract_breaks_when_its_rule_is_broken(copy: Path, offence: Offence) -> None:
    module = copy / offence.module
    before = module.read_text(encoding="utf-8") if module.exists() else ""
    module.parent.mkdir(exist_ok=True)
    (module.parent / "__init__.py").touch()  # of a package that is not there either
    module.write_text(f"{before}\n{offence.line}\n", encoding="utf-8")
    ran = lint_imports(copy, "--contract", offence.contract)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Contracts: 0 kept, 1 broken." in ran.stdout, ran.stdout + ran.stderr


def test_no_contract_is_without_an_offence() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {contract["id"] for contract in table["tool"]["importlinter"]["contracts"]}
    assert contracts == {offence.contract for offence in OFFENCES}
