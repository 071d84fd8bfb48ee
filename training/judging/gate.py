"""Whether a challenger may replace the champion. Every rule is checked and told, whether it passes or not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fraud.manifest import Figure, Metrics
from training.judging import contender
from training.judging.contender import Contender
from training.judging.paired import Difference

LATENCY = "latency"


@dataclass(frozen=True)
class Policy:
    """What the gate asks for. The margins follow from reseeded and label-shuffled retrains, see ``docs/gate.md``."""

    min_frauds: int = 30
    min_average_precision: float = 0.5
    min_precision: float = 0.7
    min_recall: float = 0.4
    average_precision_margin: float = 0.05
    recall_margin: float = 0.15
    max_latency_ratio: float = 2.0
    max_scorer_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True)
class Reason:
    """One rule of the gate, whether it held, and the figures in words."""

    rule: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """The gate's answer with all its reasons and figures."""

    passed: bool
    reasons: tuple[Reason, ...]
    figures: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What ``as_dict`` gave, read again; fields that this code does not know are left out."""
        reasons = (Reason(one["rule"], one["passed"], one["detail"]) for one in document.get("reasons", ()))
        return cls(document["passed"], tuple(reasons), dict(document.get("figures", {})))

    @property
    def would_be_again(self) -> bool:
        """Whether the same models and rows would be judged so again; a refusal by the clock alone may not."""
        return self.passed or any(not reason.passed and reason.rule != LATENCY for reason in self.reasons)


@dataclass(frozen=True, eq=False)
class Case:
    """What is judged: the rows' labels and amounts, how many were left out, and the contenders."""

    labels: NDArray[np.int8]
    amounts: NDArray[np.float64] | None
    left_out: int
    challenger: Contender
    champion: Contender | None
    scorer_differences: int
    champion_problem: str | None = None
    """Why the champion cannot be scored by this code: another schema, most likely."""
    schema_change_declared: bool = False
    remedy: str = ""
    """What to do where too few frauds are left because the champion was trained on them."""
    seed: int = 0


def decide(case: Case, policy: Policy) -> Verdict:
    """Check every rule; passed when all of them hold. Without a champion the comparisons are left out."""
    figures: dict[str, Any] = {
        "rows": len(case.labels),
        "frauds": int(case.labels.sum()),
        "left_out": case.left_out,
        "challenger_version": case.challenger.version,
        "champion_version": case.champion.version if case.champion else None,
        "policy": asdict(policy),
    }
    reasons = [_enough(figures, policy, case.remedy)]
    if not figures["frauds"]:
        return Verdict(False, tuple(reasons), figures)
    metrics = contender.metrics(case.challenger, case.labels, case.amounts, case.seed)
    figures["challenger"] = metrics.model_dump()
    reasons += _floors(metrics, policy)
    reasons.append(_exact(case))
    reasons.append(_size(case.challenger, policy))
    reasons.append(_schema(case))
    if case.champion is not None:
        standard = contender.metrics(case.champion, case.labels, case.amounts, case.seed)
        precision, scores = standard.precision.value or policy.min_precision, case.champion.scores
        differences = contender.differences(case.challenger.scores, scores, case.labels, precision, case.seed)
        figures["champion"] = standard.model_dump()
        figures["differences"] = contender.told(differences)
        reasons += _not_worse(differences, policy)
        reasons.append(_latency(case.challenger, case.champion, policy))
    return Verdict(all(reason.passed for reason in reasons), tuple(reasons), figures)


def _enough(figures: dict[str, Any], policy: Policy, remedy: str) -> Reason:
    detail = f"{figures['frauds']} frauds among {figures['rows']} rows that neither model trained on"
    if figures["left_out"]:
        detail += f" ({figures['left_out']} rows left out because one did)"
    enough = figures["frauds"] >= policy.min_frauds
    advice = f": {remedy}" if remedy and figures["left_out"] and not enough else ""
    return Reason("enough frauds to judge", enough, f"{detail}; {policy.min_frauds} needed{advice}")


def _floors(metrics: Metrics, policy: Policy) -> list[Reason]:
    return [
        _floor("average_precision", metrics.average_precision, policy.min_average_precision),
        _floor("precision", metrics.precision, policy.min_precision),
        _floor("recall", metrics.recall, policy.min_recall),
    ]


def _floor(name: str, figure: Figure, least: float) -> Reason:
    value = figure.value or 0.0  # None: no alert at all
    return Reason(f"{name} floor", value >= least, f"{value:.3f}, at least {least:.3f} needed")


def _exact(case: Case) -> Reason:
    rows, differing = len(case.labels), case.scorer_differences
    return Reason("scorer is exact", differing == 0, f"{differing} of {rows} scores differ from scikit-learn")


def _size(challenger: Contender, policy: Policy) -> Reason:
    size, most = challenger.scorer_bytes / 2**20, policy.max_scorer_bytes / 2**20
    return Reason("scorer size", size <= most, f"{size:.1f} MiB, at most {most:.0f}")


def _not_worse(differences: dict[str, Difference], policy: Policy) -> list[Reason]:
    margins = (policy.average_precision_margin, policy.recall_margin)
    return [
        Reason(
            f"{name} not worse than the champion's",
            each.bound > -margin,
            f"{each.challenger:.3f} against {each.champion:.3f}, 95 % bound of the difference {each.bound:+.3f}, "
            f"above {-margin:+.3f} needed",
        )
        for (name, each), margin in zip(differences.items(), margins, strict=True)
    ]


def _schema(case: Case) -> Reason:
    if case.champion_problem is None:
        return Reason("transaction schema", True, "unchanged" if case.champion else "no champion to differ from")
    declared = "as declared" if case.schema_change_declared else "not declared (--allow-schema-change)"
    return Reason("transaction schema", case.schema_change_declared, f"{case.champion_problem}; {declared}")


def _latency(challenger: Contender, champion: Contender, policy: Policy) -> Reason:
    ratio = challenger.seconds_per_row / champion.seconds_per_row
    return Reason(
        LATENCY,
        ratio <= policy.max_latency_ratio,
        f"{challenger.seconds_per_row * 1e3:.2f} ms for one row, {ratio:.2f} times the champion's; "
        f"at most {policy.max_latency_ratio:g}",
    )
