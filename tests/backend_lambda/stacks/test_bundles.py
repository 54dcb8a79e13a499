"""The functions' bundles: what is in them, what is not, and that they run where nothing else is installed.

They are made of this environment's own packages, so that no network is needed. That the locked wheels are there for Lambda's arm64 is
seen by `make bundles`, which makes them for real.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path, PurePosixPath

import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backend_lambda.aws.clients import _MANNERS, Clients
from backend_lambda.stacks import bundle
from backend_lambda.stacks.bundle import Fault, is_kept
from tests.stand_ins.api_gateway_event import event
from tests.stand_ins.runtime_api import RuntimeApi

ROOT = Path(__file__).resolve().parents[3]
STACKS = ROOT / "backend_lambda" / "stacks"
INTERPRETER = str(getattr(sys, "_base_executable", sys.executable))
MACHINE = bundle.MACHINES.get(platform.machine(), bundle.MACHINES["x86_64"])
only_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in bundle.MACHINES,
    reason="this environment's packages are another system's",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked packages as this environment has them, by links."""
    folder = tmp_path_factory.mktemp("site")
    for name in re.findall(r"^([a-z0-9-]+)==", bundle.LOCK.read_text("utf-8"), re.MULTILINE):
        try:
            held = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue  # of another system
        for file in held:
            if ".." not in file.parts:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).symlink_to(Path(str(file.locate())))
    return folder


@pytest.fixture(scope="module")
def made(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`made(function)`: its bundle. Not to be changed."""
    known: dict[bool, Path] = {}

    def make(function: str) -> Path:
        reads = function == bundle.READS_FILES
        if reads not in known:
            known[reads] = tmp_path_factory.mktemp("bundle") / "task"
            with pytest.MonkeyPatch.context() as patch:
                prepare(patch, site)
                bundle.build(function, known[reads], platform.machine())
        return known[reads]

    return make


def prepare(patch: pytest.MonkeyPatch, site: Path) -> None:
    """Bundles are made of `site`, without bytecode and certificates."""
    patch.setattr(bundle, "packages", lambda *_: site)
    patch.setattr(bundle, "bytecode_compiler", lambda: None)
    patch.delenv("RDS_CERTIFICATES", raising=False)


# --- AWS's services ----------------------------------------------------------------------------------


def test_services_are_those_that_clients_are_made_of() -> None:
    source = (ROOT / "backend_lambda" / "aws" / "clients.py").read_text("utf-8")
    assert bundle.services(source) == set(_MANNERS)
    with pytest.raises(Fault, match="_MANNERS"):
        bundle.services(source.replace("_MANNERS", "_OTHERS"))


def test_clients_are_made_in_one_place_only() -> None:
    """Else a bundle would lack what they need."""
    backend = ROOT / "backend_lambda"
    makes = {
        path.relative_to(backend).as_posix()
        for path in backend.rglob("*.py")
        if "stacks" not in path.parts
        and re.search(r"\.create_client\(|^\s*(import|from) boto3", path.read_text("utf-8"), re.MULTILINE)
    }
    assert makes == {"aws/clients.py"}


@pytest.fixture(scope="module")
def data(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a bundle has of botocore's data."""
    folder = tmp_path_factory.mktemp("data")
    for path in bundle.files(site / "botocore" / "data"):
        if is_kept(PurePosixPath("botocore/data") / path, set(_MANNERS)):
            bundle.copy(site / "botocore" / "data" / path, folder / path)
    return folder


@pytest.fixture
def trimmed(data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bundle's data are all that botocore knows."""
    monkeypatch.setattr(botocore.loaders.Loader, "BUILTIN_DATA_PATH", str(data))
    monkeypatch.setattr(botocore.loaders.Loader, "CUSTOMER_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")


@pytest.mark.parametrize("service", sorted(_MANNERS))
def test_every_client_is_made_of_the_trimmed_data_as_of_the_whole(service: str, trimmed: None) -> None:
    clients = Clients("eu-central-1")
    client = clients(service)
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        whole_data = Path(botocore.__file__).parent / "data"
        patch.setattr(botocore.loaders.Loader, "BUILTIN_DATA_PATH", str(whole_data))
        whole = botocore.session.Session().create_client(service, region_name="eu-central-1")
    assert client.meta.endpoint_url == whole.meta.endpoint_url
    assert client.meta.service_model.api_version == whole.meta.service_model.api_version
    assert client.meta.service_model.operation_names == whole.meta.service_model.operation_names
    assert client.meta.partition == "aws"
    clients.close()
    whole.close()


def test_what_is_not_asked_is_not_there(data: Path, trimmed: None) -> None:
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(_MANNERS)
    with pytest.raises(UnknownServiceError):
        botocore.session.Session().create_client("dynamodb", region_name="eu-central-1")


def test_amazons_roots_are_among_botocores(site: Path) -> None:
    """RDS Proxy's certificate is checked against them."""
    assert bundle.authorities(site / bundle.CERTIFICATES) >= bundle.AMAZON_ROOTS


# --- What goes in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("botocore/client.py", True),
        ("botocore/cacert.pem", True),
        ("botocore/data/endpoints.json", True),
        ("botocore/data/partitions.json", True),
        ("botocore/data/s3/2006-03-01/service-2.json.gz", True),
        ("botocore/data/s3/2006-03-01/examples-1.json", False),
        ("botocore/data/dynamodb/2012-08-10/service-2.json.gz", False),
        ("botocore/data/s3control/2018-08-20/service-2.json.gz", False),
        ("psycopg_binary/pq.cpython-313-aarch64-linux-gnu.so", True),
        ("psycopg_binary.libs/libpq-53e4e5f8.so.5.18", True),
        ("psycopg_binary/_psycopg.pyi", False),
        ("psycopg/__pycache__/rows.cpython-311.pyc", False),
        ("pydantic/py.typed", False),
        ("cffi/_embedding.h", False),
        ("bin/jp.py", False),
        ("jwt/api_jws.py", True),
        ("pyjwt-2.15.1.dist-info/METADATA", True),
        ("pyjwt-2.15.1.dist-info/licenses/LICENSE", True),
        ("six-1.17.0.dist-info/LICENSE", True),
        ("botocore-1.44.8.dist-info/NOTICE", True),
        ("cryptography-50.0.2.dist-info/sboms/sbom.json", True),
        ("pyjwt-2.15.1.dist-info/RECORD", False),
        ("pyjwt-2.15.1.dist-info/INSTALLER", False),
        ("cffi-2.1.1.dist-info/entry_points.txt", False),
    ],
)
def test_of_packages_is_kept(path: str, kept: bool) -> None:
    assert is_kept(PurePosixPath(path), {"s3", "kms"}) is kept


@pytest.mark.parametrize(
    ("path", "reads"),
    [
        ("pypdf/_reader.py", True),
        ("pypdf-7.1.1.dist-info/METADATA", True),
        ("pypdf.py", False),
        ("pydantic/main.py", False),
        ("notpypdf/x.py", False),
    ],
)
def test_the_pdf_reader_is_known(path: str, reads: bool) -> None:
    assert bundle.is_pdf_reader(PurePosixPath(path)) is reads


def test_own_files_are_all_that_runs_and_nothing_else() -> None:
    found = {path.as_posix() for path in bundle.own_files(ROOT / "backend_lambda")}
    assert {"handler.py", "app.py", "streaming/start", "templates/share.html"} <= found
    assert {f"migrations/{path.name}" for path in (ROOT / "backend_lambda/migrations").glob("*.sql")} <= found
    assert not {path for path in found if path.startswith(("planning/", "stacks/", "tests/"))}
    assert not {path for path in found if path.endswith((".md", ".pyc", ".yaml", ".toml"))}


@pytest.mark.parametrize("name", ["notes.txt", "aws/key.pem", "services/data.bin", "streaming/stop"])
def test_an_own_file_of_a_strange_kind_is_asked_about(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(Fault, match=re.escape(name)) as told:
        bundle.own_files(tmp_path)
    assert told.value.status == 1


def test_own_files_that_are_passed_over(tmp_path: Path) -> None:
    for name in ("planning/x.bin", "stacks/core.yaml", "stacks/.aws-sam/build/a.py", "README.md", ".hidden", "a/__pycache__/a.pyc", "a/b.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert bundle.own_files(tmp_path) == [PurePosixPath("a/b.py")]


# --- A whole one -------------------------------------------------------------------------------------

PROBE = """
import importlib, json, os, sys
assert not [path for path in sys.path if "site-packages" in path], sys.path
for name in json.loads(sys.argv[1]):
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function)), name
task = os.getcwd()
for name, module in sorted(sys.modules.items()):
    source = getattr(module, "__file__", None) or ""
    assert source.startswith((task, sys.base_prefix)) or not source, (name, source)
from backend_lambda import handler
print(json.dumps(handler.lambda_handler(json.loads(sys.argv[2]), None)))
"""


def handlers() -> list[str]:
    """Of every function of every template."""
    texts = [
        path.read_text("utf-8") for path in sorted(STACKS.rglob("*.yaml")) if ".aws-sam" not in path.parts
    ]
    return sorted({name for text in texts for name in re.findall(r"^ +Handler: (backend_lambda\S+)$", text, re.MULTILINE)})  # fmt: skip


def started(task: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A Python that knows the bundle and its own library, and nothing of this environment."""
    return subprocess.run(
        [INTERPRETER, "-S", "-B", *arguments],
        cwd=task,
        env={"PYTHONPATH": str(task), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


SETTINGS = {
    "HH_STAGE": "local",
    "HH_REGION": "eu-central-1",
    "HH_PUBLIC_URL": "https://api.example",
    "HH_DATABASE_URL": "postgresql://api@127.0.0.1:1/health",  # nobody is there
    "HH_SIGNING_KEY_ID": "a-key",
    "HH_OIDC_ISSUERS": "https://people.example",
    "HH_OIDC_AUDIENCE": "kiosks",
    "HH_DOCUMENTS_BUCKET": "documents",
    "HH_AUDIT_BUCKET": "audit",
    "HH_MODEL_IDS": "a-model",
    "HH_AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
}


@only_linux
@pytest.mark.parametrize("function", ["ApiFunction", "ProcessingFunction"])
def test_a_bundle_runs_where_nothing_else_is_installed(made: Callable[[str], Path], function: str) -> None:
    """Every handler can be loaded from each, and the API answers for its health: not well, for nobody is behind it."""
    task = made(function)
    assert len(handlers()) >= 6
    asked = json.dumps(event("GET", "/v1/health", request_id="a-request"))
    done = started(task, "-c", PROBE, json.dumps(handlers()), asked, **SETTINGS)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["statusCode"] == 503
    health = json.loads(answer["body"])
    assert {part["name"] for part in health["parts"]} == {"store", "objects", "signer"}
    assert health["ready"] is False


@only_linux
def test_the_chat_starts_from_its_bundle(made: Callable[[str], Path]) -> None:
    """By its wrapper, as Lambda calls it; whoever shows no token is refused."""
    task = made("ChatFunction")
    asked = event("POST", "/v1/chat", body={"turns": []}, request_id="a-request")
    with RuntimeApi() as api:
        api.invoke("an-invocation", asked)
        with subprocess.Popen(
            [str(task / "backend_lambda/streaming/start"), INTERPRETER, "/var/runtime/bootstrap.py"],
            env={
                **SETTINGS,
                "PATH": "/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
                "LAMBDA_TASK_ROOT": str(task),
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "_HANDLER": "backend_lambda.app.chat_handler",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            try:
                answer = api.answers.get(timeout=60)
            finally:
                process.kill()
                api.invoke("nobody", {})  # the API waits for one, on behalf of a process that is gone
    head, _, body = answer.body.partition(b"\0" * 8)
    assert answer.path.endswith("/an-invocation/response")
    assert json.loads(head)["statusCode"] == 401
    assert json.loads(body)["request_id"] == "a-request"


@only_linux
def test_only_who_reads_files_can_read_pdf(made: Callable[[str], Path]) -> None:
    ask = "import backend_lambda.services.inspection.pdf"
    assert started(made("ProcessingFunction"), "-c", ask).returncode == 0
    refused = started(made("ApiFunction"), "-c", ask)
    assert "No module named 'pypdf'" in refused.stderr


@only_linux
def test_two_builds_are_alike(site: Path, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    first, second = made("ApiFunction"), tmp_path / "second"
    prepare(monkeypatch, site)
    previous = os.umask(0o077)  # another person's
    try:
        bundle.build("ChatFunction", second, platform.machine())
    finally:
        os.umask(previous)
    assert bundle.digest(first) == bundle.digest(second)
    for path in first.rglob("*"):
        one, other = path.stat(), (second / path.relative_to(first)).stat()
        assert (one.st_mode, int(one.st_mtime)) == (other.st_mode, int(other.st_mtime))
        assert one.st_mode & 0o444 == 0o444


@only_linux
def test_the_start_of_the_chat_can_be_started(made: Callable[[str], Path]) -> None:
    start = made("ChatFunction") / "backend_lambda" / "streaming" / "start"
    assert start.stat().st_mode & 0o777 == 0o755
    assert b"\r" not in start.read_bytes()


@only_linux
def test_a_folder_that_holds_something_is_left_alone(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    prepare(monkeypatch, site)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Fault, match="not empty"):
        bundle.build("ApiFunction", tmp_path, platform.machine())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# --- Mistakes that must be noticed -------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, site: Path) -> Path:
    """The least that a bundle is."""
    task = tmp_path / "task"
    for path in (bundle.OWN / "handler.py", *(bundle.OWN / path for path in bundle.OWN_PROGRAMS)):
        bundle.copy(ROOT / path, task / path)
    bundle.copy(site / bundle.CERTIFICATES, task / bundle.CERTIFICATES)
    bundle.make_alike(task)
    return task


def test_the_least_bundle_has_no_flaw(small: Path) -> None:
    assert bundle.flaws(small, MACHINE) == []


def fill(path: Path, data: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def elf(machine: int, bits: int = 2) -> bytes:
    return b"\x7fELF" + bytes([bits, 1]) + bytes(12) + machine.to_bytes(2, "little") + bytes(40)


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "planning": (lambda task: (task / "backend_lambda/planning").mkdir(), "backend_lambda/planning never"),
    "stacks": (lambda task: (task / "backend_lambda/stacks").mkdir(), "backend_lambda/stacks never"),
    "own tests": (lambda task: fill(task / "backend_lambda/tests/test_a.py"), "backend_lambda/tests never"),
    "tests": (lambda task: fill(task / "tests/test_a.py"), "tests never"),
    "the client": (lambda task: fill(task / "client/__init__.py"), "client never"),
    "types": (lambda task: fill(task / "psycopg/a.pyi"), "a.pyi has nothing to do here"),
    "settings": (lambda task: fill(task / ".env", b"SECRET=1"), ".env has nothing to do here"),
    "a key": (lambda task: fill(task / "backend_lambda/signing.key"), "signing.key has nothing to do here"),
    "a link": (lambda task: (task / "a.py").symlink_to("/etc/passwd"), "a.py is a link"),
    "another machine": (lambda task: fill(task / "x.cpython-313.so", elf(40)), "x.cpython-313.so is not for"),
    "a 32-bit one": (lambda task: fill(task / "x.so.1", elf(MACHINE.elf, 1)), "x.so.1 is not for"),
    "an empty one": (lambda task: fill(task / "x.so"), "x.so is not for"),
    "no start": (
        lambda task: (task / "backend_lambda/streaming/start").unlink(),
        "streaming/start is missing",
    ),
    "no exec": (
        lambda task: (task / "backend_lambda/streaming/start").chmod(0o644),
        "start cannot be started",
    ),
    "no roots": (lambda task: (task / bundle.CERTIFICATES).unlink(), "botocore/cacert.pem is missing"),
    "fewer roots": (
        lambda task: lose_a_root(task / bundle.CERTIFICATES),
        "cacert.pem lacks Amazon Root CA 3",
    ),
}


def lose_a_root(path: Path) -> None:
    blocks = re.findall(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", path.read_text("utf-8"), re.DOTALL)
    wanted = re.compile("Amazon Root CA 3")
    kept = [
        block
        for block in blocks
        if not wanted.search(x509.load_pem_x509_certificate(block.encode()).subject.rfc4514_string())
    ]
    assert len(kept) == len(blocks) - 1
    path.write_text("".join(kept))


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of one of the roots
@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_is_noticed(small: Path, mistake: str) -> None:
    make, told = MISTAKES[mistake]
    make(small)
    assert [flaw for flaw in bundle.flaws(small, MACHINE) if told in flaw]


def test_a_library_for_this_machine_is_none(small: Path) -> None:
    fill(small / "x.so", elf(MACHINE.elf))
    assert bundle.flaws(small, MACHINE) == []


def test_what_is_too_large_is_noticed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "UNZIPPED_BYTES", bundle.weight(small) - 1)
    assert [flaw for flaw in bundle.flaws(small, MACHINE) if "more than Lambda takes" in flaw]


# --- Sizes, certificates, bytecode -------------------------------------------------------------------


def test_sizes_are_told_and_equal_bundles_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(small, small.parent / "beside")
    assert bundle.main(["sizes", str(small.parent)]) == 0
    _, first, second, limit = capsys.readouterr().out.splitlines()
    assert first.startswith("beside")
    assert second.startswith("task") and second.endswith("as beside")
    assert limit.split() == ["Lambda", "takes", "262.1", "52.4"]


@pytest.mark.parametrize("limit", ["ZIPPED_BYTES", "UNZIPPED_BYTES"])
def test_a_size_beyond_a_limit_fails(small: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(bundle, limit, 1000)
    assert bundle.main(["sizes", str(small.parent)]) == 1


def test_sizes_of_nothing_are_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle.main(["sizes", str(tmp_path)]) == 4
    assert "sam build" in capsys.readouterr().err


def certificate(*, authority: bool) -> tuple[bytes, bytes]:
    """One that signs itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Amazon RDS eu-central-1 Root CA")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


ROOT_CERTIFICATE, ROOT_KEY = certificate(authority=True)


def test_certificates_of_authorities_are_taken(tmp_path: Path) -> None:
    other, _ = certificate(authority=True)
    (tmp_path / "roots.pem").write_bytes(ROOT_CERTIFICATE + other)
    assert bundle.certificates(tmp_path / "roots.pem") == ROOT_CERTIFICATE + other


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Not found</html>",
        ROOT_CERTIFICATE.replace(b"M", b"N", 2),
        ROOT_CERTIFICATE[:-40],
        ROOT_CERTIFICATE + ROOT_KEY,
        ROOT_CERTIFICATE + certificate(authority=False)[0],
        "Zertifikat für RDS".encode(),
        None,
    ],
    ids=["empty", "a page", "altered", "cut off", "with a key", "with a server's", "no ASCII", "no file"],
)
def test_anything_else_is_refused(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "roots.pem").write_bytes(data)
    with pytest.raises(Fault, match="RDS_CERTIFICATES"):
        bundle.certificates(tmp_path / "roots.pem")


@only_linux
def test_a_replicas_roots_are_put_in_when_they_are_given(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[str], Path]) -> None:  # fmt: skip
    prepare(monkeypatch, site)
    (tmp_path / "roots.pem").write_bytes(ROOT_CERTIFICATE)
    monkeypatch.setenv("RDS_CERTIFICATES", str(tmp_path / "roots.pem"))
    bundle.build("ApiFunction", tmp_path / "task", platform.machine())
    assert (tmp_path / "task" / "rds-global-bundle.pem").read_bytes() == ROOT_CERTIFICATE
    assert not (made("ApiFunction") / "rds-global-bundle.pem").exists()


@only_linux
def test_bytecode_is_used_as_it_is_and_knows_nothing_of_where_it_was_made(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(bundle, "PYTHON", sys.version_info[:2])
    monkeypatch.delenv("LAMBDA_PYTHON", raising=False)
    compiler = bundle.bytecode_compiler()
    assert compiler is not None
    assert compiler[1] == f"cpython {platform.python_version()}"
    module = small / "backend_lambda" / "odd.py"
    module.write_text("def which():\n    return 'compiled before'\n")
    bundle.compile_folder(compiler[0], small / "backend_lambda", "/var/task/backend_lambda")
    bundle.make_alike(small)
    [compiled] = module.parent.glob("__pycache__/odd.*.pyc")
    assert b"/var/task/backend_lambda/odd.py" in compiled.read_bytes()
    assert str(tmp_path).encode() not in compiled.read_bytes()
    module.write_text("def which():\n    return 'compiled anew'\n")  # its time is new, too
    done = started(small, "-c", "import backend_lambda.odd as odd; print(odd.which())")
    assert done.stdout == "compiled before\n", done.stderr


def test_another_python_is_no_compiler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setattr(bundle, "PYTHON", (3, 99))
    for named in (sys.executable, "/nowhere/python", str(ROOT)):
        monkeypatch.setenv("LAMBDA_PYTHON", named)
        with pytest.raises(Fault, match=r"is not CPython 3\.99"):
            bundle.bytecode_compiler()
    monkeypatch.delenv("LAMBDA_PYTHON")
    assert bundle.bytecode_compiler() is None
    assert "LAMBDA_PYTHON" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None or sys.platform != "linux", reason="no make")
def test_the_makefile_hands_name_and_folder_on(tmp_path: Path) -> None:
    """As `sam build` calls it, from a copy of the folder in another place."""
    told = tmp_path / "python with a space"
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    told.chmod(0o755)
    target = tmp_path / "a folder" / "ApiFunction"
    done = subprocess.run(
        ["make", "--makefile", str(STACKS / "Makefile"), "build-ApiFunction", f"PYTHON={told}"],
        cwd=tmp_path,
        env={
            **{
                name: value for name, value in os.environ.items() if not name.startswith("MAKE")
            },  # of `make test`
            "ARTIFACTS_DIR": str(target),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [str(STACKS / "bundle.py"), "build", "ApiFunction", str(target)]
