"""The words for what a scan says."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

import pytest

from client.reports.wording import (
    NEEDS_S,
    REASONS,
    UNITS,
    VITALS,
    gave_up,
    interval,
    is_remark,
    lacks,
    number,
    remedy,
    saved_words,
    told_as,
    vital_name,
    why_not,
)
from client.store.database import StoreFault
from client.vault import VaultFault
from edge_models import vitals
from edge_models.types import Estimate, Reason
from edge_models.vitals import VITALS as MEASURED
from tests.client.pipeline.fakes import estimate
from tests.client.reports.languages import in_language as in_language  # noqa: PLC0414 (a fixture)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_was_seen_and_what_to_do(reason: Reason) -> None:
    words = REASONS[reason]
    assert words.seen
    assert words.seen[0].islower(), "it stands in the middle of a sentence"
    assert not words.seen.endswith(".")
    assert words.remedy[0].isupper()
    assert words.remedy.endswith(".")
    assert len(words.remedy) <= 70, "a hint is read at a glance, on one line"


def test_no_two_reasons_are_told_in_the_same_words() -> None:
    assert len({words.seen for words in REASONS.values()}) == len(Reason)


def test_every_vital_sign_that_is_measured_has_a_name() -> None:
    assert {spec.name for spec in MEASURED} <= set(VITALS)
    assert vital_name("oxygen_saturation") == "Oxygen saturation"


def test_numbers_are_read_as_people_read_them() -> None:
    assert number(estimate(71.6)) == "72 /min"
    assert interval(estimate(71.6)) == "70 to 74"
    narrow = Estimate(72.0, 71.9, 72.2, "/min", 0.9, (), 30.0, "fake")
    assert interval(narrow) == "71.9 to 72.2"
    assert number(estimate(None)) is None
    assert interval(estimate(None)) is None
    assert why_not("heart_rate", estimate(None, Reason.TOO_DARK)) == "not shown: it was too dark"


def test_what_was_kept_is_one_sentence() -> None:
    for reason in (None, "no_save", "keyring_missing", "of_a_newer_version"):
        assert saved_words(reason).count(".") == 1


def test_every_fault_of_the_store_has_words() -> None:
    def kinds(fault: type) -> set[type]:
        return {fault}.union(*map(kinds, fault.__subclasses__()))

    codes = {kind.code for top in (StoreFault, VaultFault) for kind in kinds(top) if hasattr(kind, "code")}
    assert len(codes) > 8
    for code in codes:
        assert code not in saved_words(code)


def test_what_a_vital_sign_needs_is_what_the_engine_asks_for() -> None:
    assert {spec.name: spec.needs_s for spec in MEASURED} == dict(NEEDS_S)


def test_too_short_says_how_long_it_takes() -> None:
    short = Estimate(None, None, None, "ms", 0.0, (Reason.TOO_SHORT,), 40.0, "x")
    assert "60 s" in why_not("rmssd", short) and lacks("rmssd", short) == 60
    assert lacks("rmssd", replace(short, window_s=70.0)) is None


def test_few_pictures_are_the_reason_only_where_there_was_time_for_more() -> None:
    short = Estimate(None, None, None, "/min", 0.0, (Reason.TOO_FEW_FRAMES,), 0.97, "x")
    long = replace(short, window_s=7.0)
    assert told_as(Reason.TOO_FEW_FRAMES, "heart_rate", short) is Reason.TOO_SHORT
    assert told_as(Reason.TOO_FEW_FRAMES, "heart_rate", long) is Reason.TOO_FEW_FRAMES
    assert told_as(Reason.LOW_FRAME_RATE, "heart_rate", short) is Reason.LOW_FRAME_RATE
    dark = replace(short, reasons=(Reason.TOO_DARK, Reason.TOO_FEW_FRAMES))
    assert told_as(dark.reasons[0], "heart_rate", dark) is Reason.TOO_DARK
    assert why_not("heart_rate", short) == "not shown: it needs 7 s of good signal, there were 0"
    assert "too few pictures" in why_not("heart_rate", long)
    needs = "Measure for longer: 7 s of good signal or more."
    assert remedy(Reason.TOO_SHORT, "heart_rate", short) == needs
    assert remedy(Reason.TOO_DARK, "heart_rate", dark) == REASONS[Reason.TOO_DARK].remedy
    assert short.reasons == (Reason.TOO_FEW_FRAMES,), "what the engine found stays what it is"


def test_a_reason_is_a_remark_above_a_confidence_of_95_percent() -> None:
    found = estimate(70.0, Reason.TOO_NEAR)
    assert [is_remark(replace(found, confidence=sure)) for sure in (0.5, 0.95, 0.96, 1.0)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("reason", [None, *Reason])
def test_a_scan_that_is_given_up_says_why_and_what_to_do(reason: Reason | None) -> None:
    words = REASONS[reason or Reason.TOO_SHORT]
    words_ = str(gave_up(reason))
    assert words_.startswith("Ended early") and words_.endswith("again.")
    assert f": {words.seen}. {words.remedy} " in words_


def test_every_unit_that_is_measured_can_be_translated() -> None:
    engine = {
        vars(importlib.import_module(f"edge_models.vitals.{module.name}")).get("UNIT")
        for module in pkgutil.iter_modules(vitals.__path__)
    }
    assert engine - {None} == set(UNITS)


@pytest.mark.usefixtures("in_language")
def test_every_word_goes_through_the_persons_language() -> None:
    assert vital_name("heart_rate") == "«Heart rate»"
    assert number(estimate(71.6)) == "«72 «/min»»"
    assert interval(estimate(71.6)) == "«70 to 74»"
    assert why_not("heart_rate", estimate(None, Reason.TOO_DARK)) == "«not shown: «it was too dark»»"
    short = Estimate(None, None, None, "ms", 0.0, (Reason.TOO_SHORT,), 40.0, "x")
    assert why_not("rmssd", short).startswith("«not shown: it needs 60 s of good signal, there were 40")
    assert str(gave_up(Reason.TOO_DARK)).startswith(
        "«Ended early, because going on would not have helped: «it was"
    )
    assert f"«{REASONS[Reason.TOO_DARK].remedy}» Then start again.»" in str(gave_up(Reason.TOO_DARK))
    assert saved_words(None) == "«Saved on this device.»"
    assert saved_words("disk_full") == "«Not saved: «the disk is full».»"


@pytest.mark.usefixtures("in_language")
def test_what_a_newer_version_has_is_named_as_it_is() -> None:
    assert vital_name("oxygen_saturation") == "Oxygen saturation"
    assert saved_words("of_a_newer_version") == "«Not saved: of_a_newer_version.»"
    assert number(estimate(97.0, unit="%")) == "«97 %»"


@pytest.mark.usefixtures("in_language")
def test_the_tables_stay_english() -> None:
    assert REASONS[Reason.TOO_DARK].seen == "it was too dark"
