"""FastAPI with scikit-learn: the body validated by the same model, a NumPy row, ``predict_proba``."""

import os
from typing import Any

import joblib
import numpy as np
from fastapi import FastAPI

from fraud.features import transform
from fraud.schema import default
from serving.contract.contract import Contract

app = FastAPI()
Transaction: Any = Contract(default(), {}).transaction
_FOREST = joblib.load(os.environ["BENCH_FOREST"]).set_params(n_jobs=1)


@app.post("/predict")
def predict(transaction: Transaction) -> dict[str, float]:
    """Score one transaction."""
    row = np.array([[getattr(transaction, column) for column in default().inputs]])
    return {"fraud_probability": float(_FOREST.predict_proba(transform(row))[0, 1])}
