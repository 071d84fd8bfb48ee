"""The HTTP contract: fields and bounds of a transaction, and what an answer holds."""

import json

import pytest
from pydantic import ValidationError

from serving.contract.models import Prediction, Predictions
from tests.serving.decoding import Transaction
from tests.ulb import COLUMNS, ID_COLUMN, bounds


@pytest.fixture
def line():
    """A valid transaction."""
    return dict.fromkeys(COLUMNS, 1.0)


@pytest.mark.parametrize("column", COLUMNS)
def test_bounds_are_inclusive(line, column):
    """The lowest and the highest value pass; what lies just outside does not."""
    low, high = bounds(column)
    for value in (low, high):
        assert getattr(Transaction(**line | {column: value}), column) == value
    for value in (low - 0.01, high + 1):
        with pytest.raises(ValidationError):
            Transaction(**line | {column: value})


@pytest.mark.parametrize("column", [*COLUMNS, ID_COLUMN])
def test_every_field_is_described(column):
    """The API documentation explains each field."""
    assert Transaction.model_fields[column].description


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_required(line, column):
    """A transaction without one of its numbers is none."""
    del line[column]
    with pytest.raises(ValidationError, match="Field required"):
        Transaction(**line)


def test_a_transaction_is_frozen(line):
    """What was validated stays as it was."""
    with pytest.raises(ValidationError):
        Transaction(**line).V1 = 3.0


@pytest.mark.parametrize("text", ["", "-a", "/a", " a", "a b", "a\n", "x" * 65, "ä", "a;b", 'a"b', "a\\b", "a{", "٣"])
def test_ids_that_do_not(line, text):
    """Anything else is refused, as are quotes and braces, on whose absence the request parser counts."""
    with pytest.raises(ValidationError):
        Transaction(**line | {ID_COLUMN: text})


def test_prediction_leaves_out_nothing_and_adds_the_id():
    """An answer has the probability, the decision, the version, and the id when there is one."""
    answer = Prediction(fraud_probability=0.25, is_fraud=False, model_version="v", transaction_id="a")
    assert json.loads(Predictions(predictions=[answer]).model_dump_json()) == {
        "predictions": [
            {"fraud_probability": 0.25, "is_fraud": False, "model_version": "v", "transaction_id": "a"},
        ]
    }


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(probability):
    """Nothing else is an answer."""
    with pytest.raises(ValidationError):
        Prediction(fraud_probability=probability, is_fraud=True, model_version="v")
