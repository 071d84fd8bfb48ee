"""A whole run on the sample: what is saved, recorded and repeated."""

import io
from dataclasses import replace

import bentoml
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fraud import store
from fraud.errors import DataError
from fraud.features import transform
from fraud.inputs.keys import KeyHasher
from fraud.inputs.summaries import NAMES
from fraud.profile import Profile
from fraud.schema import default
from tests import shop_schema
from tests.ulb import COLUMNS, FEATURES, LABEL
from training import encode, sample, split, train
from training import run as runs
from training.console import Steps
from training.data import load
from training.judging.making import git_revision
from training.run import TrainingPlan
from training.train import DEFAULTS

RECIPE = DEFAULTS.model_copy(update={"trees": 15, "folds": 2, "seed": 3})

HASHER = KeyHasher("a secret of forty characters, or of more")


def do(**changes):
    said = io.StringIO()
    plan = TrainingPlan(**{"sources": ["sample:4000"], "recipe": RECIPE, "jobs": 1} | changes)
    return runs.run(plan, Steps(Console(file=said))), said.getvalue()


@pytest.fixture(scope="module", params=["time", "stratified"])
def done(request):
    return *do(protocol=request.param), request.param


def test_the_stored_forest_is_the_one_that_was_judged(done):
    """The entry's forest, fitted on the training side alone, gives the recorded figures and threshold decisions."""
    manifest, _, protocol = done
    dataset = load(["sample:4000"], default())
    parts = split.split(dataset, protocol, seed=RECIPE.seed)
    model = train.fit(transform(dataset.rows[parts.train]), dataset.labels[parts.train], RECIPE)
    served = store.open_served(store.get(f"fraud_detector:{manifest.model_version}"))
    features = transform(dataset.rows[parts.test])
    assert np.array_equal(served.forest.score(features), train.score(model, features))
    flagged = served.forest.score(features) >= manifest.threshold
    caught = int((flagged & (dataset.labels[parts.test] == 1)).sum())
    assert manifest.metrics.true_positives.value == caught


def test_a_data_scientist_loads_the_fitted_forest_by_tag(done):
    """bentoml.sklearn.load_model takes the 30 columns of a file; scikit-learn's own forest is its last step."""
    model = bentoml.sklearn.load_model(f"fraud_detector:{done[0].model_version}")
    assert model.n_features_in_ == len(COLUMNS)
    assert model["forest"].n_features_in_ == len(FEATURES)


def test_a_forest_of_both_kinds_of_trees_is_loaded_as_scikit_learns_own():
    """``bentoml.sklearn.load_model`` and the scorer give the same scores, bit for bit."""
    also = RECIPE.model_copy(update={"estimator": "extra-trees", "max_features": 0.4})
    manifest, _ = do(recipe=RECIPE.model_copy(update={"also": (also,)}))
    tag = f"fraud_detector:{manifest.model_version}"
    rows = load(["sample:4000"], default()).rows
    loaded = bentoml.sklearn.load_model(tag).predict_proba(pd.DataFrame(rows, columns=COLUMNS))[:, 1]
    assert np.array_equal(store.open_served(store.get(tag)).forest.score(transform(rows)), loaded)
    assert [kind.estimator for kind in manifest.settings.kinds] == ["random-forest", "extra-trees"]


def test_the_manifest_records_what_made_the_model(done):
    """Data, split, seed, settings, versions and code revision are there."""
    manifest, _, protocol = done
    assert manifest.synthetic
    assert manifest.data.fingerprint == load(["sample:4000"], default()).fingerprint
    assert manifest.split.protocol == protocol
    assert manifest.settings == RECIPE
    assert manifest.versions["scikit-learn"]
    assert manifest.validation.frauds > 0
    assert manifest.refit == "none"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    shop_schema.generate(1_500).to_csv(path, index=False)
    return {"sources": [str(path)], "schema": shop_schema.SCHEMA}


def test_the_manifest_keeps_the_fingerprint_of_the_secret(shop):
    """So that the service and the next training know another one."""
    manifest, said = do(**shop, hasher=HASHER)
    assert manifest.key_fingerprint == HASHER.fingerprint
    assert "keys are not kept" not in said


def test_without_a_secret_keys_are_not_kept_and_that_is_said(shop):
    """In one line; the model is the one that it is with a secret."""
    manifest, said = do(**shop)
    assert manifest.key_fingerprint is None
    assert said.count("keys are not kept (customer): FRAUD_KEY_SECRET is not set\n") == 1
    again, _ = do(**shop, hasher=HASHER)
    assert manifest.files[store.FOREST_FILE] == again.files[store.FOREST_FILE]


def test_data_without_keys_has_no_fingerprint():
    """Whatever secret is set."""
    assert do(hasher=HASHER)[0].key_fingerprint is None


def test_the_threshold_was_chosen_on_training_rows_alone(done):
    """The validation rows are training rows: all of them, or their later quarter under time."""
    manifest, _, protocol = done
    share = manifest.validation.rows / manifest.split.train_rows
    assert share == pytest.approx(1.0 if protocol == "stratified" else runs.VALIDATION_SHARE, abs=0.02)


def test_the_profile_is_that_of_the_fitted_rows(done):
    """Reference shares of each feature add up to one and cover every feature and the score."""
    profile = Profile.from_bins(done[0].profile)
    assert profile.names == (*FEATURES, "score")
    assert np.allclose(profile.ratios.sum(axis=1), 1)


def test_the_same_plan_gives_the_same_model_and_numbers():
    """Everything but the version, the time and the hash of the time-stamped pickle is equal in a second run."""
    (first, _), (second, _) = do(), do()
    differing = {"model_version", "created_at", "files", "git_revision"}
    assert first.model_dump(exclude=differing) == second.model_dump(exclude=differing)
    assert first.files["forest.safetensors"] == second.files["forest.safetensors"]


def test_refit_all_saves_another_forest_and_keeps_the_figures():
    """The figures stay those of the tested forest, the saved one has seen every row, and the manifest says so."""
    (tested, _), (refitted, _) = do(), do(refit="all")
    assert refitted.refit == "all"
    assert refitted.metrics == tested.metrics
    assert refitted.files["forest.safetensors"] != tested.files["forest.safetensors"]


def test_a_scorer_that_is_not_exact_is_not_saved(monkeypatch):
    """A run whose scorer differs from scikit-learn ends in an error and leaves no entry."""
    exact = runs.from_sklearn

    def wrong(model, nullable):
        forest = exact(model, nullable)
        return replace(forest, value=1 - forest.value)

    monkeypatch.setattr(runs, "from_sklearn", wrong)
    before = store.versions()
    with pytest.raises(runs.ModelError, match="differs from scikit-learn on"):
        do()
    assert store.versions() == before


def test_progress_is_told_in_words(done):
    """Each stage says what it does and what came of it."""
    for word in ("Loading sample:4000", "4000 rows", "final forest", "bit for bit", "average precision", "Saving"):
        assert word in done[1]


def test_the_revision_is_none_without_git():
    """A machine without git trains all the same."""

    def no_git(*_args, **_options):
        raise FileNotFoundError("git")

    assert git_revision(no_git) is None


@pytest.mark.parametrize("target", [0.01, 1.0])
def test_a_threshold_below_the_precision_asked_for_is_warned_of(target):
    """When the rule had to fall back to F1, and only then."""
    manifest, said = do(recipe=DEFAULTS.model_copy(update={"trees": 1, "seed": 3, "target_precision": target}))
    fell_back = manifest.validation.rule.startswith("highest F1")
    assert fell_back == (target == 1.0)
    words = "warning: the threshold is that of the highest F1, as no threshold reaches precision 1 "
    assert (words in " ".join(said.split())) == fell_back


def test_a_time_split_without_an_early_fraud_is_a_stated_error(tmp_path):
    """A forest for the threshold cannot be fitted on rows of one class: said with what would help."""
    frame = sample.generate(2_000, seed=1)
    frame[LABEL] = ((np.arange(2_000) % 300 == 0) & (np.arange(2_000) >= 1_300)).astype(int)
    frame.to_parquet(tmp_path / "late.parquet")
    with pytest.raises(DataError, match=r"earlier part of the training side.*no fraud.*--split stratified"):
        do(sources=[str(tmp_path / "late.parquet")], protocol="time")


@pytest.fixture(scope="module")
def folded():
    """A data set, a fold number of each of its rows, and their scores out of fold."""
    dataset = load(["sample:3000"], default())
    fold_of = np.arange(dataset.size) % 3
    return dataset, fold_of, runs.out_of_fold(dataset, np.arange(dataset.size), fold_of, RECIPE)


def test_a_row_is_scored_by_a_forest_without_its_fold(folded):
    """Each fold's scores are those of a forest fitted on the other folds."""
    dataset, fold_of, scores = folded
    features, others = transform(dataset.rows), fold_of != 1
    model = train.fit(features[others], dataset.labels[others], RECIPE)
    assert np.array_equal(scores[~others], train.score(model, features[~others]))


def test_out_of_fold_scores_are_less_sure_of_frauds_than_the_forest_that_saw_them(folded):
    """The scores are honest: frauds score lower than under a forest trained on them."""
    dataset, _, scores = folded
    features, frauds = transform(dataset.rows), dataset.labels == 1
    seen = train.score(train.fit(features, dataset.labels, RECIPE), features)
    assert scores[frauds].mean() < seen[frauds].mean()


def test_a_forest_may_take_what_sums_up_a_row():
    """Three more features, learnt of the fitted rows: stored, and scored to the bit by all who score."""
    manifest, _ = do(recipe=RECIPE.model_copy(update={"summaries": True, "estimator": "extra-trees"}))
    assert manifest.features == (*default().features, *NAMES)
    assert set(NAMES) < set(manifest.profile)
    tag = f"fraud_detector:{manifest.model_version}"
    served = store.open_served(store.get(tag))
    rows = load(["sample:1000:7"], default()).rows
    scores = bentoml.sklearn.load_model(tag).predict_proba(rows)[:, 1]
    assert served.score(rows).tobytes() == scores.tobytes()
    assert np.concatenate([served.score(row[None]) for row in rows]).tobytes() == scores.tobytes()
    assert served.features.transform(rows)[:, -3:].std(axis=0).all()


def test_summaries_know_nothing_of_held_out_rows():
    """Nor of their labels: a fold's are learnt of the others."""
    dataset, recipe = load(["sample:3000"], default()), RECIPE.model_copy(update={"summaries": True})
    part = np.arange(0, dataset.size, 2)
    changed = replace(dataset, labels=dataset.labels.copy(), rows=dataset.rows.copy())
    changed.labels[1::2] = 1 - changed.labels[1::2]
    changed.rows[1::2, 1:] += 3
    (path, features), (other, same) = (encode.fit(one, part, recipe) for one in (dataset, changed))
    assert path.summaries == other.summaries
    assert features.tobytes() == same.tobytes()
