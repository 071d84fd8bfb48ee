"""The command as a user meets it: one JSON document, a line a finding, and the exit code."""

import json

import pytest

from fraud import command
from fraud.choice import local
from training import __main__ as program
from training.doctor import examine


def doctor(capsys):
    code = command.main(program.parser(), ["doctor"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.err


def test_all_is_well(home, versions, capsys):
    """What is not configured is said as such, and not looked at."""
    code, document, error = doctor(capsys)
    assert (code, document["well"], error) == (0, True, "all is well; not set: s3, database, histories\n")
    assert (document["s3"]["state"], document["store"]["served"]) == ("not set", versions[1])


def test_each_finding_is_a_line_with_its_part_and_hides_no_other(home, versions, capsys, monkeypatch):
    """A setting that is none, a damaged model, another schema; exit code 1."""
    monkeypatch.setenv("FRAUD_NOPE", "1")
    (home / "shop.toml").write_text('name = "shop"\n[roles]\nlabel = "bad"\n[columns.total]\nkind = "number"\n')
    monkeypatch.setenv("FRAUD_SCHEMA", str(home / "shop.toml"))
    (home / "models" / "fraud_detector" / versions[0] / "saved_model.pkl").write_bytes(b"")
    (home / local.FILE).write_text(versions[1])
    code, document, error = doctor(capsys)
    assert (code, document["well"]) == (1, False)
    first, second, third = error.splitlines()
    assert first.startswith("settings: FRAUD_NOPE is not a setting")
    assert second.startswith(f"store: fraud_detector:{versions[0]}: saved_model.pkl is not the file")
    assert third.startswith(f"agreement: FRAUD_SCHEMA names another schema than that of the model {versions[1]}")


def test_what_nobody_thought_of_is_a_finding(home, capsys, monkeypatch):
    """Not a traceback, and the rest is looked at."""
    monkeypatch.setattr(examine.local_store, "look", lambda *_: 1 / 0)
    monkeypatch.setenv("FRAUD_NOPE", "1")
    first, second = doctor(capsys)[2].splitlines()
    assert first.startswith("settings: ")
    assert second == "store: could not be looked at: ZeroDivisionError (division by zero)"


def test_help_has_examples(capsys):
    """And says that nothing is changed."""
    with pytest.raises(SystemExit):
        program.parser().parse_args(["doctor", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Nothing is changed" in said
    assert "examples: python -m training doctor" in said
