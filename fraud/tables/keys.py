"""Columns of keys as hashes: what is trained on, written and sent holds no card in plain."""

from collections.abc import Container
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fraud.errors import SET_IT, DataError
from fraud.inputs.keys import KeyHasher, is_hashed
from fraud.schema import Schema
from fraud.tables import kinds


def hashed(frame: pd.DataFrame, schema: Schema, hasher: KeyHasher) -> pd.DataFrame:
    """``frame`` with the hash of each key, None where there is no value; hashes stay. Each different one is made once.

    ``frame`` is a table as it was read, or a checked one: both give the same hashes.
    """
    columns = of_rows(frame, schema, hasher)
    return frame.assign(**columns) if columns else frame


def of_rows(frame: pd.DataFrame, schema: Schema, hasher: KeyHasher) -> dict[str, NDArray[Any]]:
    """The hashes of each key, by column, None where there is no value; columns that are not there are left out."""
    return {name: _hashes(frame[name], schema, hasher) for name in schema.of_kind("key") if name in frame}


def plain(frame: pd.DataFrame, schema: Schema) -> list[str]:
    """The columns of keys that hold one in plain."""
    return [name for name in schema.of_kind("key") if name in frame and not _are_hashed(frame[name], schema)]


def not_kept(columns: list[str], where: object) -> DataError:
    """Keys in plain that would be written or sent, without a secret to hash them with."""
    return DataError(
        f"{where}: {', '.join(columns)} holds keys in plain, and FRAUD_KEY_SECRET is not set: keys are hashed before "
        f"they are written or sent; {SET_IT}"
    )


def other_secret(name: str, fingerprint: str, hasher: KeyHasher) -> DataError:
    """A file or a model whose keys were hashed with another secret: one card would be two."""
    return DataError(
        f"{name}: its keys were hashed with the secret of fingerprint {fingerprint}, and FRAUD_KEY_SECRET is the one "
        f"of {hasher.fingerprint}: set the other one, or make it anew from plain keys"
    )


def check_secret(name: str, fingerprint: str | None, hasher: KeyHasher) -> None:
    """Raise DataError where the keys of a model or file ``name`` were hashed with another secret, if that is known."""
    if fingerprint not in (None, hasher.fingerprint):
        raise other_secret(name, str(fingerprint), hasher)


def absent(columns: Container[str], schema: Schema) -> list[str]:
    """The keys that histories of the schema are of, that may not be missing, and that are not among ``columns``."""
    names = dict.fromkeys(one.key for one in schema.history)
    return [name for name in names if name not in columns and not schema.columns[name].missing]


def no_history_of(columns: list[str], schema: Schema, remedy: str = "") -> DataError:
    """A file without the keys that histories are of: all of them would be missing, and nobody would know."""
    return DataError(f"no column {', '.join(columns)}, and [[history]] of {schema.name} is of it: add it{remedy}")


def _hashes(cells: pd.Series, schema: Schema, hasher: KeyHasher) -> NDArray[Any]:
    place, texts = _texts(cells, schema)
    return np.array([None if text is None else hasher(text) for text in texts], dtype=object)[place]


def _are_hashed(cells: pd.Series, schema: Schema) -> bool:
    return all(text is None or is_hashed(text) for text in _texts(cells, schema)[1])


def _texts(cells: pd.Series, schema: Schema) -> tuple[NDArray[np.int64], list[str | None]]:
    """Where each cell stands among those that differ, and these; None is what stands for no value."""
    place, different = kinds.distinct(cells)
    missing = {*schema.stands_for_missing("key"), ""}
    texts = kinds.as_codes(different)
    return place, [None if text is None or text in missing or text.strip() in missing else text for text in texts]
