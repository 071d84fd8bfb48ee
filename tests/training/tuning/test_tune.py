"""A whole search: what it comes to, what it keeps to, and what it never looks at."""

import numpy as np
import pandas as pd
import pytest

from fraud import schema
from fraud.errors import DataError, FraudError
from fraud.inputs.keys import KeyHasher
from fraud.schema import Schema, default
from tests.histories import SCHEMA, SECRET, payments
from tests.training.tuning import small
from tests.training.tuning.small import searched, tried
from tests.ulb import COLUMNS, LABEL
from training import run as runs
from training import split, train
from training.data import load
from training.dataset import select
from training.judging import contender, paired
from training.judging.ranking import Ranking
from training.train import DEFAULTS
from training.tuning import recipe_file, study

RECIPE = DEFAULTS.model_copy(update={"trees": small.TREES})
_COLUMNS = default().columns
_FIELDS = {name: getattr(default(), name) for name in Schema.model_fields}
OTHER = Schema(**_FIELDS | {"columns": _COLUMNS | {"V1": _COLUMNS["V1"].model_copy(update={"missing": True})}})


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


@pytest.fixture(scope="module")
def long(source, tmp_path_factory):
    """A search of some length: what it answered, and what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("long")))
        yield searched(source, "long", trials=12)


def by(settings):
    """The recipe of a trial."""
    return train.Recipe(**RECIPE.model_dump() | settings)


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


def test_a_search_is_gone_on_with_by_the_same_call(long, source):
    """Trials are neither lost nor repeated, and are those of a search that was never interrupted."""
    searched(source, "pieces", trials=2)
    pieces, said = searched(source, "pieces", trials=4)
    assert tried(pieces) == tried(long[0])[:4]
    assert "forest 2 of 4" not in said
    again, said = searched(source, "pieces", trials=4)
    assert again == pieces
    assert "forest 4 of 4" not in said
    assert "judge" not in said
    kept = study.folder("pieces") / "forest-1.npy"
    kept.write_bytes(kept.read_bytes()[:-8])  # as a crash may leave it
    again, said = searched(source, "pieces", trials=4)
    assert again["on_fresh_folds"] == pieces["on_fresh_folds"]
    assert "judge forest 1, on folds that no trial has seen" in said


def test_a_trial_has_one_number_everywhere(long, source, monkeypatch):
    """From 1 on, in what is told as in the document; what was interrupted is tried again under its own."""
    assert [trial["trial"] for trial in tried(long[0])] == list(range(1, 13))
    fit, fits = train.fit, []

    def interrupted(*arguments, **options):
        fits.append(1)
        if len(fits) == after:
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    monkeypatch.setattr(train, "fit", interrupted)
    after = 7  # a probe and three folds of the first, a probe and a fold of the second
    told, _ = searched(source, "numbers", trials=3)
    assert told["interrupted"]
    found, said = searched(source, "numbers", trials=3)
    assert [(trial["trial"], trial["state"]) for trial in tried(found)][:3] == [
        *[(1, "complete"), (2, "fail"), (2, "complete")],
    ]
    assert tried(found)[3]["trial"] == 3
    assert "forest 1 of 3" not in said
    assert "forest 2 of 3" in said
    best = max(
        (trial for trial in tried(found) if trial["average_precision"]), key=lambda one: one["average_precision"]
    )
    assert found["best"]["trial"] == found["families"]["forest"]["best"]["trial"] == best["trial"]
    assert f"judge forest {best['trial']}, on folds" in said


def test_scores_of_another_study_are_not_taken(long, source):
    """Of rows as many, in the same folder under the same name: by the digest that the study itself has."""
    found, _ = searched(source, "bound", trials=1)
    file, file_of_study = (study.folder("bound") / name for name in ("forest-1.npy", "trials.sqlite"))
    scores = np.load(file)
    np.save(file, scores[::-1])
    again, said = searched(source, "bound", trials=1)
    assert again["on_fresh_folds"] == found["on_fresh_folds"]
    assert "judge forest 1" in said
    assert np.array_equal(np.load(file), scores)
    file_of_study.unlink()
    _, said = searched(source, "bound", trials=1)
    assert "judge forest 1" in said


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


@pytest.fixture(scope="module")
def begun(source, tmp_path_factory):
    """A home with a study ``mine``."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOML_HOME", str(folder))
        searched(source, "mine", trials=1)
    return folder


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"protocol": "time"}, "training part (other rows), and another split"),
        ({"training": {"split_seed": 1}}, "split"),
        ({"folds": 2}, "--folds"),
        ({"most_cost": 2.0}, "--most-cost"),
        ({"training": {"recipe": RECIPE.model_copy(update={"seed": 1}), "split_seed": 0}}, "--seed"),
        ({"training": {"schema": OTHER}}, "schema"),
    ],
    ids=["protocol", "split seed", "folds", "cost", "seed", "schema"],
)
def test_a_study_of_something_else_is_not_gone_on_with(source, begun, monkeypatch, changes, word):
    """Its figures compare with nothing: said by name, with what to do."""
    monkeypatch.setenv("BENTOML_HOME", str(begun))
    with pytest.raises(FraudError) as error:
        searched(source, "mine", **changes)
    assert word in str(error.value)
    assert "name another --study" in str(error.value)


def test_a_study_of_other_data_is_not_gone_on_with(begun, tmp_path, monkeypatch):
    """Nor are rows that came later."""
    monkeypatch.setenv("BENTOML_HOME", str(begun))
    small.frame(seed=1).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(FraudError, match="another training part"):
        searched(tmp_path / "other.parquet", "mine")


def test_two_processes_do_not_share_a_study(source):
    """The second is told."""
    with study.opened("mine"), pytest.raises(FraudError, match="another process searches"):
        searched(source, "mine")


@pytest.fixture
def pieces(monkeypatch):
    """How many trees were added at a time, each time, as the forests grew."""
    added, fit = [], train.fit

    def counting(*arguments, progress, **options):
        def told(trees):
            added.append(trees)
            progress(trees)

        return fit(*arguments, progress=told, **options)

    monkeypatch.setattr(train, "fit", counting)
    return added


def test_the_time_is_kept_by_piece_of_work(source, pieces):
    """A trial that would overrun ends after the piece it is at, and judging comes within the time too."""
    limit = 111
    found, said = searched(source, "timed", trials=1_000, minutes=limit / 60, clock=lambda: len(pieces))
    history = tried(found)
    assert history[-1]["why"] == "time"
    assert "pruned (time)" in said
    assert 1 < len(history) < 100
    assert limit * 0.5 < len(pieces) <= limit
    assert max(pieces) == 2  # trees, on one core
    done = len(pieces)
    again, _ = searched(source, "timed", trials=1_000, minutes=limit / 60, clock=lambda: len(pieces))
    assert tried(again) == history
    assert len(pieces) == done
    more, _ = searched(source, "timed", trials=1_000, minutes=2 * limit / 60, clock=lambda: len(pieces))
    assert len(tried(more)) > len(history)


def test_too_little_time_for_the_defaults_is_a_stated_error(source, pieces):
    """With what to give more of; given that, the defaults come first again."""
    with pytest.raises(FraudError, match="did not come to their end within the time given: give more with --minutes"):
        searched(source, "short", minutes=5 / 60, clock=lambda: len(pieces))
    assert pieces == [2, 2, 2]  # as judging would take as much
    with pytest.raises(FraudError, match="did not come to their end within the time given: give more with --minutes"):
        searched(source, "short", minutes=3 / 60, clock=lambda: len(pieces))
    assert len(pieces) == 3
    found, _ = searched(source, "short", trials=1)
    assert [trial["state"] for trial in tried(found)] == ["fail", "complete"]
    assert by(found["families"]["forest"]["history"][1]["settings"]) == RECIPE


def test_too_little_memory_for_the_rows_is_a_stated_error(source):
    """Before any trial."""
    with pytest.raises(FraudError, match=r"of 0\.01 GB: give more with --memory-gb"):
        searched(source, "tight", memory_gb=0.01)


def test_scoring_costs_no_more_than_asked_for(long, source):
    """Beside the defaults, in nodes that a row passes: deeper trees are fewer."""
    cheap, _ = searched(source, "cheap", trials=4, most_cost=1.0)
    for found, most in ((cheap, 1.0), (long[0], 3.0)):
        costs = [trial["cost"] for trial in tried(found)]
        assert costs[0] == pytest.approx(1.0)
        assert 0.8 * most < max(costs) <= most + 1e-6


def test_hopeless_settings_are_pruned_between_folds(long):
    """Those below the median of what others had after as many folds."""
    found, said = long
    pruned = [trial for trial in tried(found) if trial["why"] == "median"]
    assert pruned
    assert all(0 < len(trial["after_each_fold"]) < 3 for trial in pruned)
    assert "pruned (median)" in said


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
    assert "was not tried as it stands" not in said


def test_a_recipe_that_was_not_tried_as_it_stands_is_not_judged(source):
    """That is said, as ``--use`` may write a worse one in its place."""
    dear = RECIPE.model_copy(update={"trees": 40})
    found, said = searched(source, "dear", trials=2, training={"recipe": dear})
    assert by(tried(found)[1]["settings"]) == dear.model_copy(update={"trees": 30})
    assert found["on_fresh_folds"].keys() == {"defaults"}
    assert "the recipe as it is now was not tried as it stands" in said


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
