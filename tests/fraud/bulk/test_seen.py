"""What is odd about the rows of a file is counted."""

import numpy as np

from fraud.bulk.seen import Seen
from fraud.features import FeaturePath, of_default
from fraud.inputs.encoding import Codes, Encoding
from fraud.inputs.levels import OTHER
from tests.shop_schema import SCHEMA

PATH = FeaturePath(
    SCHEMA,
    Encoding(
        columns={
            name: Codes(levels=("a", "b"), codes=(0.1, 0.2), other=0.3, missing=0.4) for name in ("country", "channel")
        }
    ),
)


def rows(**columns):
    """Three rows of ones, but for these columns."""
    made = np.ones((3, len(SCHEMA.inputs)))
    for name, values in columns.items():
        made[:, SCHEMA.inputs.index(name)] = values
    return made


def test_texts_that_the_model_does_not_know_are_counted():
    """Over all parts of a file, by column."""
    seen = Seen(PATH)
    seen.add(rows(country=[OTHER, 0, OTHER]))
    seen.add(rows(country=[OTHER, np.nan, 1]))
    assert seen.told() == {"unseen_levels": {"country": 3}}


def test_columns_that_hold_nothing_are_named():
    """Of all parts: one value is enough."""
    seen = Seen(PATH)
    seen.add(rows(age=np.nan, country=np.nan))
    seen.add(rows(age=np.nan, country=[np.nan, 0, np.nan]))
    assert seen.told() == {"empty_columns": ["age"]}


def test_of_plain_numbers_there_is_nothing_to_tell():
    """They are neither unknown nor missing."""
    seen = Seen(of_default())
    seen.add(np.ones((2, len(of_default().schema.inputs))))
    assert seen.told() == {}
