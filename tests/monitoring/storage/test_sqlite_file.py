"""A SQLite file that is deleted, emptied or replaced under the log: noticed, said, counted, and no waiting row lost."""

import gc
import logging
import os
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from fraud.settings import Settings
from monitoring import database, log
from monitoring.log import open_records
from monitoring.record_metrics import RecordMetrics
from monitoring.storage import sqlite_file, writer
from monitoring.storage.sqlite_file import SQLiteFile
from tests.components import wait_until
from tests.monitoring.records import answers, features, sent
from tests.steps import finished


class Kept:
    """A log on a file; what it counts and what is in the file."""

    def __init__(self, folder):
        self.registry = CollectorRegistry()
        self.path = folder / "fraud.sqlite"
        self.records = open_records(Settings(database_url=f"sqlite:///{self.path}"), RecordMetrics(self.registry))
        self.log = self.records.log
        self.log.start()

    def add(self, *names):
        """Log a row for each name, as the service does."""
        rows = np.frombuffer(features() * len(names)).reshape(len(names), -1)
        finished(self.log.add_many(sent(rows, names), answers(len(names))))

    def wait(self):
        """Until no row waits."""
        wait_until(lambda: self.log.pending == 0)

    def count(self, name):
        return self.registry.get_sample_value(f"fraud_log_{name}_total")

    def names(self):
        with closing(sqlite3.connect(self.path)) as connection:
            assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
            return [row[0] for row in connection.execute("select transaction_id from fraud_decisions order by id")]

    def lost(self):
        reasons = ("full", "shutdown", "invalid")
        values = [self.registry.get_sample_value("fraud_log_dropped_total", {"reason": one}) for one in reasons]
        return sum(values)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A log that has written the row ``first``, and hurries."""
    monkeypatch.setattr(log, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.02,))
    (tmp_path / "data").mkdir()
    made = Kept(tmp_path / "data")
    made.add("first")
    made.wait()
    yield made
    made.log.close()


@contextmanager
def closing_descriptor(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def backup(kept):
    """A copy of the database as it is now, beside it."""
    target = kept.path.parent.with_name("backup.sqlite")
    with closing(sqlite3.connect(kept.path)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
    return target


def delete(kept):
    kept.path.unlink()


def delete_folder(kept):
    shutil.rmtree(kept.path.parent)


def empty(kept):
    kept.path.write_bytes(b"")


def drop(kept):
    with closing(sqlite3.connect(kept.path)) as connection:
        connection.execute("drop table fraud_decisions")


def restore(kept):
    backup(kept).rename(kept.path)


def restore_under_the_same_number(kept):
    """As ``rm`` and ``cp`` do: file systems give the number of a deleted file to the next one."""
    copy = backup(kept)
    kept.path.unlink()
    shutil.copyfile(copy, kept.path)


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        (delete, []),
        (delete_folder, []),
        (empty, []),
        (drop, []),
        (restore, ["first"]),
        (restore_under_the_same_number, ["first"]),
    ],
)
def test_another_file_in_its_place_is_noticed(kept, caplog, harm, left):
    """What comes then is written to the file that is there; said once, counted once, and nothing is lost."""
    harm(kept)
    kept.add("second")
    kept.wait()
    kept.add("third")
    kept.wait()
    assert kept.names() == [*left, "second", "third"]
    assert (kept.count("written"), kept.count("reopened"), kept.lost()) == (3, 1, 0)
    assert caplog.text.count("was deleted, emptied or replaced") == 1


def test_it_is_noticed_without_a_call(kept, caplog):
    """A quiet service has its file made again within a second or two, too."""
    kept.path.unlink()
    wait_until(lambda: kept.count("reopened") == 1)
    assert kept.names() == []


def test_a_file_that_stays_is_not_said_to_be_another(kept, caplog):
    """Other connections, growth, and the table of labels change nothing."""
    for number in range(5):
        kept.add(*(f"{number}-{one}" for one in range(50)))
        kept.wait()
        kept.records.put_label(f"{number}-1", is_fraud=True)
    assert (kept.count("written"), kept.count("reopened")) == (251, 0)
    assert caplog.records == []


def test_rows_written_while_it_is_replaced_are_written_again(kept):
    """A transaction that went into a file that is gone is not counted as written."""
    copy = backup(kept)

    def swap(_):
        if copy.exists():
            copy.rename(kept.path)

    event.listen(kept.log.engine, "commit", swap)
    kept.add("second", "third")
    kept.wait()
    assert kept.names() == ["first", "second", "third"]
    assert (kept.count("written"), kept.count("reopened"), kept.lost()) == (3, 1, 0)


def test_what_was_written_ahead_for_the_old_file_stays_out_of_the_new_one(kept):
    """SQLite would put it in, page by page, where somebody reads while the file is replaced."""
    copy = backup(kept)
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from fraud_decisions").fetchall()
        kept.add(*(f"row-{number}" for number in range(500)))
        kept.wait()
        copy.rename(kept.path)
        kept.add("second")
        kept.wait()
        assert kept.names() == ["first", "second"]


@pytest.mark.parametrize("closes", [True, False])
def test_what_another_worker_wrote_ahead_for_the_old_file_stays_out_too(kept, closes):
    """It has the old file open while it is replaced, and closes it or not; this one knew nothing of that."""
    copy = backup(kept)
    other = sqlite3.connect(kept.path, check_same_thread=False)
    with other:
        other.execute("delete from fraud_decisions")
    assert kept.path.with_name("fraud.sqlite-wal").stat().st_size
    copy.rename(kept.path)
    if closes:
        other.close()  # SQLite sees that the file was moved, and leaves what is ahead where it is
    kept.add("second")
    kept.wait()
    assert kept.names() == ["first", "second"]
    assert kept.count("reopened") == 1
    other.close()


def test_what_another_worker_wrote_ahead_for_the_new_file_stays(kept):
    """It saw the new one first, and somebody reads, so that nothing of it is in the file itself yet."""
    slow = Kept(kept.path.parent)
    try:
        slow.add("slow")
        slow.wait()
        backup(kept).rename(kept.path)
        kept.add("second")
        kept.wait()
        with closing(sqlite3.connect(kept.path, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from fraud_decisions").fetchall()
            kept.add(*(f"row-{number}" for number in range(100)))
            kept.wait()
            kept.path.chmod(0o600)  # the file has changed since, by its times
            slow.add("third")
            slow.wait()
        assert set(kept.names()) == {"first", "slow", "second", "third", *(f"row-{number}" for number in range(100))}
        assert (kept.count("reopened"), slow.count("reopened")) == (1, 1)
    finally:
        slow.log.close()


def test_who_prepares_a_file_for_long_is_told_of(kept, monkeypatch):
    """Rows wait, and nobody hangs."""
    monkeypatch.setattr(sqlite_file, "_ALONE_SECONDS", 0.1)
    kept.path.unlink()
    with closing_descriptor(kept.path.with_name("fraud.sqlite-seen")) as seen:
        flock(seen, LOCK_EX)
        kept.add("second")
        wait_until(lambda: kept.registry.get_sample_value("fraud_log_unwritable") == 1)
        assert (kept.log.pending, kept.lost()) == (1, 0)
    kept.wait()
    assert kept.names() == ["second"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("is_there", [True, False])
def test_what_root_leaves_beside_the_file_belongs_to_its_owner(tmp_path, is_there):
    """A command that root runs first takes no right from the service."""
    path = tmp_path / "data" / "fraud.sqlite"
    path.parent.mkdir()
    os.chown(path.parent, 65534, 65534)
    if is_there:
        path.touch(mode=0o660)
        path.chmod(0o660)
        os.chown(path, 65534, 65534)
    with SQLiteFile(path).prepared():
        pass
    seen = path.with_name("fraud.sqlite-seen").stat()
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o777) == (65534, 65534, 0o660 if is_there else 0o644)


def test_rows_under_way_when_the_file_goes_are_written_to_the_next(kept, monkeypatch):
    """Also where another thread has looked at the new file meanwhile: no row is taken for written that is gone."""
    real = database._insert

    def replaced(*shape):
        monkeypatch.setattr(database, "_insert", real)
        kept.path.unlink()
        assert kept.records.put_label("a", is_fraud=True)  # makes the new file
        return real(*shape)

    monkeypatch.setattr(database, "_insert", replaced)
    kept.add("under way")
    kept.wait()
    kept.add("after")
    kept.wait()
    assert kept.names() == ["under way", "after"]
    with closing(sqlite3.connect(kept.path)) as connection:
        joined = "select count(*) from fraud_decisions join fraud_origins o on o.id = origin_id"
        assert connection.execute(joined).fetchone() == (2,)


def test_a_file_moved_in_place_before_the_first_statement_is_not_written_as_the_one_before(kept, monkeypatch):
    """Between the look and the transaction: its rows are there once."""
    copy, real = backup(kept), database.prepare

    def prepare(*arguments):
        real(*arguments)
        if copy.exists():
            copy.rename(kept.path)

    monkeypatch.setattr(database, "prepare", prepare)
    kept.add("second")
    kept.wait()
    assert kept.names() == ["first", "second"]


def test_origins_that_somebody_deleted_are_said_again(kept):
    """Each transaction brings its own: what it writes can be read, whatever was done to the tables before."""
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute("delete from fraud_origins")
        connection.execute("delete from fraud_schemas")
    kept.add("second")
    kept.wait()
    with closing(sqlite3.connect(kept.path)) as connection:
        joined = "fraud_decisions join fraud_origins o on o.id = origin_id join fraud_schemas s on s.hash = schema_hash"
        assert connection.execute(f"select count(*) from {joined}").fetchone() == (2,)  # noqa: S608


@pytest.mark.parametrize("table", ["fraud_origins", "fraud_schemas"])
def test_a_table_that_refuses_what_rows_name_keeps_them_waiting(kept, table):
    """It is no row's fault: all are written once the rule is gone."""
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute(f"delete from {table}")  # noqa: S608
        connection.execute(f"create trigger no before insert on {table} begin select raise(abort, 'theirs'); end")
    kept.add("second", "third")
    wait_until(lambda: kept.registry.get_sample_value("fraud_log_unwritable") == 1)
    assert kept.lost() == 0
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.execute("drop trigger no")
    kept.wait()
    assert (kept.names(), kept.lost()) == (["first", "second", "third"], 0)


def test_a_refused_row_is_no_hanging_write(kept, monkeypatch):
    """Long after the last of a batch was refused, nobody says that the database does not answer."""
    monkeypatch.setattr(writer, "HANG_SECONDS", 0.0)
    refused = answers(1)[0]._replace(fraud_probability=None)
    finished(kept.log.add_many(sent([np.zeros(30)] * 2, ["good", "bad"]), [answers(1)[0], refused]))
    kept.wait()
    kept.log.publish()
    assert (kept.registry.get_sample_value("fraud_log_unwritable"), kept.lost()) == (0, 1)


def test_a_label_is_not_kept_in_a_file_that_is_gone(kept):
    """Feedback goes to the file that is there."""
    kept.path.unlink()
    assert kept.records.put_label("a", is_fraud=True)
    with closing(sqlite3.connect(kept.path)) as connection:
        assert connection.execute("select transaction_id from labels").fetchall() == [("a",)]


def halve(kept):
    kept.add(*(f"row-{number}" for number in range(300)))
    kept.wait()
    with kept.path.open("r+b") as file:
        file.truncate(kept.path.stat().st_size // 2)


def overwrite(kept):
    with kept.path.open("r+b") as file:
        file.write(b"no database" * 1000)


def replace_by_nonsense(kept):
    odd = kept.path.with_name("odd")
    odd.write_bytes(b"no database" * 1000)
    odd.replace(kept.path)  # at once: the service would fill one that is empty, or gone


def replace_by_a_folder(kept):
    while not kept.path.is_dir():
        kept.path.unlink(missing_ok=True)
        with suppress(FileExistsError):  # the service was quicker
            kept.path.mkdir()


@pytest.mark.parametrize("harm", [halve, overwrite, replace_by_nonsense, replace_by_a_folder])
def test_rows_wait_for_a_file_that_can_be_written(kept, caplog, harm):
    """A damaged one is said, not written to, and nothing is lost: once it was moved away, all rows are written."""
    harm(kept)
    before = kept.count("written")
    kept.add("second", "third")
    wait_until(lambda: "the prediction log cannot be written" in caplog.text)
    assert kept.log.pending == 2
    assert kept.count("written") == before
    kept.path.rename(kept.path.with_name("damaged"))
    kept.wait()
    assert kept.names() == ["second", "third"]
    assert (kept.count("reopened"), kept.lost()) == (1, 0)


@pytest.mark.parametrize(
    ("trouble", "words"), [("query_only=ON", "readonly database"), ("max_page_count=1", "database or disk is full")]
)
def test_rows_wait_for_room_and_for_the_right_to_write(kept, caplog, trouble, words):
    """SQLite's own errors of a full disk and of a read-only file; said once though tried again and again."""
    tries, troubled = [], [True]

    def limit(connection, _):
        tries.append(1)
        if troubled:
            connection.execute(f"pragma {trouble}")

    event.listen(kept.log.engine, "connect", limit)
    with closing(sqlite3.connect(kept.path)) as connection:
        connection.execute("pragma journal_mode=wal")
    kept.add(*(f"row-{number}" for number in range(200)))
    wait_until(lambda: len(tries) > 10)
    assert kept.log.pending == 200
    assert caplog.text.count("cannot be written") == caplog.text.count(words) == 1
    troubled.clear()  # the listener stays: the writer may be at it
    kept.wait()
    assert len(kept.names()) == 201
    assert kept.lost() == 0


def as_nobody(path):
    """What user 65534 is told of a file, in a process of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            SQLiteFile(path).make_way()
        except OSError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        return said.read().decode(), os.wait()


@pytest.mark.parametrize("is_file", [False, True])
def test_a_place_that_cannot_be_written_is_said_with_its_owner(is_file):
    """As a folder of root's that is mounted into a container: one line says whose it is and what to do."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "fraud.sqlite"
        if is_file:
            path.touch(mode=0o444)
        folder.chmod(0o777 if is_file else 0o555)
        said, _ = as_nobody(path)
        owner, other = os.geteuid(), os.geteuid() or 65534
        place = path if is_file else folder
        assert said == (
            f"{place} belongs to user {owner} and cannot be written by user {other}, the service's; "
            f"`chown {other} {place}`, or mount it to be written"
        )
        folder.chmod(0o777)


def test_the_database_is_made_before_the_first_row(tmp_path, caplog):
    """So that what is wrong with it is said when the service starts."""
    (tmp_path / "fraud.sqlite").mkdir()
    made = Kept(tmp_path)
    wait_until(lambda: "the prediction log cannot be written (unable to open database file)" in caplog.text)
    made.log.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_none(url):
    """Every connection would have its own, and nobody could read it."""
    with pytest.raises(database.SettingsError, match="expected sqlite"):
        database.connect(url)


def test_descriptors_go_with_the_engine(tmp_path):
    """An engine that is no longer used holds no file."""

    def held():
        gc.collect()
        return len(list(Path("/dev/fd").iterdir()))

    before = held()
    for number in range(5):
        engine = database.connect(f"sqlite:///{tmp_path}/{number}.sqlite")
        database.prepare(engine)
        engine.dispose()
        del engine
    assert held() <= before


def test_the_level_is_one_that_is_shown(kept, caplog):
    """Warnings: BentoML shows them by default."""
    kept.path.unlink()
    wait_until(lambda: kept.count("reopened") == 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
