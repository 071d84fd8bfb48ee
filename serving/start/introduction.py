"""The line that a service says when it starts."""

import bentoml

from fraud import store
from fraud.errors import ModelError
from fraud.settings import Settings
from serving import access


def _database(url: str) -> str:
    """Where it is, without user, password and options."""
    from sqlalchemy import make_url

    address = make_url(url)
    return f"database {address.drivername} {address.database} {f'at {address.host}' if address.host else ''}".rstrip()


def introduction(read: Settings, model: bentoml.Model) -> str:
    """What is served, to whom, and within which limits, in one line without secrets."""
    try:
        manifest = store.read_manifest(model)
        told = f"threshold {manifest.threshold:g}, schema {manifest.schema_of().name}"
    except ModelError as error:
        told = f"not sound: {error}"
    return "; ".join(
        [
            f"serving {model.tag}, {told}, {read.workers} workers",
            access.introduction(read),
            _database(read.database_url) if read.database_url else "no database",
            f"at most {read.max_latency_ms} ms, {read.max_batch_rows} rows a batch, {read.max_connections} connections",
        ]
    )
