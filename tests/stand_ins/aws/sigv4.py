"""Part of the AWS stand-in, which is never shipped: checks Signature Version 4, in the header and in the query of a URL.

Written from the published steps (canonical request, string to sign, signing key), not from botocore, so that each checks the other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from tests.stand_ins.aws.exchange import Refused, Request, decoded

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW_S = 15 * 60
LONGEST_S = 7 * 24 * 3600
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PART = re.compile(r"(?P<name>Credential|SignedHeaders|Signature)=(?P<value>[^,\s]+)")
_Malformed = Callable[[str], Refused]


@dataclass(frozen=True, slots=True)
class Credentials:
    """token: of a temporary key; it must come with every request."""

    access_key: str
    secret: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature. expires_s: of a presigned URL; None: it is signed in the header."""

    access_key: str
    date: str
    region: str
    service: str
    stamp: str
    signed_headers: tuple[str, ...]
    signature: str
    expires_s: int | None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claimed(request: Request) -> Claim | None:
    """None: it is not signed. Raises Refused where it is signed, but not as it should be."""
    if request.asked("X-Amz-Algorithm") is not None or request.asked("X-Amz-Signature") is not None:
        return _of_query(request)
    authorization = request.headers.get("authorization")
    return None if authorization is None else _of_header(request, authorization)


def _of_query(request: Request) -> Claim:
    def malformed(what: str) -> Refused:
        return Refused(400, "AuthorizationQueryParametersError", f"{what} is missing or wrong.")

    wanted = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    found = {name: request.asked(f"X-Amz-{name}") or "" for name in wanted}
    if found["Algorithm"] != ALGORITHM:
        raise malformed("X-Amz-Algorithm")
    expires = found["Expires"]
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 1 <= int(expires) <= LONGEST_S:
        raise malformed("X-Amz-Expires")
    return _claim(
        found["Credential"],
        found["Date"],
        found["SignedHeaders"],
        found["Signature"],
        int(expires),
        malformed,
    )


def _of_header(request: Request, authorization: str) -> Claim:
    def malformed(what: str) -> Refused:
        return Refused(400, "AuthorizationHeaderMalformed", f"{what} is missing or wrong.")

    if not authorization.startswith(f"{ALGORITHM} "):
        raise malformed("The algorithm")
    parts = {match["name"]: match["value"] for match in _PART.finditer(authorization)}
    stamp = request.headers.get("x-amz-date", "")
    return _claim(
        parts.get("Credential", ""),
        stamp,
        parts.get("SignedHeaders", ""),
        parts.get("Signature", ""),
        None,
        malformed,
    )


def _claim(
    credential: str,
    stamp: str,
    signed_headers: str,
    signature: str,
    expires_s: int | None,
    malformed: _Malformed,
) -> Claim:
    if _seconds(stamp) is None:
        raise malformed("The date")
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or parts[1] != stamp[:8]:
        raise malformed("The credential's scope")
    names = tuple(signed_headers.split(";"))
    if list(names) != sorted(set(names)) or "host" not in names:
        raise malformed("The list of signed headers")
    access_key, date, region, service = parts[:4]
    return Claim(access_key, date, region, service, stamp, names, signature, expires_s)


def _seconds(stamp: str) -> float | None:
    if not _STAMP.fullmatch(stamp):
        return None
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


class Verifier:
    """Judges signatures. known: by access key; may change. Raises Refused with S3's codes."""

    def __init__(self, known: Mapping[str, Credentials], region: str, now_s: Callable[[], float]) -> None:
        self._known, self._region, self._now_s = known, region, now_s

    def _credentials(self, claim: Claim) -> Credentials:
        if claim.region != self._region:
            code = f"Authorization{'HeaderMalformed' if claim.expires_s is None else 'QueryParametersError'}"
            raise Refused(400, code, f"The region is wrong; expecting '{self._region}'.")
        credentials = self._known.get(claim.access_key)
        if credentials is None:
            raise Refused(403, "InvalidAccessKeyId", "The access key is not known here.")
        return credentials

    def check(self, request: Request, claim: Claim) -> None:
        """The whole request."""
        credentials = self._credentials(claim)
        now_s, signed_s = self._now_s(), _seconds(claim.stamp) or 0.0
        if claim.expires_s is None:
            if abs(now_s - signed_s) > SKEW_S:
                raise Refused(
                    403, "RequestTimeTooSkewed", "The difference to the server's time is too large."
                )
        elif now_s < signed_s - SKEW_S:
            raise Refused(403, "AccessDenied", "Request is not valid yet")
        elif now_s > signed_s + claim.expires_s:
            raise Refused(403, "AccessDenied", "Request has expired")
        token = (
            request.headers.get("x-amz-security-token")
            if claim.expires_s is None
            else request.asked("X-Amz-Security-Token")
        )
        if token != credentials.token:
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        loose = {name for name in request.headers if name.startswith("x-amz-")} - set(claim.signed_headers)
        if loose - {"x-amz-content-sha256"}:
            raise Refused(
                403, "AccessDenied", "There were headers present in the request which were not signed"
            )
        _same(signature_of(credentials.secret, claim, canonical(request, claim)), claim.signature)

    def check_policy(self, fields: Mapping[str, str]) -> None:
        """A form's signature, which is over its policy's text alone. The policy itself says how long it is good for."""

        def malformed(what: str) -> Refused:
            return Refused(400, "InvalidArgument", f"{what} is missing or wrong.")

        if fields.get("x-amz-algorithm") != ALGORITHM:
            raise malformed("X-Amz-Algorithm")
        claim = _claim(
            fields.get("x-amz-credential", ""),
            fields.get("x-amz-date", ""),
            "host",
            fields.get("x-amz-signature", ""),
            None,
            malformed,
        )
        credentials = self._credentials(claim)
        if fields.get("x-amz-security-token") != credentials.token:
            raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        key = signing_key(credentials.secret, claim.date, claim.region, claim.service)
        policy = fields.get("policy", "").encode("utf-8", "surrogateescape")
        _same(hmac.digest(key, policy, "sha256").hex(), claim.signature)


def _same(wanted: str, given: str) -> None:
    if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "surrogateescape")):
        raise Refused(403, "SignatureDoesNotMatch", "The signature does not match the one worked out here.")


def canonical(request: Request, claim: Claim) -> str:
    """The canonical request."""
    # S3 encodes once, and "a//b" and "a/../b" are names like any other; elsewhere a path is normalised and encoded again
    path = decoded(request.path) if claim.service == "s3" else _normalised(request.path)
    headers = "".join(
        f"{name}:{re.sub(r' +', ' ', request.headers.get(name, '').strip())}\n"
        for name in claim.signed_headers
    )
    return "\n".join(
        [
            request.method,
            _quoted(path, "/") or "/",
            "&".join(
                f"{name}={value}"
                for name, value in sorted(
                    (_quoted(name), _quoted(value))
                    for name, value in request.query
                    if claim.expires_s is None or name != "X-Amz-Signature"
                )
            ),
            headers,
            ";".join(claim.signed_headers),
            payload_hash(request, claim),
        ]
    )


def _normalised(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def payload_hash(request: Request, claim: Claim) -> str:
    """As it is signed: stated in S3's header, worked out elsewhere, left open in S3's presigned URLs."""
    if claim.service != "s3":
        return request.body.sha256.hex()
    if claim.expires_s is not None and "x-amz-content-sha256" not in claim.signed_headers:
        return UNSIGNED
    return request.headers.get("x-amz-content-sha256", UNSIGNED)


def _quoted(text: str, safe: str = "") -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=f"{safe}-_.~")


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def signature_of(secret: str, claim: Claim, canonical_request: str) -> str:
    hashed = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    to_sign = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{hashed}"
    key = signing_key(secret, claim.date, claim.region, claim.service)
    return hmac.digest(key, to_sign.encode("utf-8", "surrogateescape"), "sha256").hex()
