"""What keys did until the last of rows that are all in memory, in a file: what a model goes on from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraud.history.amounts import times_of
from fraud.replay import grouped, state_file
from fraud.schema import Schema


def save(
    target: Path,
    rows: NDArray[np.float64],
    keys: Mapping[str, NDArray[np.object_]],
    schema: Schema,
    labels: NDArray[np.int8],
    key_fingerprint: str,
) -> None:
    """Write a file of states (``fraud.replay.state_file``); the arguments are those of ``grouped.features_of``.

    Raises FraudError where it cannot be written.
    """
    with state_file.writing(target, schema, key_fingerprint) as writer:
        grouped.features_of(rows, keys, schema, labels, sink=writer.put)
        writer.saw(len(rows), int(times_of(rows, schema).max()))
