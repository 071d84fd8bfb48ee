"""The Markdown that a workflow run shows of a retrain."""

import html
import json

import pytest
from markdown_it import MarkdownIt

from training.shipping import summary

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})

FIGURE = {"value": 0.8, "low": 0.7, "high": 0.9}
NONE = {"value": None, "low": None, "high": None}


def outcome(promoted, champion="old", figures=True, detail="0.800, at least 0.500 needed"):
    """As ``retrain`` prints it."""
    judged = dict.fromkeys(summary.FIGURES, FIGURE) | {"precision": NONE}
    sides = {"challenger": judged, "champion": judged} if figures else {}
    return {
        "challenger": "new",
        "champion": "new" if promoted else champion,
        "promoted": promoted,
        "verdict": {
            "passed": promoted,
            "reasons": [
                {"rule": "scorer size", "passed": True, "detail": "1 MiB"},
                {"rule": "recall floor", "passed": promoted, "detail": detail},
            ],
            "figures": {"rows": 100, "frauds": 9, "left_out": 0, **sides},
        },
    }


def test_a_promotion_is_told_with_figures_and_intervals():
    """Challenger and champion side by side, 95 % intervals in brackets, a dash where a figure is not defined."""
    text = summary.markdown(outcome(promoted=True))
    assert text.startswith("## Retraining: `new` promoted\n")
    assert "| average precision | 0.800 [0.700, 0.900] | 0.800 [0.700, 0.900] |" in text
    assert "| precision | – | – |" in text  # noqa: RUF001


def test_a_refusal_names_the_champion_that_stays_and_every_reason():
    """Rules that held are told too."""
    text = summary.markdown(outcome(promoted=False))
    assert "refused" in text.splitlines()[0]
    assert "`old` stays champion." in text
    assert "| ok | scorer size | 1 MiB |" in text
    assert "| **REFUSED** | recall floor | 0.800, at least 0.500 needed |" in text


def test_a_refusal_before_the_first_champion_says_that_nothing_ships():
    """There is no model to build an image of."""
    assert "no champion yet" in summary.markdown(outcome(promoted=False, champion=None))


WAITS = {"why": "FRAUD_RETRAIN_APPROVAL=manual", "approve": "python -m training promote new"}


@pytest.mark.parametrize(("champion", "until"), [("old", "`old` stays champion until"), (None, "no champion until")])
def test_what_waits_for_approval_is_told_with_the_command(champion, until):
    """Why it waits, and what to run; it is neither refused nor promoted."""
    text = summary.markdown(outcome(promoted=False, champion=champion) | {"waits": WAITS})
    assert text.startswith("## Retraining: `new` passed and waits for approval\n")
    assert until in text
    assert "Why: FRAUD_RETRAIN_APPROVAL=manual." in text
    assert "```sh\npython -m training promote new --reason" in text


def test_a_challenger_that_was_refused_before_is_told_as_such():
    """Else it would look like another one."""
    text = summary.markdown(outcome(promoted=False) | {"judged_before": True})
    assert "gave it before; nothing was published" in text


def test_without_frauds_there_is_no_table_of_figures():
    """The gate then has nothing but its first reason."""
    assert "average precision" not in summary.markdown(outcome(promoted=False, figures=False))


def test_a_bar_in_a_detail_does_not_break_the_table():
    """Markdown ends a cell at it."""
    assert r"a \| b" in summary.markdown(outcome(promoted=False, detail="a | b"))


def test_the_alert_that_started_it_is_told():
    """After the headline, in the order of importance; what is not known of the payload is left out."""
    told = summary.cause(json.dumps({"severity": "warning", "alert": "FraudScoreDrift", "model_version": "ab", "x": 1}))
    assert told == "Started by an alert:\n\n- alert: FraudScoreDrift\n- model version: ab\n- severity: warning"
    text = summary.markdown(outcome(promoted=True), told)
    assert text.index("promoted") < text.index("FraudScoreDrift") < text.index("average precision")


def test_a_run_that_no_event_started_says_nothing_of_one():
    """Push, schedule and button give an empty cause."""
    assert summary.cause("") == ""
    assert "Started" not in summary.markdown(outcome(promoted=True))


@pytest.mark.parametrize("payload", ["null", "{}", "[]", "{", "[" * 100_000, '{"alert": {"a": 1}}', '{"alert": null}'])
def test_a_cause_that_cannot_be_read_fails_nothing(payload):
    """The event may be sent by hand, and the retrain is done by then."""
    assert summary.cause(payload) == "Started by an event that does not say why."


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x>",
        "[a](http://b)",
        "**a**",
        "`a`",
        "a | b",
        "a\n# b",
        "a\n\n- b",
        "https://b.c",
        "\\[a](b)",
        "&lt;",
        "\u202ea",
    ],
)
def test_the_text_of_a_cause_is_shown_as_it_is(text):
    """No mark of Markdown or HTML takes effect, and no line is added."""
    *_, line = lines = summary.cause(json.dumps({"alert": text})).splitlines()
    assert len(lines) == 3
    plain = " ".join(text.replace("\u202e", "").split())
    assert MARKDOWN.renderInline(line.removeprefix("- alert: ")) == html.escape(plain)


def test_a_long_cause_is_cut():
    """GitHub shows a summary of 1 MiB at most."""
    assert summary.cause(json.dumps({"alert": "a" * 70_000})).endswith(": " + "a" * summary.MAX_CAUSE_TEXT)
