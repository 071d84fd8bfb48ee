"""A study that is gone on with: by the same call, and by no other."""

import numpy as np
import pytest

from fraud.errors import FraudError
from fraud.manifest import Recipe
from fraud.schema import Schema, default
from tests.training.tuning import small
from tests.training.tuning.small import RECIPE, searched, tried
from training import train
from training.tuning import forests, study

_COLUMNS = default().columns
_FIELDS = {name: getattr(default(), name) for name in Schema.model_fields}
OTHER = Schema(**_FIELDS | {"columns": _COLUMNS | {"V1": _COLUMNS["V1"].model_copy(update={"missing": True})}})


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


def test_what_a_study_began_with_stays_what_the_best_is_judged_beside(source, monkeypatch):
    """Also when ``--use`` has put another recipe in its place since, or a later version has other defaults."""
    before = RECIPE.model_copy(update={"trees": 7})
    found, _ = searched(source, "began", trials=3, training={"recipe": before})
    used = {"recipe": Recipe(**found["best"]["recipe"])}
    again, _ = searched(source, "began", trials=3, training=used)
    assert again["on_fresh_folds"] == found["on_fresh_folds"]
    monkeypatch.setattr(forests, "DEFAULTS", RECIPE.model_copy(update={"fraud_weight": 12.0}))
    later, _ = searched(source, "began", trials=3, training=used)
    assert later["on_fresh_folds"] == found["on_fresh_folds"]


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
