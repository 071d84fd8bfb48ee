"""What the service takes and what it refuses, body by body, with the words for the caller."""

import json
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.decode import PREDICT_BYTES, parse_label
from serving.io import many_transactions
from serving.refuse import SHOWN, RefusedError, no_database, not_json, not_ready, overloaded
from tests.serving.decoding import DECODER, Transaction, parse_many, parse_one
from tests.steps import finished
from tests.ulb import COLUMNS, ID_COLUMN, bounds

MAX_ROWS = 5
MODEL = many_transactions(DECODER, {}, MAX_ROWS, 10_000)
LINE = {"Time": 1.0, **{f"V{number}": number / 7 for number in range(1, 29)}, "Amount": 12.5}
TEXT = json.dumps(LINE)
VALUES = list(LINE.values())


def with_text(name, text):
    """The body where a field's value is written as ``text``, whatever that is."""
    rest = {key: value for key, value in LINE.items() if key != name}
    return f'{{"{name}": {text}, {json.dumps(rest)[1:]}'


def plus(text):
    """The body with ``text`` put before its first field."""
    return f"{{{text}, {TEXT[1:]}"


def without(*names):
    return json.dumps({key: value for key, value in LINE.items() if key not in names})


def batch(*texts):
    return f'{{"transactions": [{", ".join(texts)}]}}'


def one(text):
    return parse_one(text.encode() if isinstance(text, str) else text)


def many(text, max_rows=MAX_ROWS):
    return finished(parse_many(text.encode() if isinstance(text, str) else text, max_rows))


def refused(parse, body):
    with pytest.raises(RefusedError) as caught:
        parse(body)
    assert caught.value.status == 400
    return caught.value


NUMBER, FINITE = "should be a valid number", "should be a finite number"
ROW_SHAPE = '{"Time": ..., "V1": ..., ..., "Amount": ...}'
BATCH_SHAPE = f'{{"transactions": [{ROW_SHAPE}, ...]}}'
UNKNOWN, REPEATED, MISSING = "is not a field of a transaction", "given more than once", "is required"

# name: (a transaction that is JSON but not valid, the field at fault, words about it)
INVALID = {
    "text for a number": (with_text("V1", '"1.5"'), "V1", NUMBER),
    "empty text": (with_text("V1", '""'), "V1", NUMBER),
    "true": (with_text("V1", "true"), "V1", NUMBER),
    "false": (with_text("Amount", "false"), "Amount", NUMBER),
    "null": (with_text("V28", "null"), "V28", NUMBER),
    "an array for a number": (with_text("V1", "[1]"), "V1", NUMBER),
    "an object for a number": (with_text("V1", '{"a": 1}'), "V1", NUMBER),
    "NaN": (with_text("V1", "NaN"), "V1", FINITE),
    "NaN as Time": (with_text("Time", "NaN"), "Time", FINITE),
    "Infinity": (with_text("V1", "Infinity"), "V1", FINITE),
    "-Infinity": (with_text("Amount", "-Infinity"), "Amount", FINITE),
    "1e400": (with_text("V1", "1e400"), "V1", FINITE),
    "-1e400": (with_text("V1", "-1e400"), "V1", FINITE),
    "beyond float32": (with_text("V3", "1e40"), "V3", "should be less than or equal to 1000000"),
    "just above the bound": (with_text("V3", "1000000.0000000001"), "V3", "should be less than or equal to"),
    "just below the bound": (with_text("V3", "-1000001"), "V3", "should be greater than or equal to -1000000"),
    "a number of a hundred digits": (with_text("V3", "1" * 100), "V3", "should be less than"),
    "negative amount": (with_text("Amount", "-0.01"), "Amount", "should be greater than or equal to 0"),
    "huge amount": (with_text("Amount", "1000000001"), "Amount", "should be less than or equal to 1000000000"),
    "negative time": (with_text("Time", "-1"), "Time", "should be greater than or equal to 0"),
    "huge time": (with_text("Time", "100000000001"), "Time", "should be less than or equal to"),
    "missing field": (without("V7"), "V7", MISSING),
    "missing Time": (without("Time"), "Time", MISSING),
    "unknown field": (plus('"V29": 1'), "V29", UNKNOWN),
    "the label": (plus('"Class": 0'), "Class", UNKNOWN),
    "another case": (plus('"amount": 1'), "amount", UNKNOWN),
    "an empty name": (plus('"": 1'), "body", UNKNOWN),
    "an unknown object": (plus('"extra": {"V1": 1}'), "extra", UNKNOWN),
    "a batch in a transaction": (plus('"transactions": []'), "transactions", UNKNOWN),
    "repeated field": (plus('"V1": 9'), "V1", REPEATED),
    "repeated, same value": (plus(f'"V1": {LINE["V1"]}'), "V1", REPEATED),
    "repeated in other letters": (plus('"\\u0056\\u0031": 9'), "V1", REPEATED),
    "repeated as an object": (plus('"V1": {"a": 1, "b": 2}'), "V1", REPEATED),
    "repeated as text": (plus('"V1": "9"'), "V1", REPEATED),
    "repeated as NaN": (plus('"V1": NaN'), "V1", REPEATED),
    "repeated deeply": (plus(f'"V1": {"[" * 150}{"]" * 150}'), "V1", REPEATED),
    "repeated thrice": (plus('"V1": 9, "V1": 8'), "V1", REPEATED),
    "two ids": (plus(f'"{ID_COLUMN}": "a", "{ID_COLUMN}": "b"'), ID_COLUMN, REPEATED),
    "number as id": (plus(f'"{ID_COLUMN}": 7'), ID_COLUMN, "should be text, in quotes"),
    "empty id": (plus(f'"{ID_COLUMN}": ""'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id with a space": (plus(f'"{ID_COLUMN}": "a b"'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id with a line break": (plus(f'"{ID_COLUMN}": "a\\n"'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id with a quote": (plus(f'"{ID_COLUMN}": "a\\""'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id with a NUL": (plus(f'"{ID_COLUMN}": "a\\u0000"'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id with a letter of its own": (plus(f'"{ID_COLUMN}": "ä"'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "id of 65 characters": (plus(f'"{ID_COLUMN}": "{"x" * 65}"'), ID_COLUMN, "should be 1 to 64 letters, digits"),
    "an array": (f"[{TEXT}]", "body", "should be an object"),
    "null itself": ("null", "body", "should be an object"),
    "a number itself": ("7", "body", "should be an object"),
    "text itself": ('"a"', "body", "should be an object"),
}

MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "words": b"hello",
    "truncated": TEXT[:-1].encode(),
    "cut in a number": TEXT[:10].encode(),
    "two documents": f"{TEXT}{TEXT}".encode(),
    "a comma too many": f"{TEXT[:-1]},}}".encode(),
    "single quotes": TEXT.replace('"', "'").encode(),
    "a comment": f"{TEXT} // done".encode(),
    "not UTF-8": plus(f'"{ID_COLUMN}": "?"').encode().replace(b"?", b"\xff"),
    "UTF-16": TEXT.encode("utf-16"),
    "gzip": b"\x1f\x8b\x08\x00" + b"\0" * 20,
    "a form": b"Time=1&V1=2",
    "a lone surrogate": plus('"\\ud800": 1').encode(),
    "a control character": plus('"a\nb": 1').encode(),
    "leading zero": with_text("V1", "01").encode(),
    "plus sign": with_text("V1", "+1").encode(),
    "no digit after the point": with_text("V1", "1.").encode(),
    "hexadecimal": with_text("V1", "0x10").encode(),
    "ten thousand digits": with_text("V1", "1" * 10_000).encode(),
    "too deep": plus('"a": ' + "[" * 5_000 + "]" * 5_000).encode(),
}


@pytest.mark.parametrize(("body", "field", "words"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_transaction_is_refused_by_field(body, field, words):
    """The reason is ``invalid``; the field at fault and what is wrong with it are named."""
    refusal = refused(one, body)
    assert refusal.reason == "invalid"
    named = {detail["field"]: detail["message"] for detail in refusal.details}
    assert words in named[field]
    assert refusal.error.startswith("the transaction is not valid: ")


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("body", "field", "words"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_row_is_refused_by_place_and_field(body, field, words, position):
    """One bad row refuses the batch; its place among the rows is part of the field's name."""
    texts = [TEXT, TEXT]
    texts.insert(position, body)
    refusal = refused(many, batch(*texts))
    assert refusal.reason == "invalid"
    named = {detail["field"]: detail["message"] for detail in refusal.details}
    place = f"transactions.{position}" + {"body": "." if body.startswith("{") else ""}.get(field, f".{field}")
    assert words in named[place]
    assert refusal.error.startswith("the batch is not valid: ")


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_json_is_malformed(body):
    """The reason is ``malformed``, and the words say that the body is not JSON."""
    refusal = refused(one, body)
    assert refusal.reason == "malformed"
    assert refusal.error.startswith("the body is not JSON: ")
    assert refusal.details == []


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_batch_that_is_not_json_is_malformed(body):
    """So it is for batches, whether the document or a row is no JSON."""
    for text in (body, b'{"transactions": [' + body + b"]"):
        assert refused(many, text).reason == "malformed"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("{}", "transactions", MISSING),
        ("null", "body", f"should be an object: expected {BATCH_SHAPE}"),
        (f"[{TEXT}]", "body", f"should be an object: expected {BATCH_SHAPE}"),
        (TEXT, "Time", f"is not a field of a batch: expected {BATCH_SHAPE}"),
        (f'{{"instances": [{TEXT}]}}', "instances", f"is not a field of a batch: expected {BATCH_SHAPE}"),
        (f'{{"Transactions": [{TEXT}]}}', "Transactions", "did you mean transactions?"),
        ('{"transactions": []}', "transactions", "should hold at least one transaction"),
        ('{"transactions": null}', "transactions", "should be a valid array"),
        ('{"transactions": {}}', "transactions", "should be a valid array"),
        (f'{{"transactions": {TEXT}}}', "transactions", "should be a valid array"),
        ('{"transactions": [[]]}', "transactions.0", "should be an object"),
        ('{"transactions": [null]}', "transactions.0", "should be an object"),
        ('{"transactions": [{}]}', "transactions.0.Time", MISSING),
        (f'{{"transactions": [{TEXT}], "extra": 1}}', "extra", "is not a field of a batch"),
        (f'{{"transactions": [{TEXT}], "V1": 1}}', "V1", "is not a field of a batch"),
        (f'{{"transactions": [{TEXT}], "transactions": [{TEXT}]}}', "transactions", REPEATED),
        (f'{{"transactions": [], "\\u0074ransactions": [{TEXT}]}}', "transactions", REPEATED),
        (f'{{"transactions": [{TEXT}, "x", "y"]}}', "transactions.1", "should be an object"),
    ],
)
def test_a_batch_of_another_shape_is_refused(body, field, words):
    """A batch is an object with one key and a list of transactions that is not empty."""
    refusal = refused(many, body)
    assert refusal.reason == "invalid"
    assert (refusal.details[0]["field"], words in refusal.details[0]["message"]) == (field, True)


def test_the_first_bad_row_is_named_alone():
    """Rows behind the first bad one are not looked at."""
    refusal = refused(many, batch(TEXT, with_text("V2", "null"), with_text("V3", "null")))
    assert [detail["field"] for detail in refusal.details] == ["transactions.1.V2"]


@pytest.mark.parametrize("rows", [MAX_ROWS + 1, 50 * MAX_ROWS])
def test_too_many_rows_are_too_large(rows):
    """More rows than allowed are 413, with the limit in words; exactly as many are served."""
    assert len(many(batch(*[TEXT] * MAX_ROWS)).values) == MAX_ROWS
    with pytest.raises(RefusedError) as caught:
        many(batch(*[TEXT] * rows))
    assert (caught.value.status, caught.value.reason) == (413, "too_large")
    assert caught.value.error == f"at most {MAX_ROWS} transactions in one call"


def test_too_many_rows_that_are_no_objects_are_refused():
    """The count of braces cannot be dodged by rows without braces."""
    assert refused(many, batch(*["[]"] * 100)).reason == "invalid"


def test_a_refusal_counts_what_it_does_not_show():
    """At most 20 problems are named; the words tell how many more there are."""
    refusal = refused(one, "{}")
    assert refusal.error == "the transaction is not valid: Time is required (and 29 more)"
    assert len(refusal.details) == SHOWN == 20


NAME = "n" * 7_000


@pytest.mark.parametrize(
    "body",
    [
        plus(f'"{NAME}": 1'),
        plus(", ".join(f'"{NAME[:300]}{number}": 1' for number in range(40))),
        plus(f'"V1": {{"{NAME}": 1, "{NAME}": 2}}'),
        with_text("V1", f'"{NAME}"'),
        plus(f'"{ID_COLUMN}": "{NAME}"'),
    ],
    ids=["a name", "many names", "names inside a repeated field", "text for a number", "an id"],
)
@pytest.mark.parametrize("parse", [one, lambda body: many(batch(body))], ids=["single", "batch"])
def test_what_the_caller_wrote_is_cut(parse, body):
    """An answer holds at most 64 characters of a name, and nothing of a value, however long the body is."""
    refusal = refused(parse, body)
    assert b"n" * 65 not in refusal.body()
    assert len(refusal.body()) < 4_000


WIDE = ", ".join(f'"{number}": 1' for number in range(100_000))
LONG = ", ".join(["1"] * 1_000_000)


@pytest.mark.parametrize(
    "row",
    [
        f"{{{WIDE}}}",
        plus(WIDE),
        plus(f'"V1": {{{WIDE}}}'),
        f'{{"V1": [{LONG}]}}',
        f'{{"x": [{LONG}]}}',
        f'{{"V1": "{"x" * 900_000}"}}',
    ],
    ids=["unknown keys alone", "unknown keys", "keys of a repeated field", "a list", "an unknown list", "a text"],
)
def test_refusing_costs_no_more_than_scoring(row):
    """A bad row of a megabyte is refused in about the time of one pass over it, not once for each missing field."""
    body = batch(row).encode()
    start = time.process_time()
    assert refused(many, body).reason == "invalid"
    assert time.process_time() - start < 0.5


GOOD = {
    "as written": TEXT,
    "no blanks": json.dumps(LINE, separators=(",", ":")),
    "many blanks": f" \r\n\t{json.dumps(LINE, indent=8)}\n ",
    "another order": json.dumps(dict(reversed(LINE.items()))),
    "names in other letters": TEXT.replace('"V1"', '"\\u0056\\u0031"').replace('"Time"', '"\\u0054ime"'),
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_the_way_of_writing_does_not_matter(body):
    """Blanks, order and escapes change nothing: values come in schema order."""
    for rows in (one(body), many(batch(body))):
        assert rows.values.tolist() == [VALUES]
        assert rows.values.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("3", 3.0),
        ("-0.0", -0.0),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("2.5e-3", 0.0025),
        ("1000000", 1e6),
        ("-1000000.0", -1e6),
        ("5e-324", 5e-324),
        ("1e-400", 0.0),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("0." + "3" * 500, 1 / 3),
        ("123456.78901234567890123456789", 123456.78901234567890123456789),
    ],
)
def test_every_way_to_write_a_number(text, value):
    """Whole numbers, exponents and long fractions are the float64 next to what is written."""
    for rows in (one(with_text("V1", text)), many(batch(with_text("V1", text)))):
        assert rows.values[0, COLUMNS.index("V1")].tobytes() == np.float64(value).tobytes()


@settings(max_examples=200, deadline=None)
@given(st.tuples(*(st.floats(*bounds(column)) for column in COLUMNS)))
def test_values_arrive_in_every_bit(values):
    """Any valid float64 that is written as JSON is read as the same float64."""
    body = json.dumps(dict(zip(COLUMNS, values, strict=True)))
    assert one(body).values.tobytes() == np.array(values).tobytes()
    assert many(batch(body)).values.tobytes() == np.array(values).tobytes()


@settings(max_examples=100, deadline=None)
@given(
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,4})\.[0-9]{1,40}([eE]-?[0-9]{1,2})?\Z").filter(
        lambda text: abs(float(text)) < 1e6
    )
)
def test_decimals_are_rounded_as_python_does(text):
    """A decimal of any length is read as Python's own parser reads it."""
    assert one(with_text("V1", text)).values[0, COLUMNS.index("V1")] == float(text)


@pytest.mark.parametrize("name", ["a", "A-b_c.d:e/f", "x" * 64, "0"])
def test_an_id_is_carried(name):
    """The id comes with the row; it is no number of the row."""
    body = json.dumps({ID_COLUMN: name} | LINE)
    for rows in (one(body), many(batch(body))):
        assert rows.ids == (name,)
        assert rows.values.tolist() == [VALUES]


def test_an_id_in_other_letters_is_carried():
    """Escapes in an id do not confuse the count of quotes."""
    assert one(plus(f'"{ID_COLUMN}": "\\u0061\\/b"')).ids == ("a/b",)


def test_ids_stay_with_their_rows():
    """Rows with and without ids may be mixed; each id stays in its place."""
    rows = many(batch(plus(f'"{ID_COLUMN}": "a"'), TEXT, plus(f'"{ID_COLUMN}": "c"')))
    assert rows.ids == ("a", "", "c")


def test_equal_ids_are_two_rows():
    """Nothing is said about the uniqueness of ids."""
    body = plus(f'"{ID_COLUMN}": "a"')
    assert many(batch(body, body)).ids == ("a", "a")


def test_rows_keep_their_order():
    """The values of a batch are in the order of its rows."""
    rows = many(batch(*(with_text("V1", str(number)) for number in range(5))))
    assert rows.values[:, COLUMNS.index("V1")].tolist() == [0, 1, 2, 3, 4]


def test_the_longest_valid_transaction_fits():
    """A transaction with every digit of every number and an id of 64 characters is far below the limit."""
    body = json.dumps(dict.fromkeys(COLUMNS, 2.2250738585072014e-308) | {ID_COLUMN: "x" * 64}, indent=4)
    one(body)
    assert len(body) * 8 < PREDICT_BYTES


def test_the_documentation_shows_the_strict_schema():
    """The published schema of a row in a batch is that of a single transaction: required and closed."""
    definitions = MODEL.model_json_schema()["$defs"]
    assert definitions == {"Transaction": Transaction.model_json_schema()}
    assert definitions["Transaction"]["required"] == list(COLUMNS)
    assert definitions["Transaction"]["additionalProperties"] is False


def test_a_refusal_is_one_json_object():
    """The answer has the two keys that callers rely on."""
    assert json.loads(refused(one, without("V7")).body()) == {
        "error": "the transaction is not valid: V7 is required",
        "details": [{"field": "V7", "message": "is required"}],
    }


@pytest.mark.parametrize("make", [not_ready, no_database, overloaded, not_json])
def test_a_refusal_is_made_anew_each_time(make):
    """An exception that is kept and raised again grows by each raise, with all locals of the call."""
    assert make() is not make()


def test_bentoml_answers_a_refusal_with_its_status():
    """On a path that knows nothing of ours."""
    assert overloaded().error_code == 503
    assert not_json().error_code == 415


@pytest.mark.parametrize("body", [TEXT, plus(f'"{ID_COLUMN}": null'), "\ufeff" + TEXT], ids=["plain", "null", "mark"])
def test_what_serializers_write_is_taken(body):
    """null for an id that is not set, a byte-order mark before the text: as if neither were there."""
    rows = one(body)
    assert rows.ids == ("",)
    assert rows.values[0].tolist() == VALUES
    marked = ("\ufeff" if body.startswith("\ufeff") else "") + batch(body.removeprefix("\ufeff"))
    assert many(marked).values.tobytes() == rows.values.tobytes()


@pytest.mark.parametrize("wrapper", ['{"data": %s}', '{"instances": [%s]}', '{"inputs": %s, "id": 3}'])
def test_a_wrapped_transaction_is_told_the_shape(wrapper):
    """One problem that shows what is expected, not thirty fields that are missing, and where many go."""
    refusal = refused(one, wrapper % TEXT)
    assert f"expected one flat object, {ROW_SHAPE}; many at once: /predict_batch" in refusal.error
    assert [problem["field"] for problem in refusal.details] == [wrapper.split('"')[1]]


@pytest.mark.parametrize("parse", [one, lambda body: many(batch(body))], ids=["single", "batch"])
def test_a_name_in_another_case_is_asked_for(parse):
    """As files do: did you mean V1? The field that is meant is not called missing beside it."""
    refusal = refused(parse, TEXT.replace('"V1"', '"v1"').replace('"Amount"', '"amount"'))
    assert [problem["message"].rpartition(": ")[2] for problem in refusal.details] == [
        "did you mean V1?",
        "did you mean Amount?",
    ]


def test_the_first_bad_row_is_named_wherever_it_stands():
    """Whatever is wrong with it and with later ones."""
    refusal = refused(lambda body: many(body, 100), batch(*[TEXT] * 40, without("V7"), with_text("V1", "true")))
    assert refusal.details == [{"field": "transactions.40.V7", "message": "is required"}]


def test_a_row_that_is_far_too_large_is_not_read_twice():
    """Words about it would cost its size many times over."""
    row = plus(f'"x": "{"y" * PREDICT_BYTES}"')
    refusal = refused(many, batch(TEXT, row))
    assert refusal.details == [{"field": "transactions.1", "message": "should be smaller than 16384 bytes"}]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"transactions": [1] * 300_000, "x": 1}),
        json.dumps({"transactions": [{}] * 5, "x": 1}),
        json.dumps({f"k{number}": 1 for number in range(100_000)}),
    ],
    ids=["items that are no objects", "too few to matter", "keys beside the transactions"],
)
def test_an_odd_shape_makes_no_object_of_each_of_its_problems(body):
    """Some are named; megabytes of them would take gigabytes and half a minute, in one step of the event loop."""
    tracemalloc.start()
    try:
        refusal = refused(many, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(refusal.details) <= 20
    assert peak < 40 * 1_048_576


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"id": "a", "fraud": true}', 'id is not a field of a label: expected {"transaction_id": ..., "is_fraud": '),
        ('{"transaction_id": "a", "Is_Fraud": true}', "Is_Fraud is not a field of a label: did you mean is_fraud?"),
        ("[]", 'body should be an object: expected {"transaction_id": ..., "is_fraud": true or false}'),
    ],
)
def test_a_label_of_another_shape_is_told_the_shape(body, words):
    """As a transaction is."""
    assert refused(parse_label, body.encode()).error.startswith(f"the label is not valid: {words}")
