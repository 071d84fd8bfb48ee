"""Which workers count as ready, by what their hearts say."""

import os
import shutil
import struct
import threading
import time
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

from monitoring import multiprocess
from monitoring.workers import LATE_SECONDS, WorkerMetrics, beats, held, merge_ended


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the workers of one server meet."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def worker(folder, registry):
    """This process."""
    return WorkerMetrics(registry)


def ready(registry):
    return registry.get_sample_value("fraud_workers_ready")


def other(folder, pid, age_seconds, is_ready=True):
    """Another worker's heart."""
    beat = struct.pack("<d?", time.monotonic() - age_seconds, is_ready)
    (folder / f"fraud_heart_{pid}").write_bytes(beat)


def test_this_worker_counts_once(worker, registry):
    """By its own word, though its file is among the others'."""
    worker.ready()
    worker.beat()
    worker.publish()
    assert ready(registry) == 1


def test_others_count_while_they_are_heard_of_and_ready(worker, registry, folder):
    """Not those that stand still, nor those that said they are not ready."""
    worker.ready()
    other(folder, 2, 0.0)
    other(folder, 3, LATE_SECONDS + 1)
    other(folder, 4, 0.0, is_ready=False)
    worker.publish()
    assert ready(registry) == 2


def test_a_worker_that_stood_still_counts_when_it_goes_on(worker, registry, folder):
    """Nothing of it was removed."""
    other(folder, 2, LATE_SECONDS + 1)
    worker.publish()
    assert ready(registry) == 0
    other(folder, 2, 0.0)
    worker.publish()
    assert ready(registry) == 1


def test_a_worker_whose_own_loop_stands_still_does_not_count(worker, registry, monkeypatch):
    """The thread that publishes goes on when the event loop does not."""
    worker.ready()
    worker.publish()
    assert ready(registry) == 1
    later = time.monotonic() + LATE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    worker.publish()
    assert ready(registry) == 0


def test_others_see_at_once_that_a_worker_leaves(worker, folder):
    """Before its next beat."""
    worker.ready()
    worker.ready(False)
    assert beats(folder)[os.getpid()].ready is False


def test_what_is_no_heart_is_left_out(folder):
    """Half a file, another name, the files of prometheus_client."""
    other(folder, 2, 0.0)
    (folder / "fraud_heart_3").write_bytes(b"\0\0")
    (folder / "fraud_heart_x").write_bytes(bytes(9))
    (folder / "gauge_livesum_4.db").write_bytes(bytes(9))
    assert set(beats(folder)) == {2}


def test_the_heart_of_an_earlier_process_does_not_count(folder, registry):
    """It had the same id: until this one beats, it starts."""
    other(folder, os.getpid(), 0.0)
    WorkerMetrics(registry)
    assert beats(folder) == {}


def test_without_the_folder_a_worker_goes_on(worker, registry, folder):
    """It counts itself, and nothing is raised."""
    worker.ready()
    shutil.rmtree(folder)
    worker.beat()
    worker.publish()
    assert ready(registry) == 1
    assert beats(folder) == {}


def test_a_folder_that_was_removed_is_said_once_and_made_again(worker, folder, caplog):
    """What is written for the first time later needs it."""
    (folder / f"counter_{os.getpid()}.db").touch()
    worker.look_after_files()
    assert caplog.text == ""
    shutil.rmtree(folder)
    for _ in range(3):
        worker.look_after_files()
    assert caplog.text.count("was removed under the server") == 1
    assert folder.is_dir()


# --- files of those that are gone

LIVING = 7


def leave(pid, rows=1):
    """Files as a worker leaves them: of counters, a histogram, and of the bins of a model version."""
    own, of_version = MultiProcessValue(lambda: pid), MultiProcessValue(lambda: f"{pid}_v1")
    with held(alone=True):  # a file that is being made cannot be read, here as in prometheus_client
        own("counter", "c", "c_total", ["x"], ["1"], "C.").inc(rows)
        own("histogram", "h", "h_sum", [], [], "H.").inc(0.5 * rows)
        own("histogram", "h", "h_bucket", ["le"], ["+Inf"], "H.").inc(rows)
        of_version("counter", "b", "b_total", [], [], "B.").inc(rows)
        of_version("gauge", "r", "r", [], [], "R.", multiprocess_mode="max").set(0.25)
        own("gauge", "t", "t", [], [], "T.", multiprocess_mode="all").set(pid)
        own.close_all_files()
        of_version.close_all_files()


def read():
    """Every sample, as a scrape finds them once the files are held."""
    while True:
        with held() as is_held, suppress(struct.error):  # of a file that is being made
            if is_held:
                return {
                    (sample.name, *sample.labels.items()): sample.value
                    for metric in MultiProcessCollector(None).collect()
                    for sample in metric.samples
                }


@pytest.fixture
def only_one_lives(monkeypatch):
    monkeypatch.setattr(multiprocess, "_alive", lambda pid: pid == LIVING)


def test_a_worker_that_keeps_dying_leaves_no_more_files_and_loses_no_count(folder, only_one_lives):
    """What the dead have counted is in one file of each kind; the file of one that lives is its own."""
    leave(LIVING)
    for pid in range(100, 130):
        leave(pid)
        merge_ended()
        assert len(list(folder.glob("*.db"))) <= 15
    assert read() == {
        ("c_total", ("x", "1")): 31,
        ("h_sum",): 15.5,
        ("h_bucket", ("le", "+Inf")): 31,
        ("h_count",): 31,
        ("b_total",): 31,
        ("r",): 0.25,
        ("t", ("pid", "0")): 129,
        ("t", ("pid", str(LIVING))): LIVING,
    }
    assert {path.name for path in folder.glob(f"*_{LIVING}*.db")} == {
        *(f"{kind}_{LIVING}.db" for kind in ("counter", "histogram", "gauge_all")),
        *(f"{kind}_{LIVING}_v1.db" for kind in ("counter", "gauge_max")),
    }
    assert list(folder.glob(".*.part")) == []


def test_a_scrape_meanwhile_counts_nobody_twice_or_not_at_all(folder, only_one_lives):
    """It waits for the files to be one: what it finds never falls, nor is more than there is."""
    found, over, left = [], threading.Event(), 0

    def scrape():
        while not over.is_set():
            before = left
            found.append((before, read().get(("c_total", ("x", "1")), 0), left))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    for pid in range(200, 260):
        left += 1
        leave(pid)
        merge_ended()  # or the next time, where they are read just now
    over.set()
    scraper.join()
    counts = [count for _, count, _ in found]
    assert counts == sorted(counts)
    assert all(before - 1 <= count <= after for before, count, after in found)


@pytest.mark.parametrize("alone", [False, True], ids=["reads", "merges"])
def test_nobody_waits_for_a_worker_that_stands_still(folder, only_one_lives, alone):
    """Whoever holds the files and does not go on keeps neither the event loop nor what is counted each second."""
    for pid in (200, 201):
        leave(pid)
    before = sorted(folder.glob("*.db"))
    with held(alone=alone):
        merge_ended()
        assert sorted(folder.glob("*.db")) == before
        with held() as is_held:
            assert is_held == (not alone)
    merge_ended()
    assert len(list(folder.glob("*.db"))) < len(before)


def test_without_a_folder_nothing_is_held_or_merged(tmp_path, monkeypatch):
    """A single process has no files; a folder that was removed has none any more."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with held():
        merge_ended()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
    with held():
        merge_ended()
    assert list(tmp_path.iterdir()) == []
