"""The database under the prediction log: old tables, no rights, a pooler, a folder that is no folder. Whatever the
trouble is, it is said and shown, calls are answered, and no row is lost."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest

from tests.components import PgBouncer, Postgres, wait_until
from tests.e2e.conftest import REPOSITORY
from tests.monitoring.storage.test_revisions import LABELS_BEFORE, OLDEST, old_file

pytestmark = pytest.mark.e2e

SAMPLE = json.loads((REPOSITORY / "sample_transaction.json").read_text())
OLDEST_POSTGRES = OLDEST.replace("INTEGER PRIMARY KEY", "BIGSERIAL PRIMARY KEY").replace("BLOB", "BYTEA")
HOW_MANY = "select count(*) from fraud_decisions"


def command(url, *arguments):
    """Exit code, document and stderr of ``python -m monitoring database ARGUMENTS``."""
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", "database", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "FRAUD_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def predict(server, count, name="t"):
    def call(number):
        body = SAMPLE | {"transaction_id": f"{name}{number}"}
        httpx.post(f"{server.url}/predict", json=body, trust_env=False, timeout=30).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(count)))


def metric(server, line):
    page = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=30).text
    found = re.search(rf"^{re.escape(line)} (\S+)$", page, re.M)
    return float(found[1]) if found else None


def lost(server):
    reasons = ("full", "shutdown", "invalid")
    return sum(metric(server, f'fraud_log_dropped_total{{reason="{reason}"}}') for reason in reasons)


def test_an_old_file_is_waited_for_and_its_rows_are_moved(start, tmp_path):
    """Two workers: the table of before stays as it is until the command was run; then what waited is written."""
    path = tmp_path / "old.sqlite"
    old_file(path, rows=4)
    url = f"sqlite:///{path}"
    server = start(FRAUD_DATABASE_URL=url, FRAUD_WORKERS="2")
    predict(server, 50)
    wait_until(lambda: metric(server, "fraud_log_pending") == 50)
    wait_until(lambda: metric(server, "fraud_log_unwritable") == 2)
    words = "older version (none): run `python -m monitoring database upgrade`"
    assert words in server.log()
    code, document, error = command(url, "status")
    assert (code, document["predictions_to_move"], words in error) == (1, 4, True)
    code, document, error = command(url, "upgrade")
    assert (code, document) == (0, {"revision": "0004", "before": None, "moved_predictions": 4}), error
    wait_until(lambda: metric(server, "fraud_log_written_total") == 50, seconds=30)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(HOW_MANY).fetchone() == (54,)
        assert connection.execute("select count(distinct transaction_id) from fraud_decisions").fetchone() == (50,)
    wait_until(lambda: metric(server, "fraud_log_unwritable") == 0)
    assert (lost(server), command(url, "status")[0]) == (0, 0)


def test_a_user_without_rights_is_told_what_to_grant(start, tmp_path):
    """Postgres, a user who may make no tables, with those of before: said, and each row is kept until it is so."""
    with Postgres(tmp_path) as postgres:
        postgres.query("CREATE ROLE serving LOGIN PASSWORD 'serving'")
        postgres.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for statement in (OLDEST_POSTGRES, LABELS_BEFORE):
            postgres.query(statement)
        row = "INSERT INTO predictions VALUES (1, 1, 'before', 'v0', 0.5, true, 2, 'x', NULL, NULL)"
        postgres.query(row)
        url = f"postgresql://serving:serving@{postgres.url.partition('@')[2]}"
        server = start(FRAUD_DATABASE_URL=url)
        predict(server, 30)
        wait_until(lambda: "`python -m monitoring database upgrade`" in server.log(), seconds=30)
        code, _, error = command(url, "upgrade")
        assert (code, "run it as the owner of the tables" in error) == (1, True), error
        postgres.upgrade()
        grants = 'GRANT SELECT, INSERT ON fraud_decisions TO "serving";'
        wait_until(lambda: command(url, "status")[1]["problem"] is not None)
        problem = command(url, "status")[1]["problem"]
        assert grants in problem
        assert metric(server, "fraud_log_pending") == 30
        for statement in re.findall(r"GRANT [^;]*;", problem):
            postgres.query(statement)
        wait_until(lambda: postgres.query(HOW_MANY) == "31", seconds=40)
        assert (lost(server), "serving:serving" in server.log()) == (0, False)


def test_a_server_that_only_reads_is_told_before_a_row_waits(tmp_path):
    """As a standby, or after somebody said so: the tables are right, and nothing can be written."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        postgres.query(f"ALTER DATABASE {postgres.url.rpartition('/')[2]} SET default_transaction_read_only = on")
        code, document, error = command(postgres.url, "status")
        assert (code, document["problem"].startswith("the server only reads")) == (1, True), error


def test_a_pooler_that_hands_out_transactions_loses_nothing(start, tmp_path):
    """pgbouncer, fewer connections than workers write with: no prepared statement is missed, and nothing is said."""
    with Postgres(tmp_path) as postgres, PgBouncer(tmp_path, postgres) as pooler:
        postgres.upgrade()
        server = start(FRAUD_DATABASE_URL=pooler.url, FRAUD_WORKERS="3")
        for number in range(12):  # a driver prepares what it has sent a few times
            predict(server, 40, name=f"{number}-")
            wait_until(lambda number=number: postgres.query(HOW_MANY) == str(40 * (number + 1)), seconds=30)
        assert "cannot be written" not in server.log()
        assert lost(server) == 0
        code, document, error = command(pooler.url, "status")
        assert (code, document["problem"]) == (0, None), error


def test_another_programs_rule_on_the_table_keeps_rows_waiting(start, tmp_path):
    """Each row is refused, and none is at fault: they are written once the rule is gone."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        postgres.query("ALTER TABLE fraud_decisions ADD COLUMN theirs INTEGER NOT NULL")
        server = start(FRAUD_DATABASE_URL=postgres.url)
        predict(server, 20)
        wait_until(lambda: "rows wait" in server.log(), seconds=30)
        wait_until(lambda: metric(server, "fraud_log_pending") == 20)
        assert lost(server) == 0
        postgres.query("ALTER TABLE fraud_decisions DROP COLUMN theirs")
        wait_until(lambda: postgres.query(HOW_MANY) == "20", seconds=40)
        assert lost(server) == 0


def test_a_hanging_database_is_shown_and_nothing_is_lost(start, tmp_path):
    """Behind somebody's lock: workers count as unable to write, pending ones are counted on; then all is written."""
    with Postgres(tmp_path, encoding="SQL_ASCII") as postgres:  # which answers in bytes where nobody asks for texts
        postgres.upgrade()
        server = start(FRAUD_DATABASE_URL=postgres.url)
        predict(server, 5, name="before")
        wait_until(lambda: postgres.query(HOW_MANY) == "5", seconds=30)
        locked = subprocess.Popen(
            [*postgres.psql, "BEGIN; LOCK TABLE fraud_decisions; SELECT pg_sleep(600);"], stdout=subprocess.DEVNULL
        )
        try:
            wait_until(
                lambda: postgres.query("select count(*) from pg_locks where mode = 'AccessExclusiveLock'") != "0"
            )
            predict(server, 20)
            wait_until(lambda: metric(server, "fraud_log_unwritable") == 1, seconds=60)
            wait_until(lambda: metric(server, "fraud_log_pending") == 20)
        finally:
            locked.terminate()
            others = "pid <> pg_backend_pid() and query like '%pg_sleep(600)%'"
            postgres.query(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")  # noqa: S608
            locked.wait(20)
        wait_until(lambda: postgres.query(HOW_MANY) == "25", seconds=60)
        assert lost(server) == 0


def test_a_folder_that_cannot_be_made_is_named_at_once(start, tmp_path):
    """Where a file stands in its place: one line at the start, and a metric before any call."""
    (tmp_path / "data").write_text("no folder")
    server = start(FRAUD_DATABASE_URL=f"sqlite:///{tmp_path}/data/fraud.sqlite")
    wait_until(lambda: metric(server, "fraud_log_unwritable") == 1)
    assert server.log().count("the prediction log cannot be written") == 1
    assert str(tmp_path / "data") in server.log()
    predict(server, 5)
    (tmp_path / "data").unlink()
    wait_until(lambda: metric(server, "fraud_log_written_total") == 5, seconds=30)
    assert (lost(server), metric(server, "fraud_log_unwritable")) == (0, 0)


def test_tables_move_on_and_code_is_rolled_back_in_postgres(start, tmp_path):
    """The version before is waited for, and brought up to date with the rights of who writes; newer are written."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        postgres.query("CREATE ROLE serving LOGIN PASSWORD 'serving'")
        for table, rights in {"fraud_version": "SELECT", "fraud_decisions": "SELECT, INSERT"}.items():
            postgres.query(f"GRANT {rights} ON {table} TO serving")
        postgres.query("GRANT SELECT, INSERT ON fraud_origins TO serving")
        postgres.query("GRANT SELECT, INSERT, UPDATE ON fraud_schemas, labels TO serving")
        for statement in (
            "DROP TABLE fraud_live_sums, fraud_live_state",
            "ALTER TABLE labels DROP COLUMN key_name",
            "UPDATE fraud_version SET version_num = '0002'",
        ):
            postgres.query(statement)
        server = start(FRAUD_DATABASE_URL=f"postgresql://serving:serving@{postgres.url.partition('@')[2]}")
        predict(server, 10)
        wait_until(lambda: "older version (0002)" in server.log(), seconds=30)
        postgres.upgrade()
        wait_until(lambda: postgres.query(HOW_MANY) == "10", seconds=40)
        postgres.query("UPDATE fraud_version SET version_num = '0004'")
        for table in ("fraud_decisions", "fraud_origins", "fraud_schemas", "labels"):
            postgres.query(f"ALTER TABLE {table} ADD COLUMN to_come INTEGER")
        newer = start(FRAUD_DATABASE_URL=postgres.url)
        predict(newer, 10, name="n")
        wait_until(lambda: postgres.query(HOW_MANY) == "20", seconds=30)
        assert (lost(server), lost(newer)) == (0, 0)


def test_yesterdays_backup_of_postgres_is_gone_on_from(start, tmp_path):
    """Made and restored as the documents say, while the service runs: calls are answered and kept."""
    with Postgres(tmp_path) as postgres:
        postgres.upgrade()
        server = start(FRAUD_DATABASE_URL=postgres.url)
        predict(server, 30, name="yesterday")
        wait_until(lambda: postgres.query(HOW_MANY) == "30", seconds=30)
        backup = str(tmp_path / "fraud.dump")
        postgres.run("pg_dump", "--format=custom", f"--file={backup}", f"--dbname={postgres.url}")
        predict(server, 30, name="today")
        wait_until(lambda: postgres.query(HOW_MANY) == "60", seconds=30)
        restore = ("--clean", "--if-exists", "--single-transaction", f"--dbname={postgres.url}")
        postgres.run("pg_restore", *restore, backup)
        assert postgres.query(HOW_MANY) == "30"
        predict(server, 30, name="after")
        wait_until(lambda: postgres.query(HOW_MANY) == "60", seconds=40)
        assert postgres.query("select count(distinct id) from fraud_decisions") == "60"
        assert (lost(server), command(postgres.url, "status")[0]) == (0, 0)


def test_a_copy_of_the_file_is_whole_though_the_service_writes(start, tmp_path):
    """By SQLite's own backup; moved in the place of the file it is gone on from."""
    path, copy = tmp_path / "fraud.sqlite", tmp_path / "copy.sqlite"
    server = start(FRAUD_DATABASE_URL=f"sqlite:///{path}")
    predict(server, 100, name="before")
    wait_until(lambda: metric(server, "fraud_log_written_total") == 100)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(predict, server, 200, "meanwhile")
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        writing.result()
    wait_until(lambda: metric(server, "fraud_log_written_total") == 300)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        [held] = connection.execute(HOW_MANY).fetchone()
        assert 100 <= held <= 300
    copy.replace(path)
    wait_until(lambda: metric(server, "fraud_log_reopened_total") == 1)
    predict(server, 20, name="after")

    def kept():
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(HOW_MANY).fetchone()

    wait_until(lambda: kept() == (held + 20,))
    assert lost(server) == 0
