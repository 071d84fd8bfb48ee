"""Models beside one another, by the command: on rows that none was trained on, paired, as the gate judges them."""

import json

import numpy as np
import pytest

from fraud import command, home, schema, store
from fraud.inputs.keys import KeyHasher
from fraud.schema import default
from tests import shop_schema
from tests.histories import SCHEMA, SECRET, payments
from training import __main__ as program
from training import data, run, split
from training.console import Steps
from training.dataset import row_hashes
from training.histories.going_on import OVER_THEMSELVES
from training.judging import contender, contest, evaluate, paired
from training.judging.contest import ChampionModel
from training.judging.gate import Policy, decide
from training.run import TrainingPlan
from training.train import DEFAULTS

SOURCE, OTHERS = "sample:4000", "sample:2000:7"
HASHER = KeyHasher(SECRET)


def recipe(trees=15, **changes):
    return DEFAULTS.model_copy(update={"trees": trees, "folds": 2} | changes)


def plan(**changes):
    return TrainingPlan(**{"sources": [SOURCE], "recipe": recipe(), "jobs": 1, "protocol": "stratified"} | changes)


def made(**changes):
    return run.run(plan(**changes), Steps()).model_version


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Intervals are looked at elsewhere; these take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for function in (evaluate.evaluate, paired.compare, paired.alone):
            patch.setitem(function.__kwdefaults__, "resamples", 50)
        yield


@pytest.fixture(scope="module")
def models():
    """Two that differ by their trees, and hold out the same rows; one that holds out the latest."""
    return made(), made(recipe=recipe(3)), made(protocol="time")


def call(capsys, *arguments):
    """Exit code, parsed stdout (None when empty) and stderr of ``compare``."""
    code = command.main(program.parser(), ["compare", *arguments])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else None, said.err


def test_the_gate_says_the_same(capsys, models):
    """Of a challenger beside a champion: the same rows, the same figures of both, the same differences."""
    dataset = data.load([SOURCE], default())
    own = plan(recipe=recipe(3))
    judged = run.judge(own, dataset, Steps())
    manifest = run.save(own, dataset, judged)
    entry = store.get(f"fraud_detector:{models[0]}")
    served = store.open_served(entry)
    champion = ChampionModel(models[0], served.manifest, store.row_hashes(entry), served, None)
    case = contest.case(dataset, judged, manifest, champion, schema_change_declared=False)
    figures = json.loads(json.dumps(decide(case, Policy()).figures))
    code, result, err = call(capsys, models[0], models[1], "--data", SOURCE)
    assert code == 0
    assert (result["rows"], result["frauds"]) == (figures["rows"], figures["frauds"])
    first, second = result["models"]
    assert (first["metrics"], second["metrics"]) == (figures["champion"], figures["challenger"])
    assert first["differences"] is None
    theirs = {"own": "challenger", "first": "champion"}
    for name, one in second["differences"].items():
        assert {theirs.get(key, key): value for key, value in one.items()} == figures["differences"][name]
    assert f"less {models[0]}" in err


def test_rows_that_any_was_trained_on_are_left_out(capsys, models):
    """And counted: of each model, and of all."""
    fitted = [set(store.row_hashes(store.get(f"fraud_detector:{version}"))) for version in (models[0], models[2])]
    code, result, _ = call(capsys, models[0], models[2], "--data", SOURCE, OTHERS)
    assert code == 0
    assert [model["trained_rows"] for model in result["models"]] == [len(rows) for rows in fitted]
    assert result["left_out"] == len(fitted[0] | fitted[1]) > len(fitted[0])
    assert result["rows"] == 4000 + 2000 - result["left_out"]


def test_where_rows_say_little_it_points_to_their_recipes(capsys, models):
    """In the document and behind the tables: 80 % were trained on, and what is left has few frauds."""
    code, result, err = call(capsys, models[0], models[1], "--data", SOURCE)
    assert code == 0, err
    few = f"{result['frauds']} frauds are few to judge by, and {result['left_out']} of 4000 rows are left out"
    assert result["frauds"] < Policy.min_frauds
    assert result["advice"].startswith(f"{few}: give more rows that none was trained on")
    assert result["advice"].endswith("or compare their recipes on all rows with --refit 5")
    assert err.rstrip().endswith(f"warning: {result['advice']}")


def test_where_recipes_are_one_it_does_not_point_to_them(capsys, models):
    """They cannot be fitted again: later rows are all there is, whether few are left or none."""
    _, result, err = call(capsys, models[0], models[2], "--data", OTHERS)
    assert result, err
    assert result["advice"].endswith(": give more rows that none was trained on")
    _, _, err = call(capsys, models[0], models[2], "--data", SOURCE)
    assert err.rstrip().endswith("give more rows that none was trained on")


def test_where_few_frauds_came_later_it_asks_for_more(capsys, models):
    """No row was trained on, so other folds of these would tell as little."""
    _, result, _ = call(capsys, models[0], models[1], "--data", OTHERS)
    assert (result["left_out"], result["frauds"] < Policy.min_frauds) == (0, True)
    assert result["advice"].endswith("or compare their recipes on data of more frauds with --refit 5")


def test_where_rows_say_enough_there_is_no_advice(capsys, models):
    _, result, err = call(capsys, models[0], models[1], "--data", "sample:20000:7")
    assert (result["frauds"] >= Policy.min_frauds, result["advice"]) == (True, None)
    assert "--refit" not in err


def test_each_is_held_to_the_first(capsys, models):
    """Who is named first changes the sign; a third is compared with the first as well."""
    _, forth, _ = call(capsys, *models, "--data", OTHERS)
    _, back, _ = call(capsys, models[2], models[0], "--data", OTHERS)
    [one, other] = forth["models"][2]["differences"], back["models"][1]["differences"]
    assert one["average precision"]["value"] == pytest.approx(-other["average precision"]["value"])
    assert forth["models"][1]["differences"].keys() == forth["models"][2]["differences"].keys()
    assert forth["precision"] == forth["models"][0]["metrics"]["precision"]["value"]


def test_without_data_the_rows_are_those_of_the_first(capsys, models):
    _, result, err = call(capsys, models[0], models[1])
    assert result["sources"] == [SOURCE]
    assert f"no --data: the rows that {models[0]} was made of" in err


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda frame, held: frame[~held], "0 of {n} rows are left, 0 of them frauds"),
        (lambda frame, held: frame[~held | (frame["Class"] == 0)], "rows are left, 0 of them frauds"),
    ],
    ids=["no row", "no fraud"],
)
def test_too_few_rows_are_a_stated_error(capsys, models, tmp_path, rows, words):
    """With the counts and what to do."""
    dataset = data.load([SOURCE], default())
    held = np.isin(np.arange(4000), split.split(dataset, "stratified").test)
    kept = rows(dataset.frame(np.arange(4000)), held)
    kept.to_parquet(tmp_path / "rows.parquet")
    code, result, err = call(capsys, models[0], models[1], "--data", str(tmp_path / "rows.parquet"))
    assert (code, result) == (command.EXIT_ERROR, None)
    assert words.format(n=len(kept)) in err
    assert f"{models[0]} on {(~held).sum()}, {models[1]} on {(~held).sum()}" in err
    assert "or compare their recipes on all rows with --refit 5" in err


def test_what_cannot_be_compared_is_said(capsys, models):
    """An unknown model, one that is named twice, and one whose training rows nobody knows."""
    assert "the model store has no fraud_detector:nosuch" in call(capsys, models[0], "nosuch")[2]
    assert "one model is named twice" in call(capsys, models[0], f"fraud_detector:{models[0]}")[2]
    forgotten = made(recipe=recipe(2))
    store.rows_path(forgotten).unlink()
    code, _, err = call(capsys, models[0], forgotten)
    assert code == command.EXIT_ERROR
    assert f"{forgotten}: its training rows are not known here" in err


def test_one_model_is_wrong_usage(capsys, models):
    with pytest.raises(SystemExit) as ended:
        call(capsys, models[0])
    assert ended.value.code == 2
    assert "`evaluate` judges one" in capsys.readouterr().err


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Rows of the shop, the same without ids, a schema that ignores the age, and a model of either."""
    folder = tmp_path_factory.mktemp("shop")
    frame = shop_schema.generate(1_500)
    frame.to_csv(folder / "shop.csv", index=False)
    frame.drop(columns="order").to_csv(folder / "nameless.csv", index=False)
    text = shop_schema.TEXT.replace('[columns.age]\nkind = "number"\nmissing = true', '[columns.age]\nkind = "ignored"')
    younger = schema.parse(text, "younger.toml")
    source = [str(folder / "shop.csv")]
    return folder, [made(sources=source, schema=own) for own in (shop_schema.SCHEMA, younger)]


def test_models_of_two_schemas_are_judged_on_the_rows_that_both_read(capsys, shop):
    """Each reads the file its own way; the rows that either was fitted on are left out."""
    folder, versions = shop
    code, result, err = call(capsys, *versions, "--data", str(folder / "shop.csv"))
    assert code == 0, err
    assert result["left_out"] >= max(model["trained_rows"] for model in result["models"]) > 0
    assert result["rows"] + result["left_out"] == 1_500
    assert call(capsys, *versions, "--data", str(folder / "nameless.csv"))[0] == 0


def test_models_of_two_zones_are_judged_by_the_ids_of_rows(capsys, tmp_path, monkeypatch):
    """Their times differ; without ids nobody knows that their order does not."""
    monkeypatch.setenv("FRAUD_KEY_SECRET", SECRET)
    frame = payments(3_000)
    frame["at"] = frame["at"].dt.tz_localize(None)
    frame.to_csv(tmp_path / "payments.csv", index=False)
    frame.drop(columns="payment_id").to_csv(tmp_path / "nameless.csv", index=False)
    source, versions = [str(tmp_path / "payments.csv")], []
    for zone in ("UTC", "Europe/Berlin"):
        own = schema.parse(SCHEMA.replace('zone = "UTC"', f'zone = "{zone}"'), f"{zone}.toml")
        versions.append(made(sources=source, schema=own, hasher=HASHER, protocol="time"))
    code, result, err = call(capsys, *versions, "--data", *source)
    assert code == 0, err
    assert result["rows"] + result["left_out"] == 3_000
    code, _, err = call(capsys, *versions, "--data", str(tmp_path / "nameless.csv"))
    assert code == command.EXIT_ERROR
    assert "of which both read the same times" in err


def test_rows_that_two_schemas_do_not_read_alike_are_refused(capsys, shop):
    """Without ids, and with rows that one takes for duplicates: nobody knows which is which."""
    folder, versions = shop
    frame = shop_schema.generate(1_500).drop(columns="order")
    doubled = frame.loc[frame.index.repeat(np.where(frame.index == 700, 2, 1))].reset_index(drop=True)
    doubled.to_csv(folder / "doubled.csv", index=False)
    code, _, err = call(capsys, *versions, "--data", str(folder / "doubled.csv"))
    assert code == command.EXIT_ERROR
    assert "do not read the same rows" in err


def test_a_file_that_one_cannot_read_is_refused(capsys, models, shop):
    """It is said which one, where others can."""
    code, _, err = call(capsys, shop[1][0], models[0], "--data", str(shop[0] / "shop.csv"))
    assert code == command.EXIT_ERROR
    assert err.count("error:") == 1
    assert f"(read for {models[0]}, of the schema creditcard)" in err
    _, _, err = call(capsys, *models[:2], "--data", str(shop[0] / "shop.csv"))
    assert "(read for" not in err


@pytest.fixture
def histories(tmp_path, monkeypatch):
    """Models of the first and of the second third of payments, and the last third as a file."""
    monkeypatch.setenv("FRAUD_KEY_SECRET", SECRET)
    frame, own = payments(3_000), schema.parse(SCHEMA, "cards.toml")
    versions = []
    for end in (1_000, 2_000):
        frame[:end].to_parquet(tmp_path / f"{end}.parquet")
        source = [str(tmp_path / f"{end}.parquet")]
        versions.append(made(sources=source, schema=own, hasher=HASHER, protocol="time"))
    frame[2_000:].to_parquet(tmp_path / "later.parquet")
    return versions, str(tmp_path / "later.parquet"), str(tmp_path / "2000.parquet")


def test_histories_go_on_from_the_newest_state_for_all(capsys, histories):
    """Whichever is named first: what a card did is a fact of the card, not of a model."""
    versions, later, _ = histories
    found = [call(capsys, *order, "--data", later)[1] for order in (versions, versions[::-1])]
    for result in found:
        assert [said.split(" as of")[0] for said in result["histories"]] == [f"the state of {versions[1]}"]
    assert found[0]["models"][0]["metrics"] == found[1]["models"][1]["metrics"]


def test_histories_that_reach_into_the_rows_are_counted_over_these(capsys, histories):
    """Both states hold some of the rows."""
    versions, _, earlier = histories
    code, result, err = call(capsys, *versions, "--data", earlier)
    assert code == 0, err
    assert result["histories"][0].startswith(OVER_THEMSELVES)
    home.history_path(versions[0]).unlink()
    home.history_path(versions[1]).unlink()
    assert call(capsys, *versions, "--data", earlier)[1]["models"][0]["metrics"] == result["models"][0]["metrics"]


def test_recipes_are_compared_out_of_fold(capsys, models):
    """By the mean over divisions of all rows into folds, with another seed of the forest for each."""
    code, result, err = call(capsys, models[0], models[1], "--data", SOURCE, "--refit", "2", "--jobs", "1")
    assert code == 0, err
    dataset, scores = data.load([SOURCE], default()), []
    everything = np.arange(dataset.size)
    for trees in (15, 3):
        scores.append(
            np.stack(
                [
                    run.out_of_fold(
                        dataset, everything, split.folds(dataset, everything, 3, seed), recipe(trees, seed=seed)
                    )
                    for seed in (0, 1)
                ]
            )
        )
    average, recall = paired.compare(scores[1], scores[0], dataset.labels, 0.93)
    told = [*result["models"][1]["differences"].values()]
    assert told == [*contender.less("first", {"ap": average, "recall": recall}).values()]
    assert list(told[0]) == ["value", "own", "first", "bound", "low", "high"]
    assert (told[0]["own"], told[0]["first"]) == (average.challenger, average.champion)
    assert "advice" not in result
    assert result["models"][0]["figures"]["average precision"]["value"] == average.champion
    assert (result["rows"], result["repeats"]) == (4000, 2)


def test_recipes_that_are_one_are_not_refitted(capsys, models):
    """They would come out equal; and histories of labels would tell of rows that are held out."""
    code, _, err = call(capsys, models[0], models[2], "--refit", "2")
    assert code == command.EXIT_ERROR
    assert "have one recipe and one schema" in err


def test_histories_of_labels_are_not_refitted(capsys, histories):
    other = made(
        sources=[histories[2]], schema=schema.parse(SCHEMA, "t"), hasher=HASHER, protocol="time", recipe=recipe(3)
    )
    code, _, err = call(capsys, histories[0][0], other, "--refit", "2")
    assert code == command.EXIT_ERROR
    assert "the histories of shop_id tell rows the labels of earlier ones" in err


def test_the_hashes_of_a_row_are_those_of_its_own_schema(shop):
    """A model of another schema was fitted on rows of other hashes, which no other schema's are."""
    folder, versions = shop
    rows = data.load([str(folder / "shop.csv")], shop_schema.SCHEMA)
    hashes = [store.row_hashes(store.get(f"fraud_detector:{version}")) for version in versions]
    assert np.isin(hashes[0], row_hashes(rows.content)).all()
    assert not np.isin(hashes[1], row_hashes(rows.content)).any()
