"""Who asks for live quality, and what the others publish."""

import pytest
from prometheus_client import CollectorRegistry

from fraud.settings import Settings
from monitoring import database, live, quality
from monitoring.live import QualityPublisher
from monitoring.record_metrics import RecordMetrics
from tests.monitoring.records import ORIGINS, scored

SETTINGS = {"live_window_days": 3650, "label_delay_days": 0}


@pytest.fixture
def asked(engine, monkeypatch):
    """What was measured, one entry a time; with two transactions there, one of them a fraud that was found."""
    database.insert(engine, [scored("a", 400, flagged=True), scored("b", 400)], ORIGINS, {})
    database.put_labels(engine, [("a", True)], "import", 0.0)
    times, real = [], quality.measure

    def measure(*given, **named):
        times.append(named)
        return real(*given, **named)

    monkeypatch.setattr(quality, "measure", measure)
    return times


def replica(url, **changed):
    registry = CollectorRegistry()
    publisher = QualityPublisher(database.connect(url), RecordMetrics(registry), Settings(**{**SETTINGS, **changed}))

    def recall():
        publisher._publish()
        return registry.get_sample_value(
            "fraud_live_quality", {"model_version": "v1", "figure": "recall", "bound": "value"}
        )

    return recall


def test_one_replica_asks_and_all_publish_the_same(url, asked):
    """The database is asked once, whoever comes after reads what was found."""
    assert [replica(url)() for _ in range(3)] == [1.0, 1.0, 1.0]
    assert len(asked) == 1


def test_replicas_with_other_settings_ask_for_themselves(url, asked):
    """What they publish is something else."""
    assert [replica(url)(), replica(url, unlabelled="unknown")()] == [1.0, 1.0]
    assert len(asked) == 2


def test_where_the_question_takes_long_it_is_asked_more_seldom(url, engine, asked, monkeypatch):
    """So that it takes a tenth of the time at most."""
    now, real = [1_800_000_000.0], quality.measure

    def slowly(*given, **named):
        now[0] += 400
        return real(*given, **named)

    monkeypatch.setattr(quality, "measure", slowly)
    monkeypatch.setattr(live.time, "time", lambda: now[0])
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    recall = replica(url, label_delay_days=1)
    recall()
    for seconds, times in ((3_900, 1), (200, 2)):
        now[0] += seconds
        recall()
        assert len(asked) == times


def test_who_fails_leaves_the_turn_to_the_next(url, asked, monkeypatch, caplog):
    """Without waiting for the lease."""
    real = quality.measure

    def fail(*_, **__):
        raise OSError("away")

    monkeypatch.setattr(quality, "measure", fail)
    assert replica(url)() is None
    assert "live quality is not up to date: away" in caplog.text
    monkeypatch.setattr(quality, "measure", real)
    assert replica(url)() == 1.0
