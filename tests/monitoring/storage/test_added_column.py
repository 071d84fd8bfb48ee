"""A database of an older version, without request ids: they are added, or done without where that is not allowed."""

import sqlite3
import threading

import pytest
from sqlalchemy import exc

from monitoring import database
from monitoring.storage import added_column, sqlite_engine
from tests.monitoring.records import scored

OLD = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY, scored_at FLOAT NOT NULL, transaction_id VARCHAR(64), model_version VARCHAR(64) NOT NULL,
    fraud_probability FLOAT NOT NULL, is_fraud BOOLEAN NOT NULL, amount FLOAT NOT NULL,
    schema_hash VARCHAR(12) NOT NULL, row BLOB, exported_at FLOAT
)
"""
LABELS = """
CREATE TABLE labels (
    transaction_id VARCHAR(64) PRIMARY KEY, is_fraud BOOLEAN NOT NULL, labelled_at FLOAT NOT NULL,
    source VARCHAR(16) NOT NULL
)
"""


@pytest.fixture
def old(tmp_path):
    """The path of a SQLite file as an older version made it, with a prediction in it."""
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(OLD)
        connection.execute(LABELS)
        connection.execute("INSERT INTO predictions VALUES (1, 1, 'before', 'v0', 0.5, 1, 2, 'x', NULL, NULL)")
    connection.close()
    return path


def kept(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT transaction_id, request_id FROM predictions ORDER BY id").fetchall()
    connection.close()
    return rows


def written(path, *rows):
    engine = database.connect(f"sqlite:///{path}")
    database.prepare(engine)
    database.insert(engine, rows)
    engine.dispose()


def test_an_older_table_is_given_the_column(old):
    """What stands in it stays, without an id."""
    written(old, scored("after")._replace(request_id="id-1"))
    assert kept(old) == [("before", None), ("after", "id-1")]


def test_a_new_table_has_it(tmp_path):
    """And opened again nothing is changed."""
    for name in ("first", "second"):
        written(tmp_path / "new.sqlite", scored(name)._replace(request_id=name))
    assert kept(tmp_path / "new.sqlite") == [("first", "first"), ("second", "second")]


def test_many_workers_may_add_it_at_once(old):
    """Eight engines on one file: nobody fails, and everybody's predictions are kept with their ids."""
    failures, barrier = [], threading.Barrier(8)

    def work(number):
        barrier.wait()
        try:
            written(old, scored(f"t{number}")._replace(request_id=f"id-{number}"))
        except exc.SQLAlchemyError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    assert sorted(kept(old)[1:]) == [(f"t{number}", f"id-{number}") for number in range(8)]


def test_where_it_may_not_be_added_that_is_said_once(tmp_path, caplog):
    """With what its owner can do, however often the database is opened; a view takes no column from anybody."""
    with sqlite3.connect(tmp_path / "view.sqlite") as connection:
        connection.execute("CREATE VIEW predictions AS SELECT 1 AS id")
    connection.close()
    added_column._tell_once.cache_clear()
    engine = database.connect(f"sqlite:///{tmp_path}/view.sqlite")
    assert [added_column.ensure(engine, "BEGIN IMMEDIATE", ["id"]) for _ in range(3)] == [False] * 3
    engine.dispose()
    assert len(caplog.messages) == 1
    assert "ALTER TABLE predictions ADD COLUMN request_id VARCHAR(128)" in caplog.text


def test_a_table_of_somebody_else_is_left_alone(tmp_path):
    """One that has our name and not our columns."""
    with sqlite3.connect(tmp_path / "foreign.sqlite") as connection:
        connection.execute("CREATE TABLE predictions (id INTEGER PRIMARY KEY, horse TEXT)")
    connection.close()
    engine = database.connect(f"sqlite:///{tmp_path}/foreign.sqlite")
    database.prepare(engine)
    engine.dispose()
    with sqlite3.connect(tmp_path / "foreign.sqlite") as connection:
        assert [row[1] for row in connection.execute("PRAGMA table_info(predictions)")] == ["id", "horse"]
    connection.close()


def test_a_database_that_is_busy_is_tried_again(old, monkeypatch):
    """Its column is not given up for good because somebody writes just then."""
    monkeypatch.setitem(sqlite_engine._OPTIONS, "timeout", 0.01)
    engine = database.connect(f"sqlite:///{old}")
    with engine.connect():  # has set WAL, which wants the file for itself
        pass
    other = sqlite3.connect(old, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(database.AWAY):
        database.prepare(engine)
    other.execute("ROLLBACK")
    other.close()
    database.prepare(engine)
    database.insert(engine, [scored("after")._replace(request_id="id-1")])
    engine.dispose()
    assert kept(old)[1:] == [("after", "id-1")]
