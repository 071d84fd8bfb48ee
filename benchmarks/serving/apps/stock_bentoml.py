"""A BentoML service as the documentation of adaptive batching has it."""

import os

import bentoml
import numpy as np
from bentoml.models import BentoModel

from fraud.estimator.row_features import FOREST
from fraud.features import transform


@bentoml.service(workers=2)
class StockDetector:
    """Scores rows with scikit-learn."""

    model = BentoModel(os.environ["BENCH_MODEL"])

    def __init__(self) -> None:
        self.forest = bentoml.sklearn.load_model(self.model)[FOREST]

    @bentoml.api(batchable=True)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """``(n, 30)`` to ``(n, 2)``."""
        scores: np.ndarray = self.forest.predict_proba(transform(rows))
        return scores
