"""The prediction log: what was answered arrives in a real SQLite file, what is lost is counted, nothing waits."""

import json
import sqlite3
import time

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from fraud.rows import Decoded, ScoredRow, pack, unpack
from fraud.schema import default, of_document, parse
from fraud.settings import Settings
from monitoring import database, log
from monitoring.live import QualityPublisher
from monitoring.log import Records, check_database, open_records
from monitoring.record_metrics import RecordMetrics
from monitoring.storage import writer
from monitoring.storage.sent import RowKind
from tests.monitoring.records import MODEL, Model, answers, sent
from tests.steps import finished
from tests.ulb import COLUMNS

AMOUNT = COLUMNS.index("Amount")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def records(registry, tmp_path):
    """Makes Records on one SQLite file, and closes them."""
    opened = []

    def make(registry=registry, **settings):
        given = {"database_url": f"sqlite:///{tmp_path / 'fraud.sqlite'}", **settings}
        opened.append(open_records(Settings(**given), RecordMetrics(registry)))
        return opened[-1]

    yield make
    for one in opened:
        if one.log._writer.is_alive():
            one.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Short pauses, so that a test need not wait."""
    monkeypatch.setattr(log, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.02,))
    monkeypatch.setattr(log, "DRAIN_SECONDS", 2.0)


def rows(count):
    return np.random.default_rng(1).normal(size=(count, len(COLUMNS))).round(6) + 7.0


def written(tmp_path, what="*"):
    with sqlite3.connect(tmp_path / "fraud.sqlite") as connection:
        joined = "fraud_decisions d join fraud_origins o on o.id = origin_id order by d.id"
        return connection.execute(f"select {what} from {joined}").fetchall()  # noqa: S608


def until(check):
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counted(registry, reason):
    return registry.get_sample_value("fraud_log_dropped_total", {"reason": reason})


def test_all_that_was_answered_is_written(records, registry, tmp_path):
    """Every column as it was answered, ids where there are some, in the order of the answers."""
    given, scored = rows(5), answers(5)
    kept = records()
    before = time.time()
    kept.start()
    finished(kept.log.add_many(sent(given, ["a", "", "b", "", "c"]), scored))
    kept.close()
    found = written(
        tmp_path,
        "transaction_id, fraud_probability, is_fraud, model_version, amount, schema_hash, sent, threshold",
    )
    assert [row[0] for row in found] == ["a", None, "b", None, "c"]
    numbers, features, texts = zip(*[RowKind(default()).read(row[6]) for row in found], strict=True)
    assert [(row[1], bool(row[2]), row[3], kept) for row, kept in zip(found, features, strict=True)] == scored
    assert [row[4] for row in found] == given[:, AMOUNT].tolist()
    assert {row[5] for row in found} == {default().hash[:12]}
    assert np.array_equal(unpack(numbers), given)
    assert texts == ((),) * 5
    times = [row[0] for row in written(tmp_path, "scored_at")]
    assert all(before <= at <= time.time() for at in times)
    assert registry.get_sample_value("fraud_log_written_total") == 5
    assert registry.get_sample_value("fraud_log_pending") == 0


@pytest.mark.parametrize(
    ("declared", "values", "amounts"),
    [
        ('[roles]\namount = "b"\n[columns.a]\nkind = "number"\n[columns.b]\nkind = "number"\n', [1.0, 2.0], [2.0, 2.0]),
        (
            '[roles]\namount = "b"\n[columns.a]\nkind = "number"\n[columns.b]\nkind = "number"\nmissing = true\n',
            [1.0, np.nan],
            [None, None],
        ),
        ('[columns.a]\nkind = "number"\n', [1.0], [None, None]),
    ],
    ids=["amount", "missing amount", "no amount"],
)
def test_the_amount_is_kept_where_there_is_one(records, registry, tmp_path, declared, values, amounts):
    """NULL where a schema names none, and where it is missing: no row is lost for it."""
    model = Model(parse(f'name = "own"\n{declared}', "own.toml"))
    kept = records()
    kept.start()
    kept.log.add(Decoded(pack(np.array([values])), (), "a", model), answers(1)[0])
    finished(kept.log.add_many(sent([values], ["b"], model=model), answers(1)))
    kept.close()
    found = written(tmp_path, "transaction_id, amount, schema_hash")
    assert found == [(name, amount, model.schema.hash[:12]) for name, amount in zip("ab", amounts, strict=True)]
    assert counted(registry, "invalid") == 0


def test_schemas_are_kept_with_the_first_row_of_each(records, tmp_path):
    """Two in one log, as after a change of the model; each row names its own."""
    own = Model(parse('name = "own"\n[columns.a]\nkind = "category"\n', "own.toml"))
    kept, said = records(), answers(2, model=own)
    finished(kept.log.add_many(sent(rows(1), ["a"]), answers(1)))
    finished(kept.log.add_many(sent([[-1.0], [np.nan]], ["b", "c"], [("seldom",), (None,)], own), said))
    kept.start()
    kept.close()
    with sqlite3.connect(tmp_path / "fraud.sqlite") as connection:
        found = connection.execute("select hash, name, document from fraud_schemas").fetchall()
    known = {name: of_document(json.loads(document), "") for name, _, document in found}
    assert known == {default().hash[:12]: default(), own.schema.hash[:12]: own.schema}
    found = {name: RowKind(one) for name, one in known.items()}
    read = [(name, *found[name].read(sent)) for name, sent in written(tmp_path, "schema_hash, sent")]
    assert read == [
        (default().hash[:12], pack(rows(1)), answers(1)[0].features, ()),
        (own.schema.hash[:12], pack(np.array([-1.0])), said[0].features, ("seldom",)),
        (own.schema.hash[:12], pack(np.array([np.nan])), said[1].features, (None,)),
    ]


def test_what_predictions_have_in_common_is_said_once(records, tmp_path):
    """Model, schema, threshold and key; whoever writes after somebody else finds what that one has said."""
    for name in "ab":
        kept = records(CollectorRegistry())
        for key in ("shop", None):
            finished(kept.log.add_many(sent(rows(2), [name] * 2), answers(2), "call", key))
        kept.start()
        kept.close()
    found = written(tmp_path, "transaction_id, key_name, request_id, threshold")
    assert found == [(name, key, "call", 0.5) for name in "ab" for key in ("shop", "shop", None, None)]
    with sqlite3.connect(tmp_path / "fraud.sqlite") as connection:
        assert connection.execute("select count(*) from fraud_origins").fetchone() == (2,)


def test_features_can_be_left_out(records, tmp_path):
    """With FRAUD_LOG_FEATURES off the scores are kept and the inputs are not."""
    kept = records(log_features=False)
    kept.start()
    finished(kept.log.add_many(sent(rows(3), ["", "", ""]), answers(3)))
    kept.close()
    assert written(tmp_path, "sent") == [(None,)] * 3


def test_many_calls_are_written_together(records, tmp_path, monkeypatch):
    """A thousand answers that waited take few transactions."""
    inserts, real = [], database.insert
    monkeypatch.setattr(
        database, "insert", lambda engine, batch, *known: inserts.append(len(batch)) or real(engine, batch, *known)
    )
    kept = records()
    for values in rows(1000):
        finished(kept.log.add_many(sent([values], [""]), answers(1)))
    kept.start()
    kept.close()
    assert sum(inserts) == len(written(tmp_path)) == 1000
    assert len(inserts) == 1


def test_what_comes_while_rows_are_written_gathers(records, tmp_path, monkeypatch):
    """A busy service must not make the writer write a few rows at a time, without a pause: that costs the most."""
    kept, real = records(), database.insert

    def insert(engine, batch, *known):
        finished(kept.log.add_many(sent(rows(1), [""]), answers(1)))
        real(engine, batch, *known)

    monkeypatch.setattr(database, "insert", insert)
    finished(kept.log.add_many(sent(rows(2), ["", ""]), answers(2)))
    kept.log._write_queued()
    assert (len(written(tmp_path)), kept.log.pending) == (2, 1)
    kept.log._write_queued()
    assert (len(written(tmp_path)), kept.log.pending) == (3, 1)


def test_full_batches_are_written_without_a_pause(records, tmp_path, monkeypatch):
    """What is more than a batch does not wait for the next turn."""
    monkeypatch.setattr(log, "BATCH_ROWS", 4)
    kept = records()
    for _ in range(10):
        finished(kept.log.add_many(sent(rows(1), [""]), answers(1)))
    kept.log._write_queued()
    assert (len(written(tmp_path)), kept.log.pending) == (10, 0)


@pytest.mark.parametrize("features", [True, False])
def test_one_answer_is_logged_as_among_many(records, features):
    """The short cut logs singly, the batch path together: the same rows but for the time."""
    kept, scored = records(log_features=features), answers(3)
    for values, name, score in zip(rows(3), ["a", "", "c"], scored, strict=True):
        kept.log.add(Decoded(pack(values), (), name, MODEL), score)
    finished(kept.log.add_many(sent(rows(3), ["a", "", "c"]), scored))
    singly, together = list(kept.log._queue)[:3], list(kept.log._queue)[3:]
    assert [row._replace(scored_at=0) for row in singly] == [row._replace(scored_at=0) for row in together]
    assert kept.log.pending == 6


def test_a_large_batch_is_logged_in_steps(records, monkeypatch):
    """Others work in between; the rows are those of one step, in their order and at one time."""
    monkeypatch.setattr(log, "STEP_ROWS", 3)
    kept, names, scored = records(), list("abcdefg"), answers(7)
    steps = kept.log.add_many(sent(rows(7), names), scored, "call", "shop")
    assert len(list(steps)) == 2
    queued = list(kept.log._queue)
    assert [(row.transaction_id, row.fraud_probability) for row in queued] == [
        (name, score.fraud_probability) for name, score in zip(names, scored, strict=True)
    ]
    assert [row.sent for row in queued] == [
        pack(values) + score.features for values, score in zip(rows(7), scored, strict=True)
    ]
    assert len({row.scored_at for row in queued}) == 1


def test_a_batch_that_is_given_up_midway_keeps_no_room(records, registry, monkeypatch):
    """What was not added is not waited for; what was stays."""
    monkeypatch.setattr(log, "STEP_ROWS", 2)
    kept = records(log_max_pending=5)
    steps = kept.log.add_many(sent(rows(5), list("abcde")), answers(5))
    next(steps)
    assert kept.log.pending == 5
    steps.close()
    assert kept.log.pending == 2
    finished(kept.log.add_many(sent(rows(3), list("fgh")), answers(3)))
    assert (kept.log.pending, counted(registry, "full")) == (5, 0)


def test_adding_waits_for_nothing(records, tmp_path):
    """The path of a request only appends: the database is not even made before the writer's turn."""
    kept = records()
    kept.log.add(Decoded(pack(rows(1)), (), "", MODEL), answers(1)[0])
    assert len(kept.log._queue) == 1
    assert not (tmp_path / "fraud.sqlite").exists()


def test_a_full_queue_drops_what_comes_and_says_so(records, registry, tmp_path):
    """What already waits is kept; the new is lost and counted."""
    kept = records(log_max_pending=4)
    finished(kept.log.add_many(sent(rows(3), ["a", "b", "c"]), answers(3)))
    finished(kept.log.add_many(sent(rows(2), ["d", "e"]), answers(2)))
    finished(kept.log.add_many(sent(rows(1), ["f"]), answers(1)))
    assert counted(registry, "full") == 2
    assert kept.log.pending == 4
    kept.start()
    kept.close()
    assert [row[0] for row in written(tmp_path, "transaction_id")] == ["a", "b", "c", "f"]


def test_a_database_that_comes_back_gets_everything(records, registry, tmp_path):
    """Tables that were dropped are made again, and a lock held for a while costs no row."""
    kept = records()
    kept.start()
    finished(kept.log.add_many(sent(rows(1), ["first"]), answers(1)))
    until(lambda: registry.get_sample_value("fraud_log_written_total") == 1)
    blocked = sqlite3.connect(tmp_path / "fraud.sqlite", isolation_level=None)
    blocked.execute("drop table fraud_decisions")  # whoever cleans up too much
    blocked.execute("begin exclusive")
    finished(kept.log.add_many(sent(rows(2), ["second", "third"]), answers(2)))
    until(lambda: registry.get_sample_value("fraud_log_unwritable") == 1)
    assert kept.log.pending == 2
    blocked.close()
    until(lambda: kept.log.pending == 0)
    assert [row[0] for row in written(tmp_path, "transaction_id")] == ["second", "third"]
    assert sum(counted(registry, reason) for reason in ("full", "shutdown", "invalid")) == 0


def test_what_cannot_be_written_in_time_is_counted(records, registry, tmp_path, monkeypatch):
    """With no database at the end, the rows that waited are lost, counted, and the service ends all the same."""
    monkeypatch.setattr(log, "DRAIN_SECONDS", 0.2)
    (tmp_path / "fraud.sqlite").mkdir()  # nothing can be opened there
    kept = records()
    kept.start()
    finished(kept.log.add_many(sent(rows(3), ["", "", ""]), answers(3)))
    started = time.monotonic()
    kept.close()
    assert time.monotonic() - started < 8
    assert counted(registry, "shutdown") == 3
    assert registry.get_sample_value("fraud_log_pending") == 0


def test_a_row_that_is_refused_costs_no_other(records, registry, tmp_path, caplog):
    """The database refuses one row: the rest of its batch is written, and no value of it is logged."""
    kept = records()
    finished(kept.log.add_many(sent(rows(3), ["a", "b", "c"]), [*answers(1), ScoredRow(None, True, "v1"), *answers(1)]))
    kept.start()
    kept.close()
    assert [row[0] for row in written(tmp_path, "transaction_id")] == ["a", "c"]
    assert counted(registry, "invalid") == 1
    assert registry.get_sample_value("fraud_log_written_total") == 2
    assert "refuses" in caplog.text
    assert "INSERT" not in caplog.text.upper().replace("INSERTED", "")


def test_a_label_is_kept_at_once(records, registry, tmp_path):
    """When put_label has said yes, the label is in the database; a later one replaces it."""
    kept = records()
    assert kept.put_label("a", is_fraud=True)
    assert kept.put_label("a", is_fraud=False)
    with sqlite3.connect(tmp_path / "fraud.sqlite") as connection:
        assert connection.execute("select transaction_id, is_fraud, source from labels").fetchall() == [
            ("a", 0, "feedback")
        ]
    assert registry.get_sample_value("fraud_labels_received_total", {"label": "fraud"}) == 1


def test_a_label_that_could_not_be_kept_is_said(records, registry, tmp_path):
    """No database, no yes, and no count."""
    (tmp_path / "fraud.sqlite").mkdir()
    assert not records().put_label("a", is_fraud=True)
    assert registry.get_sample_value("fraud_labels_received_total", {"label": "fraud"}) == 0


def test_without_a_database_there_is_no_log(registry):
    """Nothing is opened, and nothing is checked."""
    assert open_records(Settings(), RecordMetrics(registry)) is None
    assert check_database(Settings()) is None


def test_one_worker_asks_for_live_quality(registry, monkeypatch, tmp_path):
    """The first keeps the lock; another asks once it has ended; without the folder nobody does, and nobody dies."""
    metrics = RecordMetrics(registry)
    first, second = (QualityPublisher(None, metrics, Settings()) for _ in range(2))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
    assert not first._is_mine()
    (tmp_path / "gone").mkdir()
    assert first._is_mine()
    assert not second._is_mine()
    assert first._is_mine()
    first._lease.close()  # as when its process ends
    assert second._is_mine()
    second._lease.close()


def test_live_quality_is_published(records, registry, monkeypatch):
    """Judged predictions come out as gauges; a version that is no longer judged turns to NaN."""
    kept = records(label_delay_days=0, live_window_days=1)
    assert isinstance(kept, Records)
    finished(kept.log.add_many(sent(rows(6), list("abcdef")), answers(6, "v1")))  # a and d are called fraud
    kept.start()
    until(lambda: registry.get_sample_value("fraud_log_written_total") == 6)
    for name in "ab":
        kept.put_label(name, is_fraud=True)
    time.sleep(0.01)
    kept._publisher._publish()

    def quality(figure, bound="value"):
        return registry.get_sample_value(
            "fraud_live_quality", {"model_version": "v1", "figure": figure, "bound": bound}
        )

    assert (quality("precision"), quality("recall")) == (0.5, 0.5)
    assert 0 < quality("precision", "low") < 0.5 < quality("precision", "high") < 1
    assert registry.get_sample_value("fraud_live_labelled", {"model_version": "v1"}) == 2
    outcomes = {
        outcome: registry.get_sample_value("fraud_live_transactions", {"model_version": "v1", "outcome": outcome})
        for outcome in ("true_positive", "false_positive", "false_negative", "true_negative")
    }
    assert list(outcomes.values()) == [1, 1, 1, 3]
    monkeypatch.setattr(
        kept._publisher, "_settings", kept._publisher._settings.model_copy(update={"label_delay_days": 9.0})
    )
    kept._publisher._publish()
    assert quality("precision") != quality("precision")  # NaN


def test_a_write_that_hangs_is_said_and_shown(records, registry, monkeypatch):
    """By another thread, once: the one that writes waits for a database that says nothing."""
    kept, said = records(), []
    monkeypatch.setattr(writer.LOG, "warning", lambda words, *values: said.append(words % values))
    kept.log._batches._began = time.monotonic() - writer.HANG_SECONDS - 1
    for _ in range(2):
        kept.log.publish()
    assert said == ["the prediction log cannot be written (no answer for 15 s and more); rows wait"]
    assert registry.get_sample_value("fraud_log_unwritable") == 1
