"""AWS HealthLake: import jobs, and the bucket that they read."""

from __future__ import annotations

from typing import Any

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.aws.objects import S3Objects
from backend_lambda.errors import Code, unavailable

_WHAT = "HealthLake"
_NOTE_BYTES = 10_000


class HealthLakeImports:
    """Implements `services.health_lake.Imports`.

    role_arn: HealthLake takes it to read and write the bucket. key_arn: KMS, of what HealthLake writes there.
    """

    def __init__(self, clients: Clients, datastore_id: str, bucket: str, role_arn: str, key_arn: str) -> None:
        self._clients, self._datastore_id, self._bucket = clients, datastore_id, bucket
        self._role_arn, self._key_arn = role_arn, key_arn

    def start(self, name: str, input_prefix: str, output_prefix: str, token: str) -> str:
        output = {"S3Uri": f"s3://{self._bucket}/{output_prefix}", "KmsKeyId": self._key_arn}
        wanted = {
            "JobName": name,
            "InputDataConfig": {"S3Uri": f"s3://{self._bucket}/{input_prefix}"},
            "JobOutputDataConfig": {"S3Configuration": output},
            "DatastoreId": self._datastore_id,
            "DataAccessRoleArn": self._role_arn,
            "ClientToken": token,
        }
        return str(self._ask(lambda lake: lake.start_fhir_import_job(**wanted), "JobId")["JobId"])

    def state(self, job: str) -> tuple[str, int]:
        wanted = {"DatastoreId": self._datastore_id, "JobId": job}
        answer = self._ask(lambda lake: lake.describe_fhir_import_job(**wanted), "ImportJobProperties")
        found = answer["ImportJobProperties"]
        report = found.get("JobProgressReport", {})
        failed = report.get("TotalNumberOfResourcesWithCustomerError", 0) + report.get(
            "TotalNumberOfFilesReadWithCustomerError", 0
        )
        return str(found["JobStatus"]), int(failed)

    def _ask(self, call: Any, needs: str) -> Any:
        try:
            return asked(lambda: call(self._clients("healthlake")), needs=needs)
        except Fault as fault:
            refused = (
                unavailable(Code.INTERNAL, f"{_WHAT} takes no more jobs now.", retry_after_s=60.0)
                if fault.code == "ThrottlingException"
                else refusal(fault, Code.INTERNAL, _WHAT)
            )
        raise refused


class ImportFiles:
    """Implements `services.health_lake.Files`."""

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def exists(self, key: str) -> bool:
        return self._objects.head(key) is not None

    def write(self, key: str, data: bytes, media_type: str) -> None:
        self._objects.write(key, data, media_type)

    def read(self, key: str) -> bytes:
        found = self._objects.head(key)
        return b"{}" if found is None else self._objects.read(key, found.version_id, _NOTE_BYTES)

    def erase(self, prefix: str) -> None:
        self._objects.erase(prefix)
