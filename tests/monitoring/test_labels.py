"""Labels as a user handles them: a file in, a report, an increment of training data, deletion."""

import gzip
import json
import time

import numpy as np
import pandas as pd
import pytest

from fraud import command
from fraud.rows import pack
from fraud.schema import default, parse
from fraud.settings import Settings
from monitoring import __main__ as program
from monitoring import database
from monitoring.storage.sent import packed
from monitoring.storage.tables import DECISIONS, LABELS, LoggedPrediction, Origin
from tests.monitoring.conftest import SCHEMA
from tests.monitoring.records import ORIGINS, features, origin
from tests.ulb import COLUMNS, LABEL
from training import data


@pytest.fixture
def call(capsys, url, monkeypatch):
    """Exit code, parsed stdout and stderr of one ``python -m monitoring labels`` command."""
    monkeypatch.setenv("FRAUD_DATABASE_URL", url)

    def run(*arguments):
        code = command.main(program.parser(), ["labels", *map(str, arguments)])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run


@pytest.fixture
def scored(predict):
    """Ten transactions of ten days ago, t0 to t9, the first four called fraud; their inputs by id."""
    return {f"t{number}": predict(f"t{number}", flagged=number < 4, now=time.time()) for number in range(10)}


def csv(folder, text):
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def counts(result):
    return {name: result[name] for name in ("labels", "frauds", "without_prediction")}


def stored(engine, table, *columns):
    with engine.connect() as connection:
        return connection.execute(table.select().with_only_columns(*(table.c[name] for name in columns))).all()


@pytest.mark.parametrize("values", ["1 0", "true false", "True False", "TRUE FALSE"])
@pytest.mark.parametrize("column", ["is_fraud", "Class"])
def test_a_file_of_labels_is_kept(call, engine, scored, tmp_path, column, values):
    """Either name of the column, either way to write it; what was never scored is kept and told."""
    yes, no = values.split()
    code, result, _ = call("import", csv(tmp_path, f"transaction_id,{column}\nt0,{yes}\nt9,{no}\nelsewhere,{yes}\n"))
    assert code == 0
    assert counts(result) == {"labels": 3, "frauds": 2, "without_prediction": 1}
    assert result["taken_as"] == {yes: "fraud", no: "legitimate"}
    kept = dict(stored(engine, LABELS, "transaction_id", "is_fraud"))
    assert kept == {"t0": True, "t9": False, "elsewhere": True}


def test_a_comma_at_the_end_of_each_row_moves_no_label(call, engine, tmp_path):
    """The note beside it is not taken for the label, nor the label for the id."""
    text = "transaction_id,is_fraud,note\n17,1,0,\n18,0,1,\n"
    code, result, _ = call("import", csv(tmp_path, text))
    assert (code, counts(result)) == (0, {"labels": 2, "frauds": 1, "without_prediction": 2})
    assert dict(stored(engine, LABELS, "transaction_id", "is_fraud")) == {"17": True, "18": False}


def test_parquet_is_read_too(call, engine, tmp_path):
    """With numbers as ids, as a data base writes them."""
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"transaction_id": [17, 18], "is_fraud": [True, False]}).to_parquet(path)
    code, result, _ = call("import", path)
    assert (code, counts(result), result["read_as"]) == (
        0,
        {"labels": 2, "frauds": 1, "without_prediction": 2},
        ["Parquet"],
    )
    assert stored(engine, LABELS, "transaction_id") == [("17",), ("18",)]


def test_a_later_label_replaces_an_earlier_one(call, engine, tmp_path):
    """A dispute that was lost: the transaction has one label, the last."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\na,1\n"))
    call("import", csv(tmp_path, "transaction_id,is_fraud\na,0\n"))
    assert stored(engine, LABELS, "transaction_id", "is_fraud", "source") == [("a", False, "import")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("transaction_id,note\na,x\n", "missing columns: is_fraud (or Class)"),
        ("name,is_fraud\na,1\n", "missing columns: transaction_id"),
        ("transaction_id,is_fraud\n", "the table has no rows"),
        ("transaction_id,is_fraud\na,1\nb,maybe\nc,2\n", "legitimate (got 'maybe', '2'): 2 rows are not (rows 1, 2"),
        ("transaction_id,is_fraud\na,\nb,\n", "no row has a label; expected 1 or 0, true or false"),
        ("transaction_id\na\nb\n", "holds ids and no labels; add a column is_fraud: 1 for each, if all of them"),
        ("Transaction ID,Is Fraud\na,1\n", "'Transaction ID', 'Is Fraud'; did you mean transaction_id, is_fraud?"),
        ("transaction_id,Fraud Flag\na,1\n", "the columns are called 'Fraud Flag'; did you mean is_fraud?"),
        ("transaction_id,is_fraud\na,1\n'; drop,0\n", "transaction_id must be text that matches"),
        ("transaction_id,is_fraud\na,1\nb,0\na,0\n", "a must be given one label, not both (rows 0, 2, counted"),
        ("", "the file is empty"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_one_of_labels_changes_nothing(call, engine, tmp_path, text, words):
    """One line that names the column, the rule and the rows, and no label of the file is kept."""
    code, result, err = call("import", csv(tmp_path, text))
    assert (code, result) == (1, None)
    assert words in err
    assert stored(engine, LABELS, "transaction_id") == []


@pytest.mark.parametrize(
    ("form", "read_as"),
    [
        (lambda text: text.encode(), "CSV, commas, UTF-8"),
        (lambda text: b"\xef\xbb\xbf" + text.replace(",", ";").encode(), "CSV, semicolons, UTF-8"),
        (
            lambda text: gzip.compress(("\ufeff" + text.replace(",", "\t")).encode("utf-16-le")),
            "CSV, tabs, UTF-16, gzip",
        ),
    ],
)
def test_labels_as_banks_write_them(call, engine, tmp_path, form, read_as):
    """Words for either label, whatever their case; rows without one are left out and counted, and all of it is told."""
    words = ["Yes", "no", "FRAUD", "genuine", "charge-back", "", " ", "chargeback", "Not fraud", "y", "NULL"]
    text = "transaction_id,is_fraud,note\n" + "".join(f"{at:03},{word},x\n" for at, word in enumerate(words))
    (tmp_path / "week").write_bytes(form(text.replace("charge-back", "confirmed_fraud")))
    code, result, err = call("import", tmp_path / "week")
    assert code == 0, err
    assert (result["labels"], result["frauds"], result["blank"], result["read_as"]) == (8, 5, 3, [read_as])
    assert result["taken_as"]["confirmed_fraud"] == "fraud"
    assert result["taken_as"]["Not fraud"] == "legitimate"
    kept = dict(stored(engine, LABELS, "transaction_id", "is_fraud"))
    frauds = {name for name, is_fraud in kept.items() if is_fraud}
    assert (frauds, set(kept) - frauds) == ({"000", "002", "004", "007", "009"}, {"001", "003", "008"})


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-01-05", "2026-02-01"),
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00-01:00"),
        ("31.12.2025", "01.01.2026"),
        ("2026-01-05", "2026-01-05 00:00:01"),
    ],
)
@pytest.mark.parametrize("heading", ["date", "Reported at", "chargeback_date", "timestamp"])
def test_of_two_labels_the_later_one_is_taken(call, engine, tmp_path, heading, earlier, later):
    """In whatever order they stand, also in two files; a row that nothing contradicts needs no date."""
    rows = [f"a,1,{earlier}", f"a,0,{later}", f"b,1,{later}", f"b,0,{earlier}", "c,1,some day"]
    head = f"transaction_id,is_fraud,{heading}\n"
    for number, lines in enumerate((rows[:2] + rows[4:], rows[2:3], rows[3:4])):
        (tmp_path / f"{number}.csv").write_text(head + "\n".join(lines) + "\n")
    code, result, err = call("import", tmp_path / "*.csv")
    assert code == 0, err
    assert (result["labels"], result["reversed"]) == (3, 2)
    kept = dict(stored(engine, LABELS, "transaction_id", "is_fraud"))
    assert kept == {"a": False, "b": True, "c": True}


@pytest.mark.parametrize(
    "text",
    [
        "transaction_id,is_fraud,date\na,1,2026-01-05\na,0,2026-01-05\n",
        "transaction_id,is_fraud,date\na,1,2026-01-05\na,0,\n",
        "transaction_id,is_fraud,date\na,1,01/02/2026\na,0,01/03/2026\n",
        "transaction_id,is_fraud,note\na,1,2026-01-05\na,0,2026-01-06\n",
    ],
)
def test_two_labels_that_no_date_decides_are_refused(call, engine, tmp_path, text):
    """The same day, no day, or one that could be two."""
    code, _, err = call("import", csv(tmp_path, text))
    assert code == 1
    assert "a must be given one label, not both (rows 0, 1, counted" in err
    assert "add a column date, such as 2026-01-05: the later label is taken" in err
    assert stored(engine, LABELS, "transaction_id") == []


def test_which_column_is_the_date_must_be_plain(call, tmp_path):
    """Of two that could be, the one called date."""
    rows = "\na,1,2026-01-05,2026-03-05\na,0,2026-01-06,2026-02-05\n"
    code, _, err = call("import", csv(tmp_path, "transaction_id,is_fraud,created_at,updated_at" + rows))
    assert (code, "which of 'created_at', 'updated_at' says when" in err) == (1, True)
    assert call("import", csv(tmp_path, "transaction_id,is_fraud,date,updated_at" + rows))[1]["frauds"] == 0


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"fraud_probability": [0.9], "is_fraud": [True]}, "the model's answer, no label"),
        ({"is_fraud": [0], "Class": [1]}, "leave one of them out"),
    ],
)
def test_what_may_be_no_label_is_refused(call, engine, tmp_path, columns, words):
    """What ``python -m fraud score`` wrote holds the model's own opinion; two columns may contradict each other."""
    pd.DataFrame({"transaction_id": ["t0"], **columns}).to_parquet(tmp_path / "labels.parquet")
    code, _, said = call("import", tmp_path / "labels.parquet")
    assert code == 1
    assert words in said
    assert stored(engine, LABELS, "transaction_id") == []


def test_an_empty_id_is_refused(call, engine, tmp_path):
    """In Parquet it is null, which is no id."""
    pd.DataFrame({"transaction_id": ["t0", None], "is_fraud": [1, 0]}).to_parquet(tmp_path / "labels.parquet")
    code, _, said = call("import", tmp_path / "labels.parquet")
    assert code == 1
    assert "1 row is not (row 1)" in said
    assert stored(engine, LABELS, "transaction_id") == []


def test_an_export_does_not_replace_an_earlier_one(call, scored, tmp_path):
    """Its rows are marked: they would be nowhere. Nothing is marked by the refused one."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\n"))
    (tmp_path / "week.parquet").write_text("before")
    code, _, said = call("export", tmp_path / "week.parquet")
    assert (code, (tmp_path / "week.parquet").read_text()) == (1, "before")
    assert "is there already" in said
    assert call("export", tmp_path / "other.parquet")[1]["rows"] == 10


def test_the_report_judges_what_is_old_enough(call, engine, predict, scored, tmp_path):
    """Figures with intervals, and counts of what they do not cover."""
    predict("young", flagged=True, age_days=1, now=time.time())
    predict(None, flagged=True, now=time.time())
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\nt1,1\nt2,0\nt9,1\nyoung,1\n"))
    code, result, err = call("report")
    assert code == 0
    [model] = result["models"]
    assert (model["true_positive"], model["false_positive"]) == (2, 2)
    assert (model["false_negative"], model["true_negative"], model["labelled"]) == (1, 5, 4)
    assert model["precision"]["value"] == 0.5
    assert model["precision"]["low"] < 0.5 < model["precision"]["high"]
    assert result["counts"] == {"predictions": 12, "too_young": 1, "without_id": 1, "labels": 5}
    assert result["labels_from"] == [{"source": "import", "key_name": None, "labels": 5}]
    assert "v1: precision 0.500 [0.150, 0.850]" in err


def test_the_report_by_day_names_days(call, scored, tmp_path):
    """One row for the day on which everything was scored."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\n"))
    _, result, _ = call("report", "--by-day")
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 10 * 86_400))
    assert [model["day"] for model in result["models"]] == [day]


def test_labelled_transactions_become_training_data(call, scored, tmp_path):
    """Every bit of the inputs, in order of time, labelled; what no label came for is legitimate; training reads it."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\nt9,1\nt2,0\n"))
    target = tmp_path / "increment.parquet"
    code, result, _ = call("export", target)
    assert code == 0
    assert (result["rows"], result["frauds"], result["labelled"]) == (10, 2, 3)
    frame = pd.read_parquet(target)
    assert list(frame.columns) == [*COLUMNS, "transaction_id", LABEL]
    assert frame["Time"].is_monotonic_increasing
    expected = {(*values.tolist(), float(name in ("t0", "t9"))) for name, values in scored.items()}
    assert {tuple(map(float, row)) for row in frame.drop(columns="transaction_id").to_numpy()} == expected
    assert data.load([str(target)], default()).frauds == 2


def test_labelled_only_leaves_out_the_rest(call, scored, tmp_path):
    """And so does FRAUD_UNLABELLED=unknown."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\nt2,0\n"))
    _, result, _ = call("export", tmp_path / "one.parquet", "--labelled-only")
    assert (result["rows"], result["labelled"]) == (2, 2)


def test_a_row_is_exported_once_and_again_when_its_label_comes_late(call, scored, tmp_path):
    """The second export holds only what a label came for since; --again holds everything."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\n"))
    assert call("export", tmp_path / "one.parquet")[1]["rows"] == 10
    code, _, err = call("export", tmp_path / "two.parquet")
    assert code == 1
    assert "no labelled transaction to export" in err
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt8,1\n"))
    _, result, _ = call("export", tmp_path / "three.parquet")
    assert (result["rows"], result["frauds"], result["labelled"]) == (1, 1, 1)
    assert result["left_out"] == {"other_schema": 0, "without_features": 0, "other_secret": 0}
    assert call("export", tmp_path / "four.parquet", "--again")[1]["rows"] == 10


def test_what_cannot_train_is_left_out_and_counted(call, predict, scored, tmp_path):
    """Rows of another schema, and rows whose inputs were not logged."""
    predict("s", schema="another", now=time.time())
    predict("f", features=False, now=time.time())
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\ns,1\nf,1\n"))
    _, result, _ = call("export", tmp_path / "one.parquet")
    assert result["rows"] == 10
    assert result["left_out"] == {"other_schema": 1, "without_features": 1, "other_secret": 0}


def test_labels_may_be_in_the_words_of_a_schema(call, engine, scored, tmp_path):
    """Its names of id and label, and what it calls fraud; whatever else stands there is legitimate, blanks are none."""
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "own"\n[roles]\nid = "nr"\nlabel = "oszustwo"\nfraud = ["TAK"]\n[columns.a]\nkind = "number"\n'
    )
    path = csv(tmp_path, "nr;oszustwo\nt0;TAK\nt1;NIE\nt2;\n")
    code, result, error = call("import", path, "--schema", own)
    assert code == 0, error
    assert (counts(result), result["blank"]) == ({"labels": 2, "frauds": 1, "without_prediction": 0}, 1)
    assert result["taken_as"] == {"TAK": "fraud", "NIE": "legitimate"}
    code, _, error = call("import", path)
    assert (code, "missing columns" in error) == (1, True)


@pytest.mark.parametrize(
    ("label", "fraud", "cells", "frauds"),
    [
        ("is_fraud", "0", "0 1", ["t0"]),
        ("outcome", "2", "2.0 1.0", ["t0"]),
        ("outcome", "N/A", "N/A ok", ["t0"]),
        ("outcome", "Chargeback", "chargeback ok", None),
    ],
)
def test_a_schemas_words_mean_what_they_mean_in_training(call, engine, scored, tmp_path, label, fraud, cells, frauds):
    """Whatever the column is called and however a number is written; other capitals are refused, not legitimate."""
    own = tmp_path / "own.toml"
    roles = f'id = "nr"\nlabel = "{label}"\nfraud = ["{fraud}"]\n'
    own.write_text(f'name = "own"\n[roles]\n{roles}[columns.a]\nkind = "number"\n')
    rows = "".join(f"t{number};{cell}\n" for number, cell in enumerate(cells.split()))
    code, _, error = call("import", csv(tmp_path, f"nr;{label}\n{rows}"), "--schema", own)
    if frauds is None:
        assert (code, "got 'chargeback'" in error) == (1, True)
        return
    assert code == 0, error
    assert [name for name, is_fraud in stored(engine, LABELS, "transaction_id", "is_fraud") if is_fraud] == frauds


def test_keys_of_another_secret_are_left_out_and_named(call, engine, scored, monkeypatch, tmp_path):
    """They would be other cards; what was hashed with the secret at hand, and what has no keys, is exported."""
    monkeypatch.setenv("FRAUD_KEY_SECRET", "a" * 32)
    own = Settings.from_env().key_hasher.fingerprint
    known = {
        one.number: one
        for one in (Origin("v1", SCHEMA, 0.5, None, "0123456789abcdef"), Origin("v1", SCHEMA, 0.5, None, own))
    }
    rows = [
        LoggedPrediction(number, time.time() - 864_000, f"k{number}", None, 0.5, True, 1.0, features())
        for number in known
    ]
    database.insert(engine, rows, known, {})
    frauds = "".join(f"k{number},1\n" for number in known)
    call("import", csv(tmp_path, f"transaction_id,is_fraud\n{frauds}"))
    _, result, _ = call("export", tmp_path / "one.parquet", "--labelled-only")
    assert (result["rows"], result["left_out"]["other_secret"]) == (1, 1)
    code, _, error = call("export", tmp_path / "two.parquet", "--labelled-only")
    assert (code, "1 other secret" in error, "FRAUD_KEY_SECRET of 0123456789abcdef" in error) == (1, True, True)


def test_a_schema_is_chosen_by_name_or_hash(call, engine, scored, tmp_path):
    """Without one it is that of the last prediction; a name that nobody knows is refused with those there are."""
    own = parse('name = "own"\n[roles]\nlabel = "y"\n[columns.a]\nkind = "category"\n', "own.toml")
    made = Origin("v1", own.hash[:12], 0.5)
    sent = packed(pack(np.array([-1.0])), bytes(4), ("new",))
    row = LoggedPrediction(made.number, time.time() - 700_000, "own-1", None, 0.5, True, None, sent)
    database.insert(engine, [row], {made.number: made}, {own.hash[:12]: own})
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\nown-1,1\n"))
    _, result, _ = call("export", tmp_path / "one.parquet", "--again")
    assert (result["schema"]["name"], result["rows"], result["left_out"]["other_schema"]) == ("own", 1, 10)
    assert pd.read_parquet(tmp_path / "one.parquet").to_dict("records") == [{"a": "new", "y": 1}]
    _, result, _ = call("export", tmp_path / "two.parquet", "--again", "--schema", "creditcard")
    assert (result["rows"], result["left_out"]["other_schema"]) == (10, 1)
    code, _, error = call("export", tmp_path / "three.parquet", "--schema", "nobody's")
    assert (code, "the log has creditcard" in error, f"own ({own.hash[:12]})" in error) == (1, True, True)


def test_an_export_that_fails_marks_nothing(call, scored, tmp_path):
    """The rows are still new after a folder that is not there."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\n"))
    code, _, err = call("export", tmp_path / "nowhere" / "one.parquet")
    assert code == 1
    assert "cannot be written" in err
    assert call("export", tmp_path / "one.parquet")[1]["rows"] == 10


def test_without_a_label_nothing_is_exported(call, scored, tmp_path):
    """All of it legitimate would be a guess that spoils the next model."""
    code, _, err = call("export", tmp_path / "one.parquet")
    assert code == 1
    assert "import labels" in err
    assert not (tmp_path / "one.parquet").exists()


def test_purging_deletes_the_old_and_keeps_the_rest(call, engine, predict, scored, tmp_path):
    """Predictions by age, and labels that have no prediction left; a dry run only counts."""
    predict("old", age_days=200, now=time.time())
    predict("t0", age_days=200, now=time.time())
    database.put_labels(engine, [("old", True), ("t0", True)], "import", time.time() - 190 * 86_400)
    would = call("purge", "--older-than-days", 180, "--dry-run")[1]
    assert would == {"would_delete": {"predictions": 2, "labels": 1}}
    assert len(stored(engine, DECISIONS, "id")) == 12
    assert call("purge", "--older-than-days", 180)[1] == {"deleted": {"predictions": 2, "labels": 1}}
    assert len(stored(engine, DECISIONS, "id")) == 10
    assert stored(engine, LABELS, "transaction_id") == [("t0",)]
    assert call("purge", "--older-than-days", 180)[1] == {"deleted": {"predictions": 0, "labels": 0}}


def test_deleting_forgets_a_transaction(call, engine, scored, tmp_path):
    """Every trace: predictions, labels, and its bytes in the file."""
    call("import", csv(tmp_path, "transaction_id,is_fraud\nt0,1\n"))
    assert call("delete", "t0", "nobody")[1] == {"deleted": {"predictions": 1, "labels": 1}}
    assert ("t0",) not in stored(engine, DECISIONS, "transaction_id")
    with engine.connect() as connection:
        connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
    assert scored["t0"].astype("<f8").tobytes() not in (tmp_path / "fraud.sqlite").read_bytes()
    assert scored["t1"].astype("<f8").tobytes() in (tmp_path / "fraud.sqlite").read_bytes()


@pytest.mark.parametrize(
    "verb", ["report", "export x.parquet", "purge --older-than-days 1", "delete a", "import x.csv"]
)
def test_without_a_database_every_verb_says_so(call, monkeypatch, verb):
    """One line, exit code 1."""
    monkeypatch.delenv("FRAUD_DATABASE_URL")
    code, _, err = call(*verb.split())
    assert code == 1
    assert err == (
        "error: FRAUD_DATABASE_URL is not set; set it to sqlite:////folder/fraud.sqlite or postgresql://user@host/name\n"
    )


@pytest.mark.parametrize("place", ["mysql+nothing://u:secret@h/x", "sqlite:///{folder}/file/below"])
def test_a_database_that_cannot_be_had_is_said_without_its_password(call, monkeypatch, tmp_path, place):
    """One line: no such driver, a path below a file. Neither URL nor password appears."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRAUD_DATABASE_URL", place.format(folder=tmp_path))
    code, result, err = call("report")
    assert (code, result) == (1, None)
    assert len(err.splitlines()) == 1
    assert "secret" not in err


def test_wrong_usage_is_exit_code_2(call):
    """No file and no --push; no verb; a negative age."""
    for words in (["export"], [], ["purge", "--older-than-days", "-1"], ["purge"]):
        with pytest.raises(SystemExit) as ended:
            call(*words)
        assert ended.value.code == 2


def test_many_rows_are_judged_in_the_database(engine):
    """Fifty thousand predictions give one row back, and every one is counted."""
    random = np.random.default_rng(0)
    rows = [
        LoggedPrediction(origin("v1", "x"), time.time() - 864_000, f"n{number}", None, 0.5, bool(flag), 1.0)
        for number, flag in enumerate(random.random(50_000) < 0.01)
    ]
    database.insert(engine, rows, ORIGINS, {})
    database.put_labels(engine, [(f"n{number}", True) for number in range(100)], "import", time.time())
    from monitoring import quality

    [one] = quality.measure(engine, now=time.time(), delay_days=7, window_days=30)
    assert sum(one.outcomes.values()) == 50_000
    assert one.outcomes["true_positive"] + one.outcomes["false_negative"] == one.labelled == 100
