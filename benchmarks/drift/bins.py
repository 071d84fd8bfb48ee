"""``python -m benchmarks.drift.bins``: the index of chance, for bins that are not ten equal ones.

Windows and reference are drawn from one population, so every alarm is false. Categories have rare levels, levels that
the reference lacks, and a bin of unseen texts; a number that may be missing has eleven bins. Needs no data.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fraud.inputs.encoding import FEWEST
from monitoring.offline.drift import THRESHOLD_FEATURE, psi_by_row

ROWS = (300, 500, 1_000, 2_000)
REFERENCE_ROWS = (2_000, 100_000)
FEATURES = 30
SPREADS = {
    "10 equal": np.full(10, 0.1),
    "11 equal": np.full(11, 1 / 11),
    "deciles, 1 % missing": np.append(np.full(10, 0.099), 0.01),
    "deciles, 0.1 % missing": np.append(np.full(10, 0.0999), 0.001),
    "10, each half of the one before": 0.5 ** np.arange(1, 11) / (1 - 0.5**10),
    "10, five of 0.01 %": np.append(np.full(5, 0.1999), np.full(5, 1e-4)),
    "10, five of 0.1 %": np.append(np.full(5, 0.199), np.full(5, 1e-3)),
    "boolean": np.array([0.5, 0.5]),
}
"""Shares of the population, by what they stand for."""


def indexes(
    shares: NDArray[np.float64], rows: int, reference_rows: int, windows: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """The index of each window of ``rows``, each with a reference of its own, ``(windows,)``."""
    actual = random.multinomial(rows, shares, size=windows)
    return psi_by_row(actual, random.multinomial(reference_rows, shares, size=windows))


def unseen(rows: int, random: np.random.Generator, ids: int = 50_000) -> tuple[float, float]:
    """Of ids by Zipf's law, those too rare to be learnt: their share of so many training rows, and of new rows."""
    shares = 1 / np.arange(1, ids + 1)
    shares /= shares.sum()
    counts = random.multinomial(rows, shares)
    rare = counts < FEWEST
    return counts[rare].sum() / rows, shares[rare].sum()


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=300_000, metavar="N", help="of each size (default 300000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    each = 0.999 ** (1 / FEATURES)
    print(
        f"99.9 % of the largest of {FEATURES} independent features, {arguments.windows} windows each; in brackets what"
    )
    print(f"chi-square says, and the share of single indexes above {THRESHOLD_FEATURE}")
    for reference_rows in REFERENCE_ROWS:
        print(f"\n| bins, reference of {reference_rows:,} | " + " | ".join(f"{rows:,} rows" for rows in ROWS) + " |")
        print("| --- " * (len(ROWS) + 1) + "|")
        for name, shares in SPREADS.items():
            cells = []
            for rows in ROWS:
                found = indexes(shares, rows, reference_rows, arguments.windows, random)
                says = stats.chi2.ppf(each, len(shares) - 1) * (1 / rows + 1 / reference_rows)
                above = (found > THRESHOLD_FEATURE).mean()
                cells.append(f"{np.quantile(found, each):.4f} ({says:.4f}, {above:.5%})")
            print(f"| {name} | " + " | ".join(cells) + " |")
    print()
    for rows in (3_000, 100_000):
        training, new = unseen(rows, random)
        print(
            f"{rows:,} training rows of ids by Zipf's law: {training:.1%} are of rare ones, and {new:.1%} of new rows"
        )


if __name__ == "__main__":
    main()
