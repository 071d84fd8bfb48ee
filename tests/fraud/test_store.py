"""Entries of the model store: whole or not there, and refused when they are not what was saved."""

import json
import shutil
from pathlib import Path

import bentoml
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from fraud import checksums, profile, store
from fraud import manifest as manifests
from fraud.errors import ModelError, SchemaError
from fraud.features import FeaturePath, transform
from fraud.inputs import encoding
from fraud.inputs.encoding import Codes, Encoding
from fraud.inputs.levels import OTHER
from fraud.schema import default
from fraud.scorer import file as forest_file
from fraud.scorer.file import Probes
from fraud.scorer.from_sklearn import from_sklearn
from tests.fraud.stored import save
from tests.two_columns import SCHEMA

pytestmark = pytest.mark.usefixtures("saved")


@pytest.fixture(scope="module")
def entry(saved):
    return store.get(f"fraud_detector:{saved.model_version}")


@pytest.fixture
def copied(entry, tmp_path):
    """A copy of the entry to damage."""
    return copy_of(entry, tmp_path)


def copy_of(entry, folder):
    return Copied(shutil.copytree(entry.path, folder / "copied"))


class Copied:
    """What ``open_served`` asks of an entry, read from ``folder`` each time."""

    def __init__(self, folder):
        self.folder, self.path = folder, str(folder)

    @property
    def info(self):
        return bentoml.Model.from_path(self.path).info

    @property
    def tag(self):
        return self.info.tag

    def path_of(self, name):
        return str(self.folder / name)


def reseal(copied, change=lambda _: None):
    """Make ``model.yaml`` agree with the files as they are, or ``change`` what it keeps."""
    info = copied.info
    info.metadata["sha256"] = checksums.of_folder(copied.folder)
    change(info.metadata)
    with (copied.folder / "model.yaml").open("w") as file:
        info.dump(file)


def unseal(copied):
    """As entries were saved before they kept hashes."""
    reseal(copied, dict.clear)


def edit(copied, **changes):
    """Change the manifest, and nothing that vouches for it."""
    path = copied.folder / manifests.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def remanifest(copied, **changes):
    """Change the manifest as if it had been saved so."""
    edit(copied, **changes)
    reseal(copied)


def rescore(copied, scorer, probes):
    """Replace the scorer file and make the manifest agree with it."""
    path = copied.folder / store.FOREST_FILE
    forest_file.save(path, scorer, probes)
    files = json.loads((copied.folder / manifests.FILE).read_text())["files"]
    remanifest(copied, files=files | {store.FOREST_FILE: manifests.sha256(path)})


def off(probes):
    """The probes with one score that is wrong in its last bit."""
    scores = probes.scores.copy()
    scores[3] = np.nextafter(scores[3], 1.0)
    return Probes(probes.rows, scores)


def test_an_entry_holds_the_three_files(entry, saved):
    """The pickled estimator, the scorer and the manifest are there, the first two under the hashes of the manifest."""
    assert set(saved.files) == {store.PICKLE_FILE, store.FOREST_FILE}
    for name, digest in saved.files.items():
        assert manifests.sha256(Path(entry.path_of(name))) == digest
    assert store.read_manifest(entry) == saved


def test_the_manifest_names_the_version_of_the_entry(entry, saved):
    """BentoML chooses the version, and the manifest knows it."""
    assert str(entry.tag.version) == saved.model_version


def test_bentoml_loads_the_estimator(entry, model, rows):
    """bentoml.sklearn.load_model gives the forest that was saved, behind the feature path."""
    loaded = bentoml.sklearn.load_model(entry.tag)
    assert np.array_equal(loaded.predict_proba(rows), model.predict_proba(transform(rows)))


def test_an_opened_entry_scores_as_scikit_learn(entry, model, rows, saved):
    """What is opened for serving has the version, the manifest, and scikit-learn's scores."""
    served = store.open_served(entry)
    features = transform(rows)
    assert np.array_equal(served.forest.score(features), model.predict_proba(features)[:, 1])
    assert (served.version, served.manifest) == (saved.model_version, saved)


def test_labels_are_shown(model, scorer, probes, facts):
    """The labels given at saving are those of the entry."""
    version = save(model, scorer, probes, facts, labels={"kind": "test"}).model_version
    assert store.get(f"fraud_detector:{version}").info.labels == {"kind": "test"}


def test_versions_are_newest_first(model, scorer, probes, facts):
    """The version just saved is the first, and latest means it."""
    version = save(model, scorer, probes, facts).model_version
    assert store.versions()[0] == version
    assert str(store.get("fraud_detector:latest").tag.version) == version
    assert len(set(store.versions())) == len(store.versions())


@pytest.mark.parametrize("kind", ["inexact", "none", "NaN"])
def test_an_inexact_scorer_is_not_saved(model, scorer, probes, facts, saved, kind):
    """Probes whose scores differ in one bit, or prove nothing, are refused, and no entry is left."""
    bad = {
        "inexact": off(probes),
        "none": Probes(probes.rows[:0], probes.scores[:0]),
        "NaN": Probes(probes.rows[:1], np.array([np.nan])),
    }[kind]
    before = store.versions()
    with pytest.raises(ModelError, match=r"fraud_detector:\w+: the scorer is not exact: \d+ of \d+ probe rows"):
        save(model, scorer, bad, facts)
    assert store.versions() == before


@pytest.mark.parametrize("tag", ["fraud_detector:nowhere", "another_model:latest"])
def test_a_missing_model_says_what_to_do(saved, tag):
    """The message names the tag, what there is instead, and the command that trains a model."""
    newest = store.versions()[0]
    words = (
        rf"^the model store has no {tag}; it holds fraud_detector:{newest}.*, or train one with `python -m training run"
    )
    with pytest.raises(ModelError, match=words):
        store.get(tag)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([], "it is empty: train one with "),
        (["a"], "it holds fraud_detector:a: name one of these, or train one with "),
        (list("abcdefg"), "it holds " + ", ".join(f"fraud_detector:{one}" for one in "abcde") + " and 2 more: name "),
    ],
)
def test_what_the_store_holds_is_said_in_one_line(monkeypatch, held, words):
    """Of many versions the newest five."""
    monkeypatch.setattr(store, "versions", lambda: held)
    with pytest.raises(ModelError) as caught:
        store.get("fraud_detector:nowhere")
    assert str(caught.value).startswith(f"the model store has no fraud_detector:nowhere; {words}")


def test_a_copy_of_an_entry_opens(copied, entry):
    """The way these tests copy an entry is itself sound."""
    assert store.open_served(copied).version == str(entry.tag.version)


def test_a_changed_scorer_is_refused(copied):
    """One more byte in the scorer file and it is not served."""
    with (copied.folder / store.FOREST_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"forest\.safetensors is not the file that was saved"):
        store.open_served(copied)


def test_another_models_scorer_is_refused(copied, scorer, probes):
    """A sound scorer file with other contents is not the one that was saved."""
    forest_file.save(copied.folder / store.FOREST_FILE, scorer, Probes(probes.rows[:1], probes.scores[:1]))
    with pytest.raises(ModelError, match="is not the file that was saved"):
        store.open_served(copied)


@pytest.mark.parametrize("files", [{}, {store.FOREST_FILE: ""}], ids=["no hash", "an empty hash"])
def test_a_scorer_without_a_hash_is_refused(copied, files):
    """A manifest that vouches for nothing does not let the file pass."""
    remanifest(copied, files=files)
    with pytest.raises(ModelError, match="is not the file that was saved"):
        store.open_served(copied)


def test_a_missing_scorer_is_refused(copied):
    """An entry without its scorer file is told as such."""
    (copied.folder / store.FOREST_FILE).unlink()
    with pytest.raises(ModelError, match="pull or train the model again"):
        store.open_served(copied)


@pytest.mark.parametrize(
    "changes", [{"schema_hash": "0" * 64}, {"features": ["V1"]}, {"features": []}], ids=["schema", "features", "none"]
)
def test_a_model_of_another_schema_is_refused(copied, changes):
    """A model made for other columns, bounds or features must not be fed with today's rows."""
    remanifest(copied, **changes)
    with pytest.raises(ModelError, match="made for another transaction schema"):
        store.open_served(copied)


def test_an_inexact_scorer_is_not_opened(copied, scorer, probes):
    """The probes are checked on the machine that serves: one wrong bit and nothing is served."""
    rescore(copied, scorer, off(probes))
    with pytest.raises(ModelError, match="the scorer is not exact: 1 of 64 probe rows differ"):
        store.open_served(copied)


def test_a_scorer_without_probes_is_not_opened(copied, scorer, probes):
    """Without probes nothing shows that the scorer is exact here."""
    rescore(copied, scorer, Probes(probes.rows[:0], probes.scores[:0]))
    with pytest.raises(ModelError, match="0 of 0 probe rows"):
        store.open_served(copied)


def test_an_entry_without_a_manifest_is_refused(copied):
    """A model that something else saved under our name is told as such."""
    (copied.folder / manifests.FILE).unlink()
    with pytest.raises(ModelError, match=r"has no manifest\.json; it was not saved by `python -m training run`"):
        store.open_served(copied)


def test_a_damaged_manifest_is_refused(copied, entry):
    """A manifest cut short is an error that names the entry, also where no hash shows it."""
    path = copied.folder / manifests.FILE
    path.write_text(path.read_text()[:-40])
    with pytest.raises(ModelError, match=r"manifest\.json is not the file that was saved"):
        store.open_served(copied)
    unseal(copied)
    with pytest.raises(ModelError, match=rf"{entry.tag}: not a manifest of format 1"):
        store.open_served(copied)


def test_an_entry_keeps_the_hash_of_every_file(entry, saved):
    """BentoML's own model.yaml has those of the manifest's files, and of the manifest."""
    own = manifests.sha256(Path(entry.path_of(manifests.FILE)))
    assert entry.info.metadata == {"sha256": {**saved.files, manifests.FILE: own}}


@pytest.mark.parametrize("read", [store.open_served, store.read_manifest])
def test_an_edited_threshold_is_refused(copied, read):
    """Other decisions under the same version: serving, scoring, publishing and pulling read an entry by these two."""
    edit(copied, threshold=0.0)
    with pytest.raises(
        ModelError, match=r"fraud_detector:\w+: manifest\.json is not the file that was saved; delete it"
    ):
        read(copied)


def put_in(name):
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda folder: (folder / "saved_model.pkl").write_bytes(b"x"),
            "saved_model.pkl is not the file that was saved",
        ),
        (lambda folder: (folder / "saved_model.pkl").unlink(), "saved_model.pkl is missing"),
        (put_in("custom_objects.pkl"), "custom_objects.pkl was not saved with it"),
        (put_in("more/.hidden"), "more/.hidden was not saved with it"),
        (lambda folder: (folder / "link").symlink_to("nowhere"), "link was not saved with it"),
    ],
    ids=["changed", "missing", "more", "in a folder", "a link"],
)
def test_a_file_that_is_not_what_was_saved_is_named(copied, change, words):
    """One line that names the file and says what to do."""
    change(copied.folder)
    with pytest.raises(ModelError) as refused:
        store.open_served(copied)
    assert str(refused.value).startswith(f"{copied.tag}: {words}; delete it with `bentoml models delete`")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("kept", [{}, "x"], ids=repr)
def test_hashes_that_are_none_let_nothing_pass(copied, kept):
    """A model.yaml whose hashes were lost vouches for no file."""
    reseal(copied, lambda metadata: metadata.update(sha256=kept))
    with pytest.raises(
        ModelError, match=r"forest\.safetensors, manifest\.json, saved_model\.pkl was not saved with it"
    ):
        store.open_served(copied)


def test_an_entry_without_hashes_is_served_and_said_once(copied, entry, caplog):
    """What was saved by an earlier version serves on; one warning in a process, not one a file scored."""
    unseal(copied)
    store._say_unsealed.cache_clear()
    assert store.open_served(copied).version == store.open_served(copied).version == str(entry.tag.version)
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{entry.tag} was saved without the hashes of its files")


def test_a_bare_forest_of_an_earlier_version_is_served(copied, model, rows):
    """The service does not read the pickle: what it holds makes no difference to a score."""
    joblib.dump(model, copied.folder / store.PICKLE_FILE)
    files = json.loads((copied.folder / manifests.FILE).read_text())["files"]
    pickle = manifests.sha256(copied.folder / store.PICKLE_FILE)
    edit(copied, files=files | {store.PICKLE_FILE: pickle})
    unseal(copied)
    features = transform(rows)
    assert np.array_equal(store.open_served(copied).forest.score(features), model.predict_proba(features)[:, 1])


LEARNT = Codes(levels=("a", "b"), codes=(0.125, 0.75), other=0.25, missing=0.5)


@pytest.fixture(scope="module")
def two(facts):
    """The entry of a model of a second schema: 200 rows of a category, which decides, and a number."""
    path = FeaturePath(SCHEMA, Encoding(columns={"shop": LEARNT}))
    random = np.random.default_rng(0)
    rows = np.column_stack([random.choice([0, 1, OTHER, np.nan], 200), random.random(200)])
    labels = (rows[:, 0] == 1) | (rows[:, 1] > 0.9)
    model = RandomForestClassifier(5, random_state=0).fit(path.transform(rows), labels.astype(int))
    probes = Probes(rows[:20], model.predict_proba(path.transform(rows[:20]))[:, 1])
    document = facts | {
        "schema_hash": SCHEMA.hash,
        "transaction_schema": SCHEMA.document(),
        "features": path.names,
        "profile": profile.reference(path, rows, probes.scores).as_bins(),
    }
    manifest = save(model, from_sklearn(model), probes, document, features=path)
    yield store.get(f"fraud_detector:{manifest.model_version}")
    bentoml.models.delete(f"fraud_detector:{manifest.model_version}")


def test_a_model_carries_its_schema_and_what_it_learnt(two):
    """Whoever opens it needs neither: texts of any list of levels get the model's own codes."""
    served = store.open_served(two)
    assert served.features == FeaturePath(SCHEMA, Encoding(columns={"shop": LEARNT}))
    assert set(served.manifest.files) == {store.PICKLE_FILE, store.FOREST_FILE, encoding.FILE}
    own = np.array([[0, 0.5], [1, 0.5], [OTHER, 0.5], [np.nan, 0.5]])
    other = {"shop": ("b", "c", "a")}
    theirs = np.array([[2, 0.5], [0, 0.5], [1, 0.5], [np.nan, 0.5]])
    assert served.score(theirs, other).tolist() == served.score(own).tolist()
    assert served.score(own)[1] > 0.5 > served.score(own)[0]


def test_its_pickled_estimator_takes_texts(two):
    """As they stand in a file, a level that is not known and an empty cell too."""
    frame = pd.DataFrame({"size": 0.5, "shop": ["a", "b", "never seen", None]})
    loaded = bentoml.sklearn.load_model(two.tag)
    rows = np.array([[0, 0.5], [1, 0.5], [OTHER, 0.5], [np.nan, 0.5]])
    assert np.array_equal(loaded.predict_proba(frame)[:, 1], store.open_served(two).score(rows))


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_another_encoding_is_refused(two, tmp_path, change):
    """What a model has learnt of categories belongs to it as its forest does."""
    copied = copy_of(two, tmp_path)
    path = copied.folder / encoding.FILE
    path.write_text(path.read_text().replace("0.75", "0.5")) if change == "edited" else path.unlink()
    reseal(copied)
    with pytest.raises(ModelError, match=r"encoding\.json"):
        store.open_served(copied)


def test_another_schema_than_its_own_is_refused(two, entry):
    """Who names one has to name the model's."""
    served = store.open_served(two)
    served.check_schema(None)
    served.check_schema(SCHEMA.model_copy(update={"name": "the_same"}))
    with pytest.raises(
        SchemaError, match="was made for the schema two, not for creditcard: it carries its own, leave "
    ):
        served.check_schema(default())
    other = default().model_copy(update={"name": "two"})
    with pytest.raises(SchemaError, match=f"for the schema two, not for another one of that name .{other.hash[:12]}"):
        served.check_schema(other)


def test_a_schema_that_was_edited_is_refused(two, tmp_path):
    """The hash in the manifest is that of the schema beside it."""
    copied = copy_of(two, tmp_path)
    wider = SCHEMA.document()
    wider["columns"]["size"]["maximum"] = 7.0
    remanifest(copied, transaction_schema=wider)
    with pytest.raises(SchemaError, match="made for another transaction schema than it says"):
        store.open_served(copied)


def test_probes_of_another_width_are_refused(copied, scorer, probes):
    """They are rows of the model's schema."""
    rescore(copied, scorer, Probes(probes.rows[:, :-1], probes.scores))
    with pytest.raises(ModelError, match="probe rows of 29 columns do not fit the schema"):
        store.open_served(copied)
