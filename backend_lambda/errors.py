"""What the API refuses, as problems of RFC 9457. Anything else that is raised is our own bug (500, without a word of its text)."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a request was refused. Part of the wire format: clients decide by it, so a name is never used for something else."""

    BAD_REQUEST = "bad_request"
    UNAUTHENTICATED = "unauthenticated"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 (a name, no secret)
    CLOCK_SKEW = "clock_skew"
    PROOF_REPLAYED = "proof_replayed"
    DEVICE_REVOKED = "device_revoked"
    CODE_INVALID = "code_invalid"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    GONE = "gone"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    INVALID = "invalid"
    RATE_LIMITED = "rate_limited"
    BUDGET_SPENT = "budget_spent"
    NOT_ALLOWED_HERE = "not_allowed_here"
    STORE_UNAVAILABLE = "store_unavailable"
    OBJECTS_UNAVAILABLE = "objects_unavailable"
    MODEL_THROTTLED = "model_throttled"
    MODEL_RETIRED = "model_retired"
    MODEL_UNAVAILABLE = "model_unavailable"
    SPEECH_UNAVAILABLE = "speech_unavailable"
    MAIL_UNAVAILABLE = "mail_unavailable"
    TIMED_OUT = "timed_out"
    INTERNAL = "internal"


class Refusal(Exception):
    """The request is not carried out.

    status: HTTP. code: see `Code`. title: one sentence for a log or a developer, without anything of the request's content.
    retry_after_s: when the same request may work; sent as Retry-After too.
    """

    def __init__(self, status: int, code: Code, title: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status} {code}: {title}")
        self.status = status
        self.code = code
        self.title = title
        self.retry_after_s = retry_after_s

    def problem(self, request_id: str) -> dict[str, object]:
        """The body of the answer (application/problem+json)."""
        body: dict[str, object] = {
            "type": f"urn:health-helper:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": str(self.code),
            "request_id": request_id,
        }
        if self.retry_after_s is not None:
            body["retry_after_s"] = self.retry_after_s
        return body


def unavailable(code: Code, title: str, *, retry_after_s: float = 5.0) -> Refusal:
    """503: something behind us does not answer now; the same request may work later."""
    return Refusal(503, code, title, retry_after_s=retry_after_s)
