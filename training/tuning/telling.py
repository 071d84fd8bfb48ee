"""What is said of a search: what it may be gone on with, what it came to, and how its recipe was found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.dataset import Dataset
from training.tuning import study
from training.tuning.folds import Folding
from training.tuning.forests import Forests
from training.tuning.plan import TuningPlan
from training.tuning.search import worded
from training.tuning.study import Study

SPARSE_RECALL = 0.05
"""Below it a recall at the target precision is nearly empty."""


def facts(plan: TuningPlan, rows: Dataset, protocol: str, folding: Folding) -> dict[str, Any]:
    """What makes figures of two trials comparable."""
    recipe = plan.training.recipe
    return {
        "training part (other rows)": rows.fingerprint,
        "schema": rows.schema.hash,
        "split": f"{protocol}, seed {folding.seed}",
        "--folds": folding.count,
        "--seed": recipe.seed,
        "--missing-histories": recipe.missing_histories,
        "--summaries": recipe.summaries,
        "--most-cost": plan.most_cost,
    }


def document(
    plan: TuningPlan,
    rows: Dataset,
    folding: Folding,
    forests: Forests,
    studies: Sequence[Study],
    judged: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Plain values for JSON."""
    best, first = studies[0].best, studies[0].first
    assert best and first  # noqa: S101 - as above
    return {
        "study": str(study.folder(plan.name)),
        "data": {
            "sources": list(rows.sources),
            "synthetic": rows.synthetic,
            "training_rows": rows.size,
            "training_frauds": rows.frauds,
            "training_fingerprint": rows.fingerprint,
        },
        "folds": asdict(folding),
        "interrupted": judged is None,
        "defaults": {"average_precision": first.value},
        "best": {
            "trial": studies[0].number_of(best),
            "average_precision": best.value,
            "cost": best.user_attrs["cost"],
            "recipe": forests.recipe(best.user_attrs["settings"]).model_dump(),
        },
        "on_fresh_folds": judged,
        "recipe_file": None,
        "families": {one.family.name: _family(one) for one in studies},
    }


def _family(one: Study) -> dict[str, Any]:
    best = one.best
    return {
        "finished": one.finished,
        "seconds": one.seconds,
        "best": best and {"trial": one.number_of(best), "average_precision": best.value},
        "history": one.history(),
    }


def outcome(forests: Study) -> str:
    """What the search of the forest came to, in one line."""
    best, first = forests.best, forests.first
    assert best and first  # noqa: S101 - as above
    names = {trial.number: name for name, trial in (("defaults", first), *forests.started.items())}
    by = f"the {names[best.number]}" if best.number in names else worded(best.user_attrs["settings"])
    return f"best: average precision {best.value:.4f}, by {by}"


def not_tried(name: str) -> str:
    """Of the recipe that is there now."""
    return (
        f"the recipe was not tried as it stands: the study {name} began with another, or ended before it, or it costs "
        "more than --most-cost lets it: name another --study, give more, or raise that"
    )


def not_judged(path: Path) -> str:
    """Of a recipe that is written over."""
    return (
        f"{path} held a recipe that this search did not try, so nothing says that it was worse; your version control "
        "has it, if it was there"
    )


def sparse_recall(recall: float, precision: float) -> str | None:
    """What there is to say where hardly a fraud of the fresh folds is found at the target precision; None elsewhere."""
    if recall >= SPARSE_RECALL:
        return None
    return (
        f"at precision {precision:.2f} the best forest finds {recall:.1%} of the frauds on fresh folds: differences in "
        "recall there say little, and a model may not reach that precision; a lower target_precision in the recipe "
        "asks for less"
    )


def comment(plan: TuningPlan, found: Mapping[str, Any]) -> list[str]:
    """How the recipe was found."""
    fresh = found["on_fresh_folds"]["defaults"]["average precision"]
    low, high = f"{fresh['low']:+.4f}", f"{fresh['high']:+.4f}"
    return [
        f"Found by: {plan.command}",
        f"study {plan.name}, trial {found['best']['trial']} of {found['families']['forest']['finished']}; "
        f"{found['data']['training_rows']} rows to train on, fingerprint {found['data']['training_fingerprint']}",
        f"average precision out of fold {found['best']['average_precision']:.4f}, the defaults "
        f"{found['defaults']['average_precision']:.4f}",
        f"on folds that no trial has seen {fresh['own']:.4f}, the defaults {fresh['other']:.4f}: "
        f"{fresh['value']:+.4f} [{low}, {high}]",
    ]
