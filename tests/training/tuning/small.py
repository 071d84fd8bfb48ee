"""Small searches: few rows with many frauds, and forests of few trees."""

import io

import numpy as np
from rich.console import Console

from fraud.manifest import Recipe
from tests.ulb import LABEL
from training import sample
from training.console import Steps
from training.run import TrainingPlan
from training.train import DEFAULTS
from training.tuning.plan import TuningPlan
from training.tuning.tune import tune

ROWS = 1_500
TREES = 10
RECIPE = DEFAULTS.model_copy(update={"trees": TREES})


def frame(seed=0):
    """Rows, a twentieth of them frauds that are not always to be told."""
    rows = sample.generate(ROWS, seed, fraud_share=0.05)
    unclear = np.random.default_rng(seed).random(ROWS) < 0.03
    return rows.assign(**{LABEL: rows[LABEL] ^ unclear})


def plan(source, name, *, protocol="stratified", training=None, **changes):
    settings = {"protocol": protocol, "recipe": RECIPE, "jobs": 1} | (training or {})
    return TuningPlan(TrainingPlan([str(source)], **settings), name, **{"trials": 4, "minutes": 1e6} | changes)


def searched(*arguments, clock=None, **changes):
    """What a search answered, and what it said."""
    said = io.StringIO()
    timed = {} if clock is None else {"clock": clock}
    return tune(plan(*arguments, **changes), Steps(Console(file=said, width=200)), **timed), said.getvalue()


def tried(found, family="forest"):
    """Of each trial all but the time that it took."""
    return [
        {name: trial[name] for name in trial if name != "seconds"} for trial in found["families"][family]["history"]
    ]


def by(settings):
    """The recipe of a trial."""
    return Recipe(**RECIPE.model_dump() | settings)
