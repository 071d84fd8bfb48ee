"""Histories on the way of a call, or nothing where the served schema has none: then nothing of them is imported."""

import logging
import sys
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from fraud.errors import DataError
from fraud.rows import Decoded, ScoredRow, by_model
from fraud.settings import Settings
from monitoring.log import Records
from monitoring.metrics import FraudMetrics
from serving.contract.contract import Contract

if TYPE_CHECKING:
    from serving.history.online import Online, Score

LOG = logging.getLogger("bentoml.fraud")


def made(contract: Contract, read: Settings, metrics: FraudMetrics, records: Records | None) -> "Online | None":
    """What a contract's transactions need; ends the process with one line where the secret of keys is not set.

    Labels come from ``records``, where the log says what they are of.
    """
    if not contract.schema.history:
        return None
    from fraud.history.address import is_remote
    from serving.history.online import Online

    if contract.hash_key is None:
        sys.exit(f"error: {DataError.no_secret(contract.schema.name)}")
    labelled = None
    if any(one.delay is not None for one in contract.schema.history):
        if records is not None and read.log_features:
            labelled = records.labelled()
        else:
            what = "FRAUD_LOG_FEATURES is off" if records else "FRAUD_DATABASE_URL is not set"
            LOG.info("labels do not reach histories: %s", what)
    kind: type[Online] = Online
    if is_remote(read.history_url or ""):
        from serving.history import remote

        kind = remote.OnlineRemote
    own = kind(contract.schema, contract.hash_key.fingerprint, read, metrics.history, labelled)
    metrics.flush_with(own.publish)
    return own


def scored(
    own: "Online | None", decoded: list[Decoded], score: "Score"
) -> Sequence[ScoredRow] | Awaitable[Sequence[ScoredRow]]:
    """What ``score`` says of transactions, with their histories where there are any."""
    return by_model(decoded, score) if own is None else own.score(decoded, score)


async def scored_soon(own: "Online | None", decoded: list[Decoded], score: "Score") -> Sequence[ScoredRow]:
    """The same, waited for."""
    found = scored(own, decoded, score)
    return await found if isinstance(found, Awaitable) else found
