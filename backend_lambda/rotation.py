"""The function that Secrets Manager calls to change the password of the database's owner. Its log names steps, never a value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from aws_lambda_powertools import Logger

from backend_lambda.aws.clients import Clients
from backend_lambda.aws.rotation import OwnerPassword

logger = Logger(service="health-helper-rotation", level="INFO", log_uncaught_exceptions=False)


class RotationFailed(Exception):
    """A step could not be done; Secrets Manager asks again. Says the kind of what happened, for its text may hold a value."""


def lambda_handler(event: Mapping[str, str], _: object) -> None:
    """Secrets Manager's event: `Step`, `SecretId`, `ClientRequestToken`. Raises RotationFailed."""
    rotate(event, Clients(os.environ["AWS_REGION"]))


def rotate(event: Mapping[str, str], clients: Clients) -> None:
    """One step. Raises RotationFailed."""
    step = str(event.get("Step"))
    password = OwnerPassword(clients, str(event.get("SecretId")), str(event.get("ClientRequestToken")))
    steps: dict[str, Callable[[], None]] = {
        "createSecret": password.create,
        "setSecret": password.set,
        "testSecret": password.test,
        "finishSecret": password.finish,
    }
    if step not in steps:
        raise RotationFailed("there is no such step")
    try:
        steps[step]()
    except Exception as error:  # noqa: BLE001 (its text may hold a value)
        logger.error("step failed", extra={"step": step, "kind": type(error).__name__})  # noqa: TRY400 (as above)
        raise RotationFailed(type(error).__name__) from None
    logger.info("step done", extra={"step": step})
