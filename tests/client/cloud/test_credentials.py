"""client.cloud.credentials: no kill, lost answer or closed key store ends an enrolment; what ended it is told, and not asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.auth import dpop
from client.cloud import faults
from client.cloud.credentials import ENTRY, MAX_ENTRY_BYTES, Credentials, Entry, Key
from client.cloud.forms import Unfit
from client.cloud.service import Cloud
from client.policy import Policy
from client.vault import VaultLocked
from tests.client.cloud.device import TOKEN, Device, Line, MemoryVault, MovedClock, an_entry, enrolled, tokens
from tests.stand_ins.local_cloud import LocalCloud
from tests.stand_ins.tls_server import Asked, Connection, Server, answer, problem, says

CONFIG = "/v1/config"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HTTP_NOW = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalCloud]:
    with LocalCloud() as running:
        yield running


@pytest.fixture
def device(backend: LocalCloud) -> Iterator[Device]:
    made = enrolled(backend)
    yield made
    made.line.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


# --- The key and the entry ---------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32).filter(lambda raw: 0 < int.from_bytes(raw, "big") < 2**255))
def test_each_proof_is_one_that_the_server_takes_once(raw: bytes) -> None:
    key = Key(raw)
    assert key.raw == raw
    digests = set()
    for token in (None, "an.access-token", "an.access-token"):
        proof = key.proof("POST", "https://api.test/v1/x", NOW, token)
        found = dpop.verify(proof, method="POST", url="https://api.test/v1/x", now=NOW, access_token=token)
        assert found.thumbprint == dpop.thumbprint(key.public.x, key.public.y)
        digests.add(found.digest)
    assert len(digests) == 3


def test_an_entry_comes_back_and_fits_into_every_key_store() -> None:
    entry = an_entry("https://" + "a" * 60 + ".example.org:8443/stage", refresh_token="r" * 43)
    data = entry.to_bytes()
    assert Entry.read(data) == entry and len(data.hex()) < 1200
    assert entry.refresh_token not in repr(entry) and str(entry.key) not in repr(entry)
    with pytest.raises(Unfit):
        an_entry("https://api.example.org", refresh_token="r" * 400).to_bytes()


@given(st.binary(max_size=700))
def test_what_is_no_entry_is_none(data: bytes) -> None:
    assert Entry.read(data) is None


@pytest.mark.parametrize("key", ["", "AAAA", "A" * 43, "_" * 43, "ä", 3])
def test_a_key_that_is_none_makes_no_entry(key: object) -> None:
    import json

    facts = json.loads(an_entry("https://api.example.org").to_bytes())
    assert Entry.read(json.dumps({**facts, "key": key}).encode()) is None


def test_a_refresh_has_the_same_id_in_every_process_and_another_for_every_token() -> None:
    one = an_entry("https://api.example.org")
    again = Entry.read(one.to_bytes())
    assert again is not None and again.request_id == one.request_id
    assert an_entry("https://api.example.org").request_id != one.request_id
    assert one.refresh_token not in one.request_id.replace("-", "")


# --- With the real server ----------------------------------------------------------------------------


def test_one_access_token_serves_until_shortly_before_its_end(backend: LocalCloud) -> None:
    clock = MovedClock()
    device = enrolled(backend, clock)
    for _ in range(3):
        device.cloud.config()
    assert device.line.count(TOKEN) == 1
    clock.at_s += 900.0 - 75.0  # a busy machine takes a few seconds of its own
    device.line.server_clock.learn(device.line.request("GET", f"{backend.url}/v1/health"))
    device.cloud.config()
    assert device.line.count(TOKEN) == 1
    clock.at_s += 16.0
    device.cloud.config()
    assert device.line.count(TOKEN) == 2
    device.line.close()


@pytest.mark.parametrize(
    "off", [timedelta(minutes=-5), timedelta(minutes=9), timedelta(days=-3650), timedelta(days=3650)]
)
def test_a_wrong_clock_costs_one_more_question(backend: LocalCloud, off: timedelta) -> None:
    device = enrolled(backend, MovedClock(off))
    device.cloud.config()
    assert device.line.asked == [TOKEN, CONFIG]  # it was learned when it was enrolled
    assert device.cloud.clock_offset_s == pytest.approx(off.total_seconds(), abs=3.0)
    anew = Line(MovedClock(off))
    Cloud(anew, device.killed()).config()
    assert anew.asked == [TOKEN, TOKEN, CONFIG]
    anew.close()
    device.line.close()


def test_a_clock_that_jumps_years_while_it_runs_costs_nothing(backend: LocalCloud) -> None:
    clock = MovedClock()
    device = enrolled(backend, clock)
    for years in (0, 10, -20):
        clock.wall = timedelta(days=365 * years)
        device.cloud.config()
    assert device.line.asked == [TOKEN, CONFIG, CONFIG, CONFIG]
    device.line.close()


def test_a_computer_that_slept_is_told_the_time(backend: LocalCloud) -> None:
    """Its monotonic clock stood still: here the server is a quarter of an hour behind what is reckoned."""
    clock = MovedClock()
    device = enrolled(backend, clock)
    device.cloud.config()
    clock.at_s += 800.0
    device.cloud.config()
    assert device.line.asked == [TOKEN, CONFIG, CONFIG, CONFIG]
    device.line.close()


def test_a_lost_answer_loses_nothing_however_often(device: Device) -> None:
    before = device.entry()
    device.line.loses = {TOKEN}
    for credentials in (device.credentials, device.killed(), device.killed()):
        for _ in range(2):
            with pytest.raises(faults.ConnectionBroken):
                credentials.signed_in(device.line)
    assert device.entry() == before
    device.line.loses = set()
    credentials = device.killed()
    for _ in range(3):
        _, _, token = credentials.signed_in(device.line)
        credentials.drop(token)
    assert credentials.entry() == device.entry() != before
    Cloud(device.line, device.killed()).config()


def test_a_kill_between_answer_and_key_store_loses_nothing(device: Device) -> None:
    """After each renewal the key store is set back to what it was before, as if nothing had been written."""
    for _ in range(3):
        before = dict(device.vault.kept)
        device.killed().signed_in(device.line)
        device.vault.kept = before
        device.killed().signed_in(device.line)
    Cloud(device.line, device.killed()).config()


def test_a_key_store_that_closes_in_the_middle_loses_nothing(device: Device) -> None:
    device.vault.read_only = True
    device.cloud.config()  # renewed; the new sign-in could not be written
    before = device.entry()
    assert device.credentials.entry() != before
    device.cloud.config()
    _, _, token = device.credentials.signed_in(device.line)
    device.credentials.drop(token)
    asked = device.line.count(TOKEN)
    for _ in range(2):  # its turn would come now, and it does not stand in the key store: it is not used
        with pytest.raises(VaultLocked):
            device.cloud.config()
    assert device.line.count(TOKEN) == asked and device.entry() == before
    Cloud(
        device.line, Credentials(MemoryVault(dict(device.vault.kept)))
    ).config()  # after a kill at this moment
    device.vault.read_only = False
    device.cloud.config()
    assert device.entry() != before
    Cloud(device.line, device.killed()).config()


def test_a_locked_key_store_stops_nothing_until_the_access_token_ends(device: Device) -> None:
    device.cloud.config()
    device.vault.locked = True
    device.cloud.config()
    with pytest.raises(VaultLocked):
        Cloud(device.line, device.killed()).config()
    assert device.line.count(TOKEN) == 1


def test_two_processes_share_one_sign_in(device: Device) -> None:
    others = [device.killed(), device.killed()]
    for _ in range(3):
        for credentials in others:
            _, _, token = credentials.signed_in(device.line)
            credentials.drop(token)
    assert {one.entry() for one in others} == {device.entry()}
    Cloud(device.line, device.killed()).config()


def test_a_process_that_was_overtaken_takes_over_what_the_other_has_written(device: Device) -> None:
    """Its answer comes while the other has gone on twice from the same token."""
    slow, quick = device.killed(), device.killed()
    raced: list[str] = []

    def race(path: str) -> None:
        if path == TOKEN and not raced:
            raced.append(path)
            inner = Line()
            _, _, token = quick.signed_in(inner)
            inner.close()
            quick.drop(token)

    device.line.before = race
    slow.signed_in(device.line)
    assert slow.entry() == quick.entry() == device.entry()
    Cloud(device.line, slow).config()


def test_many_threads_renew_once(device: Device) -> None:
    got: list[str] = []
    threads = [
        threading.Thread(target=lambda: got.append(device.credentials.signed_in(device.line)[2]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8 and len(set(got)) == 1 and device.line.count(TOKEN) == 1


def test_a_revoked_device_is_told_and_does_not_ask_again(device: Device) -> None:
    device.cloud.config()
    device.revoke()
    with pytest.raises(faults.DeviceRevoked):
        device.cloud.config()
    asked = len(device.line.asked)
    for _ in range(3):
        with pytest.raises(faults.DeviceRevoked):
            device.cloud.config()
    assert len(device.line.asked) == asked
    with pytest.raises(faults.DeviceRevoked):  # a new process asks once
        Cloud(device.line, device.killed()).config()
    assert device.line.asked[asked:] == [TOKEN]


def test_another_enrolment_begins_anew_also_by_another_process(device: Device, backend: LocalCloud) -> None:
    device.revoke()
    with pytest.raises(faults.DeviceRevoked):
        device.cloud.config()
    other = enrolled(backend)
    device.vault.kept[ENTRY] = other.vault.kept[ENTRY]
    device.cloud.config()
    other.line.close()


def test_what_another_process_enrolled_holds_once_the_entry_was_looked_at(
    device: Device, backend: LocalCloud
) -> None:
    other = enrolled(backend)
    device.cloud.config()
    device.vault.kept[ENTRY] = other.vault.kept[ENTRY]
    device.credentials.entry()
    assert device.cloud.config().clinic_id == str(other.clinic_id)
    other.line.close()


def test_a_stolen_copy_that_went_on_ends_both(device: Device) -> None:
    """The copy asks with an id of its own: the server sees two users of one token."""
    from client.cloud.credentials import ask_signed
    from client.cloud.wire import TokenRequest

    entry = device.entry()
    stolen = TokenRequest(entry.refresh_token, "3f0c1b5e-8d0a-4c35-9f0e-1d2c3b4a5968")
    assert ask_signed(device.line, Key(entry.key), "POST", entry.url, TOKEN, body=stolen.body()).status == 200
    with pytest.raises(faults.DeviceRevoked):
        device.cloud.config()


def test_a_sign_in_that_the_server_does_not_know_is_lost_and_not_asked_for_again(device: Device) -> None:
    lost = an_entry(device.backend.url, refresh_token="r" * 43)
    credentials = Credentials(MemoryVault({ENTRY: lost.to_bytes()}))
    for _ in range(3):
        with pytest.raises(faults.SignInLost):
            credentials.signed_in(device.line)
    assert device.line.asked == [TOKEN]
    credentials.keep(device.entry())
    credentials.signed_in(device.line)


def test_a_wrong_clock_is_no_lost_sign_in(backend: LocalCloud) -> None:
    line = Line(MovedClock(timedelta(days=40)))
    lost = an_entry(backend.url, refresh_token="r" * 43)
    with pytest.raises(faults.SignInLost):
        Credentials(MemoryVault({ENTRY: lost.to_bytes()})).signed_in(line)
    assert line.asked == [TOKEN, TOKEN]  # only said once the time was right
    line.close()


# --- Other answers -----------------------------------------------------------------------------------


def asked_of(server: Server, line: Line) -> tuple[Credentials, MemoryVault]:
    vault = MemoryVault({ENTRY: an_entry(server.url).to_bytes()})
    return Credentials(vault), vault


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (problem(409, "conflict"), faults.RateLimited),
        (problem(429, "rate_limited", {"Retry-After": "300"}), faults.RateLimited),
        (problem(503, "store_unavailable"), faults.ServerBusy),
        (answer(502, b"<html>", {"Content-Type": "text/html"}), faults.ServerBusy),
        (answer(401, b"no", {"Content-Type": "text/plain", "Date": HTTP_NOW}), faults.Refused),
        (problem(401, "unauthenticated"), faults.Refused),  # by whose clock is not said
        (problem(401, "clock_skew", {"Date": HTTP_NOW}), faults.Refused),
        (answer(403, b"<html>", {"Content-Type": "text/html"}), faults.Refused),
        (answer(200, {}), faults.AnswerUnreadable),
        (answer(200, tokens(access_token="a b\r\nX: y")), faults.AnswerUnreadable),
        (answer(200, tokens(refresh_token="r" * 900)), faults.AnswerUnreadable),
        (answer(200, b"<html>", {"Content-Type": "text/html"}), faults.CaptivePortal),
    ],
    ids=range(12),
)
def test_no_other_answer_ends_or_changes_the_sign_in(
    line: Line, said: bytes, kind: type[faults.CloudFault]
) -> None:
    with Server(says(said)) as server:
        credentials, vault = asked_of(server, line)
        before = dict(vault.kept)
        with pytest.raises(faults.CloudFault) as caught:
            credentials.signed_in(line)
        assert type(caught.value) is kind and caught.value.retry
        assert vault.kept == before and len(server.asked) <= 2
        server.script = says(answer(200, tokens()))
        credentials.signed_in(line)
        assert len({asked.json["request_id"] for asked in server.asked}) == 1
        assert len({asked.headers["dpop"] for asked in server.asked}) == len(server.asked)


def test_without_an_entry_nobody_is_asked(line: Line) -> None:
    for kept in ({}, {ENTRY: b"{}"}, {ENTRY: b"\0" * MAX_ENTRY_BYTES}):
        credentials = Credentials(MemoryVault(kept))
        assert credentials.entry() is None
        with pytest.raises(faults.NotEnrolled):
            credentials.signed_in(line)
    assert line.asked == []


def test_what_is_forgotten_while_it_is_renewed_stays_forgotten(line: Line) -> None:
    def script(_asked: Asked, connection: Connection) -> None:
        credentials.forget()
        connection.send(answer(200, tokens()))

    with Server(script) as server:
        credentials, vault = asked_of(server, line)
        with pytest.raises(faults.NotEnrolled):
            credentials.signed_in(line)
    assert vault.kept == {} and credentials.entry() is None


@pytest.mark.parametrize("by_us", [True, False])
def test_what_is_enrolled_while_the_old_is_renewed_is_what_stays(line: Line, by_us: bool) -> None:
    def script(_asked: Asked, connection: Connection) -> None:
        if len(server.asked) == 1:
            if by_us:
                credentials.keep(new)
            else:
                vault.kept[ENTRY] = new.to_bytes()
        connection.send(answer(200, tokens(refresh_token=f"r{len(server.asked)}")))

    with Server(script) as server:
        new = an_entry(server.url)
        credentials, vault = asked_of(server, line)
        entry = credentials.signed_in(line)[0]
        kept = credentials.entry()
        assert kept is not None and kept.device_id == new.device_id
        if by_us:
            assert entry.device_id == new.device_id


def test_the_state_can_be_asked_for_while_the_network_hangs(line: Line) -> None:
    came, on = threading.Event(), threading.Event()

    def script(_asked: Asked, connection: Connection) -> None:
        came.set()
        on.wait(5.0)
        connection.send(answer(200, tokens()))

    with Server(script) as server:
        credentials, _ = asked_of(server, line)
        renewing = threading.Thread(target=credentials.signed_in, args=(line,))
        renewing.start()
        assert came.wait(5.0)
        assert credentials.entry() is not None
        on.set()
        renewing.join()


def test_a_policy_of_another_server_stops_an_enrolment_from_before(device: Device) -> None:
    device.cloud.config()
    asked = len(device.line.asked)
    device.line.policy = Policy(cloud_url="https://api.example.org")
    with pytest.raises(faults.NotEnrolled):
        Cloud(device.line, device.killed()).config()
    assert len(device.line.asked) == asked
    device.line.policy = Policy(cloud_url=device.backend.url + "/")
    Cloud(device.line, device.killed()).config()
