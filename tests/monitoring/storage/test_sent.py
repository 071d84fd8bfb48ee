"""What a row of the log holds of what was sent: every form that was ever written is read."""

import numpy as np
import pytest
from msgspec import json

from fraud.rows import pack
from fraud.schema import default, parse
from monitoring.storage.sent import RowKind, packed

OWN = parse('name = "own"\n[columns.a]\nkind = "number"\n[columns.b]\nkind = "category"\n', "own.toml")
NUMBERS, FEATURES = pack(np.array([[0.1, 2.0]])), np.array([0.1, 0.25], dtype="<f4").tobytes()
TEXTS = ('"é',)


@pytest.mark.parametrize(
    ("sent", "apart", "expected"),
    [
        (packed(NUMBERS, FEATURES, TEXTS), None, (NUMBERS, FEATURES, TEXTS)),
        (packed(NUMBERS, FEATURES, (None,)), None, (NUMBERS, FEATURES, (None,))),
        (NUMBERS + json.encode(TEXTS), FEATURES, (NUMBERS, FEATURES, TEXTS)),
    ],
    ids=["as written", "no text", "features in their own column"],
)
def test_each_form_of_a_row_is_read(sent, apart, expected):
    """Numbers, features and texts, wherever the features stand."""
    assert RowKind(OWN).read(sent, apart) == expected


def test_a_row_of_the_first_table_has_no_features():
    """Of the default schema's alone the numbers were kept."""
    numbers = pack(np.arange(30.0))
    assert RowKind(default()).read(numbers) == (numbers, b"", ())
