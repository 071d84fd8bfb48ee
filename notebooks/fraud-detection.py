# %% [markdown]
# # Fraud detection, from a file to a score over HTTP
#
# Load, look, tune a little, train, judge, compare, and call the service, all through the product's own code. The saved
# outputs are of the [ULB credit-card data](https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud) (80 % of its rows:
# two days of September 2013, cards of Europe). They hold figures and sums, no transaction.
#
# **Your own data:** change the two lines of the next cell. `python -m training schema infer FILE --output mine.toml`
# drafts the schema ([how](../docs/your-data.md)). What a schema does not name (a time, an amount) is left out below.
#
# **To run it:** `make setup`, then open it in an editor that runs notebooks, with `.venv` for its kernel; or, for a
# browser, `.venv/bin/uvx --from jupyterlab jupyter-lab notebooks` after
# `.venv/bin/python -m ipykernel install --user --name fraud`, and choose the kernel `fraud`. Or run it whole:
# `make notebook DATA=creditcard.csv`. Your model store stays as it is: the notebook makes one of its own.

# %%
import os

DATA = os.environ.get("DATA", "sample")  # or "creditcard.csv", a folder, "s3://bucket/key", "openml"
SCHEMA = os.environ.get("FRAUD_SCHEMA")  # or "mine.toml"; None: the columns of the ULB data

# %%
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.axes import Axes
from rich.console import Console
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

os.chdir(next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "bentofile.yaml").exists()))
sys.path.insert(0, str(Path.cwd()))

from fraud.inputs import derived, example, times
from fraud.schema import default, read
from fraud.settings import Settings
from training import data, encode, run, split, train
from training.console import Steps
from training.judging import evaluate, paired
from training.judging.ranking import Ranking, bootstrap
from training.retrain import staging
from training.run import TrainingPlan

STORE = ExitStack()
STORE.enter_context(staging())  # a model store of the notebook's own, until its last cell
STEPS = Steps(Console(stderr=True, force_jupyter=False))

NAMES = ("legitimate", "fraud")
COLOURS = ("#0072B2", "#D55E00")  # of Okabe and Ito: told apart by colour-blind people, and in grey
GREEN, PINK, GREY = "#009E73", "#CC79A7", "#767676"
plt.rcParams |= {
    "figure.figsize": (9, 3.4),
    "figure.dpi": 80,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "legend.frameon": False,
}


def say(axes: Axes, title: str, x: str, y: str) -> None:
    """Title and the names of what is drawn, with units."""
    axes.set(title=title, xlabel=x, ylabel=y)


# %% [markdown]
# ## Load
#
# Reading checks every row by the schema, sorts by time and drops exact duplicates. **Why duplicates are dropped:** the
# ULB file has 1,081 of them, 19 of them frauds. A random split puts one copy among the training rows and the other
# among the test rows; the model has then seen the answer, and the figures flatter it.
#
# **Why the split is by time:** a model scores what comes after the data that it was made of, and fraud changes. Test
# rows drawn at random lie between training rows, minutes away from the same fraudster's other payments. So the latest
# 20 % are held out. Without a time in the schema rows are held out at random, by a hash of their values.
#
# From here to *Judge* only training rows are looked at: who chooses by the test rows has none left to judge by.

# %%
schema = read(Path(SCHEMA)) if SCHEMA else default()
plan = TrainingPlan([DATA], schema, hasher=Settings.from_env().key_hasher)
dataset = data.load_telling(plan.sources, schema, STEPS, plan.hasher)
parts = split.split(dataset, split.usual(schema), seed=run.split_seed(plan))
rows, labels = dataset.rows[parts.train], dataset.labels[parts.train]
is_fraud = labels == 1

facts = pd.DataFrame(
    [(len(side), side.sum()) for side in (dataset.labels, labels, dataset.labels[parts.test])],
    index=["all rows", "training", f"test ({parts.protocol})"],
    columns=["transactions", "frauds"],
)
facts["share of frauds"] = (facts["frauds"] / facts["transactions"]).map("{:.3%}".format)
facts.style.format(thousands=",").set_caption(
    f"{'Generated rows, for trying things out. ' * dataset.synthetic}{dataset.duplicates_dropped:,} duplicates dropped"
)

# %% [markdown]
# ## Look
#
# ### Balance

# %%
counts = np.array([[(side == label).sum() for label in (0, 1)] for side in (labels, dataset.labels[parts.test])])
figure, axes = plt.subplots(figsize=(9, 2.2))
for place, name in enumerate(NAMES):
    at = np.arange(2) + (place - 0.5) * 0.4
    bars = axes.barh(at, counts[:, place], 0.38, color=COLOURS[place], label=name)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
axes.set(xscale="log", yticks=[0, 1], yticklabels=["training", "test"], xlim=(1, counts.max() * 8))
axes.invert_yaxis()
axes.legend(loc="lower right")
say(axes, "Frauds are few", "transactions (logarithmic)", "")

# %% [markdown]
# **Why average precision:** a rule that calls nothing fraud is right nearly always, so accuracy says nothing. ROC AUC
# weighs false alarms against all legitimate transactions, of which there are so many that hundreds of false alarms do
# not show. Average precision is the mean of the precision over the recall that it is reached at: of those that are
# called fraud, how many are, as more and more frauds are to be caught. It knows no threshold, and a score that tells
# nothing reaches the share of frauds.

# %%
Markdown(
    f"On the training rows, a rule that calls nothing fraud has an accuracy of {1 - labels.mean():.2%}; scores that "
    f"tell nothing have an average precision of {labels.mean():.4f}."
)


# %% [markdown]
# ### Amounts
#
# In the ULB data frauds are small or large more often than other payments. An amount says little by itself; and who
# counts frauds alone does not see whether the dear ones are caught.


# %%
BINS = int(np.clip(2 * np.sqrt(is_fraud.sum()), 8, 40))  # fewer where there are few frauds to fill them


def of_each_class(axes: Axes, values: np.ndarray, edges: np.ndarray) -> None:
    """Outlines of the share of each class's values in each bin, those beyond the edges in the outermost."""
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], edges[0]))
    for place, name in enumerate(NAMES):
        own = inside[(labels == place) & ~np.isnan(values)]
        share = np.histogram(own, edges)[0] / max(1, len(own))
        filled = {"fill": True, "alpha": 0.4} if place == 0 else {"lw": 2}
        axes.stairs(share * 100, edges, color=COLOURS[place], label=name, **filled)
    axes.set_ylim(bottom=0)


amount_column = schema.position(schema.roles.amount)
if amount_column is None:
    print("The schema names no amount: there are no figures of money.")
else:
    amounts = rows[:, amount_column]
    figure, (left, right) = plt.subplots(1, 2)
    edges = np.geomspace(max(0.5, np.nanquantile(amounts, 0.01)), max(1.0, np.nanquantile(amounts, 0.999)), BINS)
    of_each_class(left, amounts, edges)
    left.set_xscale("log")
    left.legend()
    say(left, "How much is paid", "amount, currency of the account (logarithmic)", "% of the class")
    bands = np.unique(np.nanquantile(amounts, np.linspace(0, 1, 9)))
    known = ~np.isnan(amounts)
    band = np.searchsorted(bands[1:-1], amounts[known], "right")
    share = np.bincount(band, is_fraud[known]) / np.maximum(np.bincount(band), 1)
    right.bar(range(len(share)), share * 100, color=COLOURS[1])
    right.axhline(labels.mean() * 100, color=GREY, ls="--", label="all amounts")
    right.set_xticks(np.arange(len(share)) - 0.5, [f"{edge:,.3g}" for edge in bands[: len(share)]], rotation=45)
    right.legend()
    say(right, "How many are fraud", "amount from (bands of equally many transactions)", "% fraud")

# %%
if amount_column is not None:
    quantiles = (0.25, 0.5, 0.75, 0.95, 0.99)
    by_class = pd.Series(amounts).groupby(np.array(NAMES)[labels])
    told = by_class.quantile(quantiles).unstack().rename(columns="{:.0%}".format)
    display(told.assign(mean=by_class.mean()).style.format("{:,.2f}").set_caption("amounts: quantiles and mean"))

# %% [markdown]
# ### Hours

# %%
time_column = schema.roles.time
if time_column is None:
    print("The schema names no time: there are no hours, and rows are held out at random.")
else:
    clock = times.local(dataset.times, schema.columns[time_column].zone)
    hour = derived.BY_NAME["hour"].make(clock)[parts.train]
    figure, (left, right) = plt.subplots(1, 2)
    of_each_class(left, hour, np.arange(25.0))
    left.legend()
    say(left, "When it is paid", "hour of the day", "% of the class")
    whole = hour.astype(int)
    seen = np.bincount(whole, minlength=24)
    right.bar(np.arange(24) + 0.5, np.bincount(whole, is_fraud, 24) / np.maximum(seen, 1) * 100, color=COLOURS[1])
    right.axhline(labels.mean() * 100, color=GREY, ls="--", label="all hours")
    right.legend()
    say(right, "How many are fraud", "hour of the day", "% fraud")
    for one in (left, right):
        one.set(xticks=range(0, 25, 4), xlim=(0, 24))

# %% [markdown]
# The times of the ULB data count seconds from the first row: its hours are those of a clock that is not known. Frauds
# follow the day less than payments do: in the hours when few pay, a larger share is fraud. The peaks are a few frauds
# of two days, which another day need not have.
#
# ### What frauds look like
#
# How well does each feature by itself order frauds before legitimate rows? That is its ROC AUC: 0.5 tells nothing.
# Categories count by the share of frauds of their levels, learnt on other rows than they are judged on.

# %%
path, features = encode.fit(dataset, parts.train, plan.recipe)


def alone(values: np.ndarray) -> float:
    """ROC AUC of one feature's values, where there are any of both classes; below 0.5 frauds have the lower ones."""
    there = ~np.isnan(values)
    return roc_auc_score(is_fraud[there], values[there]) if len(np.unique(labels[there])) == 2 else 0.5


telling = pd.Series([alone(column) for column in features.T], path.names)
telling = telling.reindex((telling - 0.5).abs().sort_values(ascending=False, kind="stable").index)
shown = telling.head(15)
figure, axes = plt.subplots(figsize=(9, 4))
distance = (shown - 0.5).abs() + 0.5
bars = axes.barh(shown.index, distance - 0.5, left=0.5, color=[GREEN if value > 0.5 else PINK for value in shown])
axes.bar_label(bars, [f"{value:.2f}" for value in distance], padding=3)
for colour, name in ((GREEN, "frauds have the higher values"), (PINK, "frauds have the lower values")):
    axes.barh([shown.index[0]], 0, color=colour, label=name)
axes.invert_yaxis()
axes.set_xlim(0.5, 1.03)
axes.legend(loc="lower right")
say(axes, "Each feature by itself, the most telling first", "ROC AUC, turned to lie above 0.5", "")


# %%
def levels_of_each_class(axes: Axes, name: str) -> None:
    """The levels met most often, and the share of each class that has them."""
    at = rows[:, schema.inputs.index(name)]
    known = np.where(np.isnan(at), len(dataset.levels[name]), at).astype(int)
    texts = [*dataset.levels[name], "(missing)"]
    seen = np.bincount(known, minlength=len(texts))
    most = [place for place in np.argsort(-seen, kind="stable")[:6] if seen[place]]
    for place, label in enumerate(NAMES):
        own = np.bincount(known[labels == place], minlength=len(texts)) / (labels == place).sum() * 100
        axes.bar(np.arange(len(most)) + (place - 0.5) * 0.4, own[most], 0.4, color=COLOURS[place], label=label)
    axes.set_xticks(range(len(most)), [texts[place][:14] for place in most], rotation=30, ha="right")


figure, grid = plt.subplots(2, 3, figsize=(9, 5.2))
figure.suptitle("The six most telling features; what lies beyond the edges is in the outermost bins", fontsize="medium")
for axes, name in zip(grid.flat, telling.index, strict=False):
    if name in schema.categories:
        levels_of_each_class(axes, name)
    else:
        values = features[:, path.names.index(name)].astype(np.float64)
        spread = np.unique(np.concatenate([np.nanquantile(values[labels == one], [0.01, 0.99]) for one in (0, 1)]))
        whole = np.all(values[~np.isnan(values)] % 1 == 0) and np.ptp(spread) < 40
        edges = np.arange(spread[0] - 0.5, spread[-1] + 1) if whole else np.linspace(spread[0], spread[-1], BINS)
        of_each_class(axes, values, edges)
    say(axes, "", name, "% of the class")
figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
for axes in grid.flat[len(telling) :]:
    axes.axis("off")

# %% [markdown]
# ### Correlations
#
# By rank, so that a few extreme values do not decide. The components of the ULB data were made uncorrelated over all
# rows, nearly all of which are legitimate; among frauds they go together strongly. A tree that asks one question after
# another finds such combinations.

# %%
together = list(telling.head(16).index)
figure, both = plt.subplots(1, 2, figsize=(9, 4.4))
for place, axes in enumerate(both):
    of_class = pd.DataFrame(features[labels == place], columns=path.names)[together]
    picture = axes.imshow(of_class.rank().corr().to_numpy(), vmin=-1, vmax=1, cmap="PuOr")
    if place == 1:
        figure.colorbar(picture, ax=both, label="rank correlation", shrink=0.8)
    axes.set_xticks(range(len(together)), together, rotation=90, fontsize=8)
    axes.set_yticks(range(len(together)), together, fontsize=8)
    say(axes, f"{NAMES[place]} ({(labels == place).sum():,} transactions)", "", "")

# %% [markdown]
# ### Missing values

# %%
gaps = pd.DataFrame(
    {name: np.isnan(rows[labels == place]).mean(axis=0) * 100 for place, name in enumerate(NAMES)},
    index=[*schema.inputs, *schema.histories],
)
gaps = gaps[gaps.max(axis=1) > 0].sort_values("legitimate", ascending=False).head(20)
if gaps.empty:
    print(f"No value is missing in the {rows.shape[1]} columns.")
else:
    axes = gaps[::-1].plot.barh(color=list(COLOURS), figsize=(9, 1.2 + 0.3 * len(gaps)), width=0.8)
    say(axes, "Missing values", "% of the class", "")

# %% [markdown]
# ## Tune a little
#
# A few settings, each judged out of fold inside the training rows: every row is scored by a forest that was fitted
# without the row's fold. The same folds for all, so that two settings can be compared on the same rows, in pairs: what
# is hard for both cancels out. The defaults stay unless a setting's whole interval lies above zero. With a handful of
# tries one may do so by luck; the test rows, which nobody has looked at, will tell. (Fewer trees than a final forest
# has: they order settings as well, and faster.)

# %%
TREES, FOLDS = 50, 3
CHANGES: dict[str, dict[str, Any]] = {
    "the defaults": {},
    "extremely randomized trees": {"estimator": "extra-trees"},
    "no weight for frauds": {"fraud_weight": 1.0},
    "30 % of the rows a tree": {"max_samples": 0.3},
}

fold_of = split.folds(dataset, parts.train, FOLDS, plan.recipe.seed)
tried = {}
for name, changes in CHANGES.items():
    recipe = train.DEFAULTS.model_copy(update={**changes, "trees": TREES})
    with STEPS.trees(name, TREES * FOLDS) as progress:
        tried[name] = run.out_of_fold(dataset, parts.train, fold_of, recipe, jobs=plan.jobs, progress=progress)

standard, *others = CHANGES
precision = plan.recipe.target_precision
gained = {name: paired.compare(tried[name], tried[standard], labels, precision)[0] for name in others}
best = max(others, key=lambda name: gained[name].value)
chosen = best if gained[best].low > 0 else standard


# %%
def intervals(axes: Axes, differences: dict[str, paired.Difference]) -> None:
    """Each difference with its 95 % interval, beside a line at zero."""
    for place, one in enumerate(differences.values()):
        axes.plot([one.low, one.high], [place, place], color=COLOURS[0], lw=3, solid_capstyle="butt")
        axes.plot(one.value, place, "o", color=COLOURS[0], ms=8)
    axes.axvline(0, color=GREY, ls="--")
    axes.set(yticks=range(len(differences)), yticklabels=list(differences), ylim=(len(differences) - 0.5, -0.5))


figure, axes = plt.subplots(figsize=(9, 2.6))
intervals(axes, gained)
say(axes, "Beside the defaults, on the same rows", "difference in average precision, 95 % interval", "")
told = pd.DataFrame(
    {name: {"average precision, out of fold": gained[name].challenger} for name in others}
    | {standard: {"average precision, out of fold": gained[best].champion}}
).T.reindex(list(CHANGES))
told.style.format("{:.3f}").set_caption(f"{TREES} trees, {FOLDS} folds of the training rows; chosen: {chosen}")

# %% [markdown]
# ## Train
#
# `run.judge` is what `python -m training run` does before it saves: choose the threshold on validation rows inside the
# training part, fit the forest on all training rows, compare its compiled scorer with scikit-learn's own scores (equal
# to the bit, or it stops), and judge once on the test rows.

# %%
plan = TrainingPlan(
    [DATA], schema, recipe=train.DEFAULTS.model_copy(update=CHANGES[chosen]), jobs=plan.jobs, hasher=plan.hasher
)
judged = run.judge(plan, dataset, STEPS)
parts, choice, metrics = judged.parts, judged.choice, judged.metrics
Markdown(
    f"The threshold is **{choice.threshold:.3f}**: {choice.rule}, on {choice.rows:,} validation rows with "
    f"{choice.frauds} frauds. There precision is {choice.precision:.3f} and recall {choice.recall:.3f}."
)

# %%
held = parts.train
if parts.protocol != "stratified":  # the later part of the training rows; else all of them, out of fold
    held = split.later_part(dataset, parts.train, run.VALIDATION_SHARE)
validation = Ranking(judged.validation_scores, dataset.labels[held] == 1)
curve = validation.curve(np.ones(len(held)))
figure, axes = plt.subplots()
at = validation.distinct_scores
axes.step(at, curve.precision, where="post", color=COLOURS[0], lw=2, label="precision")
axes.step(at, curve.recall, where="post", color=COLOURS[1], lw=2, ls="--", label="recall")
axes.axhline(plan.recipe.target_precision, color=GREY, ls=":", label="precision that is asked for")
axes.axvline(choice.threshold, color="black", lw=1, label="threshold chosen")
axes.set(xlim=(0, 1), ylim=(0, 1.02))
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
say(axes, "Validation rows: what a threshold would give", "threshold (a score at or above it is called fraud)", "share")

# %% [markdown]
# ## Judge
#
# On the test rows, once. The intervals are those of 1,000 resamples of the test rows (percentile bootstrap): with few
# frauds they are wide, and a figure without its interval says less than it seems to.

# %%
test_labels = dataset.labels[parts.test]
test_amounts = None if dataset.amounts is None else dataset.amounts[parts.test]
test_rows = encode.rows_of(judged.features, dataset, parts.test)
scores = judged.forest.score(judged.features.transform(test_rows))

WORDS = {
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "precision": "precision at the threshold",
    "recall": "recall at the threshold",
    "precision_at_100": "precision of the 100 highest scores",
    "amount_caught_share": "share of the money of frauds that is caught",
}
told = pd.DataFrame({words: getattr(metrics, name).model_dump() for name, words in WORDS.items()}).T.astype(float)
told.columns = ["value", "95 % from", "to"]
told.style.format("{:.3f}", na_rep="").set_caption(
    f"{len(test_labels):,} test rows with {test_labels.sum()} frauds ({parts.protocol})"
)

# %%
groups = evaluate.Groups(scores, test_labels, test_amounts)
recalls = np.linspace(0, 1, 201)


def precision_at(counts: np.ndarray) -> np.ndarray:
    """Precision where each of ``recalls`` is reached, with ``counts`` rows of each group of test rows."""
    curve = groups.ranking.curve(counts)
    reached = np.searchsorted(curve.recall, recalls - 1e-9)
    return curve.precision[np.minimum(reached, len(curve.recall) - 1)]  # a resample may hold no fraud


drawn = [precision_at(counts) for counts in bootstrap(groups.sizes, 500, plan.recipe.seed)]
low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
figure, axes = plt.subplots(figsize=(6.4, 4.4))
axes.fill_between(recalls, low, high, color=COLOURS[0], alpha=0.2, lw=0, label="95 % interval")
axes.plot(recalls, precision_at(groups.sizes), color=COLOURS[0], lw=2, label="test rows")
at = np.array([metrics.recall.value, metrics.precision.value], dtype=float)  # NaN where nothing is called fraud
axes.plot(*at, "o", color=COLOURS[1], ms=9, label="at the threshold")
axes.axhline(test_labels.mean(), color=GREY, ls="--", label="scores that tell nothing")
axes.set(xlim=(0, 1), ylim=(0, 1.02))
axes.legend(loc="lower left", bbox_to_anchor=(0, 0.06))
title = f"Precision and recall: average precision {metrics.average_precision.value:.3f}"
say(axes, title, "recall: share of the frauds that is caught", "precision: share of the alarms that is fraud")

# %%
confusion = np.array(
    [
        [metrics.true_negatives.value, metrics.false_positives.value],
        [metrics.false_negatives.value, metrics.true_positives.value],
    ]
)
share = confusion / confusion.sum(axis=1, keepdims=True)
figure, axes = plt.subplots(figsize=(5.2, 3.4))
axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
for place, value in np.ndenumerate(confusion):
    ink = "white" if share[place] > 0.5 else "black"
    axes.text(*place[::-1], f"{value:,.0f}\n{share[place]:.2%}", ha="center", va="center", color=ink)
axes.set_xticks([0, 1], ["passed", "called fraud"])
axes.set_yticks([0, 1], NAMES)
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
say(axes, f"Test rows at the threshold {choice.threshold:.3f}: transactions, % of the class", "", "")

# %% [markdown]
# ### Money
#
# Transactions in falling order of score: whoever looks at so many of them finds so many of the frauds, and so
# much of their money. Few frauds are large, so the line of the money goes in steps, and its interval above is wide.

# %%
curve = groups.ranking.curve(groups.sizes)
figure, axes = plt.subplots()
axes.plot(curve.alerts, curve.recall * 100, color=COLOURS[1], lw=2, label="frauds")
lost = 0 if test_amounts is None else (test_amounts * test_labels).sum()
if lost > 0:
    by_score = groups.ranking.curve(groups.sizes * groups.amounts)  # each fraud weighs its amount, other rows nothing
    axes.plot(curve.alerts, by_score.recall * 100, color=GREEN, lw=2, ls="--", label="their money")
    print(
        f"At the threshold {metrics.amount_caught.value:,.0f} of {lost:,.0f} are caught (currency of the account), "
        f"with {metrics.false_positives.value:.0f} false alarms."
    )
alarms = metrics.true_positives.value + metrics.false_positives.value
axes.axvline(alarms, color="black", lw=1, label=f"threshold: {alarms:,.0f} alarms")
axes.set(xscale="log", ylim=(0, 102), xlim=(1, len(test_labels)))
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
say(axes, "What is found by looking at the highest scores", "transactions looked at (logarithmic)", "% found")

# %% [markdown]
# ## Compare
#
# With a plain `RandomForestClassifier(100)` of scikit-learn, fitted on the same features of the same rows, and judged
# on the same test rows in pairs. Recall is compared at equal precision, so that no threshold helps either side.

# %%
plain_path, plain_features = encode.fit(dataset, parts.train, plan.recipe)
plain = RandomForestClassifier(100, random_state=plan.recipe.seed, n_jobs=plan.jobs)
plain.fit(plain_features, dataset.labels[parts.train])
plain_scores = train.score(plain, encode.features_of(plain_path, dataset, parts.test))

average, recall = paired.compare(scores, plain_scores, test_labels, precision)
differences = {"average precision": average, f"recall at precision {precision:g}": recall}
figure, axes = plt.subplots(figsize=(9, 1.9))
intervals(axes, differences)
say(axes, "This forest beside a plain one, on the same test rows", "difference, 95 % interval", "")
told = pd.DataFrame(
    [(one.challenger, one.champion, one.value, one.low, one.high) for one in differences.values()],
    index=list(differences),
    columns=["this forest", "a plain one", "difference", "95 % from", "to"],
)
told.style.format("{:.3f}")

# %% [markdown]
# Where an interval holds zero, these test rows do not tell the two apart. More about it:
# [results over several splits](../docs/results.md), [how a challenger is judged in production](../docs/gate.md).
#
# ## Score over HTTP
#
# The forest is saved to the notebook's own model store and served as in production, by `python -m training serve` on a
# free port. Test rows are sent as JSON, and what comes back is compared with the scores above.

# %%
version = run.save(plan, dataset, judged).model_version


@contextmanager
def service() -> Iterator[str]:
    """The address of a service that serves the model, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kept = [name for name in os.environ if not name.startswith("FRAUD_") or name.startswith("FRAUD_KEY_SECRET")]
    own = {name: os.environ[name] for name in kept}  # a model with keys starts with their secret alone
    own |= {"FRAUD_MODEL": f"fraud_detector:{version}", "FRAUD_WORKERS": "1", "FRAUD_DRAIN_SECONDS": "0"}
    command = [sys.executable, "-m", "training", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL) as server:
        try:
            yield _ready(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()


def _ready(url: str, server: subprocess.Popen, seconds: float = 60) -> str:
    for _ in range(int(seconds / 0.2)):
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return url
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} is not ready; what the service says stands above")


def as_json(name: str, value: Any) -> Any:
    """A value of a column as a request has it."""
    column = schema.columns[name]
    if pd.isna(value):
        return None
    if column.kind == "time" and not example.counts_seconds(column):
        return example.written(datetime.fromtimestamp(value, ZoneInfo(column.zone or "UTC")), column)
    return bool(value) if column.kind == "boolean" else value


# %%
SENT = 2000  # test rows, in calls of 500
sent = parts.test[:: max(1, len(parts.test) // SENT)][:SENT]
table = dataset.frame(sent)
for place, name in enumerate(schema.inputs):
    if schema.columns[name].kind == "time":
        table[name] = dataset.rows[sent, place]
names = [name for name in example.sent(schema) if name in table]
transactions = [
    {name: as_json(name, value) for name, value in zip(names, row, strict=True)}
    for row in table[names].astype(object).to_numpy()
]
with service() as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
    sample = example.plain(schema, judged.features.encoding.levels)
    answer = client.post("/predict", json=sample).raise_for_status().json()
    answers = []
    for start in range(0, len(transactions), 500):
        call = client.post("/predict_batch", json={"transactions": transactions[start : start + 500]})
        answers += call.raise_for_status().json()["predictions"]
    endpoints = sorted(client.get("/docs.json").json()["paths"])

over_http = np.array([one["fraud_probability"] for one in answers])
same = over_http == scores[np.searchsorted(parts.test, sent)]
print(f"An invented transaction: {json.dumps({name: answer[name] for name in ('fraud_probability', 'is_fraud')})}")
print(f"{len(same):,} test rows: {same.sum():,} scores equal to the bit")
print(f"Endpoints: {', '.join(endpoints)}")

# %% [markdown]
# A schema with `[[history]]` would score otherwise here: this service has no store of what its keys did
# ([serve them](../docs/history.md#serve)).
#
# ## Go on
#
# The notebook's model goes with its store. `python -m training run --data FILE --schema mine.toml`, with the settings
# that were chosen above, gives the same forest and figures, saved to your own store; then
# [serve](../README.md#serve), [publish](../README.md#publish-and-pull), [retrain](../README.md#retrain).

# %%
STORE.close()
