"""Nothing that goes wrong with one part, and no time that it takes, keeps the rest from being looked at."""

from threading import Event

import pytest

from fraud.errors import ModelError
from training.doctor.part import Part, bounded


@pytest.mark.parametrize(
    ("error", "finding"),
    [
        (ModelError("it is\nnot sound; mend it"), "it is not sound; mend it"),
        (PermissionError(13, "Permission denied"), "could not be looked at: PermissionError ([Errno 13] Permission"),
        (KeyError("odd"), "could not be looked at: KeyError ('odd')"),
    ],
)
def test_what_is_raised_is_a_finding_of_one_line(error, finding):
    """Beside what was found before it."""

    def look(part):
        part.find("first")
        raise error

    first, second = bounded(Part("odd"), look, seconds=60).findings
    assert first == "first"
    assert second.startswith(finding)
    assert len(second.splitlines()) == 1


def test_a_part_that_hangs_is_left_with_what_was_seen():
    """It says so, and what it finds later changes nothing."""
    goes_on, ended = Event(), Event()

    def look(part):
        part.facts["seen"] = 1
        part.find("first")
        goes_on.wait()
        part.find("late")
        ended.set()

    part = bounded(Part("slow"), look, seconds=0.05)
    goes_on.set()
    assert ended.wait(60)
    assert part.as_dict() == {
        "state": "wrong",
        "seen": 1,
        "findings": ["first", "was not looked at to its end within 0.05 s; --seconds gives it longer"],
    }


def test_what_is_not_set_is_not_wrong():
    """It is said as such."""
    assert Part("s3", is_set=False).as_dict() == {"state": "not set", "findings": []}
