"""``python -m monitoring drift``: a data file against a stored model's reference, or against another file."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraud import profile as profiles
from fraud import store
from fraud.atomic import replacing
from fraud.errors import DataError, ModelError
from fraud.features import of_default
from fraud.profile import SCORE, Profile
from fraud.remote import sources
from fraud.remote.resolve import registry_if_set, resolve
from fraud.schema import Schema
from fraud.settings import MODEL_NAME
from fraud.tables import table
from monitoring.offline import drift
from monitoring.offline.drift import Finding, Floats

_LOG_WIDTH = 160
_HEADERS = ("", "PSI", "threshold", "", "p (chi-square)", "V", "p (KS)", "D", "Cliff's delta", "Wasserstein/sd")


@dataclass(frozen=True)
class Question:
    """What is to be compared with what. One of ``version`` and ``reference_data`` at least is given."""

    data: str
    """A file, a folder, a pattern or an address in S3, as ``fraud.remote.sources`` takes it; so the next."""
    version: str | None = None
    reference_data: str | None = None
    threshold: float = drift.THRESHOLD_FEATURE
    threshold_score: float = drift.THRESHOLD_SCORE
    minimum_rows: int = drift.MINIMUM_ROWS_1D
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Report:
    """The findings, the largest index first, and what they rest on."""

    question: Question
    model_version: str | None
    rows: int
    reference_rows: int | None
    findings: list[Finding]

    @property
    def drifted(self) -> list[str]:
        """Names whose index is above its threshold."""
        return [finding.name for finding in self.findings if finding.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        question = self.question
        return {
            "drift": bool(self.drifted),
            "drifted": self.drifted,
            "data": question.data,
            "rows": self.rows,
            "minimum_rows": question.minimum_rows,
            "reference": {
                "model_version": self.model_version,
                "data": question.reference_data,
                "rows": self.reference_rows,
            },
            "thresholds": {"feature": question.threshold, "score": question.threshold_score},
            "p_values": "corrected by Holm (1979) over all rows of the table",
            "findings": [asdict(finding) | {"drifted": finding.drifted} for finding in self.findings],
        }

    def markdown(self) -> str:
        """The same for people, as a page of its own."""
        verdict = f"Drift: {', '.join(self.drifted)}." if self.drifted else "No drift."
        lines = [f"# Drift of {_last(self.question.data)}", "", verdict, "", f"{self._basis()}", ""]
        lines += ["| " + " | ".join(_HEADERS) + " |", "| --- " * len(_HEADERS) + "|"]
        lines += ["| " + " | ".join(_cells(finding)) + " |" for finding in self.findings]
        return "\n".join(lines) + "\n"

    def show(self) -> None:
        """The same as a table on stderr."""
        from rich.box import SIMPLE
        from rich.console import Console
        from rich.table import Column, Table

        table_of_findings = Table(*(Column(name, no_wrap=True) for name in _HEADERS), box=SIMPLE, caption=self._basis())
        for finding in self.findings:
            table_of_findings.add_row(*_cells(finding), style="bold red" if finding.drifted else None)
        Console(stderr=True, width=None if sys.stderr.isatty() else _LOG_WIDTH).print(table_of_findings)

    def _basis(self) -> str:
        question = self.question
        against = [f"the reference of {MODEL_NAME}:{self.model_version}"] if self.model_version else []
        against += (
            [f"{self.reference_rows} rows of {_last(question.reference_data)}"] if question.reference_data else []
        )
        return (
            f"{self.rows} rows against {' and '.join(against)}. Decided on PSI: {question.threshold:g} for a feature, "
            f"{question.threshold_score:g} for the score. p-values are corrected by Holm."
        )


def report(question: Question) -> Report:
    """Compare. Raises DataError when a file cannot be used or has too few rows, ModelError or
    RegistryError for the model's part.
    """
    served = None if question.version is None else _served(question.version)
    data, reference = question.data, question.reference_data
    values = _values(data, served, question.minimum_rows)
    sample = _values(reference, served, question.minimum_rows) if reference else None
    findings = drift.compare(
        _profile(served, sample),
        values,
        sample,
        threshold=question.threshold,
        threshold_score=question.threshold_score,
        ignored=question.ignored,
    )
    rows = None if sample is None else len(sample)
    return Report(question, served.version if served else None, len(values), rows, findings)


def write(path: Path, text: str) -> None:
    """Write a report. Raises DataError when it cannot be."""
    try:
        with replacing(path) as part:
            part.write_text(text)
    except OSError as error:
        raise DataError.not_writable(path, error) from None


def _served(name: str) -> store.Served:
    """A stored model to score with; ``champion`` and what is not here come from ``FRAUD_S3_URI`` when that is set."""
    tag = resolve(name, registry_if_set(), pull=True).tag
    served = store.open_served(store.get(tag))
    if tuple(served.manifest.profile) != (*served.features.names, SCORE):
        raise ModelError(f"{tag}: has no reference of its features; train it again")
    return served


def _values(data: str, served: store.Served | None, minimum_rows: int) -> Floats:
    """Features of the rows of all files, and their scores when there is a model."""
    features = served.features if served else of_default()
    schema = features.schema
    frame = pd.concat([_rows(source, schema) for source in sources.find([data])], ignore_index=True)
    if len(frame) < minimum_rows:
        raise DataError(
            f"{data}: {len(frame)} rows are too few to tell drift from chance; "
            f"give at least {minimum_rows}, or set --minimum-rows (docs/drift.md says what that costs)"
        )
    values = features.transform(table.rows(frame, schema, features.encoding.levels))
    return np.column_stack([values, served.forest.score(values)]) if served else values.astype(np.float64)


def _rows(source: sources.Source, schema: Schema) -> pd.DataFrame:
    try:
        with source.local() as path:
            return table.check(table.read_table(path, schema), schema, labelled=False)
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(source.name) else f"{source.name}: {error}") from None


def _last(name: str) -> str:
    """The name of a file or a folder without those of the folders above."""
    return name.rstrip("/").rsplit("/", 1)[-1]


def _profile(served: store.Served | None, sample: Floats | None) -> Profile:
    """The model's reference; without a model the deciles of the reference rows, which have no score."""
    if served:
        return Profile.from_bins(served.manifest.profile)
    assert sample is not None  # noqa: S101 - one of the two was given
    names = of_default().names
    built = profiles.build(names, sample.astype(np.float32), np.zeros(1))
    return Profile(names, built.edges[:-1], built.ratios[:-1])


def _cells(finding: Finding) -> list[str]:
    figures = (finding.ks_d, finding.cliffs_delta, finding.wasserstein_sd)
    verdict = "drift" if finding.drifted else "" if finding.judged else "not judged"
    return [
        finding.name,
        f"{finding.psi:.4f}",
        f"{finding.threshold:g}",
        verdict,
        _p(finding.p_value),
        f"{finding.cramers_v:.3f}",
        _p(finding.ks_p_value),
        *("-" if figure is None else f"{figure:.3f}" for figure in figures),
    ]


def _p(value: float | None) -> str:
    return "-" if value is None else "<0.0001" if value < 1e-4 else f"{value:.4f}"
