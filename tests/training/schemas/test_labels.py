"""Which value of a label a draft takes for fraud, and what it makes of a label that is turned round."""

import numpy as np
import pytest

from fraud import schema
from tests.training.schemas.conftest import PLAIN, ROWS, choice, looks
from training.schemas.check import check

MOSTLY_FRAUD = np.random.default_rng(2).random(ROWS) < 0.95


def labelled(infer, labels, **columns):
    return infer(columns, plain={"amount": PLAIN["amount"], "is_fraud": labels})


@pytest.mark.parametrize("legitimate", ["ok", "legit", "normal", "Non-Fraud", "nein", "good", "Kein Betrug", "genuine"])
@pytest.mark.parametrize("fraud", ["Betrug", "xyz"])
def test_a_word_for_legitimate_decides(infer, fraud, legitimate):
    """However few rows have it."""
    read, made = labelled(infer, np.where(MOSTLY_FRAUD, fraud, legitimate))
    assert (read.roles.fraud, made.frauds) == ((fraud,), MOSTLY_FRAUD.sum())
    assert any(f"{legitimate!r} means legitimate" in said or "by its meaning" in said for said in made.look)


@pytest.mark.parametrize(
    ("labels", "other"), [(MOSTLY_FRAUD.astype(int), '["0"]'), (np.where(MOSTLY_FRAUD, "Y", "N"), '["N"]')]
)
def test_a_majority_of_frauds_is_asked_first(infer, tmp_path, labels, other):
    """With what to write where the label is turned round, which is a schema of that file."""
    read, made = labelled(infer, labels)
    assert made.look[0].startswith(f"is_fraud: {MOSTLY_FRAUD.mean():.1%} of all rows would be fraud")
    assert f"is the label turned round? If so, write fraud = {other} below [roles]" in made.look[0]
    assert f"# LOOK: {made.look[0].removeprefix('is_fraud: ')}" in made.text
    assert len([said for said in looks(made, "is_fraud") if "turned round" in said]) == 1
    assert read.columns["amount"].kind == "number"
    without = "\n".join(line for line in made.text.splitlines() if not line.startswith("fraud = "))
    turned = schema.parse(without.replace("[roles]", f"[roles]\nfraud = {other}", 1), "turned")
    checked = check([tmp_path / "data.csv"], turned)
    assert (checked["passed"], checked["frauds"]) == (True, ROWS - MOSTLY_FRAUD.sum())


def test_one_letter_may_mean_fraud(infer):
    """F and L: no word decides, so the rarer one does."""
    read, _ = labelled(infer, np.where(MOSTLY_FRAUD, "L", "F"))
    assert read.roles.fraud == ("F",)


def test_where_most_rows_are_frauds_plain_columns_stay(infer):
    """Any value holds all frauds, and nearly all rows are frauds: chance, and no leak."""
    rows = np.random.default_rng(3)
    read, made = labelled(
        infer,
        MOSTLY_FRAUD.astype(int),
        channel=choice("web", "app", "pos"),
        score=rows.normal(size=ROWS),
        shop=[f"s{number}" for number in rows.integers(0, 30, ROWS)],
        at=[f"2024-01-{day:02d}" for day in rows.integers(1, 28, ROWS)],
    )
    assert read.of_kind("ignored") == ()
    assert not any("tell" in said for said in made.look)


def test_where_most_rows_are_frauds_a_leak_is_still_left_out(infer):
    """Levels, and a range, that stand beside frauds alone."""
    rows = np.random.default_rng(4)
    read, made = labelled(
        infer,
        MOSTLY_FRAUD.astype(int),
        scenario=np.where(MOSTLY_FRAUD, rows.integers(1, 4, ROWS), 0),
        verdict=np.where(MOSTLY_FRAUD, choice("stolen", "lost"), "fine"),
    )
    for name in ("scenario", "verdict"):
        assert read.columns[name].kind == "ignored"
        assert "it tells the label by itself" in looks(made, name)[0]


def test_a_label_of_which_half_are_frauds_is_no_leak_of_a_coarse_column(infer):
    """A balanced sample: what holds half of all frauds and of others tells nothing."""
    half = np.arange(ROWS) % 2
    read, made = labelled(infer, half, channel=choice("web", "app", "pos"), told=np.where(half, "a", "b"))
    assert (read.columns["channel"].kind, read.columns["told"].kind) == ("category", "ignored")
    assert looks(made, "channel") == []
