"""Scores of a trial's settings on folds that no trial has seen: kept with the study, and so fitted once.

The study has the digest of each file that it wrote: what another study left in its folder, or a crash, is not taken.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from optuna.trial import FrozenTrial

from fraud import atomic
from training.train import Scores
from training.tuning import study
from training.tuning.study import Study


def read(one: Study, trial: FrozenTrial) -> Scores | None:
    """Those that ``write`` kept for this study; None where there are none."""
    try:
        written = _path(one, trial).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(written).hexdigest() != one.digest_of_scores(trial):
        return None
    scores: Scores = np.load(io.BytesIO(written))
    return scores


def write(one: Study, trial: FrozenTrial, scores: Scores) -> None:
    """Keep them: ``(n,)``, of all rows, fold by fold."""
    written = io.BytesIO()
    np.save(written, scores)
    with atomic.new(_path(one, trial), replace=True) as part:
        part.write_bytes(written.getvalue())
    one.keep_digest_of_scores(trial, hashlib.sha256(written.getvalue()).hexdigest())


def _path(one: Study, trial: FrozenTrial) -> Path:
    return study.folder(one.name) / f"{one.family.name}-{one.number_of(trial)}.npy"
