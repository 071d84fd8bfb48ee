"""Each rule of the gate passes what it should and refuses what it should, alone, with its figures in words."""

import json
from dataclasses import replace

import numpy as np
import pytest

from training.judging.contender import Contender
from training.judging.gate import Case, Policy, Reason, Verdict, decide

POLICY = Policy()


def scores(quality, seed=0, rows=3000, frauds=80):
    """Labels, and scores that find the frauds the better the higher ``quality`` is."""
    random = np.random.default_rng(seed)
    labels = (np.arange(rows) < frauds).astype(np.int8)
    signal = quality * labels + random.normal(size=rows)
    return labels, np.round(1 / (1 + np.exp(4 - signal)), 3)


def contender(model_scores, **changes):
    facts = {"version": "v", "scores": model_scores, "threshold": 0.5, "scorer_bytes": 2**20, "seconds_per_row": 1e-4}
    return Contender(**facts | changes)


@pytest.fixture
def case():
    """A challenger and a champion of the same quality."""
    labels, champion = scores(6.0)
    _, challenger = scores(6.0, seed=1)
    return Case(
        labels=labels,
        amounts=np.ones(labels.size),
        left_out=0,
        challenger=contender(challenger),
        champion=contender(champion),
        scorer_differences=0,
    )


def refused(case, policy=POLICY):
    """The rules that did not hold."""
    verdict = decide(case, policy)
    assert verdict.passed == all(reason.passed for reason in verdict.reasons)
    return [reason.rule for reason in verdict.reasons if not reason.passed]


def test_an_equal_challenger_passes_with_every_rule_told(case):
    """Nine rules, all passed, each with a detail, and the verdict is JSON."""
    verdict = decide(case, POLICY)
    assert verdict.passed
    assert len(verdict.reasons) == 10
    assert all(reason.detail for reason in verdict.reasons)
    json.dumps(verdict.as_dict(), allow_nan=False)


def test_a_verdict_is_read_as_it_was_written(case):
    """Through JSON, and with fields that newer code wrote."""
    verdict = decide(case, POLICY)
    document = json.loads(json.dumps(verdict.as_dict()))
    document["reasons"][0]["weight"] = document["later"] = 1
    assert Verdict.of(document) == verdict


@pytest.mark.parametrize(
    ("rules", "again"),
    [(["latency"], False), (["latency", "recall floor"], True), (["recall floor"], True), ([], True)],
)
def test_a_refusal_by_the_clock_alone_may_be_another_machines(rules, again):
    """Every other rule gives the same answer for the same models and rows."""
    assert Verdict(not rules, tuple(Reason(rule, False, "") for rule in rules), {}).would_be_again is again


@pytest.mark.parametrize(
    ("left_out", "frauds", "told"), [(40, 20, True), (40, 80, False), (0, 20, False)], ids=["known", "enough", "few"]
)
def test_what_to_do_is_said_where_the_champion_knows_the_rows(case, left_out, frauds, told):
    """Not where there are enough, nor where there never were."""
    labels, challenger = scores(6.0, frauds=frauds)
    sides = {"challenger": contender(challenger), "champion": contender(challenger)}
    verdict = decide(replace(case, labels=labels, left_out=left_out, remedy="take another split", **sides), POLICY)
    assert ("take another split" in verdict.reasons[0].detail) is told


def test_the_first_model_is_judged_by_the_floors_alone(case):
    """Without a champion there is nothing to compare with, and the gate still has its absolute rules."""
    verdict = decide(replace(case, champion=None), POLICY)
    assert verdict.passed
    assert not [reason for reason in verdict.reasons if "champion's" in reason.rule or reason.rule == "latency"]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_are_refused_by_floors_and_comparison(case, seed):
    """A challenger without signal fails every rule about quality."""
    spoiled = np.random.default_rng(seed).permutation(case.challenger.scores)
    rules = refused(replace(case, challenger=contender(spoiled)))
    assert {"average_precision floor", "recall floor", "average precision not worse than the champion's"} <= set(rules)


def test_a_much_worse_challenger_is_refused_though_it_clears_the_floors(case):
    """The champion's level counts, not only the floors."""
    _, weaker = scores(4.4, seed=3)
    _, champion = scores(8.0)
    weak = replace(case, challenger=contender(weaker, threshold=0.6), champion=contender(champion))
    rules = refused(weak, replace(POLICY, min_recall=0.1, min_precision=0.1))
    assert "average precision not worse than the champion's" in rules
    assert not [rule for rule in rules if rule.endswith("floor")]


def test_too_few_frauds_say_nothing(case):
    """Below the minimum the gate refuses whatever the figures are, and tells how many rows were left out."""
    labels = case.labels.copy()
    labels[POLICY.min_frauds - 1 :] = 0
    verdict = decide(replace(case, labels=labels, left_out=51), POLICY)
    assert not verdict.passed
    assert verdict.reasons[0].rule == "enough frauds to judge"
    assert "29 frauds among 3000 rows" in verdict.reasons[0].detail
    assert "(51 rows left out because one did)" in verdict.reasons[0].detail


def test_no_fraud_at_all_is_refused_without_figures(case):
    """Nothing is computed from rows that hold no fraud."""
    assert refused(replace(case, labels=np.zeros_like(case.labels))) == ["enough frauds to judge"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"scorer_differences": 1}, "scorer is exact"),
        ({"champion_problem": "made for another schema", "champion": None}, "transaction schema"),
    ],
)
def test_one_broken_rule_refuses(case, change, rule):
    """The others pass, and the verdict is a refusal."""
    assert refused(replace(case, **change)) == [rule]


def test_a_declared_schema_change_passes(case):
    """A team that means it says so."""
    changed = replace(case, champion=None, champion_problem="another schema", schema_change_declared=True)
    assert refused(changed) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"seconds_per_row": 2.1e-4}, "latency"),
        ({"scorer_bytes": POLICY.max_scorer_bytes + 1}, "scorer size"),
        ({"threshold": 2.0}, "recall floor"),
    ],
)
def test_a_slow_large_or_silent_challenger_is_refused(case, change, rule):
    """Each by its own rule."""
    rules = refused(replace(case, challenger=replace(case.challenger, **change)))
    assert rule in rules
