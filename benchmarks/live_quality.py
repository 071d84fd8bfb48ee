"""How long live quality takes to be asked for, and how much of it: with sums, and by going through all rows as before.

python -m benchmarks.live_quality --rows 1000000 10000000
python -m benchmarks.live_quality --rows 1000000 --url postgresql://user@host/empty_database

The rows are invented: thirty days of transactions, each with an id and nothing that was sent, of which one in 500 is
flagged and one in 500 labelled. They are written to a file below the folder for temporary files (200 MB a million), or
to the database at ``--url``, which must be empty.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from sqlalchemy import Engine, func, insert, select

from monitoring import database, quality
from monitoring.storage import revisions
from monitoring.storage.judged import Period, newest
from monitoring.storage.tables import DECISIONS, DECISIONS_WITH_LABELS, LABELS, LoggedPrediction, Origin

DAY = 86_400.0
WINDOW_DAYS, DELAY_DAYS = 30.0, 7.0
EVERY = 500
MINUTE_ROWS = 600
CHUNK_ROWS = 100_000
ORIGIN = Origin("benchmark", "0" * 12, 0.5)


def main() -> None:
    """Write rows, ask, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--url", help="an empty Postgres; by default a SQLite file that is removed")
    arguments = parser.parse_args()
    print("| rows | all rows, as before | sums: first time | sums: a minute later |")
    print("| --- " * 4 + "|", flush=True)
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            engine = database.connect(arguments.url or f"sqlite:///{folder}/fraud.sqlite")
            print(f"| {rows:,} | {' | '.join(f'{seconds:.2f} s' for seconds in _measured(engine, rows))} |", flush=True)
            engine.dispose()


def _measured(engine: Engine, rows: int) -> Iterator[float]:
    now = time.time()
    revisions.upgrade(engine)
    for start in range(0, rows, CHUNK_ROWS):
        _add(engine, [_row(now, number, rows) for number in range(start, min(rows, start + CHUNK_ROWS))])
        print(f"{start:,} rows", end="\r", file=sys.stderr, flush=True)
    frauds = [{"transaction_id": f"t{number}", "is_fraud": True} for number in range(1, rows, EVERY)]
    with engine.begin() as connection:
        connection.execute(insert(LABELS).values(labelled_at=now, source="import"), frauds)
    yield _seconds(lambda: _by_all_rows(engine, now))
    yield _seconds(lambda: _by_sums(engine, now))
    _add(engine, [_row(now, rows + number, rows)._replace(scored_at=now) for number in range(MINUTE_ROWS)])
    yield _seconds(lambda: _by_sums(engine, now + 60))


def _row(now: float, number: int, rows: int) -> LoggedPrediction:
    scored_at = now - (DELAY_DAYS + WINDOW_DAYS * (1 - number / rows)) * DAY
    flagged = number % EVERY == 0
    return LoggedPrediction(ORIGIN.number, scored_at, f"t{number}", None, 0.9 if flagged else 0.1, flagged, 1.0, None)


def _add(engine: Engine, rows: list[LoggedPrediction]) -> None:
    database.insert(engine, rows, {ORIGIN.number: ORIGIN}, {})


def _by_all_rows(engine: Engine, now: float) -> None:
    """The question as it was asked before there were sums."""
    period = Period.ending(now, DELAY_DAYS, WINDOW_DAYS)
    query = select(DECISIONS.c.is_fraud, LABELS.c.is_fraud, func.count()).select_from(DECISIONS_WITH_LABELS)
    with engine.connect() as connection:
        connection.execute(query.where(newest(period)).group_by(DECISIONS.c.is_fraud, LABELS.c.is_fraud)).all()


def _by_sums(engine: Engine, now: float) -> None:
    quality.measure(engine, now=now, delay_days=DELAY_DAYS, window_days=WINDOW_DAYS)


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
