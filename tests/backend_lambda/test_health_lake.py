"""The nightly import into HealthLake: from the store through files to the data store, twice, broken off, and for several clinics."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from backend_lambda import health_lake as entry
from backend_lambda import wire
from backend_lambda.aws.clients import Clients
from backend_lambda.aws.health_lake import HealthLakeImports, ImportFiles
from backend_lambda.aws.objects import S3Objects
from backend_lambda.errors import Code, Refusal, unavailable
from backend_lambda.health_lake import ExportFunction, NotDone, WrongEnvironment, read
from backend_lambda.services import fhir, health_lake
from backend_lambda.services.health_lake import HealthLakeExport
from backend_lambda.store import audit, clinics, observations
from backend_lambda.store.database import Database
from tests.backend_lambda.conftest import SetClock
from tests.backend_lambda.fakes import FakeMeasures
from tests.backend_lambda.store.making import device
from tests.stand_ins.aws.server import AwsStandIn
from tests.stand_ins.postgres import Urls

DAY = date(2026, 11, 26)
BUCKET = "health-helper-import"
ROLE, KEY = "arn:aws:iam::123456789012:role/import", "arn:aws:kms:eu-central-1:123456789012:key/abc-1"
ENTERED = {
    "kind": "temperature",
    "entered": True,
    "values": {"celsius": {"value": 36.6, "unit": "°C"}},
}
HEART = {"value": 61.5, "low": 59.0, "high": 64.0, "unit": "/min"}


@pytest.fixture(scope="module")
def one_aws() -> Iterator[AwsStandIn]:
    with AwsStandIn(workers=8) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment().items():
            patch.setenv(name, value)
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        aws.s3.add_bucket(BUCKET)
        yield aws


@pytest.fixture
def aws(one_aws: AwsStandIn) -> Iterator[AwsStandIn]:
    one_aws.faults.clear()
    one_aws.health_lake.resources.clear()
    one_aws.health_lake.requests.clear()
    yield one_aws
    one_aws.faults.clear()
    assert one_aws.failures == []


@pytest.fixture(scope="module")
def clients(one_aws: AwsStandIn) -> Iterator[Clients]:
    made = Clients(one_aws.region, one_aws.url)
    yield made
    made.close()


@pytest.fixture
def measures() -> FakeMeasures:
    return FakeMeasures()


@pytest.fixture
def export(
    urls: Urls,
    connected: Callable[[str], Database],
    aws: AwsStandIn,
    clients: Clients,
    measures: FakeMeasures,
    clock: SetClock,
) -> HealthLakeExport:
    """As the function's own login."""
    imports = HealthLakeImports(clients, aws.health_lake.datastore_id, BUCKET, ROLE, KEY)
    files = ImportFiles(S3Objects(clients, BUCKET))
    return HealthLakeExport(connected(urls.export), files, imports, measures, clock)


def received(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    at: datetime,
    patient_id: UUID | None = None,
    **changes: Any,
) -> wire.Observation:
    """One observation that arrived then."""
    made = wire.Observation.model_validate(
        {
            "id": uuid4(),
            "patient_id": patient_id or uuid4(),
            "kind": "scan",
            "taken_at": at,
            "utc_offset_min": 60,
            "software_version": "1.4.0",
            "values": {"heart_rate": HEART, "rmssd": {"value": None, "unit": "ms", "reasons": ["too_short"]}},
            **changes,
        }
    )
    with api.clinic(clinic_id) as tx:
        assert observations.add_many(tx, device_id, [made], at) == [wire.ItemStatus.STORED]
    return made


def at(hour: float, day: date = DAY) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)


def kinds(aws: AwsStandIn) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind, _ in aws.health_lake.resources:
        found[kind] = found.get(kind, 0) + 1
    return found


def keys(aws: AwsStandIn, prefix: str) -> list[str]:
    return sorted(
        key
        for key in aws.s3.buckets[BUCKET].versions
        if key.startswith(prefix) and aws.s3.newest(BUCKET, key)
    )


def audited(api: Database, clinic_id: UUID) -> list[wire.AuditEntry]:
    with api.clinic(clinic_id) as tx:
        return audit.page(tx, 0, 100)


def test_a_day_of_a_clinic(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    measures: FakeMeasures,
) -> None:
    patient = uuid4()
    wanted = [
        received(api, clinic_id, device_id, at(0), patient),
        received(api, clinic_id, device_id, at(23.9999), patient),
        received(
            api,
            clinic_id,
            device_id,
            at(12),
            kind="temperature",
            entered=True,
            values={"celsius": {"value": 36.6, "unit": "°C"}},
        ),
    ]
    received(api, clinic_id, device_id, at(-0.001))
    received(api, clinic_id, device_id, at(24))
    received(api, clinic_id, device_id, at(5), facts={"simulated": True})
    done = export.export(clinic_id, DAY, request_id="r")
    assert (done.patients, done.resources, done.again) == (2, 2 + 1 + 3, False)
    assert kinds(aws) == {"Patient": 2, "Device": 1, "Observation": 3}
    identifiers = {
        resource["identifier"][0]["value"]
        for (kind, _), resource in aws.health_lake.resources.items()
        if kind == "Observation"
    }
    assert identifiers == {one.id.urn for one in wanted}
    references = {
        resource[name]["reference"]
        for resource in aws.health_lake.resources.values()
        for name in ("subject", "device")
        if name in resource
    }
    assert references <= {f"{kind}/{id_}" for kind, id_ in aws.health_lake.resources}, (
        "nothing refers to nothing"
    )
    (entry_,) = [one for one in audited(api, clinic_id) if one.action == "observations.import"]
    assert (entry_.object_id, entry_.result, entry_.request_id) == ("2026-11-26", done.job, "r")
    assert ("health_lake_resources", 6.0, "Count", str(clinic_id)) in measures.added
    (request,) = aws.health_lake.requests
    assert request["ClientToken"] == f"2026-11-26-{clinic_id}-1"
    assert request["JobOutputDataConfig"]["S3Configuration"]["KmsKeyId"] == KEY
    outcome = export.outcome(clinic_id, DAY)
    assert outcome == health_lake.ImportState("COMPLETED", 0)


def test_the_same_day_again_does_nothing_and_another_attempt_overwrites(
    api: Database, clinic_id: UUID, device_id: UUID, export: HealthLakeExport, aws: AwsStandIn
) -> None:
    received(api, clinic_id, device_id, at(1))
    first = export.export(clinic_id, DAY)
    again = export.export(clinic_id, DAY)
    assert (again.job, again.again) == (first.job, True)
    assert len(aws.health_lake.requests) == 1
    before = dict(aws.health_lake.resources)
    second = export.export(clinic_id, DAY, attempt=2)
    assert second.job != first.job
    assert aws.health_lake.resources == before, "the same identifiers"


def test_a_day_that_is_not_over(clinic_id: UUID, export: HealthLakeExport, clock: SetClock) -> None:
    with pytest.raises(Refusal) as refused:
        export.export(clinic_id, clock.utc().date())
    assert refused.value.code is Code.BAD_REQUEST


def test_a_day_without_anything(clinic_id: UUID, export: HealthLakeExport, aws: AwsStandIn) -> None:
    assert export.export(clinic_id, DAY) == health_lake.Exported("")
    assert not aws.health_lake.requests
    assert export.outcome(clinic_id, DAY) is None
    assert export.export(clinic_id, DAY).again


def test_a_run_that_broke_off_leaves_nothing_of_who_was_erased_since(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = received(api, clinic_id, device_id, at(1)).patient_id
    stays = received(api, clinic_id, device_id, at(2)).patient_id

    def broken(*_: object) -> str:
        raise unavailable(Code.INTERNAL, "HealthLake does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(HealthLakeImports, "start", broken)
        with pytest.raises(Refusal):
            export.export(clinic_id, DAY)
    assert len(keys(aws, f"in/{clinic_id}/")) == 3
    assert export.outcome(clinic_id, DAY) is None
    with api.clinic(clinic_id) as tx:
        assert observations.erase_patient(tx, gone, at(30)) == 1
    export.export(clinic_id, DAY)
    patients = {id_ for kind, id_ in aws.health_lake.resources if kind == "Patient"}
    assert patients == {fhir.patient_id(clinic_id, stays)}
    texts = [
        version.read()
        for key in keys(aws, f"in/{clinic_id}/")
        for version in aws.s3.buckets[BUCKET].versions[key]
    ]
    assert not any(str(gone).encode() in text for text in texts), "no older version of a file either"


def test_where_the_audit_cannot_be_written_the_day_is_not_done(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received(api, clinic_id, device_id, at(1))

    def fails(*_: object) -> int:
        raise unavailable(Code.STORE_UNAVAILABLE, "away")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "append_import", fails)
        with pytest.raises(Refusal):
            export.export(clinic_id, DAY)
    done = export.export(clinic_id, DAY)
    assert not done.again
    assert len({request["ClientToken"] for request in aws.health_lake.requests}) == 1
    assert len(aws.health_lake.requests) == 2, (
        "HealthLake is asked with the same token, which starts nothing twice"
    )
    assert [one.result for one in audited(api, clinic_id) if one.action == "observations.import"] == [
        done.job
    ]


def test_many_are_read_by_pages_and_written_in_files(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where many arrived at the same moment, over the end of a page."""
    monkeypatch.setattr(health_lake, "PAGE", 4)
    monkeypatch.setattr(health_lake, "FILE_BYTES", 3_000)
    made = [received(api, clinic_id, device_id, at(hour)) for hour in (1, 2, *[3] * 9, 4, 5)]
    done = export.export(clinic_id, DAY)
    assert done.patients == len(made)
    assert kinds(aws) == {"Patient": 13, "Device": 1, "Observation": 13}
    files = keys(aws, f"in/{clinic_id}/2026-11-26/")
    assert sum("Observation-" in key for key in files) >= 4
    for key in files:
        version = aws.s3.newest(BUCKET, key)
        assert version is not None
        lines = version.read().decode().splitlines()
        assert {json.loads(line)["resourceType"] for line in lines} == {
            key.rpartition("/")[2].partition("-")[0]
        }
        assert len(version.read()) < 3_000 + 2_000


def test_another_clinic_s_stay_out(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    clock: SetClock,
) -> None:
    other = uuid4()
    with api.outside() as tx:
        assert clinics.add(tx, other, "Other", clock.utc())
    with api.clinic(other) as tx:
        others = device(tx)
    received(api, other, others, at(1))
    received(api, clinic_id, device_id, at(1))
    export.export(clinic_id, DAY)
    tags = {resource["meta"]["tag"][0]["code"] for resource in aws.health_lake.resources.values()}
    assert tags == {str(clinic_id)}


def test_the_login_can_read_observations_and_nothing_else(urls: Urls, clinic_id: UUID) -> None:
    with closing(psycopg.connect(urls.export)) as connection:
        assert connection.execute("SELECT count(*) FROM observation").fetchall() == [(0,)], (
            "without a clinic: none"
        )
        connection.commit()
        for statement in ("SELECT 1 FROM clinic", "SELECT 1 FROM device", "SELECT 1 FROM upload", "DELETE FROM observation", "SELECT 1 FROM audit", "SELECT 1 FROM erased_patient"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.rollback()


def test_what_healthlake_did_not_take_is_measured(
    api: Database,
    clinic_id: UUID,
    device_id: UUID,
    export: HealthLakeExport,
    aws: AwsStandIn,
    measures: FakeMeasures,
) -> None:
    received(api, clinic_id, device_id, at(1))
    job = export.export(clinic_id, DAY).job
    aws.health_lake.jobs[job] |= {
        "JobStatus": "COMPLETED_WITH_ERRORS",
        "JobProgressReport": {"TotalNumberOfResourcesWithCustomerError": 3},
    }
    assert export.outcome(clinic_id, DAY) == health_lake.ImportState("COMPLETED_WITH_ERRORS", 3)
    assert ("health_lake_not_imported", 3.0, "Count", None) in measures.added
    aws.health_lake.jobs[job] |= {"JobStatus": "FAILED", "JobProgressReport": {}}
    export.outcome(clinic_id, DAY)
    assert ("health_lake_not_imported", 1.0, "Count", None) in measures.added


@pytest.mark.parametrize("wrong", ["datastore", "role"])
def test_what_healthlake_refuses_is_told_without_its_words(
    aws: AwsStandIn, clients: Clients, *, wrong: str
) -> None:
    imports = HealthLakeImports(
        clients, "f" * 32 if wrong == "datastore" else aws.health_lake.datastore_id, BUCKET,
        "arn:aws:iam::1:role/x" if wrong == "role" else ROLE, KEY,
    )  # fmt: skip
    with pytest.raises(Refusal) as refused:
        imports.start("n", "in/a/", "out/a/", "t")
    assert refused.value.status == 503
    assert "names no" not in str(refused.value)


# --- The handler --------------------------------------------------------------------------------------------------


class Script:
    """An export that does what it is told."""

    def __init__(self, fails: Mapping[UUID, Exception] | None = None) -> None:
        self.fails = fails or {}
        self.asked: list[tuple[UUID, date, int]] = []

    def export(self, clinic_id: UUID, day: date, *, attempt: int, request_id: str) -> health_lake.Exported:
        self.asked.append((clinic_id, day, attempt))
        if clinic_id in self.fails:
            raise self.fails[clinic_id]
        return health_lake.Exported("job", 1, 3)

    def outcome(self, clinic_id: UUID, day: date) -> health_lake.ImportState | None:
        return health_lake.ImportState("COMPLETED", 0)


A, B = UUID(int=1), UUID(int=2)


def function(
    script: Script, lines: list[tuple[str, str, Mapping[str, object]]] | None = None
) -> ExportFunction:
    kept = lines if lines is not None else []
    return ExportFunction(script, (A, B), SetClock(), lambda *line: kept.append(line), lambda: None)  # type: ignore[arg-type]


def test_each_clinic_s_yesterday() -> None:
    script = Script()
    assert function(script)({"source": "aws.scheduler"}, "r") == {"clinics": 2}
    assert script.asked == [(A, DAY, 1), (B, DAY, 1)]


def test_a_day_by_name_and_again() -> None:
    script = Script()
    function(script)({"day": "2026-11-20", "attempt": 2}, "r")
    assert script.asked == [(A, date(2026, 11, 20), 2), (B, date(2026, 11, 20), 2)]
    with pytest.raises(ValueError, match="isoformat"):
        function(script)({"day": "yesterday"}, "r")


def test_one_clinic_that_fails_spoils_no_other_and_is_told_without_what_was_read() -> None:
    lines: list[tuple[str, str, Mapping[str, object]]] = []
    script = Script({A: RuntimeError("the patient is called …")})
    with pytest.raises(NotDone, match="1 of 2"):
        function(script, lines)({}, "r")
    assert len(script.asked) == 2
    assert [level for level, *_ in lines] == ["error", "info"]
    assert lines[0][2]["kind"] == "RuntimeError"
    assert "patient is" not in str(lines)


ENVIRONMENT = {
    "HH_STAGE": "local",
    "HH_REGION": "eu-central-1",
    "HH_DATABASE_URL": "postgresql://export@db/health",
    "HH_CLINIC_IDS": f"{A}, {B},{A}",
    "HH_IMPORT_BUCKET": BUCKET,
    "HH_DATASTORE_ID": "d",
    "HH_IMPORT_ROLE_ARN": ROLE,
    "HH_IMPORT_KEY_ARN": KEY,
    "HH_DATABASE_IAM": "true",
}


def test_the_environment() -> None:
    found = read(ENVIRONMENT)
    assert found.clinic_ids == (A, B)
    assert found.database_iam
    with pytest.raises(WrongEnvironment) as wrong:
        read(
            {
                "HH_REGION": "x",
                "HH_CLINIC_IDS": "none",
                "HH_AWS_ENDPOINT_URL": "http://evil",
                "HH_STAGE": "dev",
            }
        )
    for name in ("HH_CLINIC_IDS", "HH_AWS_ENDPOINT_URL", "HH_DATASTORE_ID", "HH_DATABASE_URL"):
        assert name in str(wrong.value)
    assert "evil" not in str(wrong.value)


def test_the_whole_function_by_its_environment(
    api: Database,
    urls: Urls,
    clinic_id: UUID,
    device_id: UUID,
    aws: AwsStandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    received(api, clinic_id, device_id, yesterday)
    environment = {
        **ENVIRONMENT,
        "HH_REGION": aws.region,
        "HH_AWS_ENDPOINT_URL": aws.url,
        "HH_DATABASE_URL": urls.export,
        "HH_DATABASE_IAM": "false",
        "HH_CLINIC_IDS": str(clinic_id),
        "HH_DATASTORE_ID": aws.health_lake.datastore_id,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    log = io.StringIO()
    monkeypatch.setattr(entry.logger.registered_handler, "stream", log)
    entry.function.cache_clear()
    try:
        context: Any = SimpleNamespace(aws_request_id="r-1")
        event = {"day": yesterday.date().isoformat()}
        assert entry.lambda_handler(event, context) == {"clinics": 1}
    finally:
        entry.function()._export._database.close()
        entry.function.cache_clear()
    assert kinds(aws)["Observation"] == 1
    (line,) = [json.loads(text) for text in log.getvalue().splitlines()]
    assert (line["resources"], line["clinic"]) == (3, str(clinic_id))
    monkeypatch.delenv("HH_DATASTORE_ID")
    with pytest.raises(RuntimeError, match="start failed"):
        entry.lambda_handler({}, context)
