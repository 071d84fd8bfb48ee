"""Sums spare going through all predictions, and change no figure."""

import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from monitoring import database, labels, quality
from monitoring.storage import sums
from monitoring.storage.tables import DECISIONS, LABELS, ORIGINS, STATE, SUMS
from tests.monitoring.conftest import DAY, NOW
from tests.monitoring.records import ORIGINS as KNOWN
from tests.monitoring.records import scored as logged

START, END = NOW - 6.98 * DAY - 0.06 * DAY, NOW - 6.98 * DAY
NAMES = [f"t{number}" for number in range(6)]


def counted(engine, unlabelled="legitimate", delay=6.98, window=0.06):
    """What live quality says, as plain counts; by default of an hour and a half around a midnight."""
    found = quality.measure(engine, now=NOW, delay_days=delay, window_days=window, unlabelled=unlabelled, by_day=True)
    return {(one.day, one.model_version): (*one.outcomes.values(), one.labelled) for one in found}


def by_hand(engine):
    """The same, of all rows, in Python."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(DECISIONS, ORIGINS.c.model_version).join(ORIGINS, ORIGINS.c.id == DECISIONS.c.origin_id)
        )
        last = {}
        for row in sorted(rows, key=lambda row: (row.scored_at, row.id)):
            if row.transaction_id is not None:
                last[row.transaction_id] = row
        known = {row.transaction_id: row.is_fraud for row in connection.execute(select(LABELS))}
    counts = {}
    for name, row in last.items():
        if START <= row.scored_at < END:
            place = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
            one = counts.setdefault((quality._date(int(row.scored_at // DAY)), row.model_version), Counter())
            one[place[row.is_fraud, known.get(name, False)]] += 1
            one[4] += name in known
    return {key: tuple(one[number] for number in range(5)) for key, one in sorted(counts.items())}


scoring = st.tuples(
    st.just("score"), st.sampled_from([*NAMES, None]), st.booleans(), st.sampled_from(["v1", "v2"]),
    st.one_of(st.floats(START - 300, END + 300), st.sampled_from([START, END, NOW - 7 * DAY, NOW - 7 * DAY + 128])),
)  # fmt: skip
changes = st.one_of(
    scoring,
    scoring,
    st.tuples(st.just("label"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("forget"), st.sampled_from(NAMES)),
    st.tuples(st.just("purge"), st.floats(START - 300, END + 300)),
    st.tuples(st.just("measure")),
)


@pytest.fixture(autouse=True)
def _without_rest(monkeypatch):
    monkeypatch.setattr(sums, "REST_SECONDS", 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, max_size=25))
def test_whatever_happens_between_two_questions_the_counts_are_those_of_all_rows(engine, history):
    """Rows that came late, transactions scored again, labels, deletions: in any order, asked at any time."""
    with engine.begin() as connection:
        for table in (DECISIONS, LABELS, SUMS, STATE):
            connection.execute(table.delete())
    for what, *values in history:
        if what == "score":
            name, flagged, version, scored_at = values
            row = logged(name, flagged=flagged, version=version)._replace(scored_at=scored_at)
            database.insert(engine, [row], KNOWN, {})
        elif what == "label":
            database.put_labels(engine, [tuple(values)], "import", NOW)
        elif what == "forget":
            labels.forget(engine, values)
        elif what == "purge":
            labels.purge(engine, values[0])
        else:
            assert counted(engine) == by_hand(engine)
    assert counted(engine) == by_hand(engine)


def steps(engine, work):
    """How many steps of its virtual machine SQLite takes for it, in hundreds."""
    taken = [0]

    def count():
        taken[0] += 1

    def listen(connection, _):
        connection.set_progress_handler(count, 100)

    event.listen(engine, "connect", listen)
    try:
        work()
    finally:
        event.remove(engine, "connect", listen)
    return taken[0]


def fill(engine, rows, prefix=""):
    every = [
        logged(f"{prefix}{number}")._replace(scored_at=END - 60 - (END - START - 120) * number / rows)
        for number in range(rows)
    ]
    database.insert(engine, every, KNOWN, {})


def test_what_is_summed_is_not_gone_through_again(engine):
    """Ten times as many rows are no more work, once they are summed and no row is new."""
    work = []
    for rows in (2_000, 18_000):
        fill(engine, rows, f"{rows}-")
        whole = {"delay": 6, "window": 3}  # days have no rows beside their sums
        counted(engine, **whole)
        with engine.begin() as connection:  # as if they had come long ago
            last = connection.scalar(select(func.max(DECISIONS.c.id)))
            sums._mark(connection, last, last)
        work.append(steps(engine, lambda whole=whole: counted(engine, **whole)))
    assert work[1] < 1.5 * work[0]


def test_steps_cover_all(engine, monkeypatch):
    """A long window is summed in short transactions."""
    monkeypatch.setattr(sums, "STEP_ROWS", 7)
    fill(engine, 200)
    assert counted(engine) == by_hand(engine)
    counted(engine, delay=6, window=3)
    with engine.connect() as connection:
        assert connection.scalar(select(func.sum(SUMS.c.transactions))) == 200


def test_a_bucket_is_summed_once_it_has_been_over_for_a_while(engine):
    """However short the delay is: what is scored now is counted, and not yet summed."""
    now = time.time()
    rows = [logged("now")._replace(scored_at=now - 60), logged("then")._replace(scored_at=now - 2 * 3600)]
    database.insert(engine, rows, KNOWN, {})
    [one] = quality.measure(engine, now=now, delay_days=0, window_days=30)
    assert sum(one.outcomes.values()) == 2
    with engine.connect() as connection:
        assert connection.scalar(select(func.sum(SUMS.c.transactions))) == 1


def test_after_an_older_state_came_back_all_is_summed_anew(engine):
    """Such as the data of a backup, in the place of newer rows."""
    fill(engine, 50)
    counted(engine)
    with engine.begin() as connection:
        connection.execute(DECISIONS.delete().where(DECISIONS.c.id > 20))
    assert counted(engine) == by_hand(engine)


@pytest.mark.parametrize("unlabelled", ["legitimate", "unknown"])
def test_sums_are_made_again_where_somebody_emptied_them(engine, unlabelled):
    """They hold nothing that is not in the other tables."""
    fill(engine, 50)
    before = counted(engine, unlabelled)
    for table in (SUMS, STATE):
        with engine.begin() as connection:
            connection.execute(table.delete())
        assert counted(engine, unlabelled) == before


def test_whole_sums_are_told_from_those_that_others_dropped(engine):
    """A bucket that is dropped between two looks would be counted by nobody."""
    rows = [logged(f"t{number}")._replace(scored_at=NOW - 7 * DAY) for number in range(3)]
    database.insert(engine, rows, KNOWN, {})
    covered = sums.bring_up_to_date(engine, quality.Period.ending(NOW, 6.98, 0.06), NOW)
    with engine.begin() as connection:
        assert covered.end > covered.start
        assert sums.is_whole(connection, covered)
        connection.execute(SUMS.delete().where(SUMS.c.bucket == connection.scalar(select(func.min(SUMS.c.bucket)))))
        assert not sums.is_whole(connection, covered)


def test_what_changes_is_found_before_anybody_waits(engine, monkeypatch):
    """The look at new rows, however many, holds no lock: another writes meanwhile, and is seen the next time."""
    row = logged("t0")._replace(scored_at=NOW - 7 * DAY)
    database.insert(engine, [row], KNOWN, {})
    assert counted(engine) == by_hand(engine) != {}
    real = sums._changed

    def changed(connection, done):
        found = real(connection, done)
        with engine.begin() as other:  # a lock that is held would be waited for
            sums.revisions.lock(other)
        return found

    monkeypatch.setattr(sums, "_changed", changed)
    database.insert(engine, [row._replace(scored_at=NOW - 6.99 * DAY, is_fraud=True)], KNOWN, {})
    assert counted(engine) == by_hand(engine)
