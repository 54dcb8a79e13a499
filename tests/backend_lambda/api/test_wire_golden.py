"""`tests/golden/wire/` has one example of every model of the wire format, whole. The client reads the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from backend_lambda import wire
from backend_lambda.auth.dpop import public_key
from backend_lambda.services import audit, enrolment
from backend_lambda.services.observations import _ITEM

GOLDEN = Path(__file__).parents[2] / "golden" / "wire"
MODELS = {
    name: model
    for name, model in vars(wire).items()
    if isinstance(model, type) and issubclass(model, BaseModel) and model not in {BaseModel, wire.Wire}
}


def example(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def test_there_is_an_example_of_each_and_of_nothing_else() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_example_is_read_and_written_the_same(name: str) -> None:
    """Whole: also what has a default stands in it."""
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    model = MODELS[name].model_validate_json(text)
    assert json.loads(model.model_dump_json()) == json.loads(text)
    assert set(example(name)) == set(MODELS[name].model_fields)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_example_with_anything_more_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        MODELS[name].model_validate({**example(name), "more": 1})


def test_the_items_of_the_batch_are_observations() -> None:
    for item in example("ObservationBatch")["observations"]:
        assert json.loads(_ITEM.validate_python(item).model_dump_json()) == item


def test_what_is_opaque_is_right_too() -> None:
    """The client may take its own work to be right where it passes these."""
    code = enrolment.normal_code(example("EnrolmentCode")["code"])
    assert code is not None
    assert code == enrolment.normal_code(example("Enrol")["code"])
    assert len(public_key(example("PublicKey"))[1]) == 43
    assert audit.cursor_of(example("AuditPage")["next_cursor"]) == example("AuditEntry")["seq"]
