"""Which transactions this service takes: those of the schema of the model that it serves."""

import json
from pathlib import Path
from typing import Any

from fraud import store
from fraud.errors import ModelError
from fraud.features import of_default
from fraud.schema import default
from fraud.settings import Settings
from serving.contract.contract import Contract
from serving.start.model import tag

_EXAMPLE = Path(__file__).parents[2] / "sample_transaction.json"


def contract(settings: Settings) -> Contract:
    """That of the served model; that of the default schema where there is no sound one, and nothing is served."""
    try:
        features = store.read_features(store.get(tag(settings)))
    except ModelError:  # the service says which, and stays not ready
        features = of_default()
    return Contract(features.schema, features.encoding.levels, settings.key_hasher)


def example(contract: Contract) -> dict[str, Any]:
    """A transaction that is valid: a real one of the default schema, an invented one of another."""
    if contract.schema.hash != default().hash:
        return contract.invented
    transaction: dict[str, Any] = json.loads(_EXAMPLE.read_text())
    return transaction
