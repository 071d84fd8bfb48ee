"""The ULB credit-card data itself, from a file that E2E_REAL_DATA names: it loads, trains, and is scored exactly."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_registry import Commands
from tests.ulb import COLUMNS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def source():
    path = os.environ.get("E2E_REAL_DATA")
    if not path:
        pytest.skip("E2E_REAL_DATA is not set to a Parquet or CSV file of the ULB credit-card data")
    return Path(path).absolute()


@pytest.fixture(scope="module")
def trained(source, tmp_path_factory):
    """A quick forest on all rows, and what ``training run`` answered."""
    command = Commands(tmp_path_factory.mktemp("real") / "home", {})
    quick = ("--trees", "20", "--max-samples", "0.2", "--split", "stratified")
    code, result, error = command("run", "--data", source, *quick)
    assert code == 0, error
    return command, result


def test_a_quick_forest_is_useful_on_real_rows(trained):
    """Far from chance, on rows that it did not see, and not labelled synthetic."""
    _, result = trained
    assert result["synthetic"] is False
    assert result["data"]["duplicates_dropped"] > 0
    assert result["metrics"]["average_precision"]["low"] > 0.5
    assert result["metrics"]["precision"]["value"] > 0.7


def test_every_real_row_is_scored_as_scikit_learn_does(trained, source, tmp_path):
    """``fraud score`` on the whole file equals the stored pipeline's predict_proba, bit for bit, in file order."""
    command, result = trained
    scores, reference = tmp_path / "scores.parquet", tmp_path / "reference.npy"
    done = command.python("-m", "fraud", "score", source, scores)
    assert done.returncode == 0, done.stderr
    code = (
        "import sys, bentoml, numpy as np; from fraud.tables.table import read_table; from pathlib import Path;"
        f"model = bentoml.sklearn.load_model('fraud_detector:{result['model_version']}').set_params(forest__n_jobs=1);"
        "np.save(sys.argv[2], model.predict_proba(read_table(Path(sys.argv[1])))[:, 1])"
    )
    done = command.python("-c", code, source, reference)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(pd.read_parquet(scores)["fraud_probability"].to_numpy(), np.load(reference))


def test_the_sample_transaction_is_not_fraud_under_a_model_of_real_rows(trained, tmp_path):
    """The demo's request answers below the threshold, not only under the synthetic model."""
    command, result = trained
    row = json.loads((REPOSITORY / "sample_transaction.json").read_text())
    pd.DataFrame([row])[list(COLUMNS)].to_csv(tmp_path / "one.csv", index=False)
    done = command.python("-m", "fraud", "score", tmp_path / "one.csv", tmp_path / "answer.csv")
    assert done.returncode == 0, done.stderr
    answer = pd.read_csv(tmp_path / "answer.csv").iloc[0]
    assert answer["fraud_probability"] < result["threshold"]
    assert not answer["is_fraud"]


def test_the_kaggle_file_loads_with_its_traps(trained, source, tmp_path):
    """Quoted header and labels give the very rows of the Parquet file."""
    frame = (pd.read_parquet(source) if source.suffix == ".parquet" else pd.read_csv(source)).head(20_000)
    path = tmp_path / "creditcard.csv"
    lines = frame.assign(Class=[f'"{label}"' for label in frame["Class"]]).to_csv(index=False, quoting=3).splitlines()
    lines[0] = ",".join(f'"{name}"' for name in frame.columns)
    path.write_text("\n".join(lines) + "\n")
    command, _ = trained
    code = "import sys; from training.data import load; print(load([sys.argv[1]], default()).fingerprint)"
    frame.to_parquet(tmp_path / "same.parquet")
    prints = [command.python("-c", code, file).stdout for file in (path, tmp_path / "same.parquet")]
    assert prints[0] == prints[1] != ""
