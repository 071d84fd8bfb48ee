"""What a draft makes of numbers and texts that name a card, an account or a customer."""

import numpy as np
import pandas as pd
import pytest

from tests.training.schemas.conftest import ROWS, column, looks

RANDOM = np.random.default_rng(5)
CARDS = RANDOM.integers(4 * 10**15, 6 * 10**15, 120)
CUSTOMERS = np.array([f"c{number:05d}" for number in RANDOM.choice(99_999, 150, replace=False)])


@pytest.mark.parametrize("name", ["Kartennummer", "Konto", "Terminal", "x"])
@pytest.mark.parametrize("form", ["text", "int64", "gaps", "text of floats"])
def test_long_numbers_that_repeat_are_keys(infer, name, form):
    """Whatever the name, in CSV and in Parquet: a card number is no quantity."""
    numbers = pd.Series(RANDOM.choice(CARDS, ROWS))
    values = numbers.mask(numbers.index < 9) if "text of" in form else numbers
    values = values.astype("Int64").mask(values.index < 9) if form == "gaps" else values
    read, made = infer({name: values}, suffix="csv" if "text" in form else "parquet")
    assert column(read, name) == {"kind": "key"} | ({"missing": True} if form in ("gaps", "text of floats") else {})
    assert looks(made, name) == []
    assert "whole numbers of 12 digits or more that repeat name something" in made.text
    assert not any(str(number) in made.text for number in CARDS)


@pytest.mark.parametrize("width", [4, 3])
def test_card_numbers_in_groups_are_keys(infer, width):
    """With spaces or dashes between their digits."""
    cards = [str(card) for card in RANDOM.choice(CARDS, ROWS)]
    for mark in " -":
        read, _ = infer(card=[mark.join(card[at : at + width] for at in range(0, 12, width)) for card in cards])
        assert read.columns["card"].kind == "key"


def test_few_long_numbers_are_asked_about(infer):
    """Of few different ones a category would be an input."""
    terminals = CARDS[:8] // 10**4
    read, made = infer(terminal=RANDOM.choice(terminals, ROWS))
    assert read.columns["terminal"].kind == "key"
    assert not any(str(number) in made.text for number in terminals)
    assert looks(made, "terminal") == ['no more than 8 different: with kind = "category" it would be an input']


def test_long_numbers_that_are_unique_a_row_are_left_out(infer):
    """As any other that is."""
    read, made = infer(Kartennummer=RANDOM.choice(10**15, ROWS, replace=False) + 4 * 10**15)
    assert read.columns["Kartennummer"].kind == "ignored"
    assert looks(made, "Kartennummer")[0].startswith("unique a row")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Karten-Nr", CUSTOMERS),
        ("kunden_id", CUSTOMERS),
        ("who", CUSTOMERS),
        ("who", [f"{number:032x}" for number in RANDOM.integers(1 << 60, size=150)]),
        ("kunden_id", [f"k{number}" for number in range(150)]),
        ("Kundennummer", [f"k/{number}" for number in range(150)]),
    ],
)
def test_texts_that_name_somebody_are_keys(infer, name, values):
    """By the name, or by their form, letters and digits of one length, which is asked about."""
    read, made = infer({name: RANDOM.choice(values, ROWS)})
    assert column(read, name) == {"kind": "key"}
    assert ["texts of one form are taken for identifiers" in said for said in looks(made, name)] == [True] * (
        name == "who"
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("city", [f"town{'x' * (number % 7)}{number}" for number in range(150)]),
        ("product_code", CUSTOMERS),
        ("plz", [f"D{number:05d}" for number in range(150)]),
    ],
)
def test_other_texts_of_many_levels_are_asked_about(infer, name, values):
    """They stay categories, with the number of levels."""
    texts = RANDOM.choice(values, ROWS)
    read, made = infer({name: texts})
    assert column(read, name) == {"kind": "category"}
    assert looks(made, name)[0].startswith(f"{len(set(texts))} levels: rare ones fold into one")


def test_codes_of_few_levels_are_plain_categories(infer):
    """Letters and digits of one length that each stand in many rows."""
    read, made = infer(store=RANDOM.choice(CUSTOMERS[:12], ROWS), country_id=RANDOM.choice(["DE", "FR", "IT"], ROWS))
    assert (read.columns["store"].kind, read.columns["country_id"].kind) == ("category", "category")
    assert looks(made, "store") == looks(made, "country_id") == []


def test_a_large_amount_stays_a_number(infer):
    """By its name."""
    read, _ = infer(total_price=RANDOM.integers(10**12, 10**13, 90).repeat(5)[:ROWS])
    assert read.columns["total_price"].kind == "number"
