"""The answers are what Starlette makes of the same, byte for byte."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from fraud.schema import ID_PATTERN
from serving.answer import answer_many, answer_one
from tests.steps import finished


class Scored(NamedTuple):
    fraud_probability: float
    is_fraud: bool
    model_version: str


NAMES = st.one_of(st.just(""), st.from_regex(ID_PATTERN.replace("$", r"\Z")))
SCORES = st.builds(Scored, st.floats(0, 1), st.booleans(), st.just("wn3s5shirgzfeax4"))


def expected(score, name):
    return score._asdict() | ({"transaction_id": name} if name else {})


@given(st.lists(st.tuples(SCORES, NAMES)))
def test_answers_are_starlettes_byte_for_byte(given_rows):
    """Floats in every digit, the id only where there is one, alone and among others."""
    wanted = [expected(*row) for row in given_rows]
    for row, one in zip(given_rows, wanted, strict=True):
        assert answer_one(*row).encode() == JSONResponse(one).body
    scores, names = [row[0] for row in given_rows], [row[1] for row in given_rows]
    assert finished(answer_many(scores, names)).encode() == JSONResponse({"predictions": wanted}).body


@pytest.mark.parametrize("probability", [0.0, 1.0, 0.1, 1 / 3, 5e-324, 0.30000000000000004, 1e-05])
def test_probabilities_keep_every_bit(probability):
    """As Python writes them."""
    assert f":{probability!r}," in answer_one(Scored(probability, False, "v"), "")
