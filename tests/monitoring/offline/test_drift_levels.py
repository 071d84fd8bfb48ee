"""``python -m monitoring drift`` on the invented shop: categories, booleans, missing values."""

import json

import bentoml
import numpy as np
import pytest

from fraud import command, store
from fraud.profile import SCORE, Profile
from fraud.tables import table
from monitoring import __main__ as program
from monitoring.offline import drift
from tests import shop_schema
from tests.shop_schema import SCHEMA, generate
from training.console import Steps
from training.run import TrainingPlan, run
from training.train import DEFAULTS

ROWS = 3_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the shop, and its schema."""
    place = tmp_path_factory.mktemp("shop")
    (place / "shop.toml").write_text(shop_schema.TEXT)
    generate(6_000, seed=1).to_csv(place / "may.csv", index=False)
    generate(ROWS, seed=2).to_csv(place / "june.csv", index=False)
    return place


@pytest.fixture(scope="module")
def manifest(folder):
    """A small model of the shop in the store, deleted at the end."""
    before = store.versions()
    recipe = DEFAULTS.model_copy(update={"trees": 10, "seed": 1})
    sources = [str(folder / "may.csv")]
    yield run(TrainingPlan(sources, SCHEMA, protocol="stratified", recipe=recipe, jobs=1), Steps())
    for version in set(store.versions()) - set(before):
        bentoml.models.delete(f"fraud_detector:{version}")


@pytest.fixture
def call(capsys, monkeypatch):
    """Exit code, parsed stdout and stderr of one command."""
    monkeypatch.delenv("FRAUD_SCHEMA", raising=False)

    def run_it(*arguments):
        code = command.main(program.parser(), ["drift", *map(str, arguments)])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run_it


@pytest.fixture(params=["model", "files"])
def against(request, folder, manifest):
    """What a file is compared with: the model of May's rows, or the file of them."""
    if request.param == "model":
        return ("--reference", manifest.model_version)
    return ("--schema", folder / "shop.toml", "--reference-data", folder / "may.csv")


def changed(folder, **columns):
    """A file of June in which these columns are others, in half of the rows."""
    frame = generate(ROWS, seed=2)
    half = np.random.default_rng(0).random(ROWS) < 0.5
    for name, value in columns.items():
        frame.loc[half, name] = value
    frame.to_csv(folder / "changed.csv", index=False)
    return folder / "changed.csv"


def of(result, name):
    return next(finding for finding in result["findings"] if finding["name"] == name)


def test_other_rows_of_the_shop_have_not_drifted(call, against, folder):
    """Exit code 0, whatever kind a feature is."""
    code, result, _ = call(*against, "--data", folder / "june.csv")
    assert (code, result["drifted"]) == (0, [])
    assert {finding["name"] for finding in result["findings"]} - {SCORE} == set(SCHEMA.features)


@pytest.mark.parametrize(
    ("name", "value"),
    [("country", "DE"), ("country", "XX"), ("country", None), ("returning", "yes"), ("returning", None), ("age", None)],
)
def test_a_shifted_level_is_drift(call, against, folder, name, value):
    """A frequent level, a text that is new, and no value: exit code 3, in that feature."""
    code, result, _ = call(*against, "--data", changed(folder, **{name: value}), "--threshold-score", "9")
    assert (code, result["drifted"]) == (3, [name])
    assert of(result, name)["p_value"] < 1e-6


def test_levels_have_no_order(call, folder, manifest):
    """So no test that needs one; numbers have all of them, of the rows that have a value."""
    files = ("--data", folder / "june.csv", "--reference-data", folder / "may.csv")
    _, result, err = call("--reference", manifest.model_version, *files)
    for name in ("country", "channel", "returning"):
        finding = of(result, name)
        assert {finding[test] for test in ("ks_p_value", "ks_d", "cliffs_delta", "wasserstein_sd")} == {None}
        assert finding["psi"] < 0.02
    for name in ("age", "total", "hour", SCORE):
        assert 0 < of(result, name)["ks_d"] < 0.1
    assert "country" in err


def test_a_column_that_is_never_there_has_no_two_sample_test(call, folder):
    """And all of it is drift."""
    frame = generate(ROWS, seed=2).assign(age=None)
    frame.to_csv(folder / "ageless.csv", index=False)
    files = ("--data", folder / "ageless.csv", "--reference-data", folder / "may.csv")
    code, result, _ = call("--schema", folder / "shop.toml", *files)
    assert (code, result["drifted"], of(result, "age")["ks_d"]) == (3, ["age"], None)


def test_the_index_is_that_of_the_service(call, folder, manifest):
    """What is told equals ``psi_by_name`` of the counts that the service would have published."""
    served = store.open_served(store.get(f"fraud_detector:{manifest.model_version}"))
    profile = Profile.of(manifest)
    frame = table.check(table.read_table(folder / "june.csv", SCHEMA), SCHEMA, labelled=False)
    rows = table.rows(frame, SCHEMA, served.features.encoding.levels)
    features = served.features.transform(rows)
    expected = drift.psi_by_name(profile.counts(rows, features, served.forest.score(features)), profile)
    _, result, _ = call("--reference", manifest.model_version, "--data", folder / "june.csv")
    assert {finding["name"]: finding["psi"] for finding in result["findings"]} == expected


def test_features_of_the_schema_can_be_ignored(call, against, folder):
    """By their names there; those of another schema are none."""
    moved = changed(folder, country="XX")
    code, result, _ = call(*against, "--data", moved, "--threshold-score", "9", "--ignore", "country", "weekday")
    assert (code, result["drifted"], of(result, "country")["judged"]) == (0, [], False)
    code, _, err = call(*against, "--data", moved, "--ignore", "V1")
    assert (code, "one of total, age, country" in err) == (1, True)


def test_the_schema_may_come_from_the_environment(call, folder, monkeypatch):
    """As elsewhere."""
    monkeypatch.setenv("FRAUD_SCHEMA", str(folder / "shop.toml"))
    assert call("--data", folder / "june.csv", "--reference-data", folder / "may.csv")[0] == 0


def test_a_model_is_not_asked_with_another_schema(call, folder, manifest, tmp_path):
    """It carries its own; one that differs in how files spell things may be named."""
    other = tmp_path / "other.toml"
    other.write_text(shop_schema.TEXT.replace("maximum = 10000", "maximum = 20000"))
    asked = ("--reference", manifest.model_version, "--data", folder / "june.csv")
    code, _, err = call(*asked, "--schema", other)
    assert (code, "was made for the schema shop" in err) == (1, True)
    assert call(*asked, "--schema", folder / "shop.toml")[0] == 0


def test_a_column_of_rare_texts_is_no_drift(call, folder):
    """Customers that come once or twice are known to neither file: what is unseen has a share in the reference."""
    text = shop_schema.TEXT.replace('[columns.customer]\nkind = "key"', '[columns.customer]\nkind = "category"')
    (folder / "customers.toml").write_text(text)
    files = ("--data", folder / "june.csv", "--reference-data", folder / "may.csv")
    code, result, _ = call("--schema", folder / "customers.toml", *files)
    assert (code, result["drifted"]) == (0, [])
