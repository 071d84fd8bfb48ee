"""Tables in a real S3 server are read by every command that reads tables."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from tests.components import SeaweedFS
from tests.e2e.conftest import BUCKET, REPOSITORY
from training import sample

pytestmark = pytest.mark.e2e
FOLDER = f"s3://{BUCKET}/sources/tables"


@pytest.fixture(scope="module")
def call(s3: SeaweedFS, store, tmp_path_factory):
    """Runs ``python -m`` with the store's model; exit code, JSON and stderr."""
    folder = tmp_path_factory.mktemp("sources")
    rows = sample.generate(4_000, seed=9)
    client = s3.client()
    for number, part in enumerate((rows[:2_000], rows[2_000:])):
        text = part.to_csv(index=False, sep=";", decimal=",")
        client.put_object(Bucket=BUCKET, Key=f"sources/tables/part-0000{number}.csv", Body=text.encode())
    client.put_object(Bucket=BUCKET, Key="sources/tables/_SUCCESS", Body=b"")
    client.put_object(Bucket=BUCKET, Key="sources/labels/week.csv", Body=b"transaction_id,is_fraud\na,yes\nb,no\n")
    rows.to_csv(folder / "here.csv", index=False)
    env = os.environ | s3.env | store.copy(folder / "home").env | {"FRAUD_DATABASE_URL": f"sqlite:///{folder}/log.db"}

    def run(*arguments):
        command = [sys.executable, "-m", *map(str, arguments)]
        done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    run.folder = folder
    return run


def test_scores_of_objects_are_those_of_files(call):
    """One object, and a folder of parts: finished outputs are left alone the second time."""
    code, _, err = call("fraud", "score", call.folder / "here.csv", call.folder / "here-out.csv")
    assert code == 0, err
    expected = pd.read_csv(call.folder / "here-out.csv")
    code, answer, err = call("fraud", "score", f"{FOLDER}/part-00000.csv", call.folder / "one.csv")
    assert code == 0, err
    assert answer["read_as"] == "CSV, semicolons, decimal commas, UTF-8"
    pd.testing.assert_frame_equal(pd.read_csv(call.folder / "one.csv"), expected[:2_000], check_exact=True)
    code, answer, err = call("fraud", "score", f"{FOLDER}/", call.folder / "out")
    assert (code, answer["files"], answer["rows"]) == (0, 2, 4_000), err
    assert call("fraud", "score", f"{FOLDER}/*.csv", call.folder / "out")[1]["skipped"] == 2


def test_training_drift_and_labels_read_the_same(call):
    """Each names the address, and reads all parts of a folder."""
    code, answer, err = call("training", "run", "--data", f"{FOLDER}/", "--trees", 5, "--jobs", 1)
    assert code == 0, err
    assert answer["data"]["rows"] + answer["data"]["duplicates_dropped"] == 4_000
    code, answer, err = call("monitoring", "drift", "--data", f"{FOLDER}/", "--reference-data", f"{FOLDER}/*.csv")
    assert code == 0, err
    assert (answer["rows"], answer["data"]) == (4_000, f"{FOLDER}/")
    code, answer, err = call("monitoring", "labels", "import", f"s3://{BUCKET}/sources/labels/")
    assert code == 0, err
    assert (answer["labels"], answer["frauds"]) == (2, 1)


def test_what_is_wrong_with_an_object_is_said_with_its_address(call):
    """Never with the place it was fetched to."""
    code, _, err = call("fraud", "score", f"s3://{BUCKET}/sources/labels/week.csv", call.folder / "never.csv")
    assert code == 1
    assert "missing columns" in err
    assert str(Path(tempfile.gettempdir())) not in err
    code, _, err = call("fraud", "score", f"s3://{BUCKET}/none.csv", call.folder / "never.csv")
    assert (code, f"s3://{BUCKET}/none.csv: there is no such object" in err) == (1, True)
    assert call("fraud", "score", call.folder / "here.csv", f"s3://{BUCKET}/out.csv")[0] == 2
