"""Columns of keys as hashes: one card is one, whichever file it stands in."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fraud.inputs.keys import KeyHasher, is_hashed
from fraud.schema import parse
from fraud.tables import keys, table
from tests.shop_schema import SCHEMA, TEXT, generate

HASHER = KeyHasher("a secret of forty characters, or of more")


def column(values, **options):
    return pd.DataFrame({"customer": pd.Series(values, **options)})


def hashes(frame, schema=SCHEMA):
    found = keys.hashed(frame, schema, HASHER)["customer"]
    return found.astype(object).where(found.notna(), None).tolist()


CARDS = {
    "whole numbers": column([4012888888881881, 17, 4012888888881881]),
    "texts": column(["4012888888881881", "17", "4012888888881881"]),
    "floats": column([4012888888881881.0, 17.0, 4012888888881881.0]),
    "texts of floats": column(["4012888888881881.0", "17.0", "4012888888881881.0"]),
    "blanks around": column([" 4012888888881881", "17\t", "4012888888881881 "]),
    "nullable": column([4012888888881881, 17, 4012888888881881], dtype="Int64"),
    "categorical": column(["4012888888881881", "17", "4012888888881881"], dtype="category"),
    "arrow": column(["4012888888881881", "17", "4012888888881881"], dtype="string"),
    "decimals": column([Decimal("4012888888881881"), Decimal("17.00"), Decimal("4012888888881881")]),
    "mixed": column([4012888888881881, "17", 4012888888881881.0], dtype=object),
    "hashed": column([HASHER("4012888888881881"), HASHER("17"), "4012888888881881"]),
}


@pytest.mark.parametrize("frame", CARDS.values(), ids=CARDS)
def test_a_card_is_one_card_in_every_format(frame):
    """With the hash of the text that JSON has."""
    card, other = HASHER("4012888888881881"), HASHER("17")
    assert hashes(frame) == [card, other, card]


@pytest.mark.parametrize(
    "frame",
    [
        column([17.0, np.nan]),
        column(["17", ""]),
        column(["17", None]),
        column(["17", " "]),
        column([17, None], dtype="Int64"),
    ],
    ids=["gap", "empty", "none", "blank", "nullable"],
)
def test_no_key_has_no_hash(frame):
    """All that have none would look like one customer."""
    assert hashes(frame) == [HASHER("17"), None]


def test_what_the_schema_says_of_missing_values_holds_for_keys():
    """A word for none is no customer."""
    schema = parse('missing_values = ["?"]\n' + TEXT.replace('kind = "key"', 'kind = "key"\nmissing = true'), "x")
    assert hashes(column(["17", "?"]), schema) == [HASHER("17"), None]


@pytest.mark.parametrize("write", ["csv", "parquet"])
def test_a_file_as_it_was_read_and_as_it_was_checked_has_the_same_hashes(tmp_path, write):
    """So that what is pushed and what is trained on agree; other columns stay."""
    path = tmp_path / f"shop.{write}"
    frame = generate(200).assign(customer=np.where(np.arange(200) % 7, np.arange(200) % 50, np.nan))
    frame.to_csv(path, index=False) if write == "csv" else frame.to_parquet(path)
    raw = table.read_table(path, SCHEMA)
    checked = table.check(raw, SCHEMA, labelled=True)
    assert hashes(raw) == hashes(checked)
    others = checked.columns.drop("customer")
    pd.testing.assert_frame_equal(keys.hashed(checked, SCHEMA, HASHER)[others], checked[others])


def test_each_different_key_is_hashed_once():
    """A million rows of a thousand cards cost a thousand hashes."""
    asked = []

    def counting(text):
        asked.append(text)
        return HASHER(text)

    keys.hashed(column(["1", "2"] * 500), SCHEMA, counting)
    assert sorted(asked) == ["1", "2"]


def test_plain_keys_are_found():
    """By column; hashes and missing values are none."""
    hashed = column([HASHER("1"), None, ""])
    assert keys.plain(hashed, SCHEMA) == []
    assert keys.plain(pd.concat([hashed, column(["1"])]), SCHEMA) == ["customer"]
    assert keys.plain(pd.DataFrame({"comment": ["1"]}), SCHEMA) == []


def test_a_table_without_its_keys_stays_as_it_is():
    """They may be absent."""
    frame = pd.DataFrame({"comment": ["1"]})
    assert keys.hashed(frame, SCHEMA, HASHER) is frame
    assert not is_hashed(frame["comment"][0])
