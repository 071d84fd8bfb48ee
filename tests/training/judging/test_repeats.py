"""Which challenger was judged before: by what it follows from, and by what it is."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from fraud.inputs.keys import KeyHasher
from fraud.manifest import Manifest
from tests.manifests import document
from training import data, run
from training.console import Steps
from training.judging import repeats
from training.judging.contest import ChampionModel
from training.judging.gate import Policy, Reason, Verdict
from training.judging.making import making_of, same_case, same_model
from training.run import TrainingPlan
from training.train import DEFAULTS

REVISION = "0123456789abcdef0123456789abcdef01234567"
RECIPE = DEFAULTS.model_copy(update={"trees": 4})


@pytest.fixture
def plan(monkeypatch):
    """A small run, of code that is known."""
    for module in (run, repeats):
        monkeypatch.setattr(module, "git_revision", lambda: REVISION)
    return TrainingPlan(["sample:1000"], protocol="stratified", recipe=RECIPE, jobs=1, split_seed=3)


@pytest.fixture
def dataset(plan):
    return data.load(plan.sources, plan.schema)


@pytest.fixture
def manifest(plan, dataset):
    """Of the model that the plan gives."""
    return run.save(plan, dataset, run.judge(plan, dataset, Steps()))


def test_what_a_model_follows_from_is_known_before_the_fit(plan, dataset, manifest):
    """The plan says the same as the manifest of the model that comes of it, and it is certain."""
    made = repeats.planned(plan, dataset)
    assert made == making_of(manifest)
    assert made.is_certain


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": RECIPE.model_copy(update={"seed": 1})},
        {"recipe": RECIPE.model_copy(update={"trees": 5})},
        {"split_seed": 4},
        {"protocol": "time"},
        {"refit": "all"},
    ],
    ids=repr,
)
def test_another_plan_is_another_making(plan, dataset, change):
    """Recipe, split, and what is fitted in the end."""
    assert repeats.planned(replace(plan, **change), dataset) != repeats.planned(plan, dataset)


def test_other_rows_are_another_making(plan, dataset):
    """One row more is enough."""
    assert repeats.planned(plan, data.load(["sample:1001"], plan.schema)) != repeats.planned(plan, dataset)


@pytest.mark.parametrize("change", [{"revision": None}, {"revision": "abc-dirty"}, {"protocol": "dates"}], ids=repr)
def test_unknown_code_and_named_days_take_a_fit(plan, dataset, change):
    """Code outside of git or changed since, and days that no manifest keeps."""
    assert not replace(repeats.planned(plan, dataset), **change).is_certain


POLICY = Policy()
CHAMPION = ChampionModel("best", Manifest(**document(model_version="best")), None, None, None)


def published(*judged):
    """A registry of versions, newest first: of each the champion and the policy that it was judged by, if it was."""
    verdicts = {
        version: facts
        and {
            "passed": False,
            "reasons": [asdict(Reason("recall floor", False, "0.1"))],
            "figures": {"champion_version": facts[0], "policy": asdict(facts[1]), "rows": 9},
        }
        for version, facts in judged
    }
    versions = [SimpleNamespace(manifest=Manifest(**document(model_version=version))) for version in verdicts]
    return SimpleNamespace(versions=lambda: versions, verdict=verdicts.get)


@pytest.mark.parametrize(
    ("judged", "champion", "found"),
    [
        ([("new", ("best", POLICY)), ("old", ("best", POLICY))], CHAMPION, "new"),
        ([("new", ("other", POLICY)), ("old", ("best", POLICY))], CHAMPION, "old"),
        ([("new", ("best", replace(POLICY, min_recall=0.1)))], CHAMPION, None),
        ([("new", None)], CHAMPION, None),
        ([("new", (None, POLICY))], CHAMPION, None),
        ([("new", (None, POLICY))], None, "new"),
        ([], CHAMPION, None),
    ],
)
def test_only_a_judgement_beside_this_champion_by_this_policy_counts(judged, champion, found):
    """The newest of them; what was never judged, or otherwise, may be judged otherwise now."""
    before = repeats.judged_before(published(*judged), champion, POLICY, lambda _: True)
    assert (before and before[0]) == found
    if before:
        assert before[1] == Verdict(False, (Reason("recall floor", False, "0.1"),), before[1].figures)


def test_another_model_was_not_judged():
    """Its own verdict is no matter."""
    remote = published(("new", ("best", POLICY)))
    assert repeats.judged_before(remote, CHAMPION, POLICY, lambda _: False) is None


def test_a_model_is_another_by_its_forest_threshold_or_secret():
    """To the bit, with what it has learnt of categories; version, date and pickle are no part of it."""
    one, files = Manifest(**document()), document()["files"]
    assert same_model(one, Manifest(**document(files=files | {"saved_model.pkl": "cc"})))
    assert not same_model(one, Manifest(**document(files=files | {"encoding.json": "cc"})))
    assert not same_model(one, Manifest(**document(schema_hash="another")))
    assert same_model(one, Manifest(**document(model_version="x", created_at="y")))
    assert not same_model(one, Manifest(**document(threshold=0.5)))
    assert not same_model(one, Manifest(**document(key_fingerprint=KeyHasher("x" * 40).fingerprint)))
    assert not same_model(one, Manifest(**document(files=document()["files"] | {"forest.safetensors": "0" * 64})))


def test_the_same_model_on_other_rows_is_another_case():
    """Its verdict may be another, as when there are more frauds to judge by."""
    parts = document()
    one = Manifest(**parts)
    assert same_case(one, Manifest(**parts | {"model_version": "x"}))
    assert not same_case(one, Manifest(**parts | {"data": parts["data"] | {"fingerprint": "other"}}))
    assert not same_case(one, Manifest(**parts | {"split": parts["split"] | {"seed": 1}}))
