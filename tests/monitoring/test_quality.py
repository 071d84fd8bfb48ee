"""Precision and recall in production: what is judged, what is left out, and how sure the figures are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from monitoring import database, quality
from monitoring.quality import wilson
from tests.monitoring.conftest import DAY, NOW


def live(engine, **changed):
    return quality.measure(engine, **({"now": NOW, "delay_days": 7.0, "window_days": 30.0} | changed))


def label(engine, **labels):
    database.put_labels(engine, list(labels.items()), "import", NOW)


def test_predictions_are_judged_by_their_labels(engine, predict):
    """Each of the four outcomes is counted, and the figures follow."""
    for name, flagged in {"a": True, "b": True, "c": True, "d": False, "e": False, "f": False}.items():
        predict(name, flagged=flagged)
    label(engine, a=True, b=True, c=False, d=True, e=False)
    [one] = live(engine)
    assert one.outcomes == {"true_positive": 2, "false_positive": 1, "false_negative": 1, "true_negative": 2}
    assert one.labelled == 5
    assert one.figures["precision"] == wilson(2, 3)
    assert one.figures["recall"] == wilson(2, 3)


@pytest.mark.parametrize(("unlabelled", "alarms", "passed"), [("legitimate", 2, 1), ("unknown", 0, 0)])
def test_what_no_label_came_for(engine, predict, unlabelled, alarms, passed):
    """It was legitimate, as with chargebacks; or it is not judged."""
    for name, flagged in {"a": True, "b": True, "c": True, "d": False}.items():
        predict(name, flagged=flagged)
    label(engine, a=True)
    [one] = live(engine, unlabelled=unlabelled)
    assert one.outcomes == {
        "true_positive": 1,
        "false_positive": alarms,
        "false_negative": 0,
        "true_negative": passed,
    }


@pytest.mark.parametrize("unlabelled", ["legitimate", "unknown"])
def test_without_any_label_nothing_is_known(engine, predict, unlabelled):
    """A label feed that stopped must not look like a precision of 0."""
    predict("a", flagged=True)
    [one] = live(engine, unlabelled=unlabelled)
    assert one.labelled == 0
    assert all(math.isnan(value) for figure in one.figures.values() for value in figure.values())
    assert one.as_dict()["precision"] == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(("age_days", "judged"), [(6.99, 0), (7.01, 1), (36.99, 1), (37.01, 0)])
def test_only_what_is_old_enough_and_not_too_old_is_judged(engine, predict, age_days, judged):
    """Seven days for labels, then thirty days of window."""
    predict("a", flagged=True, age_days=age_days)
    label(engine, a=True)
    assert len(live(engine)) == judged


def test_a_transaction_counts_once_by_its_newest_prediction(engine, predict):
    """Sent three times, scored by two versions: the last one is what stood."""
    predict("a", flagged=True, age_days=12, version="old")
    predict("a", flagged=True, age_days=11, version="new")
    predict("a", flagged=False, age_days=10, version="new")
    label(engine, a=True)
    [one] = live(engine)
    assert one.model_version == "new"
    assert one.outcomes["false_negative"] == 1
    assert sum(one.outcomes.values()) == 1


def test_predictions_without_an_id_are_not_judged(engine, predict):
    """They can never be labelled, so calling them legitimate would be a guess."""
    predict(None, flagged=True)
    predict("a", flagged=True)
    label(engine, a=True)
    [one] = live(engine)
    assert sum(one.outcomes.values()) == 1


def test_versions_and_days_are_told_apart(engine, predict):
    """One row a version; by day one a version and day, in order of days."""
    predict("a", flagged=True, age_days=9.5)
    predict("b", flagged=False, age_days=8.5)
    predict("c", flagged=True, age_days=8.5, version="v2")
    label(engine, a=True, b=True, c=False)
    assert [(one.model_version, sum(one.outcomes.values())) for one in live(engine)] == [("v1", 2), ("v2", 1)]
    days = [(one.day, one.model_version) for one in live(engine, by_day=True)]
    assert days == [("1972-09-17", "v1"), ("1972-09-18", "v1"), ("1972-09-18", "v2")]
    assert NOW == 1_000 * DAY


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_is_wilsons(case):
    """SciPy's own Wilson interval, at every share; the share lies inside."""
    successes, trials = case
    found = wilson(successes, trials)
    theirs = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert found["low"] == pytest.approx(theirs.low, abs=1e-9)
    assert found["high"] == pytest.approx(theirs.high, abs=1e-9)
    assert found["low"] <= found["value"] <= found["high"]


def test_no_trial_is_no_share():
    """0 of 0 is not 0."""
    assert all(math.isnan(value) for value in wilson(0, 0).values())
