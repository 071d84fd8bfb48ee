"""What a draft says of columns as people have them: kind, role, reason, and what to look at."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from fraud import schema
from fraud.errors import DataError
from fraud.tables import table
from tests.training.schemas.conftest import IS_FRAUD, PLAIN, RANDOM, ROWS, choice, column, looks
from training.schemas import draft


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("v1", RANDOM.normal(size=ROWS), {"kind": "number"}),
        ("age", RANDOM.integers(18, 90, ROWS), {"kind": "number", "minimum": 0}),
        ("balance", RANDOM.lognormal(3, 1, ROWS), {"kind": "number"}),
        ("week_of_month", RANDOM.integers(1, 6, ROWS), {"kind": "number"}),
        ("channel", choice("web", "app", "pos"), {"kind": "category"}),
        ("RepNumber", RANDOM.integers(1, 17, ROWS), {"kind": "category"}),
        ("mcc", choice(742, 5411, 5812), {"kind": "category"}),
        ("area", choice(5411, 5812, 7995), {"kind": "category"}),
        ("zip", [f"{number:05d}" for number in RANDOM.integers(1000, 99_999, ROWS)], {"kind": "category"}),
        ("present", choice("yes", "no"), {"kind": "boolean"}),
        ("present", choice("TRUE", "FALSE"), {"kind": "boolean"}),
        ("has_pin", RANDOM.integers(0, 2, ROWS), {"kind": "boolean"}),
        ("number_of_cards", RANDOM.integers(0, 2, ROWS), {"kind": "number", "minimum": 0}),
        ("card_id", [f"c{number}" for number in RANDOM.integers(0, 120, ROWS)], {"kind": "key"}),
        ("CUSTOMER_ID", RANDOM.integers(0, 120, ROWS), {"kind": "key"}),
        ("email", [f"u{number}@example.org" for number in RANDOM.integers(0, 120, ROWS)], {"kind": "key"}),
        ("card_type", choice("debit", "credit"), {"kind": "category"}),
        ("account_age_days", RANDOM.integers(0, 2_000, ROWS), {"kind": "number", "minimum": 0}),
    ],
)
def test_kinds(infer, name, values, expected):
    """Kinds follow from the values, and from the name where values allow several."""
    read, made = infer({name: values})
    assert column(read, name) == expected
    assert looks(made, name) == []


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("PolicyNumber", RANDOM.permutation(ROWS), "unique a row: it leaks"),
        ("hash", [f"x{number}" for number in range(ROWS)], "unique a row: it leaks"),
        ("", range(ROWS), "a saved index"),
        ("index", range(1, ROWS + 1), "a saved index"),
        ("country", ["DE"] * ROWS, "every row holds 'DE'"),
        ("nothing", [""] * ROWS, "there is no value in any row"),
        ("note", [f"please ring at door {number}" for number in range(ROWS)], "free text"),
        ("note", [f"please ring at {n}" if n % 3 else "" for n in RANDOM.integers(0, 150, ROWS)], "free text"),
        ("paid", [f"${value:,.2f}" for value in RANDOM.lognormal(6, 1, ROWS)], "numbers with a unit, or marks of"),
        ("made_ms", 1_700_000_000_000 + np.arange(ROWS), "milliseconds since 1970"),
        ("born", [f"19{year}-03-01" for year in RANDOM.integers(50, 99, ROWS)], "another time than the transaction's"),
    ],
)
def test_what_is_left_out(infer, name, values, said):
    """It is ignored with its reason; the lines that would use it stand below as a comment, and are valid."""
    read, made = infer({name: values}, when=[f"2024-01-{day:02d}" for day in RANDOM.integers(1, 28, ROWS)])
    name = name or "Unnamed: 0"
    assert read.columns[name].kind == "ignored"
    assert looks(made, name)[0].startswith(said)
    key = name if name.isidentifier() else json.dumps(name)
    before, own = made.text.split(f'[columns.{key}]\nkind = "ignored"\n')
    block, _, after = own.partition("\n\n")
    used = "\n".join(line.removeprefix("# ") for line in block.splitlines())
    assert schema.parse(f"{before}[columns.{key}]\n{used}\n\n{after}", "edited").columns[name].kind != "ignored"


def test_what_is_unique_a_row_may_be_made_the_id(infer):
    """By the words of the draft, taken as they stand; not where rows have none."""
    _, made = infer(booking_ref=[f"x{number}" for number in range(ROWS)])
    [look] = looks(made, "booking_ref")
    [line] = re.findall(r"if it is the transaction's id, say (id = .*) in \[roles\] and leave this table out", look)
    text = re.sub(r"\[columns.booking_ref\]\n(.+\n)+", "", made.text).replace("[roles]\n", f"[roles]\n{line}\n")
    assert schema.parse(text, "edited").roles.id == "booking_ref"
    _, made = infer(booking_ref=[f"x{number}" if number > 9 else "" for number in range(ROWS)])
    assert "transaction's id" not in made.text


def test_what_tells_the_label(infer):
    """Levels, a range, and the mere presence of a value: left out, with the figures."""
    read, made = infer(
        scenario=np.where(IS_FRAUD, RANDOM.integers(1, 4, ROWS), 0),
        investigated=np.where(IS_FRAUD, RANDOM.normal(9, 1, ROWS), RANDOM.normal(0, 1, ROWS)),
        refund_reason=np.where(IS_FRAUD, choice("lost", "stolen"), ""),
    )
    for name in ("scenario", "investigated", "refund_reason"):
        assert read.columns[name].kind == "ignored"
        assert "it tells the label by itself" in looks(made, name)[0]
        assert "100.0% of all frauds" in looks(made, name)[0]


def test_what_nearly_tells_the_label_stays(infer):
    """It is used, and named with its figures: 70 % of the frauds, and hardly anything else."""
    told = IS_FRAUD & (np.arange(ROWS) % 10 < 7)
    read, made = infer(device=np.where(told, "emulator", choice("phone", "desk")))
    assert read.columns["device"].kind == "category"
    assert "it nearly tells the label ('emulator' holds" in looks(made, "device")[0]


def test_random_numbers_tell_nothing(infer):
    """However many columns: no range of chance is named a leak."""
    read, made = infer({f"v{number}": RANDOM.normal(size=ROWS) for number in range(30)})
    assert read.of_kind("ignored") == ()
    assert made.look == ("no time of the transaction was found: rows are split at random, and no hour is known",)


TIMES = pd.date_range("2024-01-03 10:20:30", periods=ROWS, freq="9h")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (TIMES.strftime("%Y-%m-%d %H:%M:%S"), {"derive": ("hour", "weekday"), "zone": "UTC"}),
        (TIMES.strftime("%Y-%m-%dT%H:%M:%SZ"), {"derive": ("hour", "weekday"), "zone": "UTC"}),
        (TIMES.strftime("%Y-%m-%dT%H:%M:%S+02:00"), {"derive": ("hour", "weekday"), "zone": "UTC"}),
        (TIMES.strftime("%Y-%m-%d"), {"derive": ("weekday",), "zone": "UTC"}),
        (TIMES.strftime("%m/%d/%Y"), {"derive": ("weekday",), "format": "%m/%d/%Y", "zone": "UTC"}),
        (TIMES.strftime("%d/%m/%Y"), {"derive": ("weekday",), "format": "%d/%m/%Y", "zone": "UTC"}),
        (TIMES.strftime("%d.%m.%Y %H:%M"), {"derive": ("hour", "weekday"), "format": "%d.%m.%Y %H:%M", "zone": "UTC"}),
        (TIMES.strftime("%Y%m%d"), {"derive": ("weekday",), "format": "%Y%m%d", "zone": "UTC"}),
        (TIMES.astype("int64") // TIMES.astype("int64")[0] * 0 + 1_700_000_000 + np.arange(ROWS) * 77,
         {"derive": ("hour", "weekday"), "zone": "UTC"}),
        (np.arange(ROWS) * 400, {"derive": ("hour",), "minimum": 0}),
    ],
    ids=["naive", "Z", "offset", "date", "month first", "day first", "German", "digits", "epoch", "since a start"],
)  # fmt: skip
def test_times(infer, values, expected):
    """The format is found where the data decides it, and a zone drafted where none is told."""
    read, made = infer(pay_time=values)
    assert column(read, "pay_time") == {"kind": "time"} | expected
    assert read.roles.time == "pay_time"
    assert any("names no zone" in said or "UTC" in said for said in looks(made, "pay_time")) == ("zone" in expected)
    assert not any("day or month first" in said for said in made.look)


def test_the_range_of_times_is_read_as_the_format_that_stays(infer, monkeypatch):
    """The first chunk could be read in two ways, a later one could not: the range is that of the right one."""
    monkeypatch.setattr("training.schemas.reading.CHUNK_ROWS", 10)
    days = pd.date_range("2024-01-01", periods=ROWS, freq="1D")
    read, made = infer(pay_time=days.strftime("%d/%m/%Y"))
    assert read.columns["pay_time"].format == "%d/%m/%Y"
    assert f"2024-01-01 00:00:00 to {days[-1]:%Y-%m-%d} 00:00:00" in made.text


def test_a_time_with_gaps_is_not_that_of_the_transaction(infer):
    """A transaction has one: a column that hardly ever lacks it keeps the role and says so, another is left out."""
    texts = TIMES.strftime("%Y-%m-%d")
    read, _ = infer(pay_time=texts.where(np.arange(ROWS) % 3 > 0, ""))
    assert (read.roles.time, read.columns["pay_time"].kind) == (None, "ignored")
    with pytest.raises(AssertionError, match="pay_time must be not empty: 2 rows are not"):
        infer(pay_time=texts.where(np.arange(ROWS) > 1, ""))


def test_day_or_month_first_is_asked_where_no_row_tells(infer):
    """Both formats are named."""
    _, made = infer(pay_time=[f"{1 + row % 12:02d}/{1 + row % 11:02d}/2024" for row in range(ROWS)])
    assert looks(made, "pay_time")[0].startswith("day or month first? No row tells: %d/%m/%Y or %m/%d/%Y; ask")


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("datetime64[ms]", {"kind": "time", "derive": ("hour", "weekday"), "zone": "UTC"}),
        ("datetime64[ns, Europe/Berlin]", {"kind": "time", "derive": ("hour", "weekday"), "zone": "Europe/Berlin"}),
    ],
)
def test_times_of_parquet(infer, dtype, expected):
    """Timestamps are times as they stand, in the zone that they have."""
    read, _ = infer(at=pd.Series(TIMES).dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")
                    if "Berlin" in dtype else pd.Series(TIMES).astype(dtype), suffix="parquet")  # fmt: skip
    assert column(read, "at") == expected


def test_types_of_parquet(infer):
    """Whole numbers with gaps stay whole, coded texts are texts, booleans with gaps are booleans."""
    read, made = infer(
        transaction_id=pd.Series(range(ROWS)) + 10**17,
        tries=pd.Series(RANDOM.integers(0, 9, ROWS), dtype="Int64").mask(pd.Series(range(ROWS)) < 9),
        channel=pd.Categorical(choice("web", "app")),
        is_present=pd.Series(choice(True, False), dtype="boolean").mask(pd.Series(range(ROWS)) < 9),
        suffix="parquet",
    )
    assert read.roles.id == "transaction_id"
    assert column(read, "tries") == {"kind": "number", "missing": True}
    assert column(read, "channel") == {"kind": "category"}
    assert column(read, "is_present") == {"kind": "boolean", "missing": True}
    assert "whole, 0 to 8" in made.text


def test_an_index_of_parquet(tmp_path):
    """Levels with a name are columns, as for every reader; one without a name is none."""
    frame = pd.DataFrame(PLAIN | {"order_id": range(ROWS)})
    frame.set_index("order_id").to_parquet(tmp_path / "named.parquet")
    frame.drop(columns="order_id")[::2].to_parquet(tmp_path / "filtered.parquet")
    assert schema.parse(draft.infer([tmp_path / "named.parquet"]).text, "draft").roles.id == "order_id"
    assert list(schema.parse(draft.infer([tmp_path / "filtered.parquet"]).text, "draft").columns) == ["amount"]


def test_words_for_missing_between_numbers_are_declared(infer):
    """And said to count in texts too; a word of texts alone is a level, and named."""
    read, made = infer(
        score=np.where(RANDOM.random(ROWS) < 0.1, "?", RANDOM.integers(0, 99, ROWS).astype(str)),
        brand=choice("visa", "amex", "?"),
        region=choice("north", "unknown"),
    )
    assert read.missing_values == ("", "?")
    assert column(read, "score") == {"kind": "number", "missing": True}
    assert column(read, "brand") == {"kind": "category", "missing": True}
    assert "'?' means a missing value here too" in looks(made, "brand")[0]
    assert "'unknown'" in looks(made, "region")[0]
    assert "is a level; if it stands for no value" in looks(made, "region")[0]


def test_usual_words_for_missing_need_no_declaration(infer):
    """NA and an empty field are missing numbers in every schema."""
    read, _ = infer(score=np.where(RANDOM.random(ROWS) < 0.1, "NA", RANDOM.integers(0, 99, ROWS).astype(str)))
    assert read.missing_values is None
    assert column(read, "score") == {"kind": "number", "missing": True}


def test_a_number_that_stands_for_nothing_is_named(infer):
    """-1 alone below 0."""
    _, made = infer(months=np.where(RANDOM.random(ROWS) < 0.2, -1, RANDOM.integers(0, 99, ROWS)))
    assert looks(made, "months")[0].startswith("-1 (")


def test_the_range_is_no_bound(infer):
    """New rows may lie beyond what was seen: it stands in a comment."""
    read, made = infer()
    assert (read.columns["amount"].minimum, read.columns["amount"].maximum) == (0, None)
    assert f"{PLAIN['amount'].max():g}" in made.text


@pytest.mark.parametrize(
    ("values", "frauds", "expected", "look"),
    [
        (("N", "Y"), 40, ("Y",), "'Y' is taken for fraud, the rarer one"),
        (("legit", "bad"), 40, ("bad",), "'bad' is taken for fraud, the rarer one"),
        (("N", "Y"), 360, ("Y",), "by its meaning"),
        ((0, 1), 40, None, None),
        ((0, 1), 360, None, "'1' is the more frequent value"),
        ((False, True), 40, None, None),
    ],
)
def test_values_that_mean_fraud(infer, values, frauds, expected, look):
    """Declared where the label is neither 0/1 nor boolean, and said."""
    labels = [values[row < frauds] for row in range(ROWS)]
    read, made = infer(plain={"amount": PLAIN["amount"], "is_fraud": labels})
    assert (read.roles.label, read.roles.fraud, made.frauds) == ("is_fraud", expected, frauds)
    assert any(look in said for said in looks(made, "is_fraud")) if look else looks(made, "is_fraud") == []


def test_the_label_may_be_told(infer):
    """A name that no rule knows."""
    read, made = infer(bad=IS_FRAUD.astype(int), label="bad", plain={"amount": PLAIN["amount"]})
    assert read.roles.label == "bad"
    assert 'label = "bad"  # as told' in made.text


def test_no_label_is_said(infer):
    """Scoring needs none; how to name one is said."""
    read, made = infer(plain={"amount": PLAIN["amount"], "v": PLAIN["amount"] * 1.5})
    assert (read.roles.label, made.frauds) == (None, None)
    assert "no label was found: name it with --label NAME" in made.look


@pytest.mark.parametrize(
    ("columns", "label", "words"),
    [
        ({}, "gone", "there is no column 'gone' for a label; its columns are amount, is_fraud"),
        ({"kind_of": choice("a", "b", "c")}, "kind_of", "expected two values in the label 'kind_of', got "),
        ({"x" * 65: range(ROWS)}, None, "has 65 characters; rename it, 64 is the most"),
    ],
)
def test_what_cannot_be_drafted(infer, columns, label, words):
    """One line that says what was expected."""
    with pytest.raises(DataError, match=words):
        infer(columns, label=label)


def test_a_file_of_labels_alone_has_no_input(infer):
    """A schema needs one."""
    with pytest.raises(DataError, match=r"no column can be an input of a model; left out: order_id \(unique a row\)"):
        infer(plain={"order_id": range(ROWS), "is_fraud": IS_FRAUD.astype(int)})


def test_several_files_are_one_data_set(tmp_path):
    """Rows are counted together; another set of columns is refused."""
    for name, rows in (("a", 30), ("b", 50)):
        pd.DataFrame(PLAIN).head(rows).to_csv(tmp_path / f"{name}.csv", index=False)
    for named in ([tmp_path / "a.csv", tmp_path / "b.csv"], [tmp_path], [f"{tmp_path}/*.csv"]):
        assert draft.infer(named).rows == 80
    pd.DataFrame(PLAIN | {"more": 1}).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match=r"c\.csv: its columns are not those of a\.csv: more"):
        draft.infer([tmp_path / "a.csv", tmp_path / "c.csv"])


def test_roles_of_a_spreadsheet_of_a_bank(infer):
    """Each role is found by kind and name."""
    prices = 3.5 * RANDOM.random(ROWS)
    columns = {"Order No": RANDOM.permutation(ROWS), "Birth Date": TIMES.strftime("%Y-%m-%d"), "total price": prices}
    read, _ = infer(columns, at=TIMES.strftime("%d.%m.%Y %H:%M:%S"))
    assert (read.roles.id, read.roles.time, read.roles.amount) == ("Order No", "at", "amount")
    assert read.columns["Birth Date"].kind == "ignored"


def test_chunks_give_the_draft_of_the_whole(tmp_path, monkeypatch):
    """However a file is cut, its draft is the same."""
    from training import shop
    from training.schemas import reading

    shop.write(tmp_path / "shop.csv", shop.generate(2_000))
    whole = draft.infer([tmp_path / "shop.csv"])
    monkeypatch.setattr(reading, "CHUNK_ROWS", 300)
    assert draft.infer([tmp_path / "shop.csv"]) == whole
    assert table.read_table(tmp_path / "shop.csv", schema.parse(whole.text, "draft")).shape == (2_000, 11)


def test_histories_are_drafted_as_comments_that_hold(infer):
    """Without the first `# ` of all lines, and with decimals of the amount, what stands there is a schema."""
    cards = [f"c{number}" for number in RANDOM.integers(0, 120, ROWS)]
    times = [f"2024-05-{1 + row // 24:02}T{row % 24:02}:00:00Z" for row in range(ROWS)]
    read, made = infer({"card_id": cards, "ts": times})
    assert read.histories == ()
    assert made.look[-1].endswith("see docs/history.md")
    at = made.text.index("# [[history]]")
    lines = [line.removeprefix("# ") for line in made.text[at:].splitlines()]
    whole = made.text[:at].replace("[columns.amount]\n", "[columns.amount]\ndecimals = 2\n") + "\n".join(lines)
    assert "card_id.mean.amount.7d" in schema.parse(whole, "draft").histories


def test_without_keys_no_histories_are_drafted(infer):
    assert "[[history]]" not in infer()[1].text
