"""The model's tokens and what was spoken and heard in the cloud, by clinic and day (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from backend_lambda.store.database import Transaction


def add(tx: Transaction, *, day: date, input_tokens: int, output_tokens: int) -> None:
    """Adds to that day's."""
    tx.do(
        "INSERT INTO usage_day AS kept (clinic_id, day, input_tokens, output_tokens) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (clinic_id, day) DO UPDATE SET input_tokens = kept.input_tokens + excluded.input_tokens,"
        " output_tokens = kept.output_tokens + excluded.output_tokens",
        (tx.clinic_id, day, input_tokens, output_tokens),
    )


def correct(tx: Transaction, *, day: date, input_tokens: int, output_tokens: int) -> None:
    """Adds to a day that was counted already; what was counted too high may be taken off."""
    tx.do(
        "UPDATE usage_day SET input_tokens = greatest(0, input_tokens + %s), output_tokens = greatest(0, output_tokens + %s)"
        " WHERE clinic_id = %s AND day = %s",
        (input_tokens, output_tokens, tx.clinic_id, day),
    )


def used_this_month(tx: Transaction, now: datetime) -> int:
    """In and out together, since the first of the month (UTC)."""
    ((used,),) = tx.ask(
        "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM usage_day"
        " WHERE day >= %(first)s AND day < (%(first)s::date + interval '1 month')::date",
        {"first": _first(now)},
    )
    return int(used)


@dataclass(frozen=True, slots=True)
class Speech:
    """characters: that a voice was given. streams: places to stream sound to that were given out, opened or not."""

    characters: int = 0
    streams: int = 0


def add_speech(tx: Transaction, *, day: date, characters: int = 0, streams: int = 0) -> None:
    """Adds to that day's."""
    tx.do(
        "INSERT INTO usage_day AS kept (clinic_id, day, synthesised_characters, transcription_streams) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (clinic_id, day) DO UPDATE"
        " SET synthesised_characters = kept.synthesised_characters + excluded.synthesised_characters,"
        " transcription_streams = kept.transcription_streams + excluded.transcription_streams",
        (tx.clinic_id, day, characters, streams),
    )


def correct_speech(tx: Transaction, *, day: date, characters: int = 0, streams: int = 0) -> None:
    """Adds to a day that was counted already; what was counted too high may be taken off."""
    tx.do(
        "UPDATE usage_day SET synthesised_characters = greatest(0, synthesised_characters + %s),"
        " transcription_streams = greatest(0, transcription_streams + %s) WHERE clinic_id = %s AND day = %s",
        (characters, streams, tx.clinic_id, day),
    )


def speech_this_month(tx: Transaction, now: datetime) -> Speech:
    """Since the first of the month (UTC)."""
    ((characters, streams),) = tx.ask(
        "SELECT coalesce(sum(synthesised_characters), 0)::bigint, coalesce(sum(transcription_streams), 0)::bigint FROM usage_day"
        " WHERE day >= %(first)s AND day < (%(first)s::date + interval '1 month')::date",
        {"first": _first(now)},
    )
    return Speech(int(characters), int(streams))


def _first(now: datetime) -> date:
    return now.astimezone(UTC).date().replace(day=1)
