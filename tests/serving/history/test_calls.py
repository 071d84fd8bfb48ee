"""What is made of a contract, and what is said where labels cannot reach histories."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from fraud.schema import parse
from fraud.settings import Settings
from monitoring.log import open_records
from monitoring.metrics import FraudMetrics
from serving.contract.contract import Contract
from serving.history import calls
from tests import histories
from tests.serving.history.test_online import HASHER, SCHEMA


def made(schema, tmp_path, **settings):
    read = Settings(history_url=f"file://{tmp_path / 'store'}", **settings)
    metrics = FraudMetrics(60, CollectorRegistry())
    contract = Contract(schema, {"country": ("DE", "FR", "PL")}, HASHER)
    return calls.made(contract, read, metrics, open_records(read, metrics.records))


def said(caplog):
    return [one.message for one in caplog.records if "labels" in one.message]


@pytest.mark.parametrize(
    ("database", "log_features", "why"),
    [(False, True, ["FRAUD_DATABASE_URL is not set"]), (True, False, ["FRAUD_LOG_FEATURES is off"]), (True, True, [])],
)
def test_labels_reach_histories_where_the_log_says_of_what(tmp_path, caplog, database, log_features, why):
    """Else one line says what is missing, and nothing is started."""
    caplog.set_level(logging.INFO)
    url = f"sqlite:///{tmp_path / 'fraud.sqlite'}" if database else None
    online = made(SCHEMA, tmp_path, database_url=url, log_features=log_features)
    assert said(caplog) == [f"labels do not reach histories: {one}" for one in why]
    assert (online._labels is None) == bool(why)


def test_without_a_label_delay_nothing_is_started_or_said(tmp_path, caplog):
    """There is nothing to count."""
    caplog.set_level(logging.INFO)
    text = histories.SCHEMA.replace('["fraud_count", "fraud_share"]\nlabel_delay = "2d"', '["count"]')
    online = made(parse(text, "payments.toml"), tmp_path, database_url=f"sqlite:///{tmp_path / 'fraud.sqlite'}")
    assert online._labels is None
    assert said(caplog) == []
