"""Retraining that waits for a person, against real S3: what passed is promoted by hand, and it is kept by whom."""

import pytest

from tests.e2e.conftest import BUCKET
from tests.e2e.test_registry import Commands
from tests.e2e.test_retrain import SOURCE

pytestmark = pytest.mark.e2e

FIT = ("--data", SOURCE, "--trees", "40", "--max-samples", "0.2")
MANUAL = {"FRAUD_RETRAIN_APPROVAL": "manual", "FRAUD_ACTOR": "ann"}


@pytest.fixture(scope="module")
def waiting(s3, tmp_path_factory):
    """A stratified champion, and a challenger of another seed that passed and waits; what that retrain answered."""
    home = tmp_path_factory.mktemp("approval") / "home"
    command = Commands(home, {**s3.env, "FRAUD_S3_URI": f"s3://{BUCKET}/approval"})
    code, first, error = command("retrain", *FIT, "--split", "stratified", "--split-seed", "3")
    assert code == 0, error
    return command, first["champion"], command("retrain", *FIT, "--seed", "1", **MANUAL)


def test_a_plain_retrain_holds_out_what_its_champion_has_not_seen(waiting):
    """No split is named, and the champion's was stratified with a seed of its own: no row had to be left out."""
    _, champion, (code, outcome, error) = waiting
    assert code == 0, error
    assert f"rows are held out as for the champion {champion}: stratified, seed 3" in error
    assert outcome["verdict"]["figures"]["left_out"] == 0


def test_a_split_on_which_nothing_can_be_judged_is_refused_with_what_to_do(waiting):
    """By time most rows were trained on; the reason names the split that the champion does not know."""
    code, outcome, error = waiting[0]("retrain", *FIT, "--split", "time")
    assert code == 3, error
    [detail] = [one["detail"] for one in outcome["verdict"]["reasons"] if one["rule"] == "enough frauds to judge"]
    assert detail.endswith("the champion does not know what --split stratified --split-seed 3 holds out")


def test_what_passed_waits_and_says_how_to_promote_it(waiting):
    """Exit code 0, published with its verdict, and the champion stands."""
    command, champion, (code, outcome, error) = waiting
    assert (code, outcome["promoted"], outcome["champion"]) == (0, False, champion), error
    version = outcome["challenger"]
    approve = f"python -m training promote {version}"
    assert outcome["waits"] == {"why": "FRAUD_RETRAIN_APPROVAL=manual", "approve": approve}
    assert f"{version} passed and waits (FRAUD_RETRAIN_APPROVAL=manual): {approve}" in " ".join(error.split())
    row = next(one for one in command("list")[1]["models"] if one["model_version"] == version)
    assert (row["published"], row["verdict"], row["local"]) == (True, "passed", False)


def test_the_next_retrain_is_judged_beside_the_champion_still(waiting):
    """The same one waits on, under its version; another one does not see it."""
    command, champion, (_, outcome, _) = waiting
    code, again, error = command("retrain", *FIT, "--seed", "1", **MANUAL)
    assert (code, again["challenger"], again["judged_before"]) == (0, outcome["challenger"], True), error
    assert again["waits"] == outcome["waits"]
    code, other, error = command("retrain", *FIT, "--seed", "2", **MANUAL)
    assert code == 0, error
    assert other["verdict"]["figures"]["champion_version"] == champion != other["challenger"]


def test_approval_and_a_way_back_are_in_the_history(waiting):
    """By whom, and that the gate had passed it; and what was gone back behind is not promoted again by itself."""
    command, champion, (_, outcome, _) = waiting
    version = outcome["challenger"]
    code, event, error = command("promote", version, "--reason", "approved", **MANUAL)
    assert code == 0, error
    assert (event["by"], event["verdict"], event["override"]) == ("ann", "passed", False)
    code, _, error = command("promote", version, "--reason", "approved once more")
    assert code == 1
    assert "is the champion already" in error
    assert command("rollback", "--reason", "precision fell")[0] == 0
    code, again, error = command("retrain", *FIT, "--seed", "1")
    assert (code, again["champion"], again["challenger"]) == (0, champion, version), error
    assert again["waits"]["why"] == "it was champion before, and somebody went back behind it"
