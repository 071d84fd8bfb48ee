"""Labels are read in their order, with what was first sent of their transactions."""

import pytest

from fraud.schema import default
from monitoring import database
from monitoring.database import DatabaseError
from monitoring.storage.labelled import Label, Labelled
from monitoring.storage.sent import packed
from monitoring.storage.tables import LoggedPrediction, Origin
from tests.monitoring.records import HASH, features

NOW = 1_700_000_000.123456


@pytest.fixture
def engine(tmp_path):
    made = database.connect(f"sqlite:///{tmp_path / 'fraud.sqlite'}")
    database.prepare(made)
    yield made
    made.dispose()


@pytest.fixture
def source(engine):
    return Labelled(engine, lambda: None)


def logged(engine, name, at, amount, *, hashed_by="ours", schema=HASH, sent=True):
    origin = Origin("v", schema, 0.5, None, hashed_by)
    row = packed(features(amount=amount), bytes(4 * len(default().features)), ()) if sent else None
    made = LoggedPrediction(origin.number, at, name, None, 0.5, False, amount, row)
    database.insert(engine, [made], {origin.number: origin}, {HASH: default()})


def pages(source, most):
    """All labels, so many at a time."""
    found, after = [], (0.0, "")
    while page := source.after(after, most):
        assert len(page) <= most
        found += page
        after = page[-1][:2]
    return found


@pytest.mark.parametrize("most", [1, 3, 50])
def test_pages_go_on_among_labels_of_one_time(engine, source, most):
    """To the microsecond; each label once."""
    database.put_labels(engine, [(f"b{number}", True) for number in range(7)], "import", NOW)
    database.put_labels(engine, [("a", False)], "import", NOW + 1e-6)
    database.put_labels(engine, [("z", True)], "import", NOW - 1)
    expected = [Label(NOW - 1, "z", True), *(Label(NOW, f"b{number}", True) for number in range(7))]
    assert pages(source, most) == [*expected, Label(NOW + 1e-6, "a", False)]


def test_the_index_is_used(engine):
    """A page costs a page, however many labels there are."""
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT labelled_at, transaction_id FROM labels WHERE (labelled_at, transaction_id) > "
            "(1.0, 'a') ORDER BY labelled_at, transaction_id LIMIT 10"
        ).all()
    assert ["ix_labels_labelled_at" in row[-1] and "SEARCH" in row[-1] for row in plan] == [True]


def test_a_label_that_is_given_again_keeps_its_time(engine, source):
    """One that says otherwise has a new one."""
    for number, is_fraud in enumerate([True, True, False]):
        database.put_labels(engine, [("a", is_fraud)], "import", NOW + number)
        assert pages(source, 10) == [Label(NOW + (2 if number == 2 else 0), "a", is_fraud)]


def test_what_was_sent_first_is_found(engine, source):
    """Of the same secret; not of a schema that nobody knows, and not where nothing was kept."""
    logged(engine, "a", NOW, 3.0)
    logged(engine, "a", NOW - 5, 2.0)
    logged(engine, "a", NOW - 9, 1.0, hashed_by="theirs")
    logged(engine, "a", NOW - 9, 1.0, sent=False)
    logged(engine, "b", NOW, 1.0, schema="0" * 12)
    found = source.sent(["a", "b", "c"], "ours")
    assert list(found) == ["a"]
    assert found["a"].row == features(amount=2.0)
    assert source.schema(found["a"].schema_hash) == default()


def test_a_database_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    """In the driver's own words."""
    (tmp_path / "no").touch()
    source = Labelled(database.connect(f"sqlite:///{tmp_path}/no/fraud.sqlite"), lambda: None)
    with pytest.raises(DatabaseError):
        source.after((0.0, ""), 10)
