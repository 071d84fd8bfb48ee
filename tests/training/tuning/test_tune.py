"""A whole search: what it comes to, and what it never looks at."""

import numpy as np
import pandas as pd
import pytest

from fraud import schema
from fraud.errors import DataError
from fraud.inputs.keys import KeyHasher
from fraud.schema import default
from tests.histories import SCHEMA, SECRET, payments
from tests.training.tuning.small import RECIPE, by, searched, tried
from tests.ulb import COLUMNS, LABEL
from training import run as runs
from training import split, train
from training.data import load
from training.dataset import select
from training.judging import contender, paired
from training.judging.ranking import Ranking
from training.tuning import recipe_file, study

NOT_TRIED = "the recipe was not tried as it stands: the study"


@pytest.fixture(scope="module")
def part(source):
    """The rows that may be trained on."""
    dataset = load([str(source)], default())
    kept = np.isin(np.arange(dataset.size), split.split(dataset, "stratified").train)
    return select(dataset, kept)


def out_of_fold(part, recipe, seed):
    """Scores as ``run`` makes them, and average precision, over the folds of a seed."""
    everything = np.arange(part.size)
    scores = runs.out_of_fold(part, everything, split.folds(part, everything, 3, seed), recipe, jobs=1)
    return scores, Ranking(scores, part.labels == 1).curve(np.ones(part.size)).average_precision


def test_the_first_trial_is_the_defaults_and_the_figures_are_those_of_run(long, part):
    """Average precision over the folds of the training part, to the bit; so the best is never below the defaults."""
    found, said = long
    first = found["families"]["forest"]["history"][0]
    assert by(first["settings"]) == RECIPE
    assert found["defaults"]["average_precision"] == first["average_precision"] == out_of_fold(part, RECIPE, 1)[1]
    figures = [trial["average_precision"] or 0.0 for trial in tried(found)]
    assert found["best"]["average_precision"] == max(figures) >= figures[0]
    assert "forest 12 of 12" in said
    assert f"the best so far {max(figures):.4f}" in said


def test_what_a_search_comes_to_is_told_at_its_end(long, source):
    """The best figure and its settings; where these are the defaults, that they are."""
    found, said = long
    best = found["best"]
    told = next(line for line in said.splitlines() if line.startswith("best:"))
    assert told.startswith(f"best: average precision {best['average_precision']:.4f}, by ")
    assert f"trees {best['recipe']['trees']}, " in told
    _, alone = searched(source, "alone", trials=1)
    assert "best: average precision" in alone
    assert "by the defaults" in alone


def test_the_best_is_judged_beside_the_defaults_on_folds_that_no_trial_has_seen(long, part):
    """With the interval of the paired difference, by the settings of the recipe that is given."""
    found, _ = long
    recipe = train.Recipe(**found["best"]["recipe"])
    best, defaults = (out_of_fold(part, one, 2) for one in (recipe, RECIPE))
    by_fold = np.argsort(split.folds(part, np.arange(part.size), 3, 2), kind="stable")
    rows = (best[0][by_fold], defaults[0][by_fold], part.labels[by_fold])
    difference, _ = paired.compare(*rows, recipe.target_precision)
    judged = found["on_fresh_folds"]["defaults"]["average precision"]
    assert (judged["own"], judged["other"]) == pytest.approx((best[1], defaults[1]))
    assert judged == pytest.approx(contender.less("other", {"": difference})[""])


@pytest.mark.parametrize("protocol", ["stratified", "time"])
def test_rows_of_the_test_part_are_never_looked_at(source, tmp_path, protocol):
    """Other labels of them, and other values where those do not decide which rows they are, change no bit."""
    dataset = load([str(source)], default())
    test = split.split(dataset, protocol).test
    frame = dataset.frame(np.arange(dataset.size))
    frame.loc[test, LABEL] = 1 - frame.loc[test, LABEL]
    if protocol == "time":
        frame.loc[test, COLUMNS[1:]] = 1.0 + np.random.default_rng(0).random((len(test), len(COLUMNS) - 1))
    frame.to_parquet(tmp_path / "poisoned.parquet")
    clean, poisoned = (
        searched(path, path.name, protocol=protocol, trials=2)[0] for path in (source, tmp_path / "poisoned.parquet")
    )
    assert tried(clean) == tried(poisoned)
    for part in ("best", "defaults", "on_fresh_folds"):
        assert clean[part] == poisoned[part]
    assert clean["data"]["training_fingerprint"] == poisoned["data"]["training_fingerprint"]


def test_rows_of_the_training_part_are(source, tmp_path):
    """The same with one label of those: the figures are others."""
    dataset = load([str(source)], default())
    frame = dataset.frame(np.arange(dataset.size))
    row = split.split(dataset, "stratified").train[0]
    frame.loc[row, LABEL] = 1 - frame.loc[row, LABEL]
    frame.to_parquet(tmp_path / "other.parquet")
    clean, other = (searched(path, path.name, trials=1)[0] for path in (source, tmp_path / "other.parquet"))
    assert tried(clean) != tried(other)


def test_it_is_said_when_hardly_a_fraud_is_found_at_the_target_precision(source, long):
    """A difference of recalls that are nothing says nothing; where there is recall, nothing is said of it."""
    assert "of the frauds on fresh folds" not in long[1]
    frame = pd.read_parquet(source)
    labels = np.random.default_rng(0).permutation(frame[LABEL].to_numpy())  # no feature tells of them
    path = source.with_name("unclear.parquet")
    frame.assign(**{LABEL: labels}).to_parquet(path)
    found, said = searched(path, "unclear", trials=1)
    assert found["on_fresh_folds"]["defaults"]["recall at precision 0.93"]["own"] < 0.05
    assert "at precision 0.93 the best forest finds" in said
    assert "of the frauds on fresh folds" in said
    assert "target_precision" in said


def test_the_recipe_of_before_is_tried_second_and_judged(source):
    """As it stands, of whatever kinds: what was found once is neither lost to a new search nor to ``--use``."""
    extra = {"estimator": "extra-trees", "trees": 7, "max_features": 0.5, "max_depth": 11}
    recipe = by({"trees": 4, "also": [RECIPE.model_dump() | extra, RECIPE.model_dump() | {"trees": 3}]})
    found, said = searched(source, "again", trials=2, training={"recipe": recipe})
    assert [by(trial["settings"]) for trial in tried(found)] == [RECIPE, recipe]
    judged = found["on_fresh_folds"]
    assert judged.keys() == {"defaults", "recipe"}
    best = ("defaults", "recipe")[found["best"]["trial"] - 1]
    assert judged[best]["average precision"]["value"] == 0.0 != judged["recipe"]["average precision"]["own"]
    assert "average precision on fresh folds, less recipe: " in said
    assert [trial["started"] for trial in tried(found)] == ["defaults", "recipe"]
    assert "forest 2 of 2 Trying the recipe" in said
    assert NOT_TRIED not in said


def test_a_recipe_that_was_not_tried_as_it_stands_is_not_judged(source):
    """One that costs too much, of which fewer trees are tried."""
    dear = RECIPE.model_copy(update={"trees": 40})
    found, said = searched(source, "dear", trials=2, training={"recipe": dear})
    assert by(tried(found)[1]["settings"]) == dear.model_copy(update={"trees": 30})
    assert found["on_fresh_folds"].keys() == {"defaults"}
    assert NOT_TRIED in said
    again, said = searched(source, "dear", trials=2, training={"recipe": RECIPE.model_copy(update={"trees": 5})})
    assert again == found  # the study began with another
    assert NOT_TRIED in said


def test_a_recipe_that_is_written_over_unjudged_is_told_of(source, tmp_path):
    """Not one that was begun with, nor what is there already."""
    path, other = tmp_path / "target.toml", RECIPE.model_copy(update={"trees": 7})
    path.write_text("trees = 9")
    asked = {"use": path, "trials": 2, "training": {"recipe": other}}
    _, said = searched(source, "over", **asked)
    assert f"{path} held a recipe that this search did not try" in " ".join(said.split())
    assert "held a recipe" not in searched(source, "over", **asked)[1]
    path.write_text("trees = 7")
    assert "held a recipe" not in searched(source, "over", **asked)[1]


def test_a_recipe_whose_frauds_weigh_too_much_for_a_fold_is_passed_over(source):
    """The search goes on, and says why."""
    heavy = RECIPE.model_copy(update={"fraud_weight": 100_000.0})
    found, _ = searched(source, "heavy", trials=3, training={"recipe": heavy})
    assert [trial["state"] for trial in tried(found)] == ["complete", "pruned", "complete"]
    assert "expected a weight of a fraud" in tried(found)[1]["why"]


def test_what_is_found_is_written_with_how_it_was_found(source, tmp_path):
    """And is a recipe that ``run`` takes; what is not searched stays as it was."""
    recipe, path = RECIPE.model_copy(update={"target_precision": 0.8, "folds": 2}), tmp_path / "found.toml"
    found, _ = searched(source, "used", training={"recipe": recipe}, use=path, command="python -m training tune")
    assert recipe_file.read(path).model_dump() == found["best"]["recipe"]
    assert recipe_file.read(path).target_precision == 0.8
    text = path.read_text()
    number = found["best"]["trial"]
    assert 1 <= number <= 4
    for word in ("python -m training tune", f"study used, trial {number} of 4;", found["data"]["training_fingerprint"]):
        assert word in text
    assert f"{found['best']['average_precision']:.4f}" in text


def test_a_recipe_that_cannot_be_written_is_known_before_the_search(source, tmp_path):
    """A folder that is not there."""
    with pytest.raises(DataError, match="no such folder"):
        searched(source, "nowhere", use=tmp_path / "none" / "found.toml")
    assert not study.folder("nowhere").exists()


def test_parts_by_time_need_frauds(source, tmp_path):
    """Or else are a stated error."""
    frame = pd.read_parquet(source).sort_values("Time")
    late = np.arange(len(frame)) >= 0.7 * len(frame)
    frame.assign(**{LABEL: frame[LABEL] * late}).to_parquet(tmp_path / "late.parquet")
    with pytest.raises(DataError, match="give fewer --folds or more data"):
        searched(tmp_path / "late.parquet", "late", protocol="time")


def test_days_may_be_named(source):
    """As ``run`` takes them; the search is in the earlier ones alone."""
    periods = ((0.0, 100_000.0), (100_000.0, 200_000.0))
    found, _ = searched(source, "days", protocol=None, trials=1, training={"periods": periods})
    dataset = load([str(source)], default())
    assert found["folds"]["in_order"]
    assert found["data"]["training_rows"] == (dataset.times < periods[0][1]).sum() < dataset.size


def test_histories_of_labels_are_searched_by_time_alone(tmp_path):
    """At random they would tell of the labels that are held out, those of the test part too."""
    payments(2_000).to_parquet(tmp_path / "payments.parquet")
    declared = {"schema": schema.parse(SCHEMA, "test"), "hasher": KeyHasher(SECRET)}
    with pytest.raises(DataError, match=r"the histories of shop_id tell rows the labels .* search with --split time"):
        searched(tmp_path / "payments.parquet", "payments", training=declared)
    found, _ = searched(tmp_path / "payments.parquet", "payments", protocol="time", trials=1, training=declared)
    assert found["families"]["forest"]["finished"] == 1
