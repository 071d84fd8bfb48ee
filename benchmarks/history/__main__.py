"""A month over HTTP beside the offline pass: ``python -m benchmarks.history FILE``, the Handbook's transactions.

Trains a small forest on the weeks before the month, begins the service's store with what keys did until then, and sends
the month: two workers, many callers, each key's transactions in their order and everything else in any order, one in a
hundred sent twice, one worker killed on the way and what it had in hand sent again. Then features and scores of every
transaction are held against those of the offline pass, and the states of all keys at the end.
"""

import argparse
import asyncio
import json
import random
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.history.callers import Callers
from benchmarks.history.order import Order
from benchmarks.history.rows import begun, counted, differing_states, others_of, parts, trained
from benchmarks.history.service import SECRET, kill_one_worker, missing_by_reason, serving, wait_until_logged
from benchmarks.replay.requests import requests
from fraud import schema, store
from fraud.inputs.keys import KeyHasher
from fraud.replay.states import States
from fraud.schema import Schema
from monitoring.storage.sent import RowKind
from training import data, encode
from training.dataset import Dataset, keys_of


def logged(path: Path, own: Schema) -> dict[str, set[bytes]]:
    """Of each transaction's id the features, float32, that the log holds: one, if all is well."""
    kind, found = RowKind(own), dict[str, set[bytes]]()
    with closing(sqlite3.connect(path)) as connection:
        for name, sent in connection.execute("SELECT transaction_id, sent FROM fraud_decisions"):
            found.setdefault(name, set()).add(kind.read(sent)[1])
    return found


def compared(
    dataset: Dataset, month: NDArray[np.int64], served: store.Served, expected: NDArray[np.float64], callers: Callers
) -> dict[str, Any]:
    """How many transactions there are, and how many answers differ from the offline pass in their score."""
    rows = np.hstack([encode.rows_of(served.features, dataset, month)[:, : len(dataset.schema.inputs)], expected])
    scores = served.score(rows)
    given = np.array([callers.answers[row]["fraud_probability"] for row in range(len(month))])
    again = {row: answer["fraud_probability"] for row, answer in callers.again.items()}
    return {
        "transactions": len(month),
        "scores_that_differ": int((given != scores).sum()),
        "asked_twice": len(again),
        "second_scores_that_differ": sum(bool(score != scores[row]) for row, score in again.items()),
        "frauds_among_them": int(dataset.labels[month].sum()),
        "distinct_scores": len(np.unique(scores)),
        "features": served.features.transform(rows),
    }


def replayed(
    dataset: Dataset, start: datetime, days: int, callers: int, seed: int, hasher: KeyHasher
) -> dict[str, Any]:
    """The whole: train, begin, send, compare."""
    own = dataset.schema
    before, month = parts(dataset, start, days)
    served = trained(dataset, start, hasher)
    states = States(own)
    counted(states, dataset, before, labelled=True)
    with tempfile.TemporaryDirectory() as made, socket.socket() as probe:
        folder = Path(made)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        url = f"file://{folder}/history"
        begun(url, own, hasher, states, int(start.timestamp() * 1e6))
        expected = counted(states, dataset, month, labelled=False)
        bodies = [json.dumps(one).encode() for one in requests(dataset, month.tolist(), "t")]
        columns = [pd.factorize(column[month])[0] for column in keys_of(others_of(dataset), own).values()]
        env = {
            "FRAUD_HISTORY_DEADLINE_MS": "10000",
            "FRAUD_HISTORY_MAX_IDS": "1000000",
            "FRAUD_DATABASE_URL": f"sqlite:///{folder}/fraud.sqlite",
        }
        twice = frozenset(random.Random(seed).sample(range(len(month)), len(month) // 100))  # noqa: S311
        with serving(served.version, folder, port, env) as server:
            killed: list[int] = []

            def progress(answered: int) -> None:
                if answered >= 0.4 * len(month) and not killed:
                    killed.append(kill_one_worker(server))
                if answered % 20_000 == 0:
                    print(f"{answered:,} of {len(month):,} answered", file=sys.stderr, flush=True)

            sender = Callers(port, bodies, Order(columns, seed), twice, progress)
            began = time.perf_counter()
            asyncio.run(sender.run(callers))
            seconds = time.perf_counter() - began
            path = folder / "fraud.sqlite"
            wait_until_logged(port)
            held = logged(path, own)
            lost = [place for place, row in enumerate(month.tolist()) if f"t-{row}" not in held]
            asyncio.run(sender.ask_again(lost))
            missing = missing_by_reason(port)
        found = compared(dataset, month, served, expected, sender)
        features = found.pop("features")
        held = logged(path, own)
        names = [f"t-{row}" for row in month.tolist()]
        own_bytes = [row.tobytes() for row in features.astype("<f4")]
        return {
            **found,
            "in_the_log": sum(name in held for name in names),
            "features_that_differ": sum(
                held[name] != {one} for name, one in zip(names, own_bytes, strict=True) if name in held
            ),
            "lost_from_the_log_and_asked_again": len(lost),
            "calls_cut_off_and_sent_again": sender.resent,
            "worker_killed": bool(killed),
            "seconds": round(seconds, 1),
            "states": differing_states(url, own, hasher, states),
            "scored_with_histories_missing": missing,
        }


def main() -> None:
    """Print one JSON document; progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the Handbook's transactions, as one Parquet file")
    parser.add_argument("--from", dest="start", type=datetime.fromisoformat, default=datetime(2018, 7, 1))
    parser.add_argument("--days", type=int, default=31)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="of the order, and of what is sent twice")
    arguments = parser.parse_args()
    text = (files("benchmarks.handbook") / "handbook.toml").read_text("utf-8")
    hasher = KeyHasher(SECRET)
    dataset = data.load([arguments.data], schema.parse(text, "handbook.toml"), hasher)
    start = arguments.start.replace(tzinfo=UTC)
    print(json.dumps(replayed(dataset, start, arguments.days, arguments.callers, arguments.seed, hasher), indent=2))


if __name__ == "__main__":
    main()
