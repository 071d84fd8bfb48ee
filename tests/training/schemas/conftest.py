"""Drafts of small tables, for tests of what is said of their columns."""

import numpy as np
import pandas as pd
import pytest

from fraud import schema
from training.schemas import draft
from training.schemas.check import check

ROWS = 400
RANDOM = np.random.default_rng(0)
IS_FRAUD = RANDOM.random(ROWS) < 0.1
PLAIN = {"amount": np.round(RANDOM.lognormal(3, 1, ROWS), 2), "is_fraud": IS_FRAUD.astype(int)}


def choice(*values, rows=ROWS):
    return np.random.default_rng(1).choice(np.array(values, dtype=object), rows)


@pytest.fixture
def infer(tmp_path):
    """Writes columns beside an amount and a label, drafts a schema of the file, and gives it read and as text."""

    def run(columns=None, *, label=None, suffix="csv", plain=PLAIN, **more):
        path = tmp_path / f"data.{suffix}"
        frame = pd.DataFrame((columns or {}) | more | plain)
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        made = draft.infer([path], label)
        read = schema.parse(made.text, "draft")
        assert check([path], read)["files"][0]["problems"] == []  # a draft fits the file that it was made of
        return read, made

    return run


def column(read, name):
    """What was declared of a column, but for bounds."""
    return read.columns[name].model_dump(exclude_defaults=True, exclude={"description"})


def looks(made, name):
    return [said.removeprefix(f"{name}: ") for said in made.look if said.startswith(f"{name}: ")]
