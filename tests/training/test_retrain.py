"""Which rows a retrain holds out; the whole loop is in tests/e2e/test_retrain.py and test_approval.py."""

from dataclasses import replace

import numpy as np
import pytest

from fraud.manifest import Manifest
from fraud.schema import default
from tests.manifests import document
from training import retrain
from training.console import Steps
from training.judging import contest
from training.judging.contest import ChampionModel
from training.run import TrainingPlan
from training.split import Split

PLAN = TrainingPlan([])
_ROLES = default().roles.model_copy(update={"time": None})
TIMELESS = replace(PLAN, schema=default().model_copy(update={"roles": _ROLES}))


def champion(refit="none", **split):
    parts = document(refit=refit)
    return ChampionModel("best", Manifest(**parts | {"split": parts["split"] | {"seed": 7} | split}), None, None, None)


@pytest.mark.parametrize(
    ("plan", "standing", "expected"),
    [
        (PLAN, None, ("time", 0)),
        (PLAN, champion(), ("stratified", 7)),
        (PLAN, champion(protocol="time"), ("time", 7)),
        (PLAN, champion(protocol="dates"), ("time", 0)),
        (TIMELESS, champion(protocol="time"), ("stratified", 0)),
        (replace(PLAN, protocol="time"), champion(), ("time", 0)),
        (replace(PLAN, protocol="stratified"), champion(), ("stratified", 7)),
        (replace(PLAN, split_seed=0), champion(), ("stratified", 0)),
        (replace(PLAN, split_seed=5), None, ("time", 5)),
    ],
    ids=str,
)
def test_rows_are_held_out_as_for_the_champion_unless_said_otherwise(plan, standing, expected):
    """Protocol and seed; a protocol that the schema cannot follow, or days that nobody kept, leave the usual one."""
    alike = retrain._held_out_alike(plan, standing, Steps())
    assert (alike.protocol, alike.split_seed) == expected


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (champion(), "the champion does not know what --split stratified --split-seed 7 holds out"),
        (champion(protocol="time"), "--split time --split-seed 7"),
        (champion(protocol="dates"), "name others with --train and --test"),
        (champion(refit="all"), "wait for newer ones"),
        (champion(seed=1), "add rows that the champion was not trained on"),
    ],
)
def test_each_champion_has_a_way_to_be_judged_beside(standing, words):
    """Rows that it was not trained on."""
    nothing = np.array([], np.int64)
    assert words in contest._remedy(standing.manifest, Split("stratified", 1, 0.2, nothing, nothing))
