"""``python -m monitoring drift``: a data file against a stored model's reference, or against another file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fraud import command, store
from fraud.atomic import replacing
from fraud.errors import DataError, ModelError, named
from fraud.inputs import summaries
from fraud.profile import SCORE
from fraud.remote import sources
from fraud.remote.resolve import registry_if_set, resolve
from fraud.schema import Schema, default
from fraud.settings import MODEL_NAME
from fraud.tables import table
from monitoring.offline import drift
from monitoring.offline.drift import Finding
from monitoring.offline.watch import Watch

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
    schema: Schema | None = None
    """What was named; else it is the model's, or the default one."""


@dataclass(frozen=True)
class Report:
    """The findings, the largest index first, and what they rest on."""

    question: Question
    model_version: str | None
    rows: int
    reference_rows: int | None
    findings: list[Finding]
    read_as: list[str]
    """What was found of the form of the files."""
    left_out: tuple[str, ...] = ()
    """Of a schema with histories these, and the score, which follows from them: a file does not tell what came before.
    """

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
            "read_as": self.read_as,
            "rows": self.rows,
            "minimum_rows": question.minimum_rows,
            "reference": {
                "model_version": self.model_version,
                "data": question.reference_data,
                "rows": self.reference_rows,
            },
            "thresholds": {"feature": question.threshold, "score": question.threshold_score},
            "p_values": "corrected by Holm (1979) over all rows of the table",
            **({"left_out": list(self.left_out)} if self.left_out else {}),
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
        from rich.table import Column, Table

        table_of_findings = Table(*(Column(name, no_wrap=True) for name in _HEADERS), box=SIMPLE, caption=self._basis())
        for finding in self.findings:
            table_of_findings.add_row(*_cells(finding), style="bold red" if finding.drifted else None)
        command.show(table_of_findings)

    def _basis(self) -> str:
        question = self.question
        against = [f"the reference of {MODEL_NAME}:{self.model_version}"] if self.model_version else []
        against += (
            [f"{self.reference_rows} rows of {_last(question.reference_data)}"] if question.reference_data else []
        )
        return (
            f"{self.rows} rows against {' and '.join(against)}. Decided on PSI: {question.threshold:g} for a feature, "
            f"{question.threshold_score:g} for the score. p-values are corrected by Holm."
            + (f" Left out, for rows alone do not hold histories: {', '.join(self.left_out)}." if self.left_out else "")
        )


def report(question: Question) -> Report:
    """Compare. Raises DataError when a file cannot be used or has too few rows, or a name to be ignored is no feature;
    SchemaError when the schema that was named is not the model's; ModelError or RegistryError for the model's part.
    """
    served = None if question.version is None else _served(question.version)
    if served:
        served.check_schema(question.schema)
    own = served.features.schema if served else default()
    schema = question.schema or own  # which may spell files otherwise
    _check_ignored(question.ignored, schema)
    forms = set[str]()
    data = _frame(question.data, schema, question.minimum_rows, forms)
    reference = question.reference_data
    sample = _frame(reference, schema, question.minimum_rows, forms) if reference else None
    findings, version = _compare(question, served, schema, data, sample), served.version if served else None
    rows = None if sample is None else len(sample)
    left_out = (*schema.histories, SCORE) if schema.history else ()
    kept = [finding for finding in findings if finding.name not in left_out]
    return Report(question, version, len(data), rows, kept, sorted(forms), left_out)


def _compare(
    question: Question, served: store.Served | None, schema: Schema, data: pd.DataFrame, sample: pd.DataFrame | None
) -> list[Finding]:
    """By the model's reference, or without one by the reference rows."""
    if served:
        watch = Watch.of_model(served)
    else:
        assert sample is not None  # noqa: S101 - one of the two was given
        watch = Watch.of_rows(sample, schema)
    return drift.compare(
        watch.profile,
        watch.values(data),
        None if sample is None else watch.values(sample),
        threshold=question.threshold,
        threshold_score=question.threshold_score,
        ignored=question.ignored,
    )


def _check_ignored(ignored: frozenset[str], schema: Schema) -> None:
    names = (*schema.features, *summaries.NAMES, SCORE)
    if wrong := sorted(ignored - set(names)):
        known = ", ".join(names)
        raise DataError(f"--ignore {wrong[0]}: expected a feature of the schema {schema.name}, one of {known}")


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


def _frame(data: str, schema: Schema, minimum_rows: int, forms: set[str]) -> pd.DataFrame:
    """The checked rows of all files."""
    frame = pd.concat([_rows(source, schema, forms) for source in sources.find([data])], ignore_index=True)
    if len(frame) < minimum_rows:
        raise DataError(
            f"{data}: {len(frame)} rows are too few to tell drift from chance; "
            f"give at least {minimum_rows}, or set --minimum-rows (docs/drift.md says what that costs)"
        )
    return frame


def _rows(source: sources.Source, schema: Schema, forms: set[str]) -> pd.DataFrame:
    try:
        with source.local() as path:
            read = table.read_table(path, schema)
            forms.add(read.attrs.get(table.LAYOUT, "Parquet"))
            return table.check(read, schema, labelled=False)
    except DataError as error:
        raise DataError(named(source.name, error)) from None


def _last(name: str) -> str:
    """The name of a file or a folder without those of the folders above."""
    return name.rstrip("/").rsplit("/", 1)[-1]


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
