"""The leak test: the product's own ways of judging pass it, and each usual leak is caught."""

import io
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from rich.console import Console
from sklearn.feature_selection import SelectKBest
from sklearn.preprocessing import StandardScaler

from benchmarks.leaks.smote import smote
from fraud import schema, store
from fraud.features import transform
from fraud.inputs.keys import KeyHasher
from fraud.schema import default
from tests import shop_schema
from tests.histories import SCHEMA, SECRET, payments
from tests.training.judging.leaks import HeldOut, assert_no_leak, leaks
from training import data, encode, run, sample, split, train
from training.console import Steps
from training.dataset import combine, row_hashes
from training.judging import contest, evaluate, refit
from training.judging.contest import ChampionModel
from training.run import TrainingPlan
from training.train import DEFAULTS
from training.tuning import folds
from training.tuning.folds import Folding
from training.tuning.forests import Forests

RECIPE = DEFAULTS.model_copy(update={"trees": 5, "folds": 2, "summaries": True})
HASHER = KeyHasher(SECRET)
PLAN = TrainingPlan([], recipe=RECIPE, protocol="time", jobs=1)


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """No interval is looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(evaluate.evaluate.__kwdefaults__, "resamples", 5)
        yield


@pytest.fixture(scope="module")
def payments_of_cards(tmp_path_factory):
    """With histories of cards, and of the labels of shops."""
    path = tmp_path_factory.mktemp("leaks") / "payments.parquet"
    payments(2_000).to_parquet(path)
    return data.load([str(path)], schema.parse(SCHEMA, "test"), HASHER)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """With categories, which are encoded by the labels of their levels."""
    path = tmp_path_factory.mktemp("leaks") / "shop.csv"
    shop_schema.generate(1_500).to_csv(path, index=False)
    return data.load([str(path)], shop_schema.SCHEMA)


@pytest.fixture(scope="module")
def cards():
    """Of the default schema, many of them frauds."""
    return combine([sample.generate(1_500, fraud_share=0.05)], ["test"], default(), synthetic=True)


@pytest.fixture(params=["cards", "shop", "payments_of_cards"])
def dataset(request):
    return request.getfixturevalue(request.param)


def judged(dataset):
    """The test part of a run, with the threshold."""
    done = run.judge(PLAN, dataset, Steps())
    test = done.parts.test
    scores = done.forest.score(encode.features_of(done.features, dataset, test))
    return HeldOut(test, np.zeros_like(test), np.column_stack([scores, np.full(len(test), done.choice.threshold)]))


def validated(dataset):
    """The later training rows, on which the threshold is chosen."""
    parts = split.split(dataset, "time")
    scores, _ = run._validate(PLAN, dataset, parts, Steps())
    held = split.later_part(dataset, parts.train, run.VALIDATION_SHARE)
    return HeldOut(held, np.zeros_like(held), scores)


def gated(dataset):
    """Challenger and champion on the gate's rows."""
    saved = []
    for seed in (0, 1):
        plan = TrainingPlan([], dataset.schema, "time", recipe=RECIPE.model_copy(update={"seed": seed}), jobs=1)
        done = run.judge(plan, dataset, Steps())
        saved.append((done, run.save(plan, dataset, done)))
    (done, manifest), (_, theirs) = saved
    entry = store.get(f"fraud_detector:{theirs.model_version}")
    champion = ChampionModel(theirs.model_version, theirs, store.row_hashes(entry), store.open_served(entry), None)
    case = contest.case(dataset, done, manifest, champion, schema_change_declared=False)
    test, thresholds = done.parts.test, (case.challenger.threshold, case.champion.threshold)
    both = [case.challenger.scores, case.champion.scores, *(np.full(len(test), one) for one in thresholds)]
    return HeldOut(test, np.zeros_like(test), np.column_stack(both))


def tuned(dataset):
    """What a search tries settings on."""
    made = folds.folds(dataset, Folding(in_order=True, count=2, seed=0), RECIPE)
    forests = Forests(RECIPE, made[0], 3.0)
    scores = [forests.scores({}, fold, lambda _: None) for fold in made]
    part = np.repeat(np.arange(2), [len(fold.held) for fold in made])
    return HeldOut(np.arange(dataset.size)[-len(part) :], part, np.concatenate(scores))


@pytest.mark.parametrize("way", [judged, validated, gated, tuned])
def test_what_a_run_the_gate_and_a_search_judge_by_knows_nothing_of_the_rows_that_they_hold_out(way, dataset):
    """By time, with categories and with histories, which are told of the past alone."""
    assert_no_leak(way, dataset)


def test_the_seeded_split_is_held_out_by_values_alone(cards):
    """Labels of held-out rows move neither the split nor a score."""

    def way(dataset):
        done = run.judge(TrainingPlan([], recipe=RECIPE, protocol="stratified", jobs=1), dataset, Steps())
        test = done.parts.test
        return HeldOut(test, np.zeros_like(test), done.forest.score(encode.features_of(done.features, dataset, test)))

    assert [found for found in leaks(way, cards) if "labels" in found] == []


def folded(dataset, folds=3):
    return row_hashes(dataset.content) % folds


@pytest.mark.parametrize("name", ["cards", "shop"])
def test_scores_out_of_fold_know_nothing_of_their_fold(request, name):
    """Nor does what is learnt of categories, nor the second repeat of ``compare --refit``."""
    dataset = request.getfixturevalue(name)
    everything, fold_of, other = np.arange(dataset.size), folded(dataset), folded(dataset, 2)

    def once(changed):
        return HeldOut(everything, fold_of, run.out_of_fold(changed, everything, fold_of, RECIPE, jobs=1))

    def again(changed):
        return HeldOut(everything, other, refit.out_of_folds(changed, [fold_of, other], RECIPE, jobs=1)[1])

    assert_no_leak(once, dataset)
    assert_no_leak(again, dataset)


def test_histories_of_labels_leak_where_rows_are_held_out_at_random(payments_of_cards):
    """Later rows are fitted on what they are told of the labels held out: a run warns, and ``--refit`` refuses."""
    everything, fold_of = np.arange(payments_of_cards.size), folded(payments_of_cards)

    def way(changed):
        return HeldOut(everything, fold_of, run.out_of_fold(changed, everything, fold_of, RECIPE, jobs=1))

    assert any("labels" in found for found in leaks(way, payments_of_cards))
    said = io.StringIO()
    run.judge(replace(PLAN, protocol="stratified"), payments_of_cards, Steps(Console(file=said)))
    assert "warning: the histories of shop_id tell rows the labels of earlier ones" in said.getvalue()


HOUR = default().features.index("hour")


def hours(features):
    return features[:, HOUR].astype(int)


class Prepared(NamedTuple):
    """What is made of rows before a fit: ``origin`` says which row each was, -1 for one that was made up."""

    features: np.ndarray
    labels: np.ndarray
    origin: np.ndarray
    transform: object = staticmethod(lambda features: features)


def resampled(features, labels):
    """SMOTE."""
    rows, own = smote(features, labels)
    return Prepared(
        rows, own, np.append(np.arange(len(labels)), np.full(len(own) - len(labels), -1)), lambda rows: rows
    )


def scaled(features, labels):
    """To mean 0 and deviation 1."""
    scaler = StandardScaler().fit(features)
    return Prepared(scaler.transform(features), labels, np.arange(len(labels)), scaler.transform)


def encoded(features, labels):
    """One more column: the share of frauds of its hour."""
    shares = np.bincount(hours(features), labels, 24) / np.maximum(np.bincount(hours(features), minlength=24), 1)

    def widened(rows):
        return np.column_stack([rows, shares[hours(rows)]])

    return Prepared(widened(features), labels, np.arange(len(labels)), widened)


def selected(features, labels):
    """The five features that tell the classes apart best."""
    best = SelectKBest(k=5).fit(features, labels)
    return Prepared(best.transform(features), labels, np.arange(len(labels)), best.transform)


def deduplicated(features, labels):
    """The first of rows that are equal but for their time."""
    kept = np.sort(np.unique(np.delete(features, HOUR, axis=1), axis=0, return_index=True)[1])
    return Prepared(features[kept], labels[kept], kept, lambda rows: rows)


LEAKS = (resampled, scaled, encoded, selected, deduplicated)
FOLDS = 3


def across(prepare, fold_of):
    """All rows are prepared at once, and then held out by their folds: the leak."""

    def way(dataset):
        made = prepare(transform(dataset.rows), dataset.labels)
        fold = np.where(made.origin >= 0, fold_of[made.origin], np.arange(len(made.origin)) % FOLDS)
        scores = np.empty(len(fold))
        for part in range(FOLDS):
            held = fold == part
            model = train.fit(made.features[~held], made.labels[~held], RECIPE, jobs=1)
            scores[held] = train.score(model, made.features[held])
        real = made.origin >= 0
        return HeldOut(made.origin[real], fold[real], scores[real])

    return way


def within(prepare, fold_of):
    """The fitting rows of each fold are prepared by themselves; what is held out is transformed as they were."""

    def way(dataset):
        features, scores = transform(dataset.rows), np.empty(dataset.size)
        for part in range(FOLDS):
            held = fold_of == part
            made = prepare(features[~held], dataset.labels[~held])
            model = train.fit(made.features, made.labels, RECIPE, jobs=1)
            scores[held] = train.score(model, made.transform(features[held]))
        return HeldOut(np.arange(dataset.size), fold_of, scores)

    return way


@pytest.mark.parametrize("prepare", LEAKS)
def test_what_is_done_across_the_split_is_caught(cards, prepare):
    """And the same inside of the fitting rows passes."""
    fold_of = folded(cards).astype(np.int64)
    with pytest.raises(AssertionError, match="of held-out rows change"):
        assert_no_leak(across(prepare, fold_of), cards)
    assert_no_leak(within(prepare, fold_of), cards)
