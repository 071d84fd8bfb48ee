"""``fraud_feature_bin`` and ``fraud_feature_reference_ratio`` of one model version: made, counted up, removed.

Among several workers they are in files of their own, since prometheus_client removes nothing from its files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge

from fraud.profile import Profile
from monitoring import multiprocess


@dataclass(frozen=True)
class Metrics:
    """The two metrics, with the labels ``model_version``, ``feature`` and ``bin``."""

    counts: Counter
    ratios: Gauge


class VersionSeries:
    """Those of one model version: a count from 0 on and the reference's share for each bin of each feature.

    ``removable``: whether they are to be where they can be removed among several workers.
    """

    def __init__(self, metrics: Metrics, version: str, profile: Profile, *, removable: bool) -> None:
        self._metrics = metrics
        self._files = multiprocess.own_files(version) if removable else None
        self._labels = [
            [(version, name, label) for label in cut.labels]
            for name, cut in zip(profile.names, profile.cuts, strict=True)
        ]
        self._counts = [[self._one(metrics.counts, labels) for labels in of_name] for of_name in self._labels]
        for of_name, ratios in zip(self._labels, profile.ratios.tolist(), strict=True):
            for labels, ratio in zip(of_name, ratios, strict=False):  # the rest is padding
                self._one(metrics.ratios, labels).set(ratio)

    def _one(self, metric: Counter | Gauge, labels: tuple[str, ...]) -> Any:  # noqa: ANN401 - a counter or a gauge
        return self._files.series(metric, labels) if self._files else metric.labels(*labels)

    def add(self, counts: NDArray[np.int64]) -> None:
        """Add rows in each bin, of the shape of the profile's ratios."""
        for row, column in zip(*np.nonzero(counts), strict=True):
            self._counts[row][column].inc(int(counts[row, column]))

    def close(self) -> None:
        """Count no more; in a single process the series are gone then, else when their files are retired."""
        if self._files:
            self._files.close()
        elif not multiprocess.folder():
            for labels in (labels for of_name in self._labels for labels in of_name):
                self._metrics.counts.remove(*labels)
                self._metrics.ratios.remove(*labels)
