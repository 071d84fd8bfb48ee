"""Predictions and labels in a real Postgres: many writers, live quality, an increment for training, retention."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from sqlalchemy import func, inspect, select, text

from fraud.schema import default
from monitoring import labels as purging
from monitoring import quality
from monitoring.database import AWAY, connect, insert, line, prepare, put_labels
from monitoring.storage import origins, revisions, turns
from monitoring.storage.tables import DECISIONS, LABELS, ORIGINS, LoggedPrediction, Origin
from tests.components import Postgres
from tests.components.postgres import PASSWORD
from tests.e2e.conftest import BUCKET, REPOSITORY
from tests.monitoring.records import DAY, HASH, NOW, scored
from tests.monitoring.records import ORIGINS as RECORDED
from tests.ulb import COLUMNS
from training import data

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    with Postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def engine(postgres):
    """An engine on empty tables."""
    engine = connect(postgres.url)
    with engine.begin() as connection:
        connection.execute(
            text("DROP TABLE IF EXISTS fraud_decisions, fraud_origins, fraud_schemas, fraud_version, labels")
        )
    revisions.upgrade(engine)
    prepare(engine)
    yield engine
    engine.dispose()


def count(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def run_together(works):
    """Run functions in threads; what they raised."""
    failures = []

    def guarded(work):
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    return failures


def labels(url, *arguments, **env):
    """Exit code, document and stderr of ``python -m monitoring labels ARGUMENTS``."""
    done = subprocess.run(
        [sys.executable, "-m", "monitoring", "labels", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "FRAUD_DATABASE_URL": url, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_many_replicas_may_start_and_write_at_once(postgres, engine):
    """Eight engines make the tables together and insert: no failure, every row once, both indexes there."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE fraud_decisions, fraud_origins, fraud_schemas, fraud_version, labels"))
    engines, barrier = [connect(postgres.url) for _ in range(8)], threading.Barrier(8)

    def work(number):
        barrier.wait()
        revisions.upgrade(engines[number])
        prepare(engines[number])
        for batch in range(5):
            insert(
                engines[number], [scored(f"{number}-{batch}-{row}") for row in range(50)], RECORDED, {HASH: default()}
            )

    assert run_together([lambda number=number: work(number) for number in range(8)]) == []
    [one.dispose() for one in engines]
    assert count(engine, DECISIONS) == 2_000
    assert len(inspect(engine).get_indexes("fraud_decisions")) == 2


def test_a_writer_that_is_held_up_holds_up_no_other(postgres, engine):
    """One that stands still in its transaction, with the same schema and origin as all others."""
    insert(engine, [scored("first")], RECORDED, {HASH: default()})
    slow, quick = connect(postgres.url), connect(postgres.url)
    with slow.begin() as connection:
        origins.keep(connection, RECORDED.values(), {HASH: default()})
        insert(quick, [scored("second")], RECORDED, {HASH: default()})  # else ended by its lock_timeout
    for one in (slow, quick):
        one.dispose()
    assert count(engine, DECISIONS) == 2


def test_labels_of_many_callers_replace_each_other(postgres, engine):
    """The same ids from four replicas at once, each in another order: one label an id, no failure and no deadlock."""
    engines = [connect(postgres.url) for _ in range(4)]
    wanted = [(f"t{number}", number % 2 == 0) for number in range(200)]
    orders = [wanted, wanted[::-1], wanted[100:] + wanted[:100], wanted[::2] + wanted[1::2]]
    works = [
        lambda one=one, order=order: [put_labels(one, order, "feedback", NOW) for _ in range(10)]
        for one, order in zip(engines, orders, strict=True)
    ]
    assert run_together(works) == []
    [one.dispose() for one in engines]
    put_labels(engine, [("t0", False)], "import", NOW + 1)
    with engine.connect() as connection:
        found = dict(connection.execute(select(LABELS.c.transaction_id, LABELS.c.is_fraud)).all())
    assert found == dict(wanted) | {"t0": False}


def test_what_is_inserted_comes_back(engine):
    """Each value in its column, with and without id and features."""
    given = [scored("a", flagged=True), scored(None, row=None)]
    insert(engine, given, RECORDED, {HASH: default()})
    own = [DECISIONS.c[name] for name in LoggedPrediction._fields[1:]]
    origin = [ORIGINS.c[name] for name in Origin._fields]
    joined = select(*own, *origin).join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id).order_by(DECISIONS.c.id)
    with engine.connect() as connection:
        rows = connection.execute(joined).all()
    assert [tuple(row) for row in rows] == [(*one[1:], *RECORDED[one.origin_id]) for one in given]


@pytest.mark.parametrize("unlabelled", ["legitimate", "unknown"])
def test_live_quality_is_that_of_sqlite(engine, tmp_path, unlabelled):
    """Random predictions, some scored twice, some without id, some labelled: both databases count the same."""
    rng = np.random.default_rng(7)
    rows = [
        scored(
            f"t{rng.integers(2_000)}" if rng.random() > 0.1 else None,
            float(rng.uniform(0, 50)),
            flagged=bool(rng.random() < 0.1),
            version=str(rng.choice(["v1", "v2"])),
        )
        for _ in range(3_000)
    ]
    truth = [(f"t{number}", bool(rng.random() < 0.3)) for number in range(0, 2_000, 5)]
    answers = []
    lite = connect(f"sqlite:///{tmp_path}/fraud.sqlite")
    prepare(lite)
    for one in (engine, lite):
        insert(one, rows, RECORDED, {HASH: default()})
        put_labels(one, truth, "import", NOW)
        answers.append(quality.measure(one, now=NOW, delay_days=7, window_days=30, unlabelled=unlabelled))
    lite.dispose()
    assert answers[0] == answers[1]
    assert [one.model_version for one in answers[0]] == ["v1", "v2"]
    assert all(one.labelled > 50 for one in answers[0])


def test_the_loop_closes(postgres, engine, s3, tmp_path, monkeypatch):
    """Rows that were served, labelled by a file, reported and pushed are what training loads, value for value."""
    now, uri = time.time() // DAY * DAY, f"s3://{BUCKET}/labels"  # a midnight: all rows are of one day
    sample = data.load(["sample:2000"], default())
    insert(
        engine,
        [
            scored(f"t{number}", row=row.astype("<f8").tobytes())._replace(scored_at=now - 10 * DAY + number)
            for number, row in enumerate(sample.rows)
        ],
        RECORDED,
        {HASH: default()},
    )
    file = tmp_path / "labels.csv"
    frauds = np.flatnonzero(sample.labels)
    file.write_text("transaction_id,Class\n" + "".join(f"t{number},1\n" for number in frauds))
    assert labels(postgres.url, "import", file)[1] == {
        "labels": len(frauds),
        "frauds": len(frauds),
        "without_prediction": 0,
        "blank": 0,
        "reversed": 0,
        "taken_as": {"1": "fraud"},
        "read_as": ["CSV, commas, UTF-8"],
    }
    _, report, words = labels(postgres.url, "report", "--by-day")
    assert report["models"][0]["false_negative"] == len(frauds)
    assert report["models"][0]["true_negative"] == 2_000 - len(frauds)
    assert "v1" in words

    push = ("export", "--push")
    code, document, error = labels(postgres.url, *push, **s3.env, FRAUD_S3_URI=uri)
    assert code == 0, error
    assert (document["rows"], document["frauds"]) == (2_000, len(frauds))
    assert document["pushed"]["uri"].startswith(f"{uri}/dataset/new/labels-")
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    loaded = data.load([f"{uri}/dataset/"], default())
    assert loaded.fingerprint == sample.fingerprint

    code, _, error = labels(postgres.url, *push, **s3.env, FRAUD_S3_URI=uri)
    assert code == 1
    assert "no labelled transaction to export" in error


def test_a_purge_leaves_the_writer_alone(postgres, engine, monkeypatch):
    """Thousands of old rows go in chunks while another engine inserts: nobody fails, and no young row is lost."""
    monkeypatch.setattr(purging, "CHUNK_ROWS", 500)
    insert(engine, [scored(f"old{number}", 100) for number in range(5_000)], RECORDED, {HASH: default()})
    writer = connect(postgres.url)
    purged = []
    works = [
        lambda: purged.append(purging.purge(engine, NOW - 90 * DAY)),
        lambda: [insert(writer, [scored(f"new{number}", 1)], RECORDED, {}) for number in range(300)],
    ]
    assert run_together(works) == []
    writer.dispose()
    assert purged == [{"predictions": 5_000, "labels": 0}]
    assert count(engine, DECISIONS) == 300


def test_one_who_asks_first_gets_the_turn_in_postgres(engine):
    """Its driver does not count the rows that an insert adds."""
    assert [turns.take(engine, "a question", 100.0, 30.0).is_mine for _ in range(2)] == [True, False]


def test_who_waits_for_one_that_stands_still_says_so(engine, monkeypatch):
    """A replica that is frozen while it sums keeps the others waiting for a while, and not for ever."""
    lock = revisions._LOCKS["postgresql"]
    assert lock.count("'60s'") == 2
    monkeypatch.setitem(revisions._LOCKS, "postgresql", lock.replace("60s", "200ms"))
    with engine.begin() as frozen:
        frozen.execute(text("SELECT pg_advisory_xact_lock(7223090410)"))
        with pytest.raises(AWAY) as caught:
            quality.measure(engine, now=NOW, delay_days=7, window_days=30)
    assert "lock timeout" in line(caught.value)


def test_an_export_that_cannot_be_marked_is_not_written(postgres, engine, tmp_path):
    """The service's own user may not change predictions: it would export the same rows again."""
    insert(engine, [scored("a")], RECORDED, {HASH: default()})
    put_labels(engine, [("a", True)], "import", NOW)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE reader LOGIN PASSWORD 'r'"))
    url = re.sub("//[^@]*@", "//reader:r@", postgres.url)
    reader = connect(url)
    with engine.begin() as connection:
        for grant in re.findall(r"GRANT [^;]*;", revisions.problem(reader)):
            connection.execute(text(grant))
    reader.dispose()
    code, _, error = labels(url, "export", str(tmp_path / "new.parquet"))
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY reader"))
        connection.execute(text("DROP ROLE reader"))
    assert (code, list(tmp_path.iterdir())) == (1, [])
    assert "permission denied" in error
    assert "owner of the tables" in error


def test_a_transaction_is_deleted_everywhere(postgres, engine):
    """By the command: predictions and label, of the ids given and no others."""
    insert(engine, [scored("a"), scored("a"), scored("b")], RECORDED, {HASH: default()})
    put_labels(engine, [("a", True), ("b", True)], "import", NOW)
    _, document, _ = labels(postgres.url, "delete", "a")
    assert document == {"deleted": {"predictions": 2, "labels": 1}}
    assert (count(engine, DECISIONS), count(engine, LABELS)) == (1, 1)


def test_an_outage_is_told_from_a_refusal_and_ends(postgres, engine):
    """While the server is down the error says that it is away, without the password; then the same engine works."""
    insert(engine, [scored("a")], RECORDED, {HASH: default()})
    postgres.stop()
    try:
        with pytest.raises(AWAY) as caught:
            insert(engine, [scored("b")], RECORDED, {HASH: default()})
        assert "refused" in line(caught.value)
        assert PASSWORD not in str(caught.value) + line(caught.value)
        code, _, error = labels(postgres.url, "report")
        assert (code, error.count("\n")) == (1, 1)
        assert PASSWORD not in error
    finally:
        postgres.start()
    insert(engine, [scored("b")], RECORDED, {HASH: default()})
    assert count(engine, DECISIONS) == 2


def test_a_wrong_password_is_not_shown(postgres):
    """One line in the server's words."""
    code, _, error = labels(postgres.url.replace(PASSWORD, "hush"), "report")
    assert code == 1
    assert "password authentication failed" in error
    assert "hush" not in error


def test_a_user_who_may_not_make_tables_can_write_to_those_there_are(postgres, engine):
    """Where an administrator makes the tables, the service needs no right to."""
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS writer"))
        connection.execute(text(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'"))
    writer = connect(postgres.url.replace("fraud:", "writer:"))
    with engine.begin() as connection:
        for grant in re.findall(r"GRANT [^;]*;", revisions.problem(writer)):
            connection.execute(text(grant))
    prepare(writer)
    insert(writer, [scored("a", schema=HASH)], RECORDED, {HASH: default()})
    writer.dispose()
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY writer"))
        connection.execute(text("DROP ROLE writer"))
    assert count(engine, DECISIONS) == 1


def test_the_log_keeps_all_inputs(engine):
    """240 bytes a row, as training takes them out again."""
    insert(engine, [scored("a", time=5.0)], RECORDED, {HASH: default()})
    with engine.connect() as connection:
        row = connection.execute(select(DECISIONS.c.sent)).scalar_one()
    assert np.frombuffer(row, "<f8").shape == (len(COLUMNS),)
