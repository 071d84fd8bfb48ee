"""What a store that workers share costs: ``python -m benchmarks.history.stores``; ours beside LMDB and SQLite (WAL).

Processes write to one store for some seconds, each batch in one exclusive turn under one lock: read the states of two
keys a transaction, change them, write them back, and note the transaction's id. States of LMDB and SQLite are bytes
that are copied, with no windows counted; ours counts them. CPU, user and system, of all processes. LMDB is measured
where the package ``lmdb`` is installed, which the product does not need.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.history.cost import schemas
from fraud.history.files.gate import Gate
from fraud.history.files.place import Limits
from fraud.history.keys import text_of
from fraud.history.layout import layouts
from fraud.history.store import Store

STATE = bytes(1_200)
Add = Callable[[list[tuple[bytes, bytes]], list[bytes]], None]
"""Adds transactions: their two keys, and their ids."""


def _key(number: int) -> bytes:
    return blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def with_lmdb(folder: Path, _most: int) -> Add:
    """Without syncing; its own lock has no time limit, so ours is taken first."""
    lmdb: Any = import_module("lmdb")
    gate = Gate(folder)
    with gate.held(60):
        environment = lmdb.open(str(folder / "lmdb"), map_size=2**34, max_dbs=2, sync=False, metasync=False)
        states, ids = environment.open_db(b"states"), environment.open_db(b"ids")

    def add(keys: list[tuple[bytes, bytes]], names: list[bytes]) -> None:
        wanted = sorted({key for pair in keys for key in pair})
        with gate.held(60), environment.begin(write=True) as turn:
            held = dict(turn.cursor(states).getmulti(wanted))
            turn.cursor(states).putmulti([(key, bytes(held.get(key, STATE))) for key in wanted])
            turn.cursor(ids).putmulti([(name, STATE[:100]) for name in names])

    return add


def with_sqlite(folder: Path, _most: int) -> Add:
    """WAL, ``synchronous=OFF``, pages of 8 KiB."""
    gate = Gate(folder)
    with gate.held(60):
        database = sqlite3.connect(folder / "sqlite", isolation_level=None, timeout=0)
        for pragma in ("page_size=8192", "journal_mode=WAL", "synchronous=OFF", "wal_autocheckpoint=4000"):
            database.execute(f"PRAGMA {pragma}")
        for table in ("states", "ids"):
            database.execute(f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def add(keys: list[tuple[bytes, bytes]], names: list[bytes]) -> None:
        wanted = sorted({key for pair in keys for key in pair})
        marks = ",".join("?" * len(wanted))
        with gate.held(60):
            database.execute("BEGIN IMMEDIATE")
            held = dict(database.execute(f"SELECT key, value FROM states WHERE key IN ({marks})", wanted))  # noqa: S608
            rows = [(key, held.get(key, STATE)) for key in wanted]
            database.executemany("INSERT OR REPLACE INTO states VALUES (?, ?)", rows)
            database.executemany("INSERT OR REPLACE INTO ids VALUES (?, ?)", [(name, STATE[:100]) for name in names])
            database.execute("COMMIT")

    return add


def with_ours(folder: Path, most: int) -> Add:
    """Two histories of 12 features, counted."""
    schema = schemas(None)["with"]
    store = Store.open(f"file://{folder / 'ours'}", layouts(schema), "made up", Limits(2 * most, 200_000), 60)

    def add(keys: list[tuple[bytes, bytes]], names: list[bytes]) -> None:
        rows = np.full((len(keys), 2), (time.time(), 12.5))
        texts = [(text_of(one), text_of(other)) for one, other in keys]
        with store.gate.held(60):
            quick = store.at_once(schema)
            if quick is None or quick.add(rows, texts, [name.hex() for name in names], 2**62) is None:
                raise RuntimeError("a usual batch was not added by one call: is the folder on ext4 or tmpfs?")

    return add


STORES: dict[str, Callable[[Path, int], Add]] = {"ours": with_ours, "sqlite": with_sqlite, "lmdb": with_lmdb}


def work(name: str, folder: Path, most: int, batch: int, seconds: float, done: Any) -> None:  # noqa: ANN401 - a queue
    """One process."""
    add, random_ = STORES[name](folder, most), random.Random(os.getpid())  # noqa: S311
    before, until, rows = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        keys = [tuple(_key(random_.randrange(most)) for _ in range(2)) for _ in range(batch)]
        add(keys, [random_.randbytes(16) for _ in range(batch)])  # type: ignore[arg-type]
        rows += batch
    after = resource.getrusage(resource.RUSAGE_SELF)
    done.put((rows, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))


def fill(name: str, folder: Path, most: int) -> None:
    """Put a state of each key into a store."""
    add = STORES[name](folder, most)
    for start in range(0, most, 64):
        keys = [(_key(key),) * 2 for key in range(start, min(start + 64, most))]
        add(keys, [os.urandom(16) for _ in keys])


def measure(name: str, most: int, batch: int, processes: int, seconds: float) -> float:
    """CPU microseconds a transaction, in a store that holds the keys."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as made, closing(context.Queue()) as done:
        folder = Path(made)
        filler = context.Process(target=fill, args=(name, folder, most))  # no store may be open where one is forked
        filler.start()
        filler.join()
        workers = [
            context.Process(target=work, args=(name, folder, most, batch, seconds, done)) for _ in range(processes)
        ]
        for one in workers:
            one.start()
        found = [done.get() for _ in workers]
        for one in workers:
            one.join()
    return sum(cpu for _, cpu in found) / sum(rows for rows, _ in found) * 1e6


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[10_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 32])
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    names = [name for name in STORES if name != "lmdb" or find_spec("lmdb")]
    found = [
        {"keys": keys, "batch": batch, "processes": processes}
        | {name: round(measure(name, keys, batch, processes, arguments.seconds), 1) for name in names}
        for keys in arguments.keys
        for batch in arguments.batches
        for processes in arguments.processes
    ]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
