"""The line that a service says when it starts."""

import bentoml

from fraud import store
from fraud.errors import ModelError
from fraud.settings import Settings
from serving import access
from serving.start import key_secret


def database(url: str) -> str:
    """Where it is, without user, password and options. Raises SettingsError where that cannot be told apart."""
    from monitoring.storage import address

    found = address.check(url)
    return f"database {found.drivername} {found.database} {f'at {found.host}' if found.host else ''}".rstrip()


def histories(read: Settings) -> str:
    """Where they are kept, without user and password."""
    from fraud.history.address import shown
    from fraud.history.files.folder import url_of

    return shown(url_of(read))


def introduction(read: Settings, model: bentoml.Model) -> str:
    """What is served, to whom, and within which limits, in one line without secrets.

    Raises SettingsError where the secret of keys is not the model's.
    """
    try:
        manifest = store.read_manifest(model)
        keys = key_secret.state(read, manifest)
        schema = manifest.schema_of()
        told = f"threshold {manifest.threshold:g}, schema {schema.name}{keys and f', {keys}'}"
        told += f", histories in {histories(read)}" if schema.history else ""
    except ModelError as error:
        told = f"not sound: {error}"
    return "; ".join(
        [
            f"serving {model.tag}, {told}, {read.workers} workers",
            access.introduction(read),
            database(read.database_url) if read.database_url else "no database",
            f"at most {read.max_latency_ms} ms, {read.max_batch_rows} rows a batch, {read.max_connections} connections",
        ]
    )
