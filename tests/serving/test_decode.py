"""The quick reading takes nothing that pydantic would refuse, and reads the same from what both take.

The tables of ``tests/serving/test_refuse.py`` go through it too: what is refused there is refused by both.
"""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving import decode
from serving.refuse import RefusedError
from tests.serving.decoding import DECODER, Transaction, decode_one, parse_many
from tests.steps import finished
from tests.ulb import COLUMNS, ID_COLUMN, bounds

ROW = {name: bounds(name)[1] / 3 for name in COLUMNS}
TEXT = json.dumps(ROW)


def by_pydantic(body):
    """Values and id as pydantic reads them; None when it refuses, or when a key was given twice."""
    try:
        row = Transaction.model_validate_json(body)
    except ValidationError:
        return None
    if len(json.loads(body, object_pairs_hook=list)) != len(row.model_fields_set):
        return None
    return tuple(getattr(row, name) for name in COLUMNS), row.transaction_id or ""


def bits(read):
    return read and (np.array(read[0]).tobytes(), read[1])


def holds_to(body):
    """The quick reading of ``body`` is pydantic's, or none; alone and as a row of a batch. Whether it was taken."""
    mine, theirs = decode_one(body), by_pydantic(body)
    assert mine is None or (mine.row, mine.name) == bits(theirs)
    try:
        rows = finished(parse_many(b'{"transactions": [' + body + b", " + TEXT.encode() + b"]}", 10))
    except RefusedError:
        rows = None
    assert (rows is None) == (theirs is None)
    if rows is not None:
        assert (rows.values[0].tobytes(), rows.ids[0]) == bits(theirs)
    return mine is not None


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.from_regex(r"\A-?[0-9]{0,3}\.?[0-9]{0,25}([eE][+-]?[0-9]{0,3})?\Z"),
    st.sampled_from(['"1"', "true", "null", "[]", "{}", "NaN", "-Infinity", "1_000", "\u0661", "0x1", "", "1 2", "1,"]),
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(COLUMNS), NUMBERS)
@example("V1", "1e-400")
@example("Amount", "-0.0")
@example("Amount", "1e9")
@example("Amount", "1000000000.0000001")
@example("Time", "1" + "0" * 11)
def test_any_number(name, number):
    """Whatever is written in the place of a number."""
    holds_to(TEXT.replace(f'"{name}": {ROW[name]}', f'"{name}": {number}').encode())


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=70), st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,64}\s?\Z")), st.booleans())
def test_any_id(name, escaped):
    """Whatever an id holds, in its own letters or as escapes."""
    holds_to(json.dumps(ROW | {ID_COLUMN: name}, ensure_ascii=escaped).encode(errors="surrogatepass"))


@settings(max_examples=250, deadline=None)
@given(st.lists(st.sampled_from([*COLUMNS, ID_COLUMN, "Class", "amount", ""]), max_size=4), st.randoms())
def test_any_keys(more, shuffler):
    """Whatever keys are there, in any order, some of them twice."""
    pairs = [*ROW.items(), *((name, "a" if name == ID_COLUMN else 1) for name in more)]
    shuffler.shuffle(pairs)
    holds_to(f"{{{', '.join(f'{json.dumps(name)}: {json.dumps(value)}' for name, value in pairs)}}}".encode())


def test_any_byte_changed():
    """A body with bytes changed, lost or added, 20,000 times. Some of these are still valid, most are not."""
    chance, body = np.random.default_rng(5), json.dumps(ROW | {ID_COLUMN: "a-1"}).encode()
    places, lengths = chance.integers(len(body), size=20_000), chance.choice([0, 1, 1, 1, 5, 30], size=20_000)
    bytes_put = chance.choice(list(b'0123456789"{}[],:.eE+- \n\\aV\xff\x00'), size=20_000)
    changed = zip(places.tolist(), lengths.tolist(), bytes_put.tolist(), strict=True)
    taken = sum(holds_to(body[:at] + bytes([put]) + body[at + length :]) for at, length, put in changed)
    assert 1_000 < taken < 19_000


def test_valid_bodies_are_taken():
    """What is valid does not go to pydantic, whatever the order of keys and the bits of numbers."""
    chance = np.random.default_rng(6)
    for _ in range(2_000):
        row = [(name, chance.uniform(*bounds(name))) for name in COLUMNS] + [(ID_COLUMN, "t:1")]
        chance.shuffle(row)
        assert holds_to(json.dumps({str(name): value for name, value in row}).encode())


@pytest.mark.parametrize("body", [b"{}", b'{"transactions": []}', b'{"transactions": null}', b"[]", b"", b"null"])
def test_no_rows_are_refused(body):
    """An empty batch, and what is none."""
    with pytest.raises(RefusedError):
        finished(parse_many(body, 10))


@pytest.mark.parametrize("more", ["", ', "transaction_id": "a"', ', "transaction_id": null'])
def test_an_id_may_be_there_absent_or_null(more):
    """Serializers of some languages write null for what is not set; pydantic is not needed for it."""
    decoded = decode_one(f"{TEXT[:-1]}{more}}}".encode())
    assert decoded.name == ("a" if '"a"' in more else "")
    assert decoded.row == decode_one(TEXT.encode()).row


@pytest.mark.parametrize(
    "twice", ['"a", "transaction_id": null', 'null, "transaction_id": "a"', 'null, "transaction_id": null']
)
def test_an_id_given_twice_is_found(twice):
    """Whatever its values."""
    assert decode_one(f'{TEXT[:-1]}, "transaction_id": {twice}}}'.encode()) is None


def test_what_lacks_quotes_cannot_pay_for_a_key_given_twice():
    """A number as id lacks the quotes that a repeated key has too many of: types are checked, not only counted."""
    row = json.dumps(ROW | {ID_COLUMN: 5})
    twice = f'{{"V1": 1, {TEXT[1:]}'
    with pytest.raises(RefusedError, match=r"transactions\.0\.transaction_id"):
        finished(parse_many(f'{{"transactions": [{row}, {twice}]}}'.encode(), 10))


def read(body, max_rows=20):
    """Rows and ids of a batch, or why it is refused."""
    return answered(parse_many(body, max_rows))


def answered(steps):
    """What ``steps`` read, or why they refuse."""
    try:
        rows = finished(steps)
    except RefusedError as refusal:
        return refusal.status, refusal.body()
    return rows.values.tobytes(), rows.ids


def batch(rows=7):
    """Of different rows, some with an id; with white space wherever it may stand."""
    texts = [json.dumps(ROW | {"V1": number, ID_COLUMN: f"t-{number}"}) for number in range(rows - 1)] + [TEXT]
    return (' {\n"transactions" :\t[ ' + " ,\r\n ".join(texts) + " ] }\n ").encode()


@pytest.fixture
def in_pieces(monkeypatch):
    """What makes bodies be read in pieces of a size."""
    return lambda size: monkeypatch.setattr(decode, "PIECE_BYTES", size)


def test_in_pieces_a_body_changed_anywhere_is_read_as_row_by_row(in_pieces):
    """The same rows or the same words, wherever bytes are changed, lost or added between the rows and in them."""
    chance, body = np.random.default_rng(7), batch(4)
    marks = [
        at for at, byte in enumerate(body) if byte in b'{}[],: \n"' and (byte in b"{}[]\n" or chance.random() < 0.05)
    ]
    taken = 0
    for _ in range(3_000):
        at, length = int(chance.choice(marks)), int(chance.choice([0, 1, 1, 2, 700]))
        put = bytes(chance.choice(list(b' ,]}[{"\n\x0b:0'), size=chance.integers(3)).tolist())
        changed = body[:at] + put + body[at + length :]
        row_by_row = answered(DECODER._row_by_row(changed, 10_000))
        for size in (1, 900, 1 << 30):
            in_pieces(size)
            assert read(changed) == row_by_row, changed
        taken += row_by_row[0] != 400
    assert 100 < taken < 2_900


@pytest.mark.parametrize("size", [1, 700, 1_500, 1 << 20])
def test_more_rows_than_allowed_are_refused_in_pieces_too(in_pieces, size):
    """With the same words."""
    in_pieces(size)
    assert read(batch(8), 8)[1] == (*(f"t-{number}" for number in range(7)), "")
    assert read(batch(9), 8)[0] == 413


def test_a_large_batch_is_read_in_many_steps():
    """Of about PIECE_BYTES each, valid or not; a small one in one."""
    text = json.dumps({"transactions": [ROW] * 2_000}).encode()
    few = len(text) / decode.PIECE_BYTES
    assert len(list(parse_many(text, 2_000))) == pytest.approx(few, abs=1)
    steps = parse_many(text[:-3] + b", " + text[-3:], 2_000)
    taken = 0
    with pytest.raises(RefusedError):
        for _ in steps:
            taken += 1
    assert taken >= few - 1
    assert list(parse_many(json.dumps({"transactions": [ROW]}).encode(), 1)) == []
