"""The thread that brings metrics up to date."""

import threading

from monitoring.ticker import Ticker


def test_work_goes_on_after_a_failure(caplog):
    """Of itself and of what comes before it; each failure is logged."""
    rounds, second = [], threading.Event()

    def fails():
        rounds.append(1)
        raise OSError("the file is gone")

    def works():
        if len(rounds) > 1:
            second.set()

    ticker = Ticker(0.001, fails, works)
    ticker.start()
    assert second.wait(5)
    ticker.close()
    assert not ticker._thread.is_alive()
    assert "the file is gone" in caplog.text


def test_a_long_pause_does_not_hold_up_the_end():
    """Nothing is done before the first pause is over, nor once it is closed."""
    done = []
    ticker = Ticker(3600, lambda: done.append(1))
    ticker.start()
    ticker.close()
    assert not ticker._thread.is_alive()
    assert done == []
