"""Histories of files of the Handbook's transactions: ours beside pandas' ``rolling`` and DuckDB's window functions.

python -m benchmarks.windows --data handbook_transactions.parquet --copies 10 --folder /tmp/windows [--duckdb PYTHON]

Two keys, three windows of count and mean of an amount, three of count and share of frauds, late by a week; the features
of every row are written as Parquet. Each is timed as a whole process, with the start of Python. Copies have ids, keys
and years of their own. ``--duckdb``: a Python that has the package; the product does not need it. pandas is left out
of the copies: it holds them several times.
"""

import argparse
import os
import sys
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from benchmarks.bulk import timed

KEYS = {"TRANSACTION_ID": 2_000_000, "CUSTOMER_ID": 10_000, "TERMINAL_ID": 20_000}
"""How far apart those of two copies are."""
_YEAR_MS = 365 * 86_400_000
OURS = """
import sys, json
from importlib.resources import files
from pathlib import Path
from fraud import schema
from fraud.inputs.keys import KeyHasher
from fraud.remote.sources import find
from fraud.replay.building import build
own = schema.read(Path(str(files("benchmarks.handbook") / "handbook.toml")))
folder = Path(sys.argv[1])
hasher, out = KeyHasher("made up"), folder / "ours.parquet"
built = build(find(sys.argv[2:]), own, hasher, folder / "states.parquet", features=out)
print(json.dumps({"rows": built.facts.rows}))
"""
PANDAS = """
import sys, json
import pandas as pd
frame = pd.concat(map(pd.read_parquet, sys.argv[2:])).sort_values("TX_DATETIME", kind="stable").reset_index(drop=True)
cards = frame.set_index("TX_DATETIME").groupby("CUSTOMER_ID")["TX_AMOUNT"]
shops = frame.set_index("TX_DATETIME").groupby("TERMINAL_ID")["TX_FRAUD"]
found, late = {}, {}
for days in (1, 7, 30):
    window = cards.rolling(f"{days}D")
    found |= {f"card.count.{days}": window.count().to_numpy(), f"card.mean.{days}": window.mean().to_numpy()}
before = shops.rolling("7D")
before = before.count().to_numpy(), before.sum().to_numpy()
for days in (1, 7, 30):
    window = shops.rolling(f"{days + 7}D")
    count, frauds = (whole.to_numpy() - late for whole, late in zip((window.count(), window.sum()), before))
    found |= {f"shop.count.{days}": count, f"shop.share.{days}": frauds / count.clip(1)}
cards, shops = (frame.sort_values([key, "TX_DATETIME"], kind="stable").index for key in ("CUSTOMER_ID", "TERMINAL_ID"))
made = {name: pd.Series(own, index=cards if name.startswith("card") else shops) for name, own in found.items()}
pd.DataFrame({"TRANSACTION_ID": frame["TRANSACTION_ID"], **made}).to_parquet(f"{sys.argv[1]}/pandas.parquet")
print(json.dumps({"rows": len(frame)}))
"""
DUCKDB = """
import sys, json
import duckdb
duckdb.execute("SET enable_progress_bar = false")
spans = (1, 7, 30)
cards = [f"count(*) OVER c{n}, avg(TX_AMOUNT) OVER c{n}" for n in spans]
shops = [f"count(*) OVER s{n}, avg(TX_FRAUD) OVER s{n}" for n in spans]
by = "PARTITION BY {} ORDER BY TX_DATETIME RANGE BETWEEN INTERVAL"
card, shop = by.format("CUSTOMER_ID"), by.format("TERMINAL_ID")
windows = [f"c{n} AS ({card} {n} DAYS PRECEDING AND CURRENT ROW)" for n in spans]
windows += [f"s{n} AS ({shop} {n + 7} DAYS PRECEDING AND INTERVAL 7 DAYS PRECEDING)" for n in spans]
made, source = ", ".join(["TRANSACTION_ID", *cards, *shops]), f"read_parquet({sys.argv[2:]})"
query = f"SELECT {made} FROM {source} WINDOW {', '.join(windows)}"
duckdb.execute(f"COPY ({query}) TO '{sys.argv[1]}/duckdb.parquet'")
counted = duckdb.execute(f"SELECT count(*) FROM '{sys.argv[1]}/duckdb.parquet'").fetchall()
print(json.dumps({"rows": counted[0][0]}))
"""


def main() -> None:
    """One round each, and a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the Handbook's transactions, as Parquet")
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--folder", type=Path, required=True, help="where copies and outputs go")
    parser.add_argument("--duckdb", metavar="PYTHON", help="a Python that has the package")
    arguments = parser.parse_args()
    engines = {"ours": (sys.executable, OURS), "pandas rolling": (sys.executable, PANDAS)}
    if arguments.duckdb:
        engines["DuckDB"] = (arguments.duckdb, DUCKDB)
    print(f"{os.cpu_count()} cores\n")
    print("| rows | engine | seconds | CPU, s | rows a second | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    copies = copied(arguments.data, arguments.copies, arguments.folder)
    for sources in ([arguments.data], copies):
        for name, (python, code) in engines.items():
            if len(sources) == 1 or name != "pandas rolling":
                row(name, timed(["-c", code, str(arguments.folder), *map(str, sources)], python))


def row(name: str, run: dict[str, float]) -> None:
    """One line of the table."""
    figures = f"{run['wall']:.1f} | {run['cpu']:.1f} | {run['rows'] / run['wall']:,.0f} | {run['peak']:.0f}"
    print(f"| {run['rows']:,.0f} | {name} | {figures} |", flush=True)


def copied(source: Path, times: int, folder: Path) -> list[Path]:
    """Files like ``source``, each of other years, customers and terminals."""
    table = pyarrow.parquet.read_table(source, partitioning=None).replace_schema_metadata(None)
    targets = []
    for number in range(times):
        own = {name: pyarrow.scalar(number * far, table[name].type) for name, far in KEYS.items()}
        own["TX_DATETIME"] = pyarrow.scalar(number * _YEAR_MS, pyarrow.duration("ms"))
        columns = [
            pyarrow.compute.add(column, own[name]) if name in own else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        targets.append(folder / f"copy-{number}.parquet")
        pyarrow.parquet.write_table(pyarrow.table(columns, names=table.column_names), targets[-1])
    return targets


if __name__ == "__main__":
    main()
