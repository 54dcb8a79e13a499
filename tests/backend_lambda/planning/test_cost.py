"""The bill, against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_lambda.planning import cost
from backend_lambda.planning.cost import (
    PROMISED,
    Estimate,
    Options,
    counted,
    estimate,
    settled,
    turns_that_fit,
)
from backend_lambda.planning.demand import SIZES, Counts, Demand

TEN = SIZES["10000"]
EVERYTHING: tuple[Mapping[str, Any], ...] = (
    {"stage": "dev", "waf": True, "edge": True},
    {"replica": True, "second_region": True, "guardrail": True, "malware_scan": True},
    {"text_recognition": True, "medical_entities": True, "vitals_stream": True, "health_lake": True},
    {"connect": True, "cache": "serverless", "endpoints": False, "speech_to_text": "deepgram"},
    {"cache": "node", "text_to_speech": "polly-standard"},
    {"text_to_speech": "cartesia"},
    *({"model": model} for model in cost.models()),
    *({"database_class": name, "multi_az": multi} for name in cost.VCPUS for multi in (False, True)),
)


def of(bill: Estimate, name: str) -> float:
    (found,) = [line.usd for line in bill.lines if line.name == name]
    return found


# --- By hand


def test_what_stands_there_in_dev() -> None:
    by_hand = (
        730 * 0.045  # one NAT gateway
        + 730 * 0.005  # its address
        + 3 * 1.00  # keys
        + 0.40  # the owner's secret
        + 50 * 0.10  # alarms
        + 3.00  # dashboard
        + 32 * 0.30  # metrics
        + 730 * 0.016  # db.t4g.micro
        + 20 * 0.115  # its disk
        + 2 * 730 * 0.015  # the proxy's two processors
    )
    bill = estimate(SIZES["development"], Options(stage="dev"))
    assert by_hand == pytest.approx(93.38, abs=0.01)
    assert bill.of("standing") == pytest.approx(by_hand, abs=0.02)  # and 35 documents a month, a cent


def test_tokens_of_ten_thousand_people() -> None:
    # 10,000 × 2 × 52/12 = 86,667 scans; with 5 questions 433,333, which read 650 million tokens and write 130 million.
    demand = replace(TEN, turns_per_scan=5.0)
    found = {
        model: estimate(demand, Options(model=model, residency="global")).model_usd for model in cost.models()
    }
    assert found["haiku-4.5"] == pytest.approx(650 * 1 + 130 * 5)
    assert found["sonnet-4.6"] == pytest.approx(650 * 3 + 130 * 15)
    assert found["nova-lite"] == pytest.approx(650 * 0.06 + 130 * 0.24)
    assert found["haiku-5.5"] == pytest.approx(1.3 * (650 * 0.10 + 130 * 0.50))
    assert found["sonnet-5"] == pytest.approx(1.3 * (650 * 2 + 130 * 10))


def test_a_model_that_stays_in_its_part_of_the_world_costs_a_tenth_more() -> None:
    for model, more in (("haiku-4.5", 1.1), ("nova-lite", 1.0)):
        there = estimate(TEN, Options(model=model)).model_usd
        anywhere = estimate(TEN, Options(model=model, residency="global")).model_usd
        assert there == pytest.approx(more * anywhere)


def test_what_is_thought_is_written() -> None:
    more = (
        estimate(TEN, Options(model="haiku-5.5", thinking_tokens=500)).usd
        - estimate(TEN, Options(model="haiku-5.5")).usd
    )
    assert more == pytest.approx(173_333.3 * 500 / 1e6 * 1.3 * 0.55, rel=1e-4)


def test_the_database_of_ten_thousand() -> None:
    bill = estimate(TEN)
    assert of(bill, "PostgreSQL db.t4g.medium, Multi-AZ") == pytest.approx(94.17)
    assert of(bill, "PostgreSQL's disk") == pytest.approx(11.50)
    assert of(bill, "RDS Proxy") == pytest.approx(21.90)
    replica = estimate(TEN, Options(replica=True)).usd - bill.usd
    assert replica == pytest.approx(730 * 0.129 + 50 * 0.23)


def test_a_proxy_of_four_processors() -> None:
    assert of(estimate(TEN, Options(database_class="db.m7g.xlarge")), "RDS Proxy") == pytest.approx(43.80)


def test_the_way_in_of_ten_thousand() -> None:
    bill = estimate(TEN)
    # 86,667 scans × (12 calls + 2 questions) = 1,213,333
    assert of(bill, "API Gateway") == pytest.approx(1.213333 * 3.50, rel=1e-5)
    assert of(bill, "WAF: requests") == pytest.approx(1.213333 * 0.60, rel=1e-5)
    assert of(bill, "interface endpoints") == pytest.approx(4 * 2 * 7.30)
    assert of(bill, "NAT gateways") == pytest.approx(65.70)
    # Fewer than one request a second: X-Ray takes every one.
    assert of(bill, "traces") == pytest.approx(1.213333 * 5.0, rel=1e-5)


def test_xray_takes_one_a_second_and_one_in_twenty_more() -> None:
    bill = estimate(SIZES["100000"])
    # 12,133,333 requests, 2,628,000 seconds
    assert of(bill, "traces") == pytest.approx((2.628 + 0.05 * (12.133333 - 2.628)) * 5.0, rel=1e-5)


def test_hearing_and_speaking_in_the_cloud() -> None:
    demand = replace(TEN, transcribed=1.0, synthesised=1.0)
    bill = estimate(demand)
    assert of(bill, "hearing: Transcribe") == pytest.approx(173_333.33 * 15 * 0.0001667, rel=1e-5)
    assert of(bill, "speaking: polly-neural") == pytest.approx(173_333.33 * 1_200 / 1e6 * 16, rel=1e-5)
    other = estimate(demand, Options(speech_to_text="deepgram", text_to_speech="cartesia"))
    assert of(other, "hearing: Deepgram") == pytest.approx(173_333.33 * 0.25 * 0.0077, rel=1e-5)
    assert of(other, "speaking: cartesia") == pytest.approx(208 * 39, rel=1e-5)


def test_metrics_cost_the_same_for_one_clinic_and_for_twenty() -> None:
    # 22 names of ours and 10 of two methods, whoever asks
    assert of(estimate(TEN), "metrics") == pytest.approx(32 * 0.30)
    assert of(estimate(Demand(people=100_000)), "metrics") == pytest.approx(32 * 0.30)


def test_medical_words_cost_a_cent_for_a_hundred_letters() -> None:
    # 17,333 documents of 2,000 letters
    assert of(estimate(TEN, Options(medical_entities=True)), "documents: medical words") == pytest.approx(
        17_333.33 * 20 * 0.01, rel=1e-5
    )


# --- What was promised


def test_development_fits_what_was_promised() -> None:
    size = PROMISED["development"]
    assert size.least_usd <= estimate(size.demand, size.options).usd <= size.most_usd


@pytest.mark.parametrize("name", ["10000", "100000"])
def test_what_fits_and_what_does_not(name: str) -> None:
    size = PROMISED[name]

    def usd(model: str) -> float:
        return estimate(size.demand, replace(size.options, model=model)).usd

    assert all(usd(model) <= size.most_usd for model in ("haiku-5.5", "nova-lite"))
    assert all(usd(model) > size.most_usd for model in ("haiku-4.5", "sonnet-4.6", "sonnet-5"))


@given(st.floats(0.0, 20_000.0), st.sampled_from(["haiku-4.5", "haiku-5.5", "sonnet-4.6"]))
def test_the_questions_that_fit_fit_and_no_more_do(budget_usd: float, model: str) -> None:
    options = Options(model=model)
    turns = turns_that_fit(TEN, options, budget_usd)
    if turns > 0.0:
        assert estimate(replace(TEN, turns_per_scan=turns), options).usd <= budget_usd
    if turns < cost.MOST_TURNS:
        more = replace(TEN, turns_per_scan=turns + 0.001)
        assert estimate(more, options).usd > budget_usd


# --- Properties

DEMANDS = st.builds(
    Demand,
    people=st.integers(1, 1_000_000),
    scans_per_person_week=st.floats(0.0, 14.0),
    calls_per_scan=st.floats(0.0, 100.0),
    uploads_per_scan=st.floats(0.0, 5.0),
    turns_per_scan=st.floats(0.0, 20.0),
    synthesised=st.floats(0.0, 1.0),
    transcribed=st.floats(0.0, 1.0),
)
FLAGS = ("replica", "second_region", "guardrail", "malware_scan", "text_recognition", "medical_entities")
MORE_FLAGS = (
    "vitals_stream",
    "health_lake",
    "connect",
    "edge",
    "waf",
    "endpoints",
    "knowledge_base",
)
OPTIONS = st.builds(
    Options,
    stage=st.sampled_from(["dev", "production"]),
    model=st.sampled_from(list(cost.models())),
    region=st.sampled_from([cost.HOME, *cost.elsewhere()]),
    free_tiers=st.booleans(),
    **{name: st.booleans() for name in (*FLAGS, *MORE_FLAGS)},
)


@given(DEMANDS, OPTIONS)
def test_a_bill_is_the_sum_of_its_lines_and_no_line_gives_money(demand: Demand, options: Options) -> None:
    bill = estimate(demand, options)
    assert all(line.quantity > 0 and line.usd >= 0 for line in bill.lines)  # 5e-324 calls cost nothing
    assert bill.usd == pytest.approx(sum(line.usd for line in bill.lines))
    assert bill.usd == pytest.approx(bill.of("standing") + bill.of("use"))
    assert 0.0 <= bill.model_share <= 1.0
    assert bill.unchecked_usd <= bill.usd


@given(DEMANDS, OPTIONS, st.sampled_from(["people", "calls_per_scan", "uploads_per_scan", "turns_per_scan"]))
def test_more_of_anything_never_costs_less(demand: Demand, options: Options, what: str) -> None:
    more = replace(demand, **{what: getattr(demand, what) * 2})
    assert estimate(more, options).usd >= estimate(demand, options).usd - 1e-9


@given(
    DEMANDS,
    OPTIONS,
    st.sampled_from((*FLAGS, "vitals_stream", "health_lake", "connect", "waf")),
)
def test_wanting_more_never_costs_less(demand: Demand, options: Options, flag: str) -> None:
    wanted: dict[str, Any] = {flag: True}
    refused: dict[str, Any] = {flag: False}
    less, more = replace(options, **refused), replace(options, **wanted)
    assert estimate(demand, more).usd >= estimate(demand, less).usd - 1e-9


@given(DEMANDS, st.integers(2, 10))
def test_use_of_many_is_at_most_the_sum_of_few(demand: Demand, times: int) -> None:
    many = replace(demand, people=demand.people * times)
    assert estimate(many).of("use") <= times * estimate(demand).of("use") * (1 + 1e-9)


@given(DEMANDS, OPTIONS)
def test_what_is_free_is_never_owed(demand: Demand, options: Options) -> None:
    with_free = estimate(demand, replace(options, free_tiers=True))
    without = estimate(demand, replace(options, free_tiers=False))
    assert with_free.usd <= without.usd + 1e-9
    free = sum(price.free * price.usd for price in cost.prices().values()) * 1.3  # the dearest region's
    assert without.usd - with_free.usd <= free


@given(DEMANDS)
def test_what_a_simulation_counted_costs_what_it_is(demand: Demand) -> None:
    """The same month, once as means and once as counts."""
    options = Options()
    used = cost.usage(demand, settled(options))
    counts = Counts(
        gateway_requests=used.calls + used.turns,
        api_requests=used.calls,
        api_gb_s=used.api_gb_s,
        chat_requests=used.turns,
        chat_gb_s=used.chat_gb_s,
        processing_requests=used.processing_calls,
        processing_gb_s=used.processing_gb_s,
        snapstart_restored_gb=used.restored_gb,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        uploads=used.uploads,
        stored_bytes=used.upload_bytes,
        log_bytes=used.log_bytes,
        kms_signatures=used.signatures,
        queue_messages=used.queue_messages,
    )
    found = estimate(counted(counts, demand, settled(options)), options)
    assert found.usd == pytest.approx(estimate(demand, options).usd)


# --- Prices


def test_every_price_is_used_and_every_line_has_one() -> None:
    demand = replace(TEN, synthesised=0.5, transcribed=0.5)
    used = {line.price.name for more in EVERYTHING for line in estimate(demand, Options(**more)).lines}
    assert used == set(cost.prices())


@pytest.mark.parametrize("price", cost.prices().values(), ids=lambda price: price.name)
def test_every_price_says_where_it_is_from(price: cost.Price) -> None:
    assert price.usd > 0 and price.free >= 0
    assert price.per and price.what
    assert price.source.startswith("https://")
    assert price.found in {"own", "list", "third", "memory"}
    assert not price.checked or price.found in {"own", "list"}
    assert price.as_of is None or price.as_of <= price.read


def test_every_model_has_its_prices() -> None:
    for model in cost.models().values():
        assert {model.input, model.output} <= set(cost.prices())
        assert model.tokens >= 1.0 and model.regional >= 1.0


def test_every_class_has_a_price_in_one_zone_and_two() -> None:
    for name in cost.VCPUS:
        for zones in ("single", "multi"):
            assert f"rds_{zones}_{name.replace('.', '_')}" in cost.prices()


def test_other_regions_name_known_prices_and_what_is_missing_is_said() -> None:
    for region, rows in cost.elsewhere().items():
        assert set(rows) <= set(cost.prices())
        lines = estimate(TEN, Options(region=region)).lines
        assert {line.price.name for line in lines if line.own_region} <= set(rows)
        assert [line for line in lines if not line.own_region]
    assert all(line.own_region for line in estimate(TEN).lines)


def test_frankfurt_has_its_own_price_of_logs() -> None:
    assert of(estimate(TEN, Options(region="eu-central-1")), "logs") == pytest.approx(
        of(estimate(TEN), "logs") * 0.63 / 0.50
    )


# --- Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "gpt"},
        {"database_class": "db.r8g.large"},
        {"region": "mars-north-1"},
        {"thinking_tokens": -1},
        {"disk_gb": -1},
        {"nat_gateways": -1},
    ],
)
def test_what_has_no_price_is_refused(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no price|no model|negative"):
        Options(**wrong)


def test_every_option_changes_something() -> None:
    demand = replace(TEN, synthesised=0.5, transcribed=0.5)
    changed: dict[str, Any] = {
        "stage": "dev",
        "model": "nova-lite",
        "residency": "global",
        "thinking_tokens": 100,
        "database_class": "db.t4g.large",
        "multi_az": False,
        "disk_gb": 500,
        "nat_gateways": 0,
        "speech_to_text": "deepgram",
        "text_to_speech": "cartesia",
        "cache": "node",
        "region": "eu-central-1",
    }
    usual = estimate(demand).usd
    for field in fields(Options):
        before = getattr(Options(), field.name)
        settled_already = {"endpoints": False, "waf": False, "edge": False}
        after = changed.get(field.name, settled_already.get(field.name, not before))
        found = estimate(demand, replace(Options(), **{field.name: after})).usd
        assert found != pytest.approx(usual, abs=0.01), field.name
