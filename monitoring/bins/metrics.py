"""What is counted for drift: rows by feature and bin, and texts of categories that the model does not know.

Part of ``monitoring.metrics.FraudMetrics``, which calls all of it under its lock.
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge

from fraud.inputs.levels import OTHER
from fraud.manifest import Manifest
from fraud.profile import Profile
from monitoring import multiprocess
from monitoring.bins.series import Metrics, VersionSeries

LOG = logging.getLogger("bentoml.fraud")
KEPT = 2
"""Model versions whose bins are on the page: the one that serves, and the one before it."""
_LABELS = ["model_version", "feature", "bin"]


class BinMetrics:
    """Of one worker process. Nothing is counted before a model is described."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counts = partial(Counter, registry=registry)
        words = "Scored transactions by feature and bin of the model's reference profile."
        bins = counts("fraud_feature_bin", words, _LABELS)
        words = "Share of reference rows in each bin of each feature."
        ratios = Gauge("fraud_feature_reference_ratio", words, _LABELS, registry=registry, multiprocess_mode="max")
        self._metrics = Metrics(bins, ratios)
        words = "Scored transactions with a text that the model does not know, by category."
        self._unseen_levels = counts("fraud_unseen_levels", words, ["feature"])
        self._series: dict[str, VersionSeries] = {}
        self._profile: Profile | None = None
        self._categories: list[int] = []
        self._unseen: list[Counter] = []
        self._reset()
        self._problem = multiprocess.problem_of_series(bins, ratios)
        if self._problem:
            LOG.warning("bins of models that no longer serve stay on the page of metrics: %s", self._problem)

    def _reset(self) -> None:
        self._counted = np.zeros((0, 0) if self._profile is None else self._profile.ratios.shape, dtype=np.int64)
        self._unknown = np.zeros(len(self._categories), dtype=np.int64)

    def describe(self, manifest: Manifest) -> None:
        """Count for this model from now on; its bins start at 0, or go on where it is the one before this one.

        What was counted for the model until now is to be handed over before.
        """
        version, schema = manifest.model_version, manifest.schema_of()
        self._profile = Profile.of(manifest)
        self._categories = [schema.inputs.index(name) for name in schema.categories]
        self._unseen = [self._unseen_levels.labels(name) for name in schema.categories]
        self._reset()
        known = self._series.pop(version, None)
        removable = self._problem is None
        self._series[version] = known or VersionSeries(self._metrics, version, self._profile, removable=removable)
        for old in list(islice(self._series, max(len(self._series) - KEPT, 0))):
            self._series.pop(old).close()
        self.tidy()

    def tidy(self) -> None:
        """Remove the bins of other models than those kept, also those that workers have left which are gone."""
        kept = list(self._series)
        if kept:  # a worker that is started anew knows of its own model alone
            newest = [version for version in reversed(multiprocess.versions()) if version not in kept]
            multiprocess.retire({*kept, *newest[: KEPT - len(kept)]})

    def count(
        self, rows: Sequence[NDArray[np.float64]], features: NDArray[np.float32], scores: NDArray[np.float64]
    ) -> None:
        """Count batches of rows ``(n, inputs)``, with the features ``(n, k)`` and scores ``(n,)`` of all of them."""
        if self._profile is None:
            return
        if self._categories:
            together = np.concatenate(rows)
            self._unknown += (together[:, self._categories] == OTHER).sum(axis=0)
        else:
            together = rows[0]  # there is nothing to take from them
        self._counted += self._profile.counts(together, features, scores)

    def hand_over(self) -> None:
        """Give Prometheus what was counted since the last time."""
        if self._series:
            self._series[next(reversed(self._series))].add(self._counted)
        for counter, rows in zip(self._unseen, self._unknown.tolist(), strict=True):
            counter.inc(rows)
        self._counted[:], self._unknown[:] = 0, 0
