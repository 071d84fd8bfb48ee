"""A manifest with made-up numbers, as ``manifest.json`` holds it: what tests put in when they care for other parts."""

import copy

_FIGURES = {
    "average_precision": (0.8012642225031605, 0.33586177833965447, 1.0),
    "roc_auc": (0.8914758269720102, 0.6382402707275804, 1.0),
    "precision_at_50": (0.08, 0.02, 0.16),
    "precision_at_100": (0.04040277777777778, 0.01, 0.08075342579696689),
    "precision_at_200": (None, None, None),
    "precision": (1.0, None, None),
    "recall": (0.4, 0.0, 1.0),
    "true_positives": (2.0, 0.0, 5.0),
    "false_positives": (0.0, 0.0, 0.0),
    "false_negatives": (3.0, 0.0, 7.0),
    "true_negatives": (186.0, 181.0, 190.0),
    "amount_caught": (109.31, 0.0, 327.93),
    "amount_caught_share": (0.2076991772596857, 0.0, 1.0),
}

DOCUMENT = {
    "format": 1,
    "model_version": "6wc7kbxj2ot2wax4",
    "created_at": "2026-01-02T03:04:05+00:00",
    "synthetic": True,
    "schema_hash": "6964e738c2b5ace5a3300060b92f1b3f71047a02a8119ea16bc36ebcf9baaeba",
    "transaction_schema": None,
    "key_fingerprint": None,
    "features": ["V1", "Amount"],
    "threshold": 0.4833333333333333,
    "metrics": {name: {"value": value, "low": low, "high": high} for name, (value, low, high) in _FIGURES.items()},
    "validation": {
        "threshold": 0.4833333333333333,
        "rule": "highest recall at precision >= 0.93",
        "precision": 1.0,
        "recall": 0.3333333333333333,
        "rows": 809,
        "frauds": 15,
    },
    "profile": {
        "V1": {"edges": [-1.25, 0.1, 2.5e-17], "ratios": [0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]},
        "Amount": {"edges": [], "ratios": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]},
        "score": {
            "edges": [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8],
            "ratios": [0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.02],
        },
    },
    "data": {
        "sources": ["sample:1000", "s3://bucket/dataset/"],
        "rows": 1000,
        "frauds": 20,
        "duplicates_dropped": 0,
        "fingerprint": "464783fba66dafbe6bac0fff1ea072c2798c02f2e6221486668001c51456cc33",
    },
    "split": {
        "protocol": "stratified",
        "seed": 0,
        "test_share": 0.2,
        "train_rows": 809,
        "train_frauds": 15,
        "test_rows": 191,
        "test_frauds": 5,
    },
    "settings": {
        "estimator": "random-forest",
        "trees": 15,
        "criterion": "entropy",
        "max_samples": 0.6,
        "fraud_weight": 10.0,
        "max_features": "sqrt",
        "min_samples_leaf": 1,
        "max_depth": None,
        "folds": 3,
        "target_precision": 0.93,
        "seed": 0,
        "missing_histories": 0.0,
        "summaries": False,
        "also": [],
    },
    "refit": "none",
    "git_revision": None,
    "versions": {"python": "3.11.7", "scikit-learn": "1.9.1"},
    "files": {"saved_model.pkl": "aa", "forest.safetensors": "bb"},
}


def document(**changes):
    """A copy to change, with other parts in place of some."""
    return copy.deepcopy(DOCUMENT) | changes
