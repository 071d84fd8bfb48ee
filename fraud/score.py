"""Score a file of transactions with a stored model: table in, table out, rows in their order."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from fraud import store, table
from fraud.errors import DataError
from fraud.features import transform
from fraud.schema import COLUMNS, ID_COLUMN


def score_file(source: Path, target: Path, tag: str) -> dict[str, Any]:
    """Write ``fraud_probability``, ``is_fraud`` and ``model_version`` of each row of ``source`` to ``target``.

    Both are CSV or Parquet, by suffix. ``transaction_id`` is carried over when given. The output appears whole or not
    at all. Raises DataError or ModelError.
    """
    if target.suffix not in (".csv", ".parquet"):
        raise DataError(f"{target}: expected a name that ends in .csv or .parquet")
    if not target.parent.is_dir():
        raise DataError(f"{target.parent}: no such folder; make it first")
    if source.exists() and target.exists() and target.samefile(source):
        raise DataError(f"{target}: is the input itself; choose another name")
    served = store.open_served(store.get(tag))
    frame = table.check(table.read(source), labelled=False)
    scores = served.forest.score(transform(frame[list(COLUMNS)].to_numpy()))
    result = pd.DataFrame(
        {
            **({ID_COLUMN: frame[ID_COLUMN]} if ID_COLUMN in frame else {}),
            "fraud_probability": scores,
            "is_fraud": scores >= served.manifest.threshold,
            "model_version": served.version,
        }
    )
    _write(result, target)
    return {
        "output": str(target),
        "rows": len(result),
        "flagged": int(result["is_fraud"].sum()),
        "model_version": served.version,
        "threshold": served.manifest.threshold,
    }


def _write(result: pd.DataFrame, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.suffix == ".csv":
            result.to_csv(part, index=False)
        else:
            result.to_parquet(part, index=False)
        part.replace(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror})") from None
    finally:
        part.unlink(missing_ok=True)
