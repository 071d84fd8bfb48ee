"""What ``bentoml.sklearn.load_model`` gives: the fitted forest behind the feature path, for who works in a notebook.

The pickle names the class below by its place, so it is loaded in a checkout, or with one on ``PYTHONPATH``. It does not
ship: the service scores with ``fraud.scorer`` and loads no scikit-learn.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

from fraud.errors import DataError
from fraud.features import transform
from fraud.schema import COLUMNS, LABEL
from fraud.tables import table

FEATURES, FOREST = "features", "forest"
"""The steps of the pipeline."""


def pipeline(forest: Any) -> Pipeline:  # noqa: ANN401 - scikit-learn ships no types
    """Rows as they stand in a file, then the fitted ``forest``: its ``predict_proba`` gives the product's scores."""
    return Pipeline([(FEATURES, RowFeatures()), (FOREST, forest)])


class RowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transactions to model inputs, checked as ``python -m fraud score`` checks them. There is nothing to fit.

    Takes a pandas DataFrame, by name, in any order, other columns ignored; or a float64 array ``(n, 30)`` in the order
    of ``fraud.schema.COLUMNS``. Raises ValueError for anything else: an array of float32 holds features already.
    """

    n_features_in_ = len(COLUMNS)

    def fit(self, _rows: object, _labels: object = None) -> Self:
        """Do nothing: the features have no parameters."""
        return self

    def transform(self, rows: pd.DataFrame | NDArray[np.float64]) -> NDArray[np.float32]:
        """Model inputs of ``rows``, float32 ``(n, n_features)``."""
        try:
            checked = table.check(_frame(rows), labelled=False)
        except DataError as error:
            raise ValueError(str(error)) from None
        return transform(checked[list(COLUMNS)].to_numpy(dtype=np.float64))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _frame(rows: object) -> pd.DataFrame:
    """The columns of the schema, as they were given."""
    if isinstance(rows, pd.DataFrame):
        if LABEL in rows.columns and len(rows) and rows[LABEL].isna().to_numpy().all():
            raise ValueError(
                f"{LABEL} is empty in every row: where rows end in a comma, pandas takes the first column for the "
                f"index and shifts the others; read the file with fraud.tables.table.read_table, or leave {LABEL} out"
            )
        return rows.loc[:, rows.columns.isin(COLUMNS)]
    if isinstance(rows, np.ndarray) and rows.dtype == np.float64 and rows.shape[1:] == (len(COLUMNS),):
        return pd.DataFrame(rows, columns=list(COLUMNS))
    is_array = isinstance(rows, np.ndarray)
    got = f"{rows.dtype} {rows.shape}" if is_array else type(rows).__name__  # type: ignore[attr-defined]
    raise ValueError(
        f"expected a DataFrame with the columns {COLUMNS[0]} to {COLUMNS[-1]}, or a float64 array of shape "
        f"(n, {len(COLUMNS)}) in their order, got {got}"
    )
