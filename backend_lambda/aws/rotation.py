"""A new password for the database's owner, in the four steps in which Secrets Manager asks for it.

RDS itself sets it (ModifyDBInstance), so nothing here needs a way to the database. RDS could manage such a secret alone, but not of a
database that has replicas. Source: AWS Secrets Manager user guide, "Rotation by Lambda function".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from backend_lambda.aws.clients import Clients, Fault, asked, refusal
from backend_lambda.errors import Code, unavailable

PASSWORD_LENGTH = 48
_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"
_WHAT = "The rotation"


class OwnerPassword:
    """Of one secret, which holds JSON with `username`, `password` and `dbInstanceIdentifier`. Every step may come again.

    Each raises Refusal 503 where a service does not answer or is not ready yet: then Secrets Manager asks again.
    """

    def __init__(self, clients: Clients, secret_id: str, token: str) -> None:
        self._clients, self._secret_id, self._token = clients, secret_id, token

    def create(self) -> None:
        """A new password, as the pending version. Raises ValueError where no rotation has been asked for."""
        stages = self._stages()
        if _CURRENT in stages.get(self._token, ()):
            return
        if _PENDING not in stages.get(self._token, ()):
            raise ValueError("no rotation of this version has begun")
        known = self._secret(VersionStage=_CURRENT)
        if self._is_made():
            return
        made = self._ask(
            "secretsmanager",
            lambda client: client.get_random_password(
                PasswordLength=PASSWORD_LENGTH, ExcludePunctuation=True
            ),
        )
        value = json.dumps({**known, "password": made["RandomPassword"]})
        self._ask(
            "secretsmanager",
            lambda client: client.put_secret_value(
                SecretId=self._secret_id,
                ClientRequestToken=self._token,
                SecretString=value,
                VersionStages=[_PENDING],
            ),
        )

    def set(self) -> None:
        """The database gets it. From now until `finish` nobody can sign in as its owner, who has nothing to do meanwhile."""
        pending = self._secret(VersionId=self._token, VersionStage=_PENDING)
        self._ask(
            "rds",
            lambda client: client.modify_db_instance(
                DBInstanceIdentifier=pending["dbInstanceIdentifier"],
                MasterUserPassword=pending["password"],
                ApplyImmediately=True,
            ),
        )

    def test(self) -> None:
        """Whether the database has taken it."""
        pending = self._secret(VersionId=self._token, VersionStage=_PENDING)
        found = self._ask(
            "rds",
            lambda client: client.describe_db_instances(DBInstanceIdentifier=pending["dbInstanceIdentifier"]),
        )["DBInstances"][0]
        waits = "MasterUserPassword" in (found.get("PendingModifiedValues") or {})
        if waits or found.get("DBInstanceStatus") == "resetting-master-credentials":
            raise unavailable(Code.STORE_UNAVAILABLE, "The database has not taken the new password yet.")

    def finish(self) -> None:
        """The pending version becomes the current one, which the proxy reads."""
        stages = self._stages()
        current = next((version for version, names in stages.items() if _CURRENT in names), None)
        if current == self._token:
            return
        moved: dict[str, Any] = {} if current is None else {"RemoveFromVersionId": current}
        self._ask(
            "secretsmanager",
            lambda client: client.update_secret_version_stage(
                SecretId=self._secret_id, VersionStage=_CURRENT, MoveToVersionId=self._token, **moved
            ),
        )

    def _stages(self) -> Mapping[str, list[str]]:
        found = self._ask(
            "secretsmanager", lambda client: client.describe_secret(SecretId=self._secret_id)
        ).get("VersionIdsToStages")
        return found if isinstance(found, Mapping) else {}

    def _secret(self, **which: str) -> dict[str, str]:
        answer = self._ask(
            "secretsmanager", lambda client: client.get_secret_value(SecretId=self._secret_id, **which)
        )
        found: dict[str, str] = json.loads(answer["SecretString"])
        return found

    def _is_made(self) -> bool:
        try:
            asked(
                lambda: self._clients("secretsmanager").get_secret_value(
                    SecretId=self._secret_id, VersionId=self._token, VersionStage=_PENDING
                )
            )
        except Fault as fault:
            if fault.code == "ResourceNotFoundException":
                return False
            refused = refusal(fault, Code.INTERNAL, _WHAT)
        else:
            return True
        raise refused

    def _ask(self, service: str, call: Callable[[Any], Any]) -> Any:
        try:
            return asked(lambda: call(self._clients(service)))
        except Fault as fault:
            refused = refusal(fault, Code.INTERNAL, _WHAT)
        raise refused
