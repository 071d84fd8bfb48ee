"""What ``monitoring drift`` compares: rows of files as a profile counts them, by a model or by reference rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from fraud import profile as profiles
from fraud import store
from fraud.features import FeaturePath
from fraud.inputs.encoding import FEWEST, Codes, Encoding
from fraud.profile import Profile
from fraud.schema import Schema
from fraud.scorer.forest import Forest
from fraud.tables import table
from monitoring.offline.drift import Floats


@dataclass(frozen=True)
class Watch:
    """How rows become what ``profile`` counts; the scores are among it where there is a forest."""

    path: FeaturePath
    profile: Profile
    forest: Forest | None = None

    @classmethod
    def of_model(cls, served: store.Served) -> Self:
        """By a stored model: its levels, its bins, its scores."""
        return cls(served.features, Profile.of(served.manifest), served.forest)

    @classmethod
    def of_rows(cls, checked: pd.DataFrame, schema: Schema) -> Self:
        """By the rows of a checked frame: they give levels and bins, and there is no score.

        Levels are known from as many rows on as training asks for, so that a column of ever new texts is no drift.
        """
        columns = {name: _known(checked[name]) for name in schema.categories}
        path = FeaturePath(schema, Encoding(columns=columns))
        rows = table.rows(checked, schema, path.encoding.levels)
        return cls(path, profiles.reference(path, rows, np.zeros(1)).without_score())

    def values(self, checked: pd.DataFrame) -> Floats:
        """What is counted of a checked frame, ``(n, len(profile.names))``: see ``Profile.watched``."""
        rows = table.rows(checked, self.path.schema, self.path.encoding.levels)
        features = self.path.transform(rows)
        scores = self.forest.score(features) if self.forest else np.zeros(len(rows))
        return self.profile.watched(rows, features, scores)[:, : len(self.profile.names)]


def _known(texts: pd.Series) -> Codes:
    """The levels of a column, sorted; codes are for a forest, and there is none."""
    counts = texts.value_counts()
    levels = tuple(sorted(map(str, counts.index[counts >= FEWEST])))
    return Codes(levels=levels, codes=(0.0,) * len(levels), other=0.0, missing=0.0)
