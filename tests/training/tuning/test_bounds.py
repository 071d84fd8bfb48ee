"""What a search may take, and what is cut for it."""

import pytest

from fraud.errors import FraudError
from tests.training.tuning.small import RECIPE, by, searched, tried
from training import train


@pytest.fixture
def pieces(monkeypatch):
    """How many trees were added at a time, each time, as the forests grew."""
    added, fit = [], train.fit

    def counting(*arguments, progress, **options):
        def told(trees):
            added.append(trees)
            progress(trees)

        return fit(*arguments, progress=told, **options)

    monkeypatch.setattr(train, "fit", counting)
    return added


def test_the_time_is_kept_by_piece_of_work(source, pieces):
    """A trial that would overrun ends after the piece it is at, and judging comes within the time too."""
    limit = 111
    found, said = searched(source, "timed", trials=1_000, minutes=limit / 60, clock=lambda: len(pieces))
    history = tried(found)
    assert history[-1]["why"] == "time"
    assert "pruned (time)" in said
    assert 1 < len(history) < 100
    assert limit * 0.5 < len(pieces) <= limit
    assert max(pieces) == 2  # trees, on one core
    done = len(pieces)
    again, _ = searched(source, "timed", trials=1_000, minutes=limit / 60, clock=lambda: len(pieces))
    assert tried(again) == history
    assert len(pieces) == done
    more, _ = searched(source, "timed", trials=1_000, minutes=2 * limit / 60, clock=lambda: len(pieces))
    assert len(tried(more)) > len(history)


def test_time_is_kept_for_judging_each_of_the_first_and_the_best_once(source, pieces):
    """As much as they took: what is left is used."""
    dear = {"recipe": RECIPE.model_copy(update={"trees": 20})}
    searched(source, "kept", trials=2, training=dear)
    done, judged = tried(searched(source, "kept", trials=2, training=dear)[0]), len(pieces)
    assert [trial["state"] for trial in done] == ["complete", "complete"]
    first, second = 4 + 3 * 5, 3 * 10  # two trees a piece: to know the cost of either, and of each fold
    assert judged == first + second + 3 * 5 + 3 * 10
    pieces.clear()
    limit = 2 * (first + second) + 3
    found, _ = searched(source, "bound", trials=99, minutes=limit / 60, training=dear, clock=lambda: len(pieces))
    whys = [trial["why"] for trial in tried(found)]
    assert (whys[:2], set(whys[2:])) == ([None, None], {"time"})
    assert len(pieces) <= limit


def test_too_little_time_for_the_defaults_is_a_stated_error(source, pieces):
    """With what to give more of; given that, the defaults come first again."""
    with pytest.raises(FraudError, match="did not come to their end within the time given: give more with --minutes"):
        searched(source, "short", minutes=5 / 60, clock=lambda: len(pieces))
    assert pieces == [2, 2, 2]  # as judging would take as much
    with pytest.raises(FraudError, match="did not come to their end within the time given: give more with --minutes"):
        searched(source, "short", minutes=3 / 60, clock=lambda: len(pieces))
    assert len(pieces) == 3
    found, _ = searched(source, "short", trials=1)
    assert [trial["state"] for trial in tried(found)] == ["fail", "complete"]
    assert by(found["families"]["forest"]["history"][1]["settings"]) == RECIPE


def test_too_little_memory_for_the_rows_is_a_stated_error(source):
    """Before any trial."""
    with pytest.raises(FraudError, match=r"of 0\.01 GB: give more with --memory-gb"):
        searched(source, "tight", memory_gb=0.01)


def test_scoring_costs_no_more_than_asked_for(long, source):
    """Beside the defaults, in nodes that a row passes: deeper trees are fewer."""
    cheap, _ = searched(source, "cheap", trials=4, most_cost=1.0)
    for found, most in ((cheap, 1.0), (long[0], 3.0)):
        costs = [trial["cost"] for trial in tried(found)]
        assert costs[0] == pytest.approx(1.0)
        assert 0.8 * most < max(costs) <= most + 1e-6


def test_hopeless_settings_are_pruned_between_folds(long):
    """Those below the median of what others had after as many folds."""
    found, said = long
    pruned = [trial for trial in tried(found) if trial["why"] == "median"]
    assert pruned
    assert all(0 < len(trial["after_each_fold"]) < 3 for trial in pruned)
    assert "pruned (median)" in said
