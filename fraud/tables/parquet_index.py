"""The index that pandas saves in a Parquet file: what of it is a column, and what is left over."""

import pandas as pd

LEVELS = "index_levels"
"""Key of a frame's ``attrs``: the names of the levels that became columns, for what is said of unknown columns."""


def as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the named levels of its index as columns; levels without a name, as filtering leaves, go.

    Raises ValueError when a level has the name of a column.
    """
    levels = list(frame.index.names)
    named = [str(name) for name in levels if name is not None]
    unnamed = [number for number, name in enumerate(levels) if name is None]
    if not named:
        return frame.reset_index(drop=True)
    flat = frame.reset_index(level=unnamed, drop=True).reset_index() if unnamed else frame.reset_index()
    flat.attrs[LEVELS] = named
    return flat
