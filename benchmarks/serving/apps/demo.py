"""The demo's design: one DataFrame per request, ``predict_proba`` of a pickled forest."""

import os
from typing import Any

import joblib
import pandas as pd
from flask import Flask, jsonify, request

from fraud.features import transform
from fraud.schema import default

app = Flask(__name__)
_FOREST = joblib.load(os.environ["BENCH_FOREST"])
_TRANSFORM = bool(os.environ["BENCH_TRANSFORM"])  # the demo's own forest takes the raw columns


@app.post("/predict")
def predict() -> Any:  # noqa: ANN401 - Flask's response
    """Score one transaction."""
    frame = pd.DataFrame([request.get_json()])
    rows = transform(frame[list(default().inputs)].to_numpy(float)) if _TRANSFORM else frame
    return jsonify({"fraud_probability": float(_FOREST.predict_proba(rows)[0][1])})
