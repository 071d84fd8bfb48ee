"""Valid transactions read quickly: msgspec checks types, bounds, and missing and unknown fields while it parses.

The values of a row are then made numbers, in the order of the schema's inputs, and the quotes of its keys and texts
counted: a text that holds more has a key twice.
"""

from collections.abc import Sequence
from math import nan
from operator import itemgetter
from typing import Annotated, Any

import numpy as np
from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, defstruct, json
from msgspec.structs import astuple

from fraud.rows import Decoded, Rows, Texts, maker, packer, unpack
from fraud.schema import ID_PATTERN
from serving.contract.contract import Contract

NOT_VALID = (DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises."""
_decoded = maker(Decoded)
_PATTERN = ID_PATTERN.removesuffix("$") + r"\Z"  # Python's $ lets a line break follow; pydantic's does not


class Quick:
    """Reads transactions of a contract; what is not surely valid is None."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        schema, columns = contract.schema, contract.columns
        self.is_off = any(mark in name for name in (*columns, contract.id_name) for mark in '"\\')
        """msgspec takes no names with these: every transaction is read slowly then."""
        struct = Struct if self.is_off else self._struct()
        self._read: Any = json.Decoder(struct).decode
        self._read_rows: Any = json.Decoder(list[struct]).decode  # type: ignore[valid-type]
        self._pack = packer(len(schema.inputs))
        positions = self._positions = [columns.index(name) for name in schema.inputs]
        self._inputs = None if positions == [*range(len(columns))] else itemgetter(*positions, len(columns))
        """What takes the inputs and the id out of all values; None where there is nothing else."""
        odd = [
            (position, contract.may_be_absent(name), wire)
            for position, (name, wire) in enumerate(contract.wires.items())
            if contract.may_be_absent(name) or wire.convert
        ]
        self._levels = [
            (position, wire.known.get, wire.convert)
            for position, may_be_absent, wire in odd
            if wire.known is not None and wire.convert and not may_be_absent
        ]
        """Texts that are always there: where, what has the number of most, and what makes one of any."""
        always = {position for position, *_ in self._levels}
        self._nullable = [position for position, _, wire in odd if not wire.convert]
        """Numbers that may be absent."""
        self._others = [
            (position, may_be_absent, wire.convert)
            for position, may_be_absent, wire in odd
            if wire.convert and position not in always
        ]
        """Other columns whose value is no number yet: where, whether it may be absent, what makes it one."""
        self.odd = bool(odd)
        self.is_flat = not self.odd and not any(mark in name for name in columns for mark in "{}")
        """Whether each brace of a batch is that of a row."""
        self._texts = [place for place, name in enumerate(columns) if schema.columns[name].kind in ("category", "key")]
        self._keys = [place for place, text in enumerate(self._texts) if schema.columns[columns[text]].kind == "key"]
        """Where the texts stand among all values, and where keys among the texts."""
        self._quotes = 2 * sum(not contract.may_be_absent(name) for name in columns) + 2 * len(always)
        """Of the keys and texts that are there in every transaction."""
        self.commas = 2 * (len(columns) + 1)

    def _struct(self) -> Any:  # noqa: ANN401 - a type
        contract = self.contract
        fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
        for field, (name, wire) in zip(contract.fields, contract.wires.items(), strict=False):
            if wire.quick is Raw:  # which takes null too, and stands in no union
                fields.append((field, Raw, UNSET))
            elif contract.may_be_absent(name):
                fields.append((field, wire.quick | None | UnsetType, UNSET))
            else:
                fields.append((field, wire.quick))
        fields.append((contract.fields[-1], Annotated[str, Meta(pattern=_PATTERN)] | None | UnsetType, UNSET))
        names = dict(zip(contract.fields, (*contract.columns, contract.id_name), strict=True))
        return defstruct("Transaction", fields, rename=names, kw_only=True, forbid_unknown_fields=True, gc=False)

    def decode_one(self, body: bytes) -> Decoded | None:
        """One transaction; None if ``body`` is not surely a valid one."""
        if self.is_off:
            return None
        try:
            values = astuple(self._read(body))
        except NOT_VALID:
            return None
        return None if self.odd and b"\\" in body else self.row_of(values, body.count(b'"'))

    def row_of(self, values: tuple[Any, ...], counted: int | None = None) -> Decoded | None:
        """Values of msgspec's as a transaction; None where one is not valid, or where other quotes than theirs were
        ``counted``."""
        name, texts = values[-1], self._texts_of(values) if self._texts else ()
        quotes = self._quotes + (0 if name is UNSET else 2 if name is None else 4)
        if self.odd:
            changed: Any = list(values)
            for position, known, convert in self._levels:
                number = known(values[position])
                changed[position] = convert(values[position]) if number is None else number
            for position in self._nullable:
                value = values[position]
                if value is UNSET or value is None:
                    changed[position] = nan
                quotes += 0 if value is UNSET else 2
            for position, may_be_absent, convert in self._others:
                value = values[position]
                if value is UNSET:
                    changed[position] = nan
                    continue
                quotes += 2 * may_be_absent + _quotes_in(value)
                changed[position] = number = nan if value is None else convert(value)
                if number is None:
                    return None
            values = changed if self._inputs is None else self._inputs(changed)
        if counted is not None and counted != quotes:
            return None
        return _decoded((self._pack(*values[:-1]), texts, "" if name is UNSET else name or "", self.contract))

    def _texts_of(self, values: tuple[Any, ...]) -> Texts:
        """What numbers do not hold of the values; keys hashed, or left out where nothing hashes them."""
        found = [None if (value := values[place]) is UNSET else value for place in self._texts]
        for place in self._keys:
            if (key := found[place]) is not None:
                found[place] = self.contract.hash_key(key) if self.contract.hash_key else None
        return tuple(found)

    def decode_rows(self, text: bytes) -> Rows | None:
        """Transactions behind one another, with commas between them."""
        if self.is_off:
            return None
        try:
            structs, quotes = self._read_rows(b"[%b]" % text), text.count(b'"')
        except NOT_VALID:
            return None
        read = self._rows_of if self.odd else self._plain_rows
        return read([astuple(struct) for struct in structs], quotes) if structs else None

    def _plain_rows(self, rows: Sequence[tuple[Any, ...]], quotes: int) -> Rows | None:
        """``_rows_of`` where every value is a number that is there: a row at once is quicker then."""
        names = [row[-1] for row in rows]
        if quotes != self._quotes * len(rows) + 4 * len(rows) - 4 * names.count(UNSET) - 2 * names.count(None):
            return None
        values = unpack([self._pack(*row[:-1]) for row in rows])
        return Rows(values, tuple(name or "" for name in names), (), self.contract)

    def _rows_of(self, rows: Sequence[tuple[Any, ...]], quotes: int) -> Rows | None:
        """``row_of`` for many, with so many ``quotes``: a column at once."""
        columns: list[Sequence[Any]] = [*zip(*rows, strict=True)]
        names, count = columns[-1], len(rows)
        wanted = self._quotes * count + 4 * count - 4 * names.count(UNSET) - 2 * names.count(None)
        texts = self._texts_of_all(columns)
        for position, known, convert in self._levels:
            found = [*map(known, columns[position])]
            if None in found:
                found = [
                    convert(text) if place is None else place
                    for place, text in zip(found, columns[position], strict=True)
                ]
            columns[position] = found
        for position in self._nullable:
            wanted += 2 * (count - columns[position].count(UNSET))
            columns[position] = [nan if one is UNSET or one is None else one for one in columns[position]]
        for position, may_be_absent, convert in self._others:
            there = [value for value in columns[position] if value is not UNSET]
            wanted += 2 * may_be_absent * len(there) + sum(map(_quotes_in, there))
            columns[position] = [nan if one is UNSET or one is None else convert(one) for one in columns[position]]
            if None in columns[position]:
                return None
        if quotes != wanted:
            return None
        values = np.array([columns[position] for position in self._positions], dtype=np.float64)
        return Rows(np.ascontiguousarray(values.T), tuple(name or "" for name in names), texts, self.contract)

    def _texts_of_all(self, columns: Sequence[Sequence[Any]]) -> tuple[Texts, ...]:
        """``_texts_of`` for many, a column at once."""
        if not self._texts:
            return ()
        found = [[None if text is UNSET else text for text in columns[position]] for position in self._texts]
        for place in self._keys:
            hashed = self.contract.hash_key
            found[place] = [hashed(key) if key and hashed else None for key in found[place]]
        return tuple(zip(*found, strict=True))


def _quotes_in(value: object) -> int:
    """How many quotes a value takes in JSON; none of a text is behind a backslash."""
    if isinstance(value, str):
        return 2
    return bytes(value).count(b'"') if isinstance(value, Raw) else 0
