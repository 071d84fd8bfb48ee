"""The tables: made and brought up to date by one command, in any state that a database may be in."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from fraud import command
from fraud.schema import default
from monitoring import __main__ as program
from monitoring import database, quality
from monitoring.storage import moving, origins, revisions
from monitoring.storage.revisions import NotReadyError
from monitoring.storage.tables import DECISIONS, METADATA, ORIGINS, SCHEMAS, Origin
from tests.monitoring.records import HASH, NOW, features, scored
from tests.monitoring.records import ORIGINS as RECORDED

OLDEST = """
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY, scored_at FLOAT NOT NULL, transaction_id VARCHAR(64), model_version VARCHAR(64) NOT NULL,
    fraud_probability FLOAT NOT NULL, is_fraud BOOLEAN NOT NULL, amount FLOAT NOT NULL,
    schema_hash VARCHAR(12) NOT NULL, row BLOB, exported_at FLOAT
)
"""
REQUEST_ID = "ALTER TABLE predictions ADD COLUMN request_id VARCHAR(128)"
LABELS_BEFORE = """
CREATE TABLE labels (
    transaction_id VARCHAR(64) PRIMARY KEY, is_fraud BOOLEAN NOT NULL, labelled_at FLOAT NOT NULL,
    source VARCHAR(16) NOT NULL
)
"""
ROW = "INSERT INTO predictions VALUES (?, ?, ?, 'v0', 0.5, 1, 2, ?, ?, NULL)"


def old_file(path, *statements, rows=3):
    """A SQLite file as an older version made it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (OLDEST, LABELS_BEFORE):
            connection.execute(statement)
        for number in range(rows):
            connection.execute(ROW, (number + 1, float(number), f"t{number}", HASH, features()))
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fraud.sqlite"


@pytest.fixture
def engine(path):
    made = database.connect(f"sqlite:///{path}")
    yield made
    made.dispose()


def kept(engine, *columns):
    with engine.connect() as connection:
        return connection.execute(DECISIONS.select().with_only_columns(*columns).order_by(DECISIONS.c.id)).all()


def test_the_migrations_make_the_tables_that_the_code_writes(engine, monkeypatch):
    """Column for column, index for index; none is left to what makes a table that was lost."""
    monkeypatch.setattr(METADATA, "create_all", lambda _: None)
    revisions.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": revisions.VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []


def test_head_is_the_newest_migration():
    """What the service waits for is what the command makes."""
    folder = Path(revisions.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == revisions.HEAD


@pytest.mark.parametrize("more", [(), (REQUEST_ID,)], ids=["oldest", "with request ids"])
def test_a_database_of_before_is_waited_for_and_then_moved(path, engine, more):
    """The service leaves it as it is; the command moves every row, with all that was kept of it."""
    old_file(path, *more)
    with pytest.raises(NotReadyError, match=r"older version \(none\): run `python -m monitoring database upgrade`"):
        database.prepare(engine)
    assert set(inspect(engine).get_table_names()) == {"predictions", "labels"}
    assert revisions.upgrade(engine).revision is None
    assert (moving.waiting(engine), moving.move(engine), moving.waiting(engine)) == (3, 3, 0)
    database.prepare(engine)
    columns = (DECISIONS.c.transaction_id, DECISIONS.c.scored_at, DECISIONS.c.sent)
    assert kept(engine, *columns) == [(f"t{number}", float(number), features()) for number in range(3)]
    with engine.connect() as connection:
        assert connection.execute(ORIGINS.select()).all() == [
            (Origin("v0", HASH).number, "v0", HASH, None, None, None, None)
        ]
    with engine.connect() as connection:
        assert connection.execute(SCHEMAS.select().with_only_columns(SCHEMAS.c.hash, SCHEMAS.c.name)).all() == [
            (HASH, default().name)
        ]


def test_what_older_code_writes_after_the_upgrade_is_moved_by_the_next(path, engine):
    """Replicas are replaced one after another."""
    old_file(path)
    revisions.upgrade(engine)
    moving.move(engine)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(ROW.replace("NULL)", "NULL, 'id-9')"), (9, 9.0, "late", HASH, None))
    assert moving.move(engine) == 1
    assert kept(engine, DECISIONS.c.transaction_id, DECISIONS.c.request_id)[-1] == ("late", "id-9")


def test_moving_goes_on_where_it_was_ended(path, engine, monkeypatch):
    """In steps: each row is in one table or the other, and none twice."""
    monkeypatch.setattr(moving, "STEP_ROWS", 2)
    old_file(path, rows=7)
    revisions.upgrade(engine)

    def end(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moving.move(engine, told=end)
    assert (len(kept(engine, DECISIONS.c.id)), moving.waiting(engine)) == (2, 5)
    assert moving.move(engine) == 5
    assert [name for (name,) in kept(engine, DECISIONS.c.transaction_id)] == [f"t{number}" for number in range(7)]


def test_doing_it_again_does_no_harm(path, engine):
    """Nothing is moved twice, and nothing is made twice."""
    old_file(path)
    for moved in (3, 0):
        revisions.upgrade(engine)
        assert moving.move(engine) == moved
    assert len(kept(engine, DECISIONS.c.id)) == 3


def test_an_upgrade_that_fails_leaves_what_was_there(path, engine):
    """All migrations are one transaction."""
    old_file(path, "CREATE TABLE fraud_schemas (other INTEGER)")
    with pytest.raises(database.AWAY):
        revisions.upgrade(engine)
    assert set(inspect(engine).get_table_names()) == {"predictions", "labels", "fraud_schemas"}


def test_the_upgrade_of_older_code_leaves_newer_tables(engine):
    """Code was rolled back, and somebody runs its command."""
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE fraud_version SET version_num = '9999'")
    assert revisions.upgrade(engine).revision == "9999"
    with engine.connect() as connection:
        assert revisions.state(connection).revision == "9999"


def test_tables_that_nobody_noted_are_noted(engine):
    """Such as after a restore of the data alone."""
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM fraud_version")
    revisions.upgrade(engine)
    assert revisions.problem(engine) is None


@pytest.mark.parametrize("lost", ["fraud_origins", "fraud_decisions", "labels"])
def test_a_table_that_is_lost_with_the_version_is_made_again(engine, lost):
    """What is left is kept."""
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE fraud_version")
        connection.exec_driver_sql(f"DROP TABLE {lost}")
    revisions.upgrade(engine)
    assert revisions.problem(engine) is None


def test_what_the_service_would_make_itself_is_no_problem(engine):
    """A SQLite file without tables; one that somebody dropped a table of."""
    assert revisions.problem(engine) is None
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE fraud_origins")
    assert revisions.problem(engine) is None
    database.prepare(engine)
    assert "fraud_origins" in inspect(engine).get_table_names()


def test_a_new_file_is_made_by_the_service(path, engine):
    """It is its own; nobody needs a command before the first row."""
    database.prepare(engine)
    assert set(inspect(engine).get_table_names()) == {*METADATA.tables, revisions.VERSION_TABLE}
    database.insert(engine, [scored("a")], RECORDED, {HASH: default()})
    assert kept(engine, DECISIONS.c.transaction_id) == [("a",)]


def test_newer_tables_are_written_to(engine):
    """Code is rolled back; migrations only add."""
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE fraud_version SET version_num = '9999'")
        connection.exec_driver_sql("ALTER TABLE fraud_decisions ADD COLUMN to_come INTEGER")
    database.prepare(engine)
    database.insert(engine, [scored("a")], RECORDED, {})
    assert revisions.problem(engine) is None


@pytest.mark.parametrize("name", ["fraud_decisions", "fraud_origins", "fraud_schemas", "labels"])
def test_a_table_of_somebody_elses_is_named(path, name):
    """Not written to, and not changed."""
    engine = database.connect(f"sqlite:///{path}")
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql(f"CREATE TABLE {name} (mine INTEGER NOT NULL)")
    with pytest.raises(NotReadyError, match=f"the table {name} has no column .*give FRAUD_DATABASE_URL"):
        database.prepare(engine)
    engine.dispose()


def test_the_upgrade_does_not_move_in_with_another_program(path, engine):
    """A file that has its own table of our name is named, and left as it is."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE labels (parcel TEXT)")
    assert "the table labels has no column is_fraud" in revisions.problem(engine)
    with pytest.raises(NotReadyError, match="another program's"):
        revisions.upgrade(engine)
    assert inspect(engine).get_table_names() == ["labels"]


def test_an_oldest_table_that_comes_back_is_moved(path, engine):
    """Older code made it again, without request ids, after the tables were brought up to date."""
    revisions.upgrade(engine)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(OLDEST)
        connection.execute(ROW, (1, 1.0, "late", HASH, features()))
    assert moving.move(engine) == 1
    assert kept(engine, DECISIONS.c.transaction_id, DECISIONS.c.request_id) == [("late", None)]


def test_the_newest_words_of_a_schema_are_kept(engine):
    """How files spell fraud is no part of the hash: what is exported is spelt as who serves now has it."""
    revisions.upgrade(engine)
    made, words = Origin("v1", HASH), ("Y", "fraud")
    for word in words:
        roles = default().roles.model_copy(update={"fraud": (word,)})
        with engine.begin() as connection:
            origins.keep(connection, [made], {HASH: default().model_copy(update={"roles": roles})})
    with engine.connect() as connection:
        [document] = connection.execute(SCHEMAS.select().with_only_columns(SCHEMAS.c.document)).scalars()
    assert json.loads(document)["roles"]["fraud"] == ["fraud"]


def test_a_foreign_table_called_predictions_is_left_alone(path, engine):
    """Another program's, in the same database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE predictions (id INTEGER, weather TEXT)")
        connection.execute("INSERT INTO predictions VALUES (1, 'rain')")
    revisions.upgrade(engine)
    assert (moving.waiting(engine), moving.move(engine)) == (0, 0)
    database.prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT weather FROM predictions").all() == [("rain",)]


def test_a_row_that_cannot_be_at_fault_tells_whose_fault_it_is(engine):
    """It is taken where any is, and not kept; refused where a stranger's rule refuses every row."""
    revisions.upgrade(engine)
    assert database.takes_rows(engine)
    assert kept(engine, DECISIONS.c.id) == []
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE fraud_decisions")
        columns = ", ".join(column.name for column in DECISIONS.columns)
        connection.exec_driver_sql(f"CREATE TABLE fraud_decisions ({columns}, theirs INTEGER NOT NULL)")
    assert not database.takes_rows(engine)


def test_the_command_makes_what_is_missing_and_looks_without_touching(tmp_path, monkeypatch, capsys):
    """A file in a folder that is not there: status leaves it so, upgrade makes both."""
    path = tmp_path / "no" / "folder" / "fraud.sqlite"
    monkeypatch.setenv("FRAUD_DATABASE_URL", f"sqlite:///{path}")

    def call(verb):
        code = command.main(program.parser(), ["database", verb])
        return code, json.loads(capsys.readouterr().out)

    assert call("status") == (0, {"revision": None, "newest": "0004", "problem": None, "predictions_to_move": 0})
    assert not path.parent.exists()
    assert call("upgrade") == (0, {"revision": "0004", "before": None, "moved_predictions": 0})
    assert call("status")[1]["problem"] is None


@pytest.mark.parametrize("there", [False, True], ids=["the folder", "the file"])
def test_status_says_whose_the_folder_or_the_file_is(tmp_path, monkeypatch, capsys, there):
    """Before the service would wait for it; nothing is made."""
    path = tmp_path / "fraud.sqlite"
    if there:
        old_file(path)
    locked = path if there else tmp_path
    monkeypatch.setattr("os.access", lambda asked, _: asked != locked)
    monkeypatch.setenv("FRAUD_DATABASE_URL", f"sqlite:///{path}")
    assert command.main(program.parser(), ["database", "status"]) == 1
    problem = json.loads(capsys.readouterr().out)["problem"]
    assert problem.startswith(f"{locked} belongs to user ")
    assert path.exists() == there


def at_0002(path):
    """A SQLite file as the code before the last migration left it, with a row and a label."""
    engine = database.connect(f"sqlite:///{path}")
    revisions.upgrade(engine)
    database.insert(engine, [scored("a")], RECORDED, {HASH: default()})
    with engine.begin() as connection:
        for table in ("fraud_live_sums", "fraud_live_state"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("DROP INDEX ix_labels_labelled_at")
        connection.exec_driver_sql("ALTER TABLE labels DROP COLUMN key_name")
        connection.exec_driver_sql("INSERT INTO labels VALUES ('a', 1, 5.0, 'import')")
        connection.exec_driver_sql("UPDATE fraud_version SET version_num = '0002'")
    return engine


@pytest.mark.parametrize("noted", [True, False])
def test_tables_of_the_version_before_are_waited_for_and_brought_up_to_date(path, noted):
    """What they hold stays; also where nobody knows any more which version they are of."""
    engine = at_0002(path)
    with pytest.raises(NotReadyError, match=r"older version \(0002\): run `python -m monitoring database upgrade`"):
        database.prepare(engine)
    if not noted:
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM fraud_version")
    revisions.upgrade(engine)
    database.prepare(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM labels").all() == [("a", 1, 5.0, "import", None)]
        context = MigrationContext.configure(connection, opts={"version_table": revisions.VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    assert kept(engine, DECISIONS.c.transaction_id) == [("a",)]
    engine.dispose()


def test_every_table_may_have_more_than_this_code_knows(engine):
    """Code is rolled back by a version: predictions, labels and live quality go on."""
    revisions.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE fraud_version SET version_num = '0005'")
        for table in METADATA.tables:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN to_come INTEGER")
        connection.exec_driver_sql("CREATE TABLE fraud_to_come (id INTEGER)")
    database.prepare(engine)
    database.insert(engine, [scored("a")], RECORDED, {HASH: default()})
    database.put_labels(engine, [("a", True)], "feedback", NOW, "cases")
    [one] = quality.measure(engine, now=NOW, delay_days=7, window_days=30)
    assert (one.outcomes["false_negative"], one.labelled) == (1, 1)
