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
from fraud.features import FeaturePath
from fraud.inputs.encoding import Encoding
from fraud.inputs.summaries import Summaries
from fraud.schema import Schema, default, of_document
from fraud.tables import table

FEATURES, FOREST = "features", "forest"
"""The steps of the pipeline."""


def pipeline(forest: Any, features: FeaturePath) -> Pipeline:  # noqa: ANN401 - scikit-learn ships no types
    """Rows as they stand in a file, then the fitted ``forest``: its ``predict_proba`` gives the product's scores."""
    sums = features.summaries.model_dump(mode="json") if features.summaries else None
    rows = RowFeatures(features.schema.document(), features.encoding.model_dump(mode="json"), sums)
    return Pipeline([(FEATURES, rows), (FOREST, forest)])


class RowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transactions to model inputs, checked as ``python -m fraud score`` checks them. There is nothing to fit.

    ``schema``: what was declared; ``encoding``: what was learnt of categories, ``summaries``: of whole rows; as
    documents. Takes a pandas DataFrame,
    by name, in any order, other columns ignored; or, of a schema without categories, a float64 array ``(n, inputs)`` in
    its order. Histories are taken by name where the DataFrame has them, as `history build --features` writes them, and
    are missing otherwise. Raises ValueError for anything else: an array of float32 holds features already.
    """

    schema: dict[str, Any] | None = None
    encoding: dict[str, Any] | None = None
    summaries: dict[str, Any] | None = None

    def __init__(
        self,
        schema: dict[str, Any] | None = None,
        encoding: dict[str, Any] | None = None,
        summaries: dict[str, Any] | None = None,
    ) -> None:
        self.schema, self.encoding, self.summaries = schema, encoding, summaries

    @property
    def path(self) -> FeaturePath:
        """The feature path that the documents describe."""
        schema = default() if self.schema is None else of_document(self.schema, "the schema of the pipeline")
        sums = None if self.summaries is None else Summaries.model_validate(self.summaries)
        return FeaturePath(schema, Encoding.model_validate(self.encoding or {}), sums)

    @property
    def n_features_in_(self) -> int:
        """How many columns a row has."""
        return len(self.path.schema.inputs)

    def fit(self, _rows: object, _labels: object = None) -> Self:
        """Do nothing: what is to be learnt of categories has been."""
        return self

    def transform(self, rows: pd.DataFrame | NDArray[np.float64]) -> NDArray[np.float32]:
        """Model inputs of ``rows``, float32 ``(n, n_features)``."""
        path = self.path
        try:
            checked = table.check(_frame(rows, path.schema), path.schema, labelled=False)
        except DataError as error:
            raise ValueError(str(error)) from None
        inputs = table.rows(checked, path.schema, path.encoding.levels)
        return path.transform(np.hstack([inputs, _histories(rows, path.schema)]))

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _histories(rows: object, schema: Schema) -> NDArray[np.float64]:
    """Those that were given; NaN for the others."""
    if not isinstance(rows, pd.DataFrame):
        return np.full((len(rows), len(schema.histories)), np.nan)  # type: ignore[arg-type] # an array, it was checked
    columns = list(schema.histories)
    return rows.reindex(columns=columns).to_numpy(dtype=np.float64, na_value=np.nan)


def _frame(rows: object, schema: Schema) -> pd.DataFrame:
    """The columns of the schema, as they were given."""
    label, inputs = schema.roles.label, schema.inputs
    if isinstance(rows, pd.DataFrame):
        if label in rows.columns and len(rows) and rows[label].isna().to_numpy().all():
            raise ValueError(
                f"{label} is empty in every row: where rows end in a comma, pandas takes the first column for the "
                f"index and shifts the others; read the file with fraud.tables.table.read_table, or leave {label} out"
            )
        return rows.loc[:, rows.columns.isin(inputs)]
    plain = not schema.categories
    if plain and isinstance(rows, np.ndarray) and rows.dtype == np.float64 and rows.shape[1:] == (len(inputs),):
        return pd.DataFrame(rows, columns=list(inputs))
    is_array = isinstance(rows, np.ndarray)
    got = f"{rows.dtype} {rows.shape}" if is_array else type(rows).__name__  # type: ignore[attr-defined]
    array = f", or a float64 array of shape (n, {len(inputs)}) in their order" if plain else ""
    raise ValueError(f"expected a DataFrame with the columns {inputs[0]} to {inputs[-1]}{array}, got {got}")
