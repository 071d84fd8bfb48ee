"""What a state holds, in words."""

import pytest

from fraud.history.layout import FURTHEST
from fraud.replay.readable import instant


@pytest.mark.parametrize(
    ("time_us", "said"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_250_000, "2023-11-14T22:13:20.250000Z"),
        (FURTHEST, "4000000000000 seconds since 1970"),
        (-FURTHEST, "-4000000000000 seconds since 1970"),
    ],
)
def test_a_time_that_no_calendar_has_is_said_in_seconds(time_us, said):
    """A column that counts seconds without bounds may hold one."""
    assert instant(time_us) == said
