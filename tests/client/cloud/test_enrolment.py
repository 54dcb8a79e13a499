"""client.cloud.enrolment: a code is good once, so it is not wasted, and what became of it is said."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backend_lambda.services import enrolment as at_the_server
from client.cloud import faults
from client.cloud.credentials import ENTRY, Credentials, Entry
from client.cloud.enrolment import ALPHABET, Enrolled, enrol, leave, normal_code
from client.cloud.service import Cloud
from client.errors import BadInput, EnvironmentFault
from client.policy import Policy
from client.vault import VaultLocked
from tests.client.cloud.device import ENROL, Line, MemoryVault
from tests.stand_ins.local_cloud import LocalCloud
from tests.stand_ins.tls_server import Asked, Connection, Server, answer, problem, says

CODE = at_the_server.new_code()


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def vault() -> MemoryVault:
    return MemoryVault()


@pytest.fixture
def credentials(vault: MemoryVault) -> Credentials:
    return Credentials(vault)


# --- Codes -------------------------------------------------------------------------------------------


def test_a_code_is_read_as_the_server_reads_it() -> None:
    assert ALPHABET == at_the_server.ALPHABET
    for _ in range(200):
        code = at_the_server.new_code()
        plain = code.replace("-", "")
        for typed in (code, code.lower(), plain, f" {code} ", code.replace("-", " \u2013 "), ".".join(plain)):
            assert normal_code(typed) == plain


def test_a_mistyped_code_is_told_before_anybody_is_asked(line: Line, credentials: Credentials) -> None:
    rng = random.Random(3)
    plain = CODE.replace("-", "")
    wrong = ["", "ABC", plain + "A", plain[:-1], "0" * 12, "é" * 12, "\0" * 12]
    for _ in range(200):
        at = rng.randrange(12)
        wrong.append(plain[:at] + rng.choice(ALPHABET.replace(plain[at], "")) + plain[at + 1 :])
        left = rng.randrange(11)
        if plain[left] != plain[left + 1]:
            wrong.append(plain[:left] + plain[left + 1] + plain[left] + plain[left + 2 :])
    for typed in wrong:
        with pytest.raises(faults.CodeMistyped):
            enrol(typed, "https://api.example.org", line, credentials)
    assert line.asked == []


# --- With the real server ----------------------------------------------------------------------------


def test_a_code_enrols_once(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    clinic_id = backend.add_clinic()
    code = backend.enrolment_code(clinic_id)
    made = enrol(code.lower().replace("-", " "), f" {backend.url}/ ", line, credentials)
    assert made == Enrolled(backend.url, str(clinic_id), made.device_id)
    kept = Entry.read(vault.kept[ENTRY])
    assert kept is not None and (kept.url, kept.device_id) == (backend.url, made.device_id)
    assert Cloud(line, Credentials(vault)).config().clinic_id == str(clinic_id)
    before = dict(vault.kept)
    with pytest.raises(faults.CodeRefused):
        enrol(code, backend.url, line, credentials)
    assert vault.kept == before
    again = enrol(backend.enrolment_code(clinic_id), backend.url, line, credentials)
    assert again.device_id != made.device_id
    assert Cloud(line, credentials).config().clinic_id == str(clinic_id)


def test_a_lost_answer_is_said_and_the_code_is_used_up(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    """What the server does: the same code again is refused, also by the same key."""
    code = backend.enrolment_code(backend.add_clinic())
    line.loses = {ENROL}
    with pytest.raises(faults.EnrolmentUnsure):
        enrol(code, backend.url, line, credentials)
    line.loses = set()
    with pytest.raises(faults.CodeRefused):
        enrol(code, backend.url, line, credentials)
    assert credentials.entry() is None


def test_a_code_that_never_arrived_is_as_good_as_before(
    backend: LocalCloud, line: Line, credentials: Credentials
) -> None:
    code = backend.enrolment_code(backend.add_clinic())
    line.cuts = {ENROL}
    with pytest.raises(faults.ConnectionBroken):
        enrol(code, backend.url, line, credentials)
    line.cuts = set()
    enrol(code, backend.url, line, credentials)


def test_a_locked_key_store_does_not_waste_the_code(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    code = backend.enrolment_code(backend.add_clinic())
    for state in ({"locked": True}, {"locked": False, "read_only": True}):
        vault.__dict__.update(state)
        with pytest.raises(VaultLocked):
            enrol(code, backend.url, line, credentials)
    assert line.asked == []
    vault.read_only = False
    enrol(code, backend.url, line, credentials)


def test_a_key_store_that_closes_while_the_server_answers_does_not_waste_it_either(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    code = backend.enrolment_code(backend.add_clinic())
    line.before = lambda _path: setattr(vault, "read_only", True)
    for _ in range(2):
        with pytest.raises(VaultLocked):
            enrol(code, backend.url, line, credentials)
    assert line.count(ENROL) == 1
    vault.read_only = False
    made = enrol(code, backend.url, line, credentials)
    assert line.count(ENROL) == 1
    kept = Entry.read(vault.kept[ENTRY])
    assert kept is not None and kept.device_id == made.device_id
    line.before = lambda _path: None
    Cloud(line, Credentials(vault)).config()


def test_somebody_else_may_have_written_it_down_meanwhile(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    """The thread that sends does so as soon as the key store is open again."""
    code = backend.enrolment_code(backend.add_clinic())
    line.before = lambda _path: setattr(vault, "read_only", True)
    with pytest.raises(VaultLocked):
        enrol(code, backend.url, line, credentials)
    line.before, vault.read_only = lambda _path: None, False
    Cloud(line, credentials).config()
    made = enrol(code, backend.url, line, credentials)
    assert line.count(ENROL) == 1
    kept = Entry.read(vault.kept[ENTRY])
    assert kept is not None and kept.device_id == made.device_id


def test_who_leaves_has_nothing_left(
    backend: LocalCloud, line: Line, credentials: Credentials, vault: MemoryVault
) -> None:
    enrol(backend.enrolment_code(backend.add_clinic()), backend.url, line, credentials)
    cloud = Cloud(line, credentials)
    cloud.config()
    leave(credentials)
    assert vault.kept == {} and credentials.entry() is None
    with pytest.raises(faults.NotEnrolled):
        cloud.config()
    leave(credentials)


# --- Other answers and addresses ---------------------------------------------------------------------


def cut(_asked: Asked, connection: Connection) -> None:
    connection.shut()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (cut, faults.EnrolmentUnsure),
        (says(problem(500, "internal")), faults.EnrolmentUnsure),
        (says(answer(200, {"device_id": 3})), faults.EnrolmentUnsure),
        (says(answer(302, b"", {"Location": "/"})), faults.CaptivePortal),
        (says(problem(429, "rate_limited")), faults.RateLimited),
        (says(problem(403, "forbidden")), faults.Refused),
        (says(problem(422, "invalid")), faults.Refused),
    ],
    ids=range(7),
)
def test_each_answer_has_its_word_and_none_is_kept(
    line: Line, script: object, kind: type[faults.CloudFault]
) -> None:
    with Server(script) as server:  # type: ignore[arg-type]  # scripts of one table
        old = b"as it was"
        vault = MemoryVault({ENTRY: old})
        with pytest.raises(faults.CloudFault) as caught:
            enrol(CODE, server.url, line, Credentials(vault))
    assert type(caught.value) is kind and vault.kept == {ENTRY: old}
    assert CODE not in str(caught.value)
    assert server.asked[0].json["code"] == CODE.replace("-", "")
    assert server.asked[0].json["software_version"] == "1.0"


@pytest.mark.parametrize(
    "script",
    [
        says(answer(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})),
        says(answer(403, {"message": "Missing Authentication Token"})),
        says(answer(405, b"", {})),
        says(problem(404, "not_found")),
    ],
    ids=["web server", "API Gateway", "other method", "our API"],
)
def test_an_address_at_which_no_server_of_ours_answers_is_told_and_nothing_is_changed(
    line: Line, script: object
) -> None:
    with Server(script) as server:  # type: ignore[arg-type]  # scripts of one table
        vault = MemoryVault({ENTRY: b"as it was"})
        with pytest.raises(BadInput, match="No Health Helper server answers at this address") as caught:
            enrol(CODE, f"{server.url}/wrong", line, Credentials(vault))
    assert "Check the address" in caught.value.remedy and "newest version" not in str(caught.value)
    assert vault.kept == {ENTRY: b"as it was"} and CODE not in str(caught.value)


def test_with_the_real_server_too(backend: LocalCloud, line: Line, credentials: Credentials) -> None:
    code = backend.enrolment_code(backend.add_clinic())
    with pytest.raises(BadInput, match="No Health Helper server"):
        enrol(code, f"{backend.url}/wrong", line, credentials)
    assert enrol(code, backend.url, line, credentials).url == backend.url  # the code is as good as before


@pytest.mark.parametrize(
    "url",
    [
        None, "", "x", "http://api.example.org", "ftp://api.example.org", "https://", "https://u:p@example.org",
        "https://example.org/?a=b", "https://example.org/#a", "https://" + "a" * 300 + ".org", "https://example.org/\nX: y",
        "https://xn--a/", "https://999.1.1.1", "https://[1:2:3]", "https://a..b",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_told_and_not_repeated(
    line: Line, credentials: Credentials, url: str | None
) -> None:
    with pytest.raises(BadInput) as caught:
        enrol(CODE, url, line, credentials)
    assert "u:p" not in str(caught.value)
    assert line.asked == []


def test_a_managed_computer_goes_to_its_own_server_only(
    backend: LocalCloud, line: Line, credentials: Credentials
) -> None:
    line.policy = replace(Policy(), cloud_url=backend.url + "/")
    with pytest.raises(EnvironmentFault, match="another server"):
        enrol(CODE, "https://api.example.org", line, credentials)
    assert line.asked == []
    assert enrol(backend.enrolment_code(backend.add_clinic()), None, line, credentials).url == backend.url


def test_an_address_has_one_spelling_which_the_proofs_name_too(line: Line, credentials: Credentials) -> None:
    """The server compares what a proof was made for letter by letter."""
    line.policy = Policy(cloud_url="https://api.example.org")
    line.cuts = {ENROL}
    with pytest.raises(faults.ConnectionBroken):
        enrol(CODE, "https://API.Example.org:443/", line, credentials)
    assert line.asked == [ENROL]


def test_trying_the_key_store_undoes_nothing_that_another_process_does(
    backend: LocalCloud, line: Line, vault: MemoryVault, credentials: Credentials
) -> None:
    """It renews the sign-in between our look at the entry and our try to write; an old token would end the enrolment."""
    enrol(backend.enrolment_code(backend.add_clinic()), backend.url, line, credentials)
    renewed: list[bytes] = []

    class Raced(MemoryVault):
        def read(self, name: str) -> bytes | None:
            found = super().read(name)
            if not renewed:
                renewed.append(b"")
                other = Line()
                Credentials(vault).signed_in(other)
                other.close()
                renewed.append(vault.kept[ENTRY])
            return found

    with pytest.raises(faults.CodeRefused):
        enrol(CODE, backend.url, line, Credentials(Raced(vault.kept)))
    assert vault.kept == {ENTRY: renewed[1]}
