"""The store on disk: real files, real processes."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fraud.errors import DamagedHistoryError, HistoryError
from fraud.history import engine
from fraud.history.batch import reader
from fraud.history.files import filesystem, folder
from fraud.history.files.journal import Journal, label
from fraud.history.files.place import HEADER, Limits
from fraud.history.layout import layouts
from fraud.history.store import Store
from fraud.inputs.keys import KeyHasher
from tests.fraud.history.test_engine import CARD, SHOP, schema_of
from tests.test_architecture import ROOT

SHOPS = {**SHOP, "of": ["count", "fraud_count"]}
SCHEMA = schema_of(CARD, SHOPS)
LAYOUTS = layouts(SCHEMA)
HASHED = KeyHasher("x" * 32)
READ = reader(SCHEMA, LAYOUTS)
START = 1_700_000_000
LIMITS = Limits(1_000, 1_000)


def opened(path, limits=LIMITS, fingerprint="ours", wait_seconds=10.0):
    return Store.open(f"file://{path}", LAYOUTS, fingerprint, limits, wait_seconds)


def payments(rows, *, seed=0, names=None, keys=40, start=START):
    """Invented transactions as a call has them: numbers, texts, ids; one in ten has no card."""
    random = np.random.default_rng(seed)
    times = start + np.cumsum(random.random(rows) * 1000)
    amounts = np.round(random.random(rows) * 100, 2)
    cards = [None if random.random() < 0.1 else HASHED(f"c{number}") for number in random.integers(0, keys, rows)]
    shops = [HASHED(f"s{number}") for number in random.integers(0, keys, rows)]
    texts = list(zip(cards, shops, strict=True))
    return np.column_stack([times, amounts]), texts, names or [f"{seed}-{row}" for row in range(rows)]


def batch(rows, **how):
    """The same, as the store adds them."""
    return READ(*payments(rows, **how))


def offline(added):
    """Features of one batch after another, by ``engine.advance`` alone."""
    tables = [{} for _ in LAYOUTS]
    buffers = [np.zeros(2_000 * one.size, np.uint8) for one in LAYOUTS]
    for one in added:
        parts = []
        for table, buffer, layout, keys, values in zip(tables, buffers, LAYOUTS, one.keys, one.values, strict=True):
            slots = [-1 if key is None else table.setdefault(key, len(table)) for key in keys]
            parts.append(engine.advance(layout, buffer, np.array(slots), one.times, values))
        yield np.concatenate(parts, axis=1)


def same(one, other):
    return one.tobytes() == other.tobytes()


@pytest.fixture
def store(tmp_path):
    with_gate = opened(tmp_path / "store")
    with with_gate.gate.held(1):
        yield with_gate
    with_gate.close()


def test_features_are_those_of_the_engine(store):
    """To the bit, in batches of any size, and by a store that was closed in between."""
    batches = [batch(rows, seed=seed) for seed, rows in enumerate([1, 4, 32, 1, 200, 8])]
    for one, expected in zip(batches, offline(batches), strict=True):
        assert same(store.add(one), expected)


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path):
    """States, ids, and the newest time."""
    batches = [batch(50, seed=1), batch(50, seed=2)]
    expected = list(offline(batches))
    for one, features in zip(batches, expected, strict=True):
        store = opened(tmp_path / "store")
        with store.gate.held(1):
            assert same(store.add(one), features)
            assert store.said == []
        store.close()
    store = opened(tmp_path / "store")
    with store.gate.held(1):
        assert same(store.add(batches[0]), expected[0])
        assert store.journal.newest == max(one.times.max() for one in batches)
    store.close()


def test_an_id_counts_once_and_gets_what_it_got_first(store):
    """In another batch, and twice in one; without an id each counts."""
    first = batch(5, seed=1)
    once = store.add(first)
    assert same(store.add(first), once)
    twice = first.only([0, 1, 1])._replace(names=["a", "b", "b"])
    added = store.add(twice)
    assert same(added[1], added[2])
    unnamed = first.only([0, 0])._replace(names=["", ""])
    place = [made.name for made in LAYOUTS[1].made].index("shop.count.7d") + len(LAYOUTS[0].made)
    counted = store.add(unnamed)[:, place]
    assert counted[1] == counted[0] + 1


def test_the_oldest_ids_leave(tmp_path):
    """When others came to their places; the newest are known."""
    store = opened(tmp_path / "store", Limits(1_000, 80))
    with store.gate.held(1):
        for seed in range(20):
            store.add(batch(40, seed=seed))
        known = [
            [store.ids.known(store.ids.hashed(f"{seed}-{row}")) is not None for row in range(40)] for seed in (0, 19)
        ]
    assert (sum(known[0]), all(known[1][30:])) == (0, True)
    store.close()


def test_another_secret_is_refused(tmp_path):
    """By both fingerprints: each card would be a new one."""
    opened(tmp_path / "store").close()
    with pytest.raises(HistoryError, match="of fingerprint ours, and that of theirs is set: set that one"):
        opened(tmp_path / "store", fingerprint="theirs")


def test_files_are_for_their_owner_alone(tmp_path):
    """A folder of 0700, files of 0600, whatever the umask."""
    before = os.umask(0)
    try:
        opened(tmp_path / "store").close()
    finally:
        os.umask(before)
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "store").iterdir()} == {0o600}


def test_a_full_store_says_so_and_stays_whole(tmp_path):
    """Keys beyond the limit are refused; those that are there are added on, and the batch that failed left nothing."""
    store = opened(tmp_path / "store", Limits(40, 1_000))
    with store.gate.held(1):
        few = [batch(20, seed=1, keys=30), batch(20, seed=2, keys=30)]
        expected = offline(few)
        assert same(store.add(few[0]), next(expected))
        with pytest.raises(HistoryError, match="raise FRAUD_HISTORY_MAX_KEYS"):
            store.add(batch(200, seed=3, keys=400))
        assert same(store.add(few[1]), next(expected))
    store.close()


def test_a_larger_limit_makes_the_index_anew(tmp_path):
    """With the same states in it."""
    batches = [batch(100, seed=1), batch(100, seed=2)]
    expected = offline(batches)
    for one, most in zip(batches, (100, 5_000), strict=True):
        store = opened(tmp_path / "store", Limits(most, 1_000))
        with store.gate.held(1):
            assert same(store.add(one), next(expected))
        store.close()


def test_states_leave_and_their_slots_are_used_again(store):
    """Only those that are older than said; a key that left begins anew."""
    one = batch(30, seed=1)
    store.add(one)
    slots = store.everything()[1]
    used = slots.counts()[0]
    keys = sorted(set(one.keys[1]))
    latest = {key: int(max(one.times[[at for at, own in enumerate(one.keys[1]) if own == key]])) for key in keys}
    until = sorted(latest.values())[5]
    assert store.free(slots, keys, until) == 5
    assert [len(state) > 0 for state in store.states(LAYOUTS[1], keys)] == [latest[key] >= until for key in keys]
    again = store.add(one._replace(names=[""] * 30))
    assert (slots.counts()[0], again[:, -4:].min()) == (used, 0.0)
    assert store.forget(LAYOUTS[1], keys) == len(keys)
    assert not any(store.states(LAYOUTS[1], keys))


def test_states_can_be_put(store):
    """As they were read: from a model's saved state, for one."""
    one = batch(30, seed=1)
    store.add(one)
    keys = sorted(set(one.keys[1]))
    states = store.states(LAYOUTS[1], keys)
    store.forget(LAYOUTS[1], keys)
    store.put(LAYOUTS[1], keys, states, 5)
    assert store.states(LAYOUTS[1], keys) == states


MANY = """
import os, sys
from tests.fraud.history.test_store import *
def say(what):  # in one piece: a writer may be killed between two
    os.write(1, f"{what}\\n".encode())
for line in sys.stdin:  # each in a process of its own, which need not be started anew
    if child := os.fork():
        os.waitpid(child, 0)
        say("gone")
        continue
    say(os.getpid())
    store = opened(sys.argv[1], Limits(2_000, 100_000))
    for seed in range(int(line), 10**9):
        one = batch(8, seed=seed, keys=300)
        with store.gate.held(20):
            store.add(one)
        say(seed)
"""


def started(code, path):
    return subprocess.Popen(
        [sys.executable, "-c", code, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def killed_after(process, seed, seconds):
    """What a writer said it had added until it was killed."""
    print(seed, file=process.stdin, flush=True)
    writer, first = int(process.stdout.readline()), process.stdout.readline()
    time.sleep(seconds)
    os.kill(writer, signal.SIGKILL)
    return [int(line) for line in (first, *iter(process.stdout.readline, "gone\n"))]


def test_killed_in_the_middle_of_writes_it_is_whole(tmp_path):
    """Each batch was added whole, states and ids, or not at all, at whichever moment the process was killed."""
    random, seed = np.random.default_rng(0), 0
    done = []
    with started(MANY, tmp_path / "store") as process:
        for _ in range(12):
            printed = killed_after(process, seed, random.random() * 0.1)
            done += [batch(8, seed=one, keys=300) for one in printed]
            seed = printed[-1] + 1
            store = opened(tmp_path / "store", Limits(2_000, 100_000))
            with store.gate.held(1):
                store.journal.begin()
                last = batch(8, seed=seed, keys=300)
                known = [store.ids.known(store.ids.hashed(name)) for name in last.names]
                assert len({one is None for one in known}) == 1
                if known[0] is not None:  # added, and killed before it was said
                    done.append(last)
                    seed += 1
            store.close()
        process.stdin.close()
    *_, features = offline([*done, batch(300, seed=10**6, keys=300)])
    store = opened(tmp_path / "store", Limits(2_000, 100_000))
    with store.gate.held(1):
        assert same(store.add(batch(300, seed=10**6, keys=300)), features)
        assert store.newly_damaged() == 0
    store.close()


def test_a_journal_that_was_cut_off_is_no_change_wherever_it_ends(tmp_path):
    """Where it is whole its changes are made."""
    descriptor, file = (os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("journal", "file"))
    os.write(descriptor, Journal.empty(7))
    journal = Journal(descriptor, "here", lambda _: os.dup(file))
    journal.begin()
    changes = [(file, label("file"), at, os.urandom(99) + b"\1") for at in (0, 50, 300)]
    journal._clear = lambda _: None
    journal.commit(changes, 5)
    content, made = os.pread(descriptor, 2_000, 0), os.pread(file, 1_000, 0)
    length = int.from_bytes(content[:4], "little")
    for kept in range(length + 2):
        os.ftruncate(file, 0)
        os.pwrite(descriptor, (content[: 24 + kept]).ljust(2_000, b"\0"), 0)
        Journal(descriptor, "here", lambda _: os.dup(file)).begin()
        assert os.pread(file, 1_000, 0) == (made if kept >= length else b""), kept
    os.close(descriptor)
    os.close(file)


@pytest.mark.parametrize("bytes_kept", [0, 1, 970, 5_900, 11_900, 10**5])
def test_a_journal_that_was_cut_off_never_began(tmp_path, bytes_kept):
    """Where it is whole its changes are made; a shorter one changes nothing, wherever it ends."""
    store = opened(tmp_path / "store")
    one, other = batch(3, seed=1), batch(3, seed=2)
    expected = list(offline([one, other]))
    with store.gate.held(1):
        store.add(one)
        store.journal._clear = lambda _: None
        before = {path: path.read_bytes() for path in (tmp_path / "store").iterdir() if path.name != "journal"}
        store.add(other)
    store.close()
    for path, content in before.items():
        path.write_bytes(content)
    path = tmp_path / "store" / "journal"
    content = path.read_bytes()
    length = int.from_bytes(content[:4], "little")
    path.write_bytes(content[: 24 + bytes_kept] + b"\xff" * max(0, length - bytes_kept))
    store = opened(tmp_path / "store")
    with store.gate.held(1):
        known = [store.ids.known(store.ids.hashed(name)) is not None for name in other.names]
        assert known == [bytes_kept >= length] * 3
        assert same(store.add(other), expected[1])
    store.close()


def test_a_journal_left_by_another_is_finished_by_who_comes_next(store, tmp_path, monkeypatch):
    """Of a worker that was killed on the way, by one that has the store open: each change goes to its own file."""
    other, batches = opened_beside(store, tmp_path), [batch(20, seed=seed) for seed in range(4)]
    expected = list(offline(batches))
    assert same(store.add(batches[0]), expected[0])
    assert same(other.add(batches[1]), expected[1])
    journal, pwrite = store.journal, os.pwrite
    with monkeypatch.context() as killed:
        killed.setattr(journal, "_clear", lambda _: None)
        killed.setattr(
            os, "pwrite", lambda to, data, at: pwrite(to, data, at) if to == journal.descriptor else len(data)
        )
        assert same(store.add(batches[2]), expected[2])
    assert same(other.add(batches[2]), expected[2])
    assert same(other.add(batches[3]), expected[3])
    other.close()


def test_another_limit_has_everybody_open_the_store_anew(store, tmp_path):
    """A new index, or a new file of ids, is none that others have open."""
    first, second = batch(50, seed=1), batch(50, seed=2)
    expected = list(offline([first, second]))
    store.add(first)
    store.gate.give()
    other = opened(tmp_path / "store", Limits(5_000, 2_000))
    assert store.gate.take()
    with pytest.raises(DamagedHistoryError, match="set aside by another process"):
        store.add(second)
    assert same(other.add(second), expected[1])
    other.close()


def test_a_disk_without_room_changes_nothing(tmp_path):
    """The batch is refused in words, what was there goes on, and with room again so does the rest."""
    code = """
import resource, sys
from pathlib import Path
from tests.fraud.history.test_store import *
store = opened(sys.argv[1], Limits(5_000, 1_000))
largest = max(path.stat().st_size for path in Path(sys.argv[1]).iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (max(largest, 1_100_000), resource.RLIM_INFINITY))
done, refused = [], []
with store.gate.held(1):
    for seed in range(400):
        one = batch(8, seed=seed, keys=4_000)
        try:
            store.add(one)
            done.append(seed)
        except HistoryError as error:
            refused.append(str(error))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert refused and done and "cannot be written (" in refused[0], refused[:1]
    *_, features = offline([*[batch(8, seed=one, keys=4_000) for one in done], batch(99, seed=10**6, keys=4_000)])
    assert same(store.add(batch(99, seed=10**6, keys=4_000)), features)
    assert store.newly_damaged() == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "store"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


HOLDER = """
import sys
from pathlib import Path
from fraud.history.files.gate import Gate
gate = Gate(Path(sys.argv[1]))
assert gate.take()
print("had", flush=True)
sys.stdin.read()
"""


def test_a_stopped_holder_keeps_others_no_longer_than_told(tmp_path):
    """With SIGSTOP, while it holds the gate; when it is killed the gate is free at once."""
    opened(tmp_path / "store").close()
    with started(HOLDER, tmp_path / "store") as process:
        assert process.stdout.readline() == "had\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(HistoryError, match=r"another process has held the history store for 0\.1 s"):
            opened(tmp_path / "store", wait_seconds=0.1)
        process.kill()
    opened(tmp_path / "store", wait_seconds=0.1).close()


def damaged(path, at, size=64):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(size))


def test_a_damaged_state_begins_anew_and_is_counted(store, tmp_path):
    """That key alone: others go on."""
    one = batch(30, seed=1)
    store.add(one)
    states = dict(zip(one.keys[1], store.states(LAYOUTS[1], one.keys[1]), strict=True))
    damaged(tmp_path / "store" / f"states-{LAYOUTS[1].fingerprint}", HEADER + 100)
    keys = list(dict.fromkeys(one.keys[1]))
    found = store.states(LAYOUTS[1], keys)
    assert [state == states[key] for key, state in zip(keys, found, strict=True)] == [False] + [True] * (len(keys) - 1)
    assert found[0] == b""
    store.add(batch(30, seed=2))
    assert store.newly_damaged() >= 1


def test_a_damaged_index_is_made_anew(store, tmp_path):
    """By whoever opens the store next; all who have it open are told to."""
    one, other = batch(200, seed=1), batch(200, seed=2)
    *_, expected = offline([one, other])
    store.add(one)
    second = opened_beside(store, tmp_path)
    path = tmp_path / "store" / f"index-{LAYOUTS[0].fingerprint}"
    damaged(path, HEADER, path.stat().st_size - HEADER)
    with pytest.raises(DamagedHistoryError):
        store.add(batch(100, seed=3, keys=400))
    with pytest.raises(DamagedHistoryError, match="set aside by another process"):
        second.add(other)
    second.close()
    third = opened_beside(store, tmp_path)
    assert same(third.add(other), expected)
    third.close()


def opened_beside(store, tmp_path):
    """Another one of this test, whose gate the first has."""
    store.gate.give()
    try:
        return opened(tmp_path / "store")
    finally:
        assert store.gate.take()


@pytest.mark.parametrize("name", ["facts.json", "journal", "states", "index", "ids"])
@pytest.mark.parametrize("damage", ["empty", "half", "overwritten", "gone"])
def test_no_damage_is_silent_or_lasting(tmp_path, name, damage):
    """Whatever a file became, the store opens, and what was lost is said or counted."""
    store, one = opened(tmp_path / "store"), batch(100, seed=1)
    with store.gate.held(1):
        store.add(one)
    store.close()
    path = next((tmp_path / "store").glob(f"{name}*"))
    size = path.stat().st_size
    if damage == "gone":
        path.unlink()
    elif damage == "overwritten":
        damaged(path, 0, size)
    else:
        os.truncate(path, size // 2 if damage == "half" else 0)
    store = opened(tmp_path / "store")
    probe = batch(100, seed=2)
    with store.gate.held(1):
        found = store.add(probe)
        again = store.add(batch(100, seed=3))
    *_, whole = offline([one, probe])
    assert same(found, whole) or store.newly_damaged() or store.said
    assert len(again) == 100
    store.close()


def test_a_file_that_shrinks_in_use_is_an_error_and_no_signal(store, tmp_path):
    """Opened again, what is left of it is used, and what is not is counted."""
    store.add(batch(100, seed=1))
    os.truncate(tmp_path / "store" / f"states-{LAYOUTS[1].fingerprint}", HEADER + 3_000)
    with pytest.raises(DamagedHistoryError, match="is cut off"):
        store.add(batch(100, seed=2))
    other = opened_beside(store, tmp_path)
    other.add(batch(100, seed=2))
    assert other.newly_damaged() > 0
    other.close()


def test_another_start_of_the_machine_is_said(tmp_path, monkeypatch):
    """And everything that follows from the states is made anew."""
    opened(tmp_path / "store").close()
    monkeypatch.setattr(folder, "boot_number", lambda: 7)
    store = opened(tmp_path / "store")
    assert "transactions of its last seconds may be missing" in store.said[0]
    store.close()
    assert opened(tmp_path / "store").said == []


def test_files_that_were_deleted_are_noticed(store, tmp_path):
    """Workers that have them open would go on with what nobody else sees."""
    assert store.is_there()
    (tmp_path / "store" / "journal").unlink()
    assert not store.is_there()


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw shared:9 - nfs4 host:/share rw
31 22 0:41 / /mnt/with\\040space rw - fuse.sshfs user@host: rw
32 30 254:1 / /mnt/share/disk rw - xfs /dev/vdb rw
33 22 0:42 / /mnt/over rw - ext4 /dev/vdc rw
34 22 0:43 / /mnt/over rw - cifs //host/share rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/mnt/share/store", "nfs4"),
        ("/mnt/with space/a/b", "fuse.sshfs"),
        ("/mnt/over", "cifs"),
        ("/mnt/share/disk/store", None),
        ("/mnt/sharesomething", None),
        ("/", None),
    ],
)
def test_network_file_systems_are_refused_by_name(tmp_path, path, kind):
    """Of the mounts above a folder the deepest, and of two on one place the later, says what holds it."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    if kind is None:
        filesystem.check_local(filesystem.Path(path), mounts)
        return
    with pytest.raises(HistoryError, match=rf"lies on a network file system \({kind}\)"):
        filesystem.check_local(filesystem.Path(path), mounts)


def test_an_address_that_is_no_folder_is_refused():
    """With what was expected."""
    with pytest.raises(HistoryError, match=r"FRAUD_HISTORY_URL='redis://x': expected file:///FOLDER"):
        folder.folder_of("redis://x")
