"""What a run says on stderr."""

import io

import pytest
from rich.console import Console

from fraud.command import console
from training.console import SECONDS_BETWEEN_LINES, Steps

NAMES = ["data[new].csv", "a[/b].csv", "a[bold]b.csv", "a:smile:.csv", "a\\[b].csv", "[/]"]


def said(tell):
    """By steps on a console that would take markup."""
    out = io.StringIO()
    tell(Steps(Console(file=out, width=80, soft_wrap=True)))
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "tell",
    [
        lambda steps, text: steps.start("load", text),
        lambda steps, text: steps.done(text),
        lambda steps, text: steps.say(text),
        lambda steps, text: steps.warn(text),
        lambda steps, text: steps.judge(text, passed=False),
        lambda steps, text: steps.quote([text]),
    ],
    ids=["start", "done", "say", "warn", "judge", "quote"],
)
def test_names_are_shown_as_they_are(tell, name):
    """No part of what a step is told is markup or the name of a picture."""
    assert f" {name}" in f" {said(lambda steps: tell(steps, name))}"


def test_a_rule_of_a_verdict_says_whether_it_passed():
    """In words, for those who see no colour."""
    assert said(lambda steps: steps.judge("floor", passed=True)) == "  ok floor\n"
    assert said(lambda steps: steps.judge("floor", passed=False)) == "  REFUSED floor\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_console_shows_names_as_they_are(capsys, name):
    """Tables and words of all commands go through this one, to stderr: standard output holds the result only."""
    console().print(name)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", f"{name}\n")


def grown(console, seconds_a_tree):
    """What is said while ten trees grow, each in so many seconds of the clock."""
    now = 0.0
    with Steps(console, lambda: now).trees("one", 10) as add:
        for _ in range(10):
            now += seconds_a_tree
            add(1)
    return console.file.getvalue()


def test_a_long_step_says_how_far_it_is_where_there_is_no_bar():
    """Now and then, and not of its end, which has a line of its own."""
    slow = grown(Console(file=io.StringIO(), width=80), SECONDS_BETWEEN_LINES / 2)
    lines = [f"  {done} of 10 trees ({done * SECONDS_BETWEEN_LINES / 2:.0f} s)" for done in (2, 4, 6, 8)]
    assert slow.splitlines() == ["fit one ...", *lines, "  10 trees (75.0 s)"]
    quick = grown(Console(file=io.StringIO(), width=80), SECONDS_BETWEEN_LINES / 11)
    assert quick.splitlines() == ["fit one ...", "  10 trees (13.6 s)"]


def test_a_bar_says_it_on_a_terminal():
    """Without further lines, which would break it."""
    said = grown(Console(file=io.StringIO(), width=80, force_terminal=True), SECONDS_BETWEEN_LINES)
    assert "of 10 trees" not in said
