"""``python -m monitoring drift`` as a workflow meets it: exit codes, JSON on stdout, a table on stderr."""

import json
import shutil
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import pytest

from fraud import command, store
from fraud.choice import local
from fraud.features import transform
from fraud.manifest import BINS, Bins
from fraud.profile import SCORE, Profile
from monitoring import __main__ as program
from monitoring.offline import drift
from tests.ulb import COLUMNS, FEATURES, LABEL
from training import sample
from training.console import Steps
from training.run import TrainingPlan, run
from training.train import DEFAULTS


@pytest.fixture(scope="module")
def manifest():
    """A small real model in the store, deleted at the end."""
    before = store.versions()
    recipe = DEFAULTS.model_copy(update={"trees": 10, "seed": 1})
    yield run(TrainingPlan(["sample:6000"], protocol="stratified", recipe=recipe, jobs=1), Steps())
    for version in set(store.versions()) - set(before):
        bentoml.models.delete(f"fraud_detector:{version}")


@pytest.fixture(scope="module")
def frame():
    """Other rows of the population that the model was trained on."""
    return sample.generate(2_000, seed=5)


@pytest.fixture(scope="module")
def same(frame, tmp_path_factory):
    """A file of them."""
    path = tmp_path_factory.mktemp("same") / "same.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def shifted(frame, tmp_path_factory):
    """A file of them with V4 moved by two standard deviations, without labels."""
    moved = frame.drop(columns=LABEL).assign(V4=frame["V4"] + 2 * frame["V4"].std())
    path = tmp_path_factory.mktemp("shifted") / "shifted.parquet"
    moved.to_parquet(path)
    return path


@pytest.fixture
def call(capsys):
    """Exit code, parsed stdout and stderr of one command."""

    def run_it(*arguments):
        code = command.main(program.parser(), ["drift", *map(str, arguments)])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run_it


def test_rows_of_the_same_population_have_not_drifted(call, manifest, same):
    """Exit code 0; every feature and the score are told, with the model and the thresholds."""
    code, result, err = call("--reference", manifest.model_version, "--data", same)
    assert code == 0
    assert (result["drift"], result["drifted"], result["rows"]) == (False, [], 2_000)
    assert result["reference"] == {"model_version": manifest.model_version, "data": None, "rows": None}
    assert result["thresholds"] == {"feature": drift.THRESHOLD_FEATURE, "score": drift.THRESHOLD_SCORE}
    assert {finding["name"] for finding in result["findings"]} == {*FEATURES, SCORE}
    assert "PSI" in err


def test_a_moved_feature_is_drift(call, manifest, shifted):
    """Exit code 3, and the feature comes first in the JSON and in the table."""
    code, result, err = call("--reference", "latest", "--data", shifted)
    assert (code, result["drift"]) == (3, True)
    assert "V4" in result["drifted"]
    assert result["findings"][0]["name"] == "V4"
    assert result["findings"][0]["p_value"] < 1e-6
    rows = [line.split() for line in err.splitlines()]
    assert next(row for row in rows if row and row[0] in FEATURES)[0] == "V4"


def test_the_index_is_that_of_the_stored_reference(call, manifest, frame, same):
    """What is told equals ``psi_by_name`` of the counts that the service would have published."""
    rows = frame[list(COLUMNS)].to_numpy()
    features = transform(rows)
    scores = store.open_served(store.get(f"fraud_detector:{manifest.model_version}")).forest.score(features)
    profile = Profile.from_bins(manifest.profile)
    expected = drift.psi_by_name(profile.counts(rows, features, scores), profile)
    _, result, _ = call("--reference", "latest", "--data", same)
    assert {finding["name"]: finding["psi"] for finding in result["findings"]} == expected


def test_findings_are_sorted_by_their_index(call, manifest, shifted):
    """The largest first."""
    _, result, _ = call("--reference", "latest", "--data", shifted)
    indices = [finding["psi"] for finding in result["findings"]]
    assert indices == sorted(indices, reverse=True)


def test_reference_rows_add_two_sample_tests(call, manifest, shifted, same):
    """Kolmogorov-Smirnov, Cliff's delta and Wasserstein; the index is still that of the stored reference."""
    _, alone, _ = call("--reference", "latest", "--data", shifted)
    code, result, _ = call("--reference", "latest", "--data", shifted, "--reference-data", same)
    first, second = alone["findings"][0], result["findings"][0]
    assert code == 3
    assert (first["psi"], first["ks_d"]) == (second["psi"], None)
    assert second["ks_d"] > 0.5
    assert second["cliffs_delta"] > 0.5
    assert second["wasserstein_sd"] == pytest.approx(2, rel=1e-3)
    assert result["reference"]["rows"] == 2_000


def test_two_files_need_no_model(call, shifted, same):
    """The deciles of the reference rows are the bins, and there is no score."""
    code, result, _ = call("--data", shifted, "--reference-data", same)
    assert code == 3
    assert result["drifted"] == ["V4"]
    assert result["reference"]["model_version"] is None
    assert SCORE not in {finding["name"] for finding in result["findings"]}


def test_a_file_beside_itself_has_an_index_of_zero(call, same):
    """No difference at all, in any figure."""
    code, result, _ = call("--data", same, "--reference-data", same)
    assert code == 0
    for finding in result["findings"]:
        assert finding["psi"] == pytest.approx(0, abs=1e-12)
        assert (finding["ks_d"], finding["cliffs_delta"], finding["wasserstein_sd"]) == (0, 0, 0)


def test_thresholds_are_given_apart(call, manifest, same):
    """So low a threshold makes everything drift, and the score has its own."""
    code, result, _ = call("--reference", "latest", "--data", same, "--threshold", "1e-9", "--threshold-score", "9")
    assert code == 3
    assert set(result["drifted"]) == set(FEATURES)


def test_what_is_ignored_does_not_decide(call, manifest, shifted):
    """It is told all the same; the table says that it was not judged."""
    arguments = ("--reference", "latest", "--data", shifted, "--threshold-score", "9")
    code, result, err = call(*arguments, "--ignore", "V4", "hour")
    assert (code, result["drifted"]) == (0, [])
    assert result["findings"][0] | {"judged": False, "drifted": False} == result["findings"][0]
    assert "not judged" in err


def test_only_a_feature_can_be_ignored(call, manifest, same):
    """Of the model's schema, or the one that is named; a name that is none is a stated error before files are read."""
    for reference in (("--reference", "latest"), ("--reference-data", same)):
        code, result, err = call(*reference, "--data", "none.csv", "--ignore", "V99")
        assert (code, result) == (1, None)
        assert "--ignore V99: expected a feature of the schema creditcard, one of V1, V2" in err


def test_the_report_is_written_as_markdown(call, manifest, shifted, tmp_path):
    """One row a finding and the verdict in words."""
    code, result, _ = call("--reference", "latest", "--data", shifted, "--output", tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    assert code == 3
    assert f"Drift: {', '.join(result['drifted'])}." in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == len(FEATURES) + 3
    assert "| V4 | " in text


def test_the_champion_is_the_one_remembered(call, manifest, same):
    """Without S3 it is the champion last seen; without one, a stated error that says what to do."""
    remembered = local._champion_path(manifest.model_version)
    remembered.unlink(missing_ok=True)
    code, result, err = call("--reference", "champion", "--data", same)
    assert (code, result) == (1, None)
    assert "no champion is known here: set FRAUD_S3_URI" in err
    local.remember_champion(manifest.model_version)
    try:
        assert call("--reference", "champion", "--data", same)[1]["reference"]["model_version"] == (
            manifest.model_version
        )
    finally:
        remembered.unlink()


def test_too_few_rows_are_named_with_the_minimum(call, manifest, frame, tmp_path):
    """A small file is an error and no verdict, unless fewer are asked for."""
    frame[:400].to_csv(tmp_path / "few.csv", index=False)
    arguments = ("--reference", "latest", "--data", tmp_path / "few.csv")
    code, result, err = call(*arguments)
    assert (code, result) == (1, None)
    assert f"few.csv: 400 rows are too few to tell drift from chance; give at least {drift.MINIMUM_ROWS_1D:d}" in err
    assert call(*arguments, "--minimum-rows", "401")[0] == 1
    assert call(*arguments, "--minimum-rows", "400", "--ignore", "hour")[0] in (0, 3)


def test_reference_rows_must_be_enough_too(call, frame, same, tmp_path):
    """Too few of them are as bad."""
    frame[:400].to_csv(tmp_path / "few.csv", index=False)
    code, _, err = call("--data", same, "--reference-data", tmp_path / "few.csv")
    assert code == 1
    assert "few.csv: 400 rows are too few" in err


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda frame: frame.drop(columns="V7"), "missing columns: V7"),
        (lambda frame: frame.assign(Extra=1.0), "unknown columns: 'Extra'"),
        (lambda frame: frame.assign(V7="x"), "V7 must be a number"),
        (lambda frame: frame.assign(Amount=-1.0), "Amount must be from 0"),
        (lambda frame: frame.assign(V1=np.nan), "V1 must be not empty"),
        (lambda frame: frame[:0], "the table has no rows"),
    ],
)
def test_a_file_of_another_schema_is_a_stated_error(call, manifest, frame, tmp_path, spoil, words):
    """One line that names the file, the column and the rule; nothing on stdout."""
    spoil(frame).to_csv(tmp_path / "spoiled.csv", index=False)
    code, result, err = call("--reference", "latest", "--data", tmp_path / "spoiled.csv")
    assert (code, result) == (1, None)
    line = [line for line in err.splitlines() if line.startswith("error: ")][-1]
    assert f"{tmp_path / 'spoiled.csv'}: " in line
    assert words in line


@pytest.mark.parametrize(("content", "words"), [(None, "no such file"), (b"", "is empty"), (b"\x00PAR1", "")])
def test_a_file_that_is_no_table_is_a_stated_error(call, manifest, tmp_path, content, words):
    """It is named once, with what is wrong."""
    path = tmp_path / "bad.parquet"
    if content is not None:
        path.write_bytes(content)
    code, result, err = call("--reference", "latest", "--data", path)
    assert (code, result) == (1, None)
    line = [line for line in err.splitlines() if line.startswith("error: ")][-1]
    assert line.count(str(path)) == 1
    assert words in line


@pytest.mark.parametrize("version", ["nosuchversion", "fraud_detector:nosuchversion", "not a version"])
def test_a_version_that_is_not_there_is_a_stated_error(call, manifest, same, version):
    """No model is put in its place."""
    code, result, err = call("--reference", version, "--data", same)
    assert (code, result) == (1, None)
    assert "error: " in err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_hash": "0" * 64}, "made for another transaction schema"),
        ({"profile": {"V1": Bins(edges=(0.0,), ratios=(0.1,) * BINS)}}, "has no reference of its features"),
    ],
)
def test_a_model_of_another_schema_is_a_stated_error(call, manifest, same, changes, words):
    """Its reference is of other columns, or none."""
    with bentoml.models.create("fraud_detector", module="bentoml.sklearn") as entry:
        original, folder = store.get(f"fraud_detector:{manifest.model_version}"), Path(entry.path)
        for name in manifest.files:
            shutil.copy(original.path_of(name), folder / name)
        version = str(entry.tag.version)
        changed = manifest.model_copy(update={"model_version": version, **changes})
        (folder / "manifest.json").write_text(changed.model_dump_json())
    try:
        code, result, err = call("--reference", version, "--data", same)
    finally:
        bentoml.models.delete(f"fraud_detector:{version}")
    assert (code, result) == (1, None)
    assert words in err


def test_a_report_that_cannot_be_written_is_a_stated_error(call, same, tmp_path):
    """A folder that is not there is told before the work, a folder in the file's place after it."""
    arguments = ("--data", same, "--reference-data", same)
    code, _, err = call(*arguments, "--output", tmp_path / "none" / "report.md")
    assert (code, "no such folder" in err) == (1, True)
    code, _, err = call(*arguments, "--output", tmp_path)
    assert (code, "cannot be written" in err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--data", "x.csv"],
        ["--reference", "latest"],
        ["--reference", "latest", "--data", "x.csv", "--threshold", "0"],
        ["--reference", "latest", "--data", "x.csv", "--threshold", "nan"],
        ["--reference", "latest", "--data", "x.csv", "--threshold-score", "-1"],
        ["--reference", "latest", "--data", "x.csv", "--minimum-rows", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(call, arguments):
    """argparse's own words and code."""
    with pytest.raises(SystemExit) as ended:
        call(*arguments)
    assert ended.value.code == 2


def test_an_id_column_and_labels_are_left_aside(call, manifest, frame, same, tmp_path):
    """Neither changes a figure."""
    named = frame.drop(columns=LABEL).assign(transaction_id=[f"t{number}" for number in range(len(frame))])
    named.to_csv(tmp_path / "named.csv", index=False)
    assert len(pd.read_csv(tmp_path / "named.csv").columns) == len(COLUMNS) + 1
    first, second = (call("--reference", "latest", "--data", path)[1] for path in (same, tmp_path / "named.csv"))
    assert first["findings"] == second["findings"]


def test_a_folder_is_one_table_and_its_form_is_told(call, frame, tmp_path):
    """Its parts together, however each is written; a message names the part."""
    folder = tmp_path / "week"
    folder.mkdir()
    frame[:1_000].to_csv(folder / "part-0", index=False, sep=";", decimal=",")
    frame[1_000:].to_parquet(folder / "part-1.parquet")
    code, result, err = call("--data", folder, "--reference-data", f"{folder}/part-*")
    assert (code, result["rows"], result["drifted"]) == (0, 2_000, []), err
    assert result["read_as"] == ["CSV, semicolons, decimal commas, UTF-8", "Parquet"]
    frame[:10].assign(V1="x").to_csv(folder / "part-2", index=False)
    code, _, err = call("--data", folder, "--reference-data", f"{folder}/*")
    assert (code, f"{folder}/part-2: V1 must be a number" in err) == (1, True)
