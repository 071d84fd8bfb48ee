"""Transactions of any schema: msgspec, pydantic and the reader of files agree on what is valid, and on its numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud import schema as schemas
from fraud.inputs.example import plain
from fraud.rows import together
from fraud.tables import kinds
from serving.contract.contract import Contract
from serving.decode import Decoder
from serving.refuse import RefusedError
from tests.steps import finished

SCHEMA = schemas.parse(
    """
    name = "odd"
    [roles]
    id = "order id"
    time = "at"
    amount = "Amount (EUR)"
    [columns.at]
    kind = "time"
    zone = "Europe/Berlin"
    derive = ["hour"]
    [columns."Amount (EUR)"]
    kind = "number"
    minimum = 0
    [columns.schema]
    kind = "number"
    missing = true
    [columns._private]
    kind = "category"
    [columns.model_config]
    kind = "category"
    levels = ["a", "b"]
    missing = true
    [columns.class]
    kind = "boolean"
    [columns.json]
    kind = "boolean"
    missing = true
    [columns.born]
    kind = "time"
    format = "%d.%m.%Y"
    zone = "UTC"
    missing = true
    derive = ["weekday"]
    [columns.card]
    kind = "key"
    [columns.device]
    kind = "key"
    missing = true
    [columns.note]
    kind = "ignored"
    """,
    "odd.toml",
)
LEVELS = {"_private": ("5411", "true", "Zürich"), "model_config": ("b", "a")}
CONTRACT = Contract(SCHEMA, LEVELS)
DECODER = Decoder(CONTRACT)
VALID = {
    "at": [
        "2024-10-27T02:30:00",
        "2024-05-17 12:30",
        "2024-05-17T12:30:00Z",
        "2024-05-17T12:30:00+05:30",
        1.5e9,
        0,
        -1,
    ],
    "Amount (EUR)": [0, 1, 0.1, 12345.678, 1e30],
    "schema": [0, -1.5, None],
    "_private": ["5411", "5411.0", "True", "Zürich", "other", "{", "}", "},{", " ", "x" * 256],
    "model_config": ["a", "b", None],
    "class": [True, False],
    "json": [True, False, None],
    "born": ["17.05.1980", "01.01.1900", None],
    "card": ["c-1", "4111 1111"],
    "device": ["d", None],
    "note": [None, 1, "text", [1, {"a": "b"}], {"a": {"a": 1}}, True],
    "order id": ["o-1", None],
}
INVALID = {
    "at": [None, True, "", "yesterday", "2024-13-01", [], 1e39, "2024-05-17T12:30:00Z" + " " * 60],
    "Amount (EUR)": [None, -1, "1", True, 1e39, [], {}],
    "schema": ["1", True, 1e39],
    "_private": [None, "", "x" * 257, 5411, True, ["a"]],
    "model_config": ["c", "", 1],
    "class": [None, 1, 0, "true"],
    "json": [1, "true"],
    "born": ["1980-05-17", 0, "31.02.1980", True],
    "card": [None, "", 5, "x" * 257],
    "device": ["", 5],
    "order id": ["", 5, "a b", "x" * 65, "o-1\n"],
}
OPTIONAL = {"schema", "model_config", "json", "born", "device", "note", "order id"}


@st.composite
def rows(draw, values=VALID):
    """A valid transaction; what may be absent sometimes is, and the keys come in any order."""
    names = [name for name in values if name not in OPTIONAL or draw(st.booleans())]
    return {name: draw(st.sampled_from(values[name])) for name in draw(st.permutations(names))}


def numbers(row):
    """What the reader of files makes of a row: the reference."""
    found = []
    for name in SCHEMA.inputs:
        column, value = SCHEMA.columns[name], row.get(name)
        if value is None:
            found.append(np.nan)
        elif column.kind == "category":
            text = kinds.as_codes(pd.Series([value], dtype=object))[0]
            found.append(float(LEVELS[name].index(text)) if text in LEVELS[name] else -1.0)
        else:
            found.append(float(kinds.KINDS[column.kind](pd.Series([value], dtype=object), column).values[0]))
    return np.array(found)


@settings(deadline=None, max_examples=100)
@given(rows(), st.booleans())
def test_a_valid_row_gives_the_numbers_that_a_file_of_it_would(row, escaped):
    """Whether its letters are escaped or not, alone and in a batch; and its id."""
    body = json.dumps(row, ensure_ascii=escaped).encode()
    expected = numbers(row)
    for read in (
        together([DECODER.parse_one(body)]),
        finished(DECODER.parse_many(b'{"transactions":[%b,%b]}' % (body, body), 9)),
    ):
        assert (read.values.view("u8") == expected.view("u8")).all() or np.array_equal(
            read.values, np.tile(expected, (len(read.ids), 1)), equal_nan=True
        )
        assert set(read.ids) == {row.get("order id") or ""}


@settings(deadline=None, max_examples=80)
@given(rows())
def test_a_valid_row_is_read_quickly(row):
    """By msgspec alone, unless a backslash is in it, or what is ignored holds more than a value."""
    row = {name: value for name, value in row.items() if not isinstance(value, list | dict)}
    assert DECODER.decode_one(json.dumps(row, ensure_ascii=False).encode()) is not None


@settings(deadline=None, max_examples=150)
@given(rows(), st.sampled_from([(name, value) for name, values in INVALID.items() for value in values]))
def test_one_bad_value_is_refused_by_its_field(row, bad):
    """Alone, and in a batch with its place; msgspec lets none pass."""
    name, value = bad
    body = json.dumps(row | {name: value}).encode()
    assert DECODER.decode_one(body) is None
    with pytest.raises(RefusedError) as alone:
        DECODER.parse_one(body)
    assert [one["field"] for one in alone.value.details] == [name]
    with pytest.raises(RefusedError) as batch:
        finished(DECODER.parse_many(b'{"transactions":[%b]}' % body, 9))
    assert [one["field"] for one in batch.value.details] == [f"transactions.0.{name}"]


@settings(deadline=None, max_examples=80)
@given(rows(), st.data())
def test_a_repeated_key_is_refused_whatever_is_absent(row, data):
    """Counting quotes alone would take a key that is there twice for one that is absent."""
    name = data.draw(st.sampled_from(sorted(row)))
    value = data.draw(st.sampled_from(VALID[name]))
    more = json.dumps({name: value}, ensure_ascii=data.draw(st.booleans()))[1:]
    body = (json.dumps(row, ensure_ascii=False)[:-1] + "," + more).encode()
    assert DECODER.decode_one(body) is None
    with pytest.raises(RefusedError) as refused:
        DECODER.parse_one(body)
    assert refused.value.details == [{"field": name, "message": "given more than once"}]
    with pytest.raises(RefusedError) as refused:
        finished(DECODER.parse_many(b'{"transactions":[%b]}' % body, 9))
    assert refused.value.details == [{"field": f"transactions.0.{name}", "message": "given more than once"}]


@pytest.mark.parametrize("name", [name for name in VALID if name not in OPTIONAL])
def test_what_is_required_is_missed(name):
    """By its own name."""
    row = {key: values[0] for key, values in VALID.items() if key != name}
    with pytest.raises(RefusedError) as refused:
        DECODER.parse_one(json.dumps(row).encode())
    assert refused.value.details == [{"field": name, "message": "is required"}]


@pytest.mark.parametrize("name", ["transaction_id", "column_3", "private", "amount (eur)", "NOTE"])
def test_an_unknown_name_is_refused(name):
    """Also the names that fields have in Python alone."""
    row = {key: values[0] for key, values in VALID.items()}
    with pytest.raises(RefusedError) as refused:
        DECODER.parse_one(json.dumps(row | {name: 1}).encode())
    assert refused.value.details[0]["field"] == name


def test_the_invented_example_is_valid():
    """As documents show it; and it holds a level that the model knows."""
    row = together([DECODER.parse_one(json.dumps(plain(SCHEMA, LEVELS)).encode())]).values[0]
    assert row[SCHEMA.inputs.index("_private")] == 0
    assert CONTRACT.invented == plain(SCHEMA, LEVELS)


def test_the_document_of_the_model_takes_names_as_they_are():
    """What may be absent is not required."""
    told = CONTRACT.transaction.model_json_schema()
    assert list(told["properties"]) == [*SCHEMA.columns, "order id"]
    assert told["required"] == [name for name in SCHEMA.columns if name not in OPTIONAL]


def test_names_that_would_meet_are_kept_apart():
    """A column that is called as a field of another would be, or as the id where no column is the id."""
    own = schemas.parse(
        'name = "meeting"\n'
        + "".join(f'[columns."{name}"]\nkind = "number"\n' for name in ("column_1", "a b", "transaction_id", "def")),
        "meeting.toml",
    )
    contract = Contract(own, {})
    row = {"column_1": 1, "a b": 2, "transaction_id": 3, "def": 4, "transaction_id_": "t-1"}
    read = together([Decoder(contract).parse_one(json.dumps(row).encode())])
    assert (read.values.tolist(), read.ids) == ([[1, 2, 3, 4]], ("t-1",))
    assert Decoder(contract).decode_one(json.dumps(row).encode()) is not None


def contract_of(columns, roles=""):
    return Contract(schemas.parse(f'name = "own"\n{roles}{columns}', "own.toml"), {})


IGNORING = Decoder(contract_of('[columns.b]\nkind = "boolean"\n[columns.ig]\nkind = "ignored"\n'))


@pytest.mark.parametrize(
    "value",
    [
        b'"\xff"',
        b'{"\xff":1}',
        b'"\xed\xa0\x80"',
        b"1" * 5_000,
        b"[" * 250 + b"]" * 250,
        b"NaN",
        b"{",
        b"1.",
        b"",
    ],
)
def test_what_is_ignored_is_json_all_the_same(value):
    """msgspec passes over it; alone and in a batch it is refused."""
    body = b'{"b":true,"ig":%b}' % value
    for steps in (
        lambda: IGNORING.parse_one(body),
        lambda: finished(IGNORING.parse_many(b'{"transactions":[%b]}' % body, 9)),
    ):
        with pytest.raises(RefusedError) as refused:
            steps()
        assert refused.value.status == 400


@pytest.mark.parametrize("value", ["text", 1, None, True, {"a": {"a": [1]}}, [["}"]], "{", "x" * 5_000, "\\"])
def test_what_is_ignored_may_be_anything(value):
    """Quickly where it is plain, slowly where it is not."""
    body = json.dumps({"b": True, "ig": value}).encode()
    assert together([IGNORING.parse_one(body)]).values.tolist() == [[1]]
    assert finished(IGNORING.parse_many(b'{"transactions":[%b,%b]}' % (body, body), 9)).values.tolist() == [[1], [1]]


@pytest.mark.parametrize("thrown_away", [b'["\xff"]', b"[" + b"1" * 5_000 + b"]", b'[{"Time":NaN}]'])
@pytest.mark.parametrize("decoder", [IGNORING, DECODER], ids=["ignoring", "odd"])
def test_a_list_that_is_thrown_away_ends_in_no_defect(decoder, thrown_away):
    """Of two equal keys msgspec does not look at the first."""
    row = json.dumps(decoder.contract.invented).encode()
    with pytest.raises(RefusedError) as refused:
        finished(decoder.parse_many(b'{"transactions":%b,"transactions":[%b]}' % (thrown_away, row), 9))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a{}", "}", "media_type", "mime_type", "from_inputs", "a.b", "ä", "class"]
)
def test_a_name_may_hold_anything(name):
    """What msgspec has no way for is read slowly; a brace is none of a row's."""
    key = json.dumps(name)
    decoder = Decoder(contract_of(f'[columns.{key}]\nkind = "number"\n[columns.b]\nkind = "number"\n'))
    body = json.dumps({name: 1, "b": 2}).encode()
    assert together([decoder.parse_one(body)]).values.tolist() == [[1, 2]]
    many = b'{"transactions":[%b]}' % b",".join([body] * 3_000)
    assert finished(decoder.parse_many(many, 3_000)).values.shape == (3_000, 2)
    with pytest.raises(RefusedError, match="at most 2999 transactions"):
        finished(decoder.parse_many(many, 2_999))
    with pytest.raises(RefusedError) as refused:
        decoder.parse_one(f'{{{key}:1,"b":2,{key}:1}}'.encode())
    assert refused.value.details == [{"field": name, "message": "given more than once"}]


def test_a_refusal_does_not_list_thousands_of_levels():
    """The beginning of them is enough."""
    levels = json.dumps([f"level-{number}" for number in range(5_000)])
    decoder = Decoder(contract_of(f'[columns.c]\nkind = "category"\nlevels = {levels}\n'))
    with pytest.raises(RefusedError) as refused:
        decoder.parse_one(b'{"c":"none"}')
    assert len(refused.value.body()) < 1_000


def test_a_format_is_told_as_it_was_declared():
    """Braces and all."""
    decoder = Decoder(
        contract_of('[columns.t]\nkind = "time"\nformat = "%d.%m.%Y {x} %H"\nzone = "UTC"\nderive = ["hour"]\n')
    )
    assert together([decoder.parse_one(b'{"t":"01.02.2024 {x} 13"}')]).values.shape == (1, 1)
    with pytest.raises(RefusedError) as refused:
        decoder.parse_one(b'{"t":"01.02.2024"}')
    assert refused.value.details[0]["message"] == "should be a time written %d.%m.%Y {x} %H"
