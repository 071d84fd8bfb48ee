"""The database's tables: made once, whoever comes first, and what an error means."""

import threading

import pytest
from sqlalchemy import exc, inspect, select

from fraud.errors import SettingsError
from monitoring import database, quality
from monitoring.storage.tables import LABELS
from tests.monitoring.conftest import NOW


def test_many_workers_may_make_the_tables_at_once(tmp_path):
    """Eight engines on a new file, several times over: nobody fails."""
    failures = []

    def work(engine, barrier):
        barrier.wait()
        try:
            database.prepare(engine)
        except exc.SQLAlchemyError as error:
            failures.append(error)

    for number in range(10):
        engines = [database.connect(f"sqlite:///{tmp_path}/{number}.sqlite") for _ in range(8)]
        barrier = threading.Barrier(len(engines))
        threads = [threading.Thread(target=work, args=(engine, barrier)) for engine in engines]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert inspect(engines[0]).get_table_names() == [
            *("fraud_decisions", "fraud_live_state", "fraud_live_sums", "fraud_origins", "fraud_schemas"),
            *("fraud_version", "labels"),
        ]
        [engine.dispose() for engine in engines]
    assert failures == []


@pytest.mark.parametrize("url", ["mssql+pyodbc://u:secret@h/x", "oracle://u:secret@h/x", "nonsense"])
def test_another_kind_of_database_is_refused_at_once(url):
    """Not when the first row is written; and without the URL, which may hold a password."""
    with pytest.raises(SettingsError, match="expected sqlite") as caught:
        database.connect(url)
    assert "secret" not in str(caught.value)


def test_a_server_that_only_reads_is_away():
    """After a failover Postgres says so with an InternalError: rows wait for the next primary and are not dropped."""
    error = exc.InternalError("INSERT", {}, Exception("cannot execute INSERT in a read-only transaction"))
    assert isinstance(error, database.AWAY)


def test_the_newest_prediction_is_the_one_scored_last(engine, predict):
    """Also when an older one is written after it, by a worker that had to wait."""
    predict("a", age_days=8, flagged=True, version="new")
    predict("a", age_days=20, version="old")
    database.put_labels(engine, [("a", True)], "import", NOW)
    judged = quality.measure(engine, now=NOW, delay_days=7, window_days=30)
    assert [one.model_version for one in judged] == ["new"]


def test_whose_key_wrote_a_label_is_kept(engine):
    """With the label: of one that came by file later, nobody's."""
    database.put_labels(engine, [("a", True), ("b", True)], "feedback", NOW, "cases")
    database.put_labels(engine, [("b", False)], "import", NOW)
    with engine.connect() as connection:
        rows = connection.execute(
            select(LABELS.c.transaction_id, LABELS.c.source, LABELS.c.key_name).order_by("transaction_id")
        )
        assert rows.all() == [("a", "feedback", "cases"), ("b", "import", None)]
