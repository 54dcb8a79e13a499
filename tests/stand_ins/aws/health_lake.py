"""Stands in for AWS HealthLake (StartFHIRImportJob, DescribeFHIRImportJob) in tests; never shipped.

A job reads what lies in the bucket below its prefix, at once: a line that is no resource of FHIR, or lacks an id or a type, is an error
of the customer's. Validates no further: that is done in the tests with HL7's classes.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.aws.exchange import Refused
from tests.stand_ins.aws.s3 import S3
from tests.stand_ins.aws.service_models import Service


class HealthLake:
    """One data store. resources: by type and id, as imported; a later one overwrites. jobs: by identifier."""

    def __init__(self, s3: S3, now_s: Callable[[], float]) -> None:
        self._s3, self._now_s = s3, now_s
        self.datastore_id = secrets.token_hex(16)
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self._tokens: dict[str, str] = {}
        self.service = Service(
            "healthlake", {"StartFHIRImportJob": self._start, "DescribeFHIRImportJob": self._describe}
        )

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        self._known(request)
        output = request["JobOutputDataConfig"]["S3Configuration"]
        for uri in (request["InputDataConfig"]["S3Uri"], output["S3Uri"]):
            if not re.fullmatch(r"s3://[a-z0-9][.a-z0-9-]{1,61}[a-z0-9]/.+/", uri):
                raise Refused(400, "ValidationException", "An S3Uri names no folder.")
        if not re.fullmatch(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+", output["KmsKeyId"]):
            raise Refused(400, "ValidationException", "KmsKeyId names no key.")
        if not re.fullmatch(r"arn:aws:iam::\d{12}:role/.+", request["DataAccessRoleArn"]):
            raise Refused(400, "ValidationException", "DataAccessRoleArn names no role.")
        if not re.fullmatch(r"[a-zA-Z0-9-]{1,64}", request["ClientToken"]):
            raise Refused(400, "ValidationException", "The client token is no token.")
        self.requests.append(request)
        known = self._tokens.get(request["ClientToken"])
        if known is None:
            known = self._tokens[request["ClientToken"]] = secrets.token_hex(16)
            self.jobs[known] = self._imported(request, known)
        return {"JobId": known, "JobStatus": "SUBMITTED", "DatastoreId": self.datastore_id}

    def _imported(self, request: dict[str, Any], job: str) -> dict[str, Any]:
        bucket, _, prefix = request["InputDataConfig"]["S3Uri"].removeprefix("s3://").partition("/")
        files = failed = imported = 0
        for key in sorted(self._s3.buckets[bucket].versions):
            version = self._s3.newest(bucket, key) if key.startswith(prefix) else None
            if version is None:
                continue
            files += 1
            for line in version.read().decode().splitlines():
                try:
                    resource = json.loads(line)
                    self.resources[resource["resourceType"], resource["id"]] = resource
                    imported += 1
                except (ValueError, KeyError, TypeError):
                    failed += 1
        now = datetime.fromtimestamp(self._now_s(), UTC)
        return {
            "JobId": job,
            "JobName": request.get("JobName", ""),
            "JobStatus": "COMPLETED_WITH_ERRORS" if failed else "COMPLETED",
            "SubmitTime": now,
            "EndTime": now,
            "DatastoreId": self.datastore_id,
            "InputDataConfig": request["InputDataConfig"],
            "JobProgressReport": {
                "TotalNumberOfScannedFiles": files,
                "TotalNumberOfResourcesImported": imported,
                "TotalNumberOfResourcesWithCustomerError": failed,
            },
        }

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        self._known(request)
        job = self.jobs.get(request["JobId"])
        if job is None:
            raise Refused(400, "ResourceNotFoundException", "There is no such job.")
        return {"ImportJobProperties": job}

    def _known(self, request: dict[str, Any]) -> None:
        if request["DatastoreId"] != self.datastore_id:
            raise Refused(400, "ResourceNotFoundException", "There is no such data store.")
