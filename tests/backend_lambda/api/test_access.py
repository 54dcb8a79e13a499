"""Who gets in, and who does not: roles, clinics, tokens, proofs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from backend_lambda import app
from backend_lambda.routes import ROUTES, Route, Who
from backend_lambda.services.enrolment import new_code
from backend_lambda.services.uploads import folder_of
from backend_lambda.store.database import Database
from tests.backend_lambda.callers import API, DeviceKey, Issuer, by_hand
from tests.backend_lambda.world import Kiosk, Reply, World, observation
from tests.stand_ins.api_gateway_event import event

PATIENT = {"patient_id": "7b0c3f2e-6f0c-4f0f-9d0e-0d2a4a6b8c9d"}
CALLERS = ("nobody", "device", "operator", "clinic_admin", "auditor", "stranger")


def path_of(route: Route, clinic_id: UUID) -> str:
    path = route.path.replace("<clinic_id>", str(clinic_id))
    for name in ("device_id", "upload_id", "share_id"):
        path = path.replace(f"<{name}>", str(uuid4()))
    return path


def call(world: World, caller: str, route: Route, path: str, device: Kiosk) -> Reply:
    """As this caller, with nothing in the body: who may send it is judged before what it says."""
    body: Any = {} if route.has_body else None
    query = PATIENT if "observations" in path and not route.has_body else {}
    if caller == "nobody":
        return world.send(route.method, path, query=query, body=body)
    if caller == "device":
        return world.by(device, route.method, path, query=query, body=body)
    role = None if caller == "stranger" else caller
    person = world.person(role or "janitor", None if role == "operator" else device.clinic_id)
    return world.by(person, route.method, path, query=query, body=body)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_knows_who_may_send_it(world: World, route: Route, caller: str) -> None:
    device = world.kiosk()
    reply = call(world, caller, route, path_of(route, device.clinic_id), device)
    holds_a_key = caller == "device" and Who.KEY in route.who
    if Who.ANYONE in route.who or caller in route.who or holds_a_key:
        assert reply.status not in {401, 403}
        assert reply.status < 500
    elif caller == "nobody" or Who.KEY in route.who:
        assert reply.status == 401
        assert "DPoP" in reply.headers["www-authenticate"]
    else:
        assert (reply.status, reply.code) == (403, "forbidden")


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if "<clinic_id>" in one.path], ids=lambda route: route.name
)
@pytest.mark.parametrize("role", ["clinic_admin", "auditor"])
def test_a_clinics_people_are_strangers_in_another(world: World, route: Route, role: str) -> None:
    ours, theirs = world.clinic(), world.clinic()
    person = world.person(role, ours)
    body: Any = {} if route.has_body else None
    reply = world.by(person, route.method, path_of(route, theirs), body=body)
    assert (reply.status, reply.code) == (403, "forbidden")
    assert [entry["action"] for entry in world.audit(theirs)] == ["clinic.add"]
    denied = world.audit(ours)[-1]
    assert (denied["action"], denied["result"], denied["actor_id"]) == (
        route.operation,
        "forbidden",
        f"person-{role}",
    )


def test_a_person_of_a_clinic_that_is_not_there_is_refused(world: World) -> None:
    nowhere = uuid4()
    for role, path in (("auditor", "/v1/audit"), ("clinic_admin", f"/v1/clinics/{nowhere}/devices")):
        reply = world.by(world.person(role, nowhere), "GET", path)
        assert (reply.status, reply.code) == (403, "forbidden")


def test_one_clinic_sees_nothing_of_another(world: World) -> None:
    ours, theirs = world.kiosk(), world.kiosk()
    patient, upload_id = uuid4(), uuid4()
    kept = observation(patient)
    world.by(theirs, "POST", "/v1/observations", body={"observations": [kept]})
    announced = {
        "id": str(upload_id),
        "patient_id": str(patient),
        "purpose": "scan_report",
        "media_type": "application/pdf",
        "length_bytes": 10,
        "sha256": "ab" * 32,
    }
    assert world.by(theirs, "POST", "/v1/uploads", body=announced).status == 200
    key = f"c/{theirs.clinic_id}/{folder_of(theirs.clinic_id, patient)}/{upload_id}"
    world.fakes.documents.put(key, b"0123456789", "application/pdf")
    query = {"patient_id": str(patient)}
    our_admin = world.person("clinic_admin", ours.clinic_id)
    for who, path in ((ours, ""), (ours, "/export"), (our_admin, "/export")):
        page = world.by(who, "GET", f"/v1/observations{path}", query=query).json
        assert page == {"observations": [], "next_cursor": None} | ({"uploads": []} if path else {})
    for who in (ours, our_admin):
        assert world.by(who, "GET", f"/v1/uploads/{upload_id}").code == "not_found"
        assert world.by(who, "GET", f"/v1/uploads/{upload_id}/download").code == "not_found"
    assert world.by(ours, "POST", f"/v1/uploads/{upload_id}/complete").code == "not_found"
    shared = {"id": str(uuid4()), "upload_id": str(upload_id)}
    assert world.by(ours, "POST", "/v1/shares", body=shared).status == 404
    erased = world.by(our_admin, "DELETE", "/v1/observations", query=query).json
    assert erased == {"observations": 0, "uploads": 0, "object_versions": 0}
    assert key in world.fakes.documents.objects
    mine = world.by(
        ours, "POST", "/v1/observations", body={"observations": [{**kept, "patient_id": str(uuid4())}]}
    )
    assert mine.json["results"][0]["status"] == "stored", "an id is a clinic's own: nobody can take another's"
    still = world.by(theirs, "GET", "/v1/observations", query=query).json["observations"]
    assert [one["id"] for one in still] == [kept["id"]]
    audited = json.dumps(world.audit(theirs.clinic_id), default=str)
    assert str(ours.id) not in audited and "person-clinic_admin" not in audited.split("device.enrol")[1]


# --- Tokens ------------------------------------------------------------------------------------------


def forged(world: World, device: Kiosk, key: Any = None, **claims: Any) -> str:
    """The device's token with other claims, under another signature."""
    said = {**jwt.decode(device.token, options={"verify_signature": False}), **claims}
    head = {"alg": "ES256", "kid": "test-key", "typ": "at+jwt"}
    return by_hand(json.dumps(head).encode(), json.dumps(said).encode(), key or DeviceKey().key)


def with_token(world: World, device: Kiosk, token: str, key: DeviceKey | None = None) -> Reply:
    headers = (key or device.key).headers("GET", API + "/v1/config", world.clock.utc(), token)
    return world.send("GET", "/v1/config", headers=headers)


def test_a_forged_tenant_or_device_is_nobody(world: World) -> None:
    device, victim = world.kiosk(), world.kiosk()
    before = len(world.audit(victim.clinic_id))
    signature = device.token.rpartition(".")[2]
    for claims in ({"hh_clinic": str(victim.clinic_id)}, {"sub": str(victim.id)}, {"cnf": {"jkt": "x" * 43}}):
        token = forged(world, device, **claims)
        for one in (token, token.rpartition(".")[0] + "." + signature):
            assert with_token(world, device, one).code == "unauthenticated"
    assert len(world.audit(victim.clinic_id)) == before


def test_even_a_right_signature_admits_no_device_of_another_clinic(world: World) -> None:
    """As if the signing key were used for a wrong token: the store does not know this device there."""
    device, victim = world.kiosk(), world.kiosk()
    token = forged(world, device, world.fakes.signer._key, hh_clinic=str(victim.clinic_id))
    assert with_token(world, device, token).code == "device_revoked"
    entry = world.audit(victim.clinic_id)[-1]
    assert (entry["action"], entry["result"]) == ("admission", "device_revoked")


def test_a_stolen_token_is_nothing_without_its_key(world: World) -> None:
    device, thief = world.kiosk(), DeviceKey()
    for _ in range(20):
        assert with_token(world, device, device.token, thief).code == "unauthenticated"
    told = [entry for entry in world.audit(device.clinic_id) if entry["action"] == "proof"]
    assert [(entry["actor_id"], entry["result"]) for entry in told] == [(str(device.id), "unauthenticated")]
    world.clock.go(60)
    with_token(world, device, device.token, thief)
    assert len([entry for entry in world.audit(device.clinic_id) if entry["action"] == "proof"]) == 2


def test_a_token_expires(world: World) -> None:
    device = world.kiosk()
    world.clock.go(930)
    reply = with_token(world, device, device.token)
    assert (reply.status, reply.code) == (401, "token_expired")


def test_a_persons_token_is_no_devices_and_the_other_way_round(world: World) -> None:
    device = world.kiosk()
    person = world.person("clinic_admin", device.clinic_id)
    path = f"/v1/clinics/{device.clinic_id}/devices"
    for headers in (
        {"Authorization": f"Bearer {device.token}"},
        {
            "Authorization": f"DPoP {person}",
            "DPoP": device.key.proof("GET", API + path, world.clock.utc(), token=person),
        },
        {"Authorization": person},
        {"Authorization": f"Basic {person}"},
        {"Authorization": "Bearer "},
        {"Authorization": "DPoP"},
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Cookie": f"Authorization=Bearer {person}"},
    ):
        reply = world.send("GET", path, headers=headers)
        assert (reply.status, reply.code) == (401, "unauthenticated")


def test_a_token_of_another_issuer_is_nobodys(world: World) -> None:
    clinic_id = world.clinic()
    path = f"/v1/clinics/{clinic_id}/devices"
    for issuer in (Issuer("ES256"), Issuer("ES256", "https://evil.test")):
        token = issuer.token(world.clock.utc(), "clinic_admin", clinic_id)
        assert world.by(token, "GET", path).code == "unauthenticated"


# --- Proofs ------------------------------------------------------------------------------------------


def test_a_proof_works_once(world: World) -> None:
    device = world.kiosk()
    headers = world.headers(device, "GET", "/v1/config")
    replies = [world.send("GET", "/v1/config", headers=headers) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 401, 401]
    assert replies[1].code == "proof_replayed"
    assert world.audit(device.clinic_id)[-1]["result"] == "proof_replayed"


def test_a_proof_without_a_token_works_once(world: World) -> None:
    device = world.kiosk()
    headers = device.key.headers("POST", API + "/v1/token", world.clock.utc())
    body = {"refresh_token": device.refresh_token}
    assert world.send("POST", "/v1/token", headers=headers, body=body).status == 200
    assert world.send("POST", "/v1/token", headers=headers, body=body).code == "proof_replayed"


def test_a_proof_that_came_twice_ends_no_enrolment(world: World) -> None:
    """A network that delivers a request twice is no thief."""
    device = world.kiosk()
    headers = device.key.headers("POST", API + "/v1/token", world.clock.utc())
    body = {"refresh_token": device.refresh_token}
    fresh = world.send("POST", "/v1/token", headers=headers, body=body).json["refresh_token"]
    world.send("POST", "/v1/token", headers=headers, body=body)
    assert world.refresh(device, fresh).status == 200


def test_a_code_is_not_spent_by_an_old_proof(world: World) -> None:
    clinic_id, key = world.clinic(), DeviceKey()
    headers = key.headers("POST", API + "/v1/devices/enrol", world.clock.utc())
    replies = [
        world.send(
            "POST",
            "/v1/devices/enrol",
            headers=headers,
            body={"code": world.code(clinic_id), "public_key": key.jwk, "software_version": "1"},
        )
        for _ in range(2)
    ]
    assert replies[0].status == 200
    assert replies[1].code == "proof_replayed"


def test_a_proof_is_remembered_as_long_as_it_could_be_sent_again(world: World) -> None:
    device = world.kiosk()
    headers = world.headers(device, "GET", "/v1/config")
    assert world.send("GET", "/v1/config", headers=headers).status == 200
    for _ in range(12):
        world.clock.go(59)
        assert world.send("GET", "/v1/config", headers=headers).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": {"htm": "POST"}},
        {"claims": {"htu": API + "/v1/health"}},
        {"claims": {"htu": API + "/v1/config?x=1"}},
        {"claims": {"htu": "https://evil.test/v1/config"}},
        {"claims": {"ath": "x" * 43}},
        {"without": ("ath",)},
        {"without": ("jti",)},
        {"without": ("iat",)},
        {"header": {"typ": "JWT"}},
    ],
    ids=str,
)
def test_a_proof_for_something_else_is_refused(world: World, changes: dict[str, Any]) -> None:
    device = world.kiosk()
    headers = device.key.headers("GET", API + "/v1/config", world.clock.utc(), device.token, **changes)
    reply = world.send("GET", "/v1/config", headers=headers)
    assert (reply.status, reply.code) == (401, "unauthenticated")


def test_a_key_that_gives_its_private_part_away_is_refused(world: World) -> None:
    device = world.kiosk()
    private = {**device.key.jwk, "d": device.key.jwk["x"]}
    headers = device.key.headers(
        "GET", API + "/v1/config", world.clock.utc(), device.token, header={"jwk": private}
    )
    assert world.send("GET", "/v1/config", headers=headers).code == "unauthenticated"


@pytest.mark.parametrize(
    ("off_s", "code"),
    [
        (-660, "unauthenticated"),
        (-600, "clock_skew"),
        (-61, "clock_skew"),
        (-60, None),
        (60, None),
        (61, "clock_skew"),
        (600, "clock_skew"),
        (660, "unauthenticated"),
    ],
)
def test_a_devices_wrong_clock_is_told_with_the_right_time(
    world: World, off_s: int, code: str | None
) -> None:
    device = world.kiosk()
    then = world.clock.utc() + timedelta(seconds=off_s)
    headers = device.key.headers("GET", API + "/v1/config", then, device.token)
    reply = world.send("GET", "/v1/config", headers=headers)
    assert reply.headers["date"] == "Fri, 27 Nov 2026 12:00:00 GMT"
    if code is None:
        assert reply.status == 200
    else:
        assert (reply.status, reply.code) == (401, code)


def test_a_second_header_is_not_hidden_behind_the_first(world: World) -> None:
    device = world.kiosk()
    right = world.headers(device, "GET", "/v1/config")
    for name in ("DPoP", "Authorization"):
        for other in ("x", right[name]):
            for pair in ([(name, other)], [(name.lower(), other)]):
                for headers in ([*pair, *right.items()], [*right.items(), *pair]):
                    assert world.send("GET", "/v1/config", headers=headers).status == 401
    assert world.send("GET", "/v1/config", headers=right).status == 200


def test_headers_count_in_any_case(world: World) -> None:
    device = world.kiosk()
    for change in (str.lower, str.upper):
        headers = {change(name): value for name, value in world.headers(device, "GET", "/v1/config").items()}
        assert world.send("GET", "/v1/config", headers=headers).status == 200
    made = event("GET", "/v1/config", headers=world.headers(device, "GET", "/v1/config"))
    assert world.answer({**made, "multiValueHeaders": None}).status == 200


def test_a_device_that_asks_too_often_is_told_when(world: World) -> None:
    device, other = world.kiosk(), world.kiosk()
    world.use(world.settings.model_copy(update={"requests_per_minute": 5}))
    world.clock.go(80)  # in the next minute: this one has their renewals
    replies = [world.by(device, "GET", "/v1/config") for _ in range(7)]
    assert [reply.status for reply in replies] == [200] * 5 + [429] * 2
    assert replies[-1].code == "rate_limited"
    assert replies[-1].headers["retry-after"] == "40"
    assert replies[-1].json["retry_after_s"] == 40
    assert world.by(other, "GET", "/v1/config").status == 200
    world.clock.go(40)
    assert world.by(device, "GET", "/v1/config").status == 200


# --- Refresh tokens ----------------------------------------------------------------------------------


def test_an_old_refresh_token_ends_all_that_came_of_the_enrolment(world: World) -> None:
    device = world.kiosk()
    first = device.refresh_token
    second = world.refresh(device).json["refresh_token"]
    third = world.refresh(device, second).json["refresh_token"]
    for token in (first, third, second):
        reply = world.refresh(device, token)
        assert (reply.status, reply.code) == (401, "device_revoked")
    assert [(entry["action"], entry["result"]) for entry in world.audit(device.clinic_id)][-3:] == [
        ("token.issue", "ok"),
        ("token.reuse", "device_revoked"),
        ("token.issue", "device_revoked"),
    ]


def test_an_answer_that_was_lost_is_made_good(world: World) -> None:
    """However late: a laptop may sleep over the week-end with its lid closed."""
    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token
    first = world.refresh(device, old, asked).json
    world.clock.go(3 * 86_400)
    again = world.refresh(device, old, asked)
    assert again.status == 200
    for name in ("refresh_token", "refresh_expires_at"):
        assert again.json[name] == first[name], "the same, so that it does not matter which answer arrived"
    assert again.json["access_token"] != first["access_token"]
    device.token = again.json["access_token"]
    assert world.by(device, "GET", "/v1/config").status == 200
    assert world.refresh(device, first["refresh_token"]).status == 200


def test_a_duplicate_that_was_delayed_ends_nothing(world: World) -> None:
    """The first try hangs, the second is answered, then the first arrives: with a proof of its own, which nobody has seen."""
    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token
    hanging = device.key.headers("POST", API + "/v1/token", world.clock.utc())
    body = {"refresh_token": old, "request_id": str(asked)}
    fresh = world.refresh(device, old, asked).json["refresh_token"]
    assert world.send("POST", "/v1/token", headers=hanging, body=body).json["refresh_token"] == fresh
    assert world.refresh(device, fresh).status == 200


@pytest.mark.parametrize("after_s", [0, 59, 120])
def test_a_duplicate_that_comes_after_all_is_over_gets_nothing_and_ends_nothing(
    world: World, after_s: float
) -> None:
    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token
    second = world.refresh(device, old, asked).json["refresh_token"]
    third = world.refresh(device, second).json["refresh_token"]
    world.clock.go(after_s)
    late = world.refresh(device, old, asked)
    assert (late.status, late.code) == (409, "conflict")
    assert world.refresh(device, third).status == 200
    world.clock.go(121)
    assert world.refresh(device, old, asked).code == "device_revoked", "no network holds anything for so long"


def test_who_has_a_copy_of_a_device_is_found_out(world: World) -> None:
    """With its key and all it knows, in the middle of a lost answer: both get the same token, and only one can use it."""
    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token
    world.refresh(device, old, asked)
    thief_has = world.refresh(device, old, asked).json["refresh_token"]
    device_has = world.refresh(device, old, asked).json["refresh_token"]
    thief_next = world.refresh(device, thief_has, uuid4()).json["refresh_token"]
    assert world.refresh(device, device_has, uuid4()).code == "device_revoked"
    assert world.refresh(device, thief_next).code == "device_revoked"


def test_the_store_and_an_old_token_make_no_new_one(world: World) -> None:
    """What the store keeps of a token that was used does not lead from it to the next."""
    from backend_lambda.auth import refresh

    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token

    def salts() -> list[bytes]:
        with world.database.clinic(device.clinic_id) as transaction:
            rows = transaction.ask("SELECT salt FROM refresh_token WHERE salt IS NOT NULL")
        return [salt for (salt,) in rows]

    second = world.refresh(device, old, asked).json["refresh_token"]
    (salt,) = salts()
    assert refresh.successor(old, salt, asked) == second
    assert refresh.successor(old, salt, uuid4()) != second != refresh.successor(old, bytes(32), asked)
    assert world.refresh(device, second).status == 200
    assert salt not in salts()


@pytest.mark.parametrize("wrong", ["other request", "no request id", "successor used"])
def test_only_a_lost_answer_is_made_good(world: World, wrong: str) -> None:
    device, asked = world.kiosk(), uuid4()
    old = device.refresh_token
    successor = world.refresh(device, old, asked).json["refresh_token"]
    if wrong == "successor used":
        assert world.refresh(device, successor).status == 200
        world.clock.go(121)
    again = {"other request": uuid4(), "no request id": None}.get(wrong, asked)
    assert world.refresh(device, old, again).code == "device_revoked"
    assert world.refresh(device, successor).code == "device_revoked"


def test_a_stolen_refresh_token_is_nothing_without_its_key(world: World) -> None:
    device = world.kiosk()
    thief = Kiosk(device.clinic_id, device.id, DeviceKey(), "", device.refresh_token)
    reply = world.refresh(thief)
    assert (reply.status, reply.code) == (401, "unauthenticated")
    told = world.audit(device.clinic_id)[-1]
    assert (told["action"], told["result"]) == ("token.issue", "unauthenticated")
    assert (told["actor_kind"], told["actor_id"]) == ("stranger", thief.key.thumbprint)
    assert told["object_id"] == str(device.id)
    assert world.refresh(device).status == 200, "who lacks the key cannot end the enrolment either"


def test_a_stranger_with_an_old_refresh_token_fills_nothing(world: World) -> None:
    device = world.kiosk()
    old = device.refresh_token
    device.refresh_token = world.refresh(device).json["refresh_token"]
    world.use(world.settings.model_copy(update={"requests_per_minute": 5}))
    before = len(world.audit(device.clinic_id))
    for _ in range(30):
        thief = Kiosk(device.clinic_id, device.id, DeviceKey(), "", old)
        assert world.refresh(thief).code == "unauthenticated"
    assert len(world.audit(device.clinic_id)) == before + 1
    assert world.refresh(device).status == 200, "and uses up nothing of the device's minute"
    world.clock.go(60)
    assert world.refresh(Kiosk(device.clinic_id, device.id, DeviceKey(), "", old)).status == 401
    assert len(world.audit(device.clinic_id)) == before + 3


def test_a_device_that_was_sent_away_fills_nothing(world: World) -> None:
    device = world.kiosk()
    admin = world.person("clinic_admin", device.clinic_id)
    world.by(admin, "POST", f"/v1/clinics/{device.clinic_id}/devices/{device.id}/revoke")
    before = len(world.audit(device.clinic_id))
    assert {world.refresh(device).code for _ in range(20)} == {"device_revoked"}
    assert len(world.audit(device.clinic_id)) == before + 1


def test_renewing_counts_as_asking(world: World) -> None:
    device = world.kiosk()
    world.use(world.settings.model_copy(update={"requests_per_minute": 5}))
    world.clock.go(80)
    for _ in range(4):
        device.refresh_token = world.refresh(device).json["refresh_token"]
    assert world.by(device, "GET", "/v1/config").status == 200
    reply = world.refresh(device)
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "40"
    world.clock.go(40)
    assert world.refresh(device).status == 200, "and the token is as unused as it was"


def test_a_person_that_asks_too_often_is_told_when(world: World) -> None:
    clinic_id = world.clinic()
    world.use(world.settings.model_copy(update={"requests_per_minute": 3}))
    world.clock.go(65)
    auditor, admin = world.person("auditor", clinic_id), world.person("clinic_admin", clinic_id)
    replies = [world.by(auditor, "GET", "/v1/audit") for _ in range(5)]
    assert [reply.status for reply in replies] == [200] * 3 + [429] * 2
    assert (replies[-1].code, replies[-1].headers["retry-after"]) == ("rate_limited", "55")
    assert world.by(admin, "GET", f"/v1/clinics/{clinic_id}/devices").status == 200
    made = {"id": str(clinic_id), "name": "Clinic"}
    statuses = [world.by(world.person("operator"), "POST", "/v1/clinics", body=made).status for _ in range(4)]
    assert statuses == [200] * 3 + [429]


def test_a_refresh_token_dies_of_disuse(world: World) -> None:
    device = world.kiosk()
    world.clock.go(90 * 86_400)
    assert world.refresh(device).code == "unauthenticated"
    assert world.refresh(device, "A" * 43).code == "unauthenticated"


def test_where_the_signer_does_not_answer_the_refresh_token_stays_good(world: World) -> None:
    from backend_lambda.errors import Code, unavailable

    device = world.kiosk()
    world.fakes.signer.fault = unavailable(Code.STORE_UNAVAILABLE, "KMS does not answer")
    assert world.refresh(device).status == 503
    world.fakes.signer.fault = None
    assert world.refresh(device).status == 200


def test_a_code_is_spent_by_a_right_proof_only(world: World) -> None:
    clinic_id = world.clinic()
    code, key = world.code(clinic_id), DeviceKey()
    body = {"code": code, "public_key": key.jwk, "software_version": "1"}
    assert world.with_key(DeviceKey(), "/v1/devices/enrol", body).code == "unauthenticated"
    assert world.send("POST", "/v1/devices/enrol", body=body).code == "unauthenticated"
    assert world.with_key(key, "/v1/devices/enrol", body).status == 200


# --- The store is gone -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.operation != "share_page"], ids=lambda route: route.name
)
def test_without_its_store_the_service_says_so(world: World, route: Route) -> None:
    device = world.kiosk()
    gone = Database("postgresql://x:y@127.0.0.1:9/gone", clock=world.clock)
    world.patch.setattr(app, "backend", lambda: app.Backend(world.settings, world.fakes.ports(), gone))
    path = path_of(route, device.clinic_id)
    right: dict[str, Any] = {
        "open_share": {"secret": "x" * 43},
        "add_clinic": {"id": str(uuid4()), "name": "Clinic"},
        "token": {"refresh_token": device.refresh_token},
        "enrol": {"code": new_code(), "public_key": device.key.jwk, "software_version": "1"},
    }
    body = right.get(route.operation, {}) if route.has_body else None
    query = PATIENT if "observations" in path and not route.has_body else {}
    if Who.ANYONE in route.who:
        reply = world.send(route.method, path, query=query, body=body)
    elif Who.KEY in route.who:
        reply = world.with_key(device.key, path, body)
    elif Who.DEVICE in route.who:
        reply = world.by(device, route.method, path, query=query, body=body)
    else:
        role = min(route.who)
        person = world.person(role, None if role is Who.OPERATOR else device.clinic_id)
        reply = world.by(person, route.method, path, query=query, body=body)
    assert reply.status == 503
    if route.operation != "health":
        assert reply.code == "store_unavailable"
        assert int(reply.headers["retry-after"]) >= 1
