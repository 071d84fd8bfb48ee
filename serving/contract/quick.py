"""Valid transactions read quickly: msgspec checks types, bounds, and missing and unknown fields while it parses.

The values of a row are then made numbers, in the order of the schema's inputs, and the quotes of its keys and texts
counted: a text that holds more has a key twice.
"""

from collections.abc import Sequence
from math import nan
from operator import itemgetter
from typing import Annotated, Any

from msgspec import UNSET, DecodeError, Meta, Raw, Struct, UnsetType, defstruct, json
from msgspec.structs import astuple

from fraud.rows import Packed, Rows, packer, unpack
from fraud.schema import ID_PATTERN
from serving.contract.contract import Contract

NOT_VALID = (DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises."""
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
        positions = [columns.index(name) for name in schema.inputs]
        self._inputs = None if positions == [*range(len(columns))] else itemgetter(*positions, len(columns))
        """What takes the inputs and the id out of all values; None where there is nothing else."""
        self.odd = tuple(
            (position, contract.may_be_absent(name), wire.convert or _as_it_is)
            for position, (name, wire) in enumerate(contract.wires.items())
            if contract.may_be_absent(name) or wire.convert
        )
        """Columns whose value is no number yet, or may be absent: where, whether it may, and what makes it one."""
        self.is_flat = not self.odd and not any(mark in name for name in columns for mark in "{}")
        """Whether each brace of a batch is that of a row."""
        self._quotes = 2 * sum(not contract.may_be_absent(name) for name in columns)
        """Of the keys that are there in every transaction."""
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

    def decode_one(self, body: bytes) -> tuple[Packed, str] | None:
        """One transaction and its id (or an empty text); None if ``body`` is not surely a valid one."""
        if self.is_off:
            return None
        try:
            values = astuple(self._read(body))
        except NOT_VALID:
            return None
        decoded = self.row_of(values)
        if decoded is None or body.count(b'"') != decoded[2] or (self.odd and b"\\" in body):
            return None
        return decoded[0], decoded[1]

    def row_of(self, values: tuple[Any, ...]) -> tuple[Packed, str, int] | None:
        """Values of msgspec's as a row, its id, and how many quotes belong to them; None where one is not valid."""
        name = values[-1]
        quotes = self._quotes + (0 if name is UNSET else 2 if name is None else 4)
        if self.odd:
            changed: Any = list(values)
            for position, may_be_absent, convert in self.odd:
                value = values[position]
                if value is UNSET:
                    changed[position] = nan
                    continue
                quotes += 2 * may_be_absent + _quotes_in(value)
                changed[position] = number = nan if value is None else convert(value)
                if number is None:
                    return None
            values = changed if self._inputs is None else self._inputs(changed)
        return self._pack(*values[:-1]), "" if name is UNSET else name or "", quotes

    def decode_rows(self, text: bytes) -> Rows | None:
        """Transactions behind one another, with commas between them."""
        if self.is_off:
            return None
        try:
            structs, quotes = self._read_rows(b"[%b]" % text), text.count(b'"')
        except NOT_VALID:
            return None
        if not self.odd:
            return self._plain_rows([astuple(struct) for struct in structs], quotes)
        packed, names = list[Packed](), list[str]()
        for struct in structs:
            row = self.row_of(astuple(struct))
            if row is None:
                return None
            packed.append(row[0])
            names.append(row[1])
            quotes -= row[2]
        return Rows(unpack(packed), tuple(names)) if packed and not quotes else None

    def _plain_rows(self, rows: Sequence[tuple[Any, ...]], quotes: int) -> Rows | None:
        """``decode_rows`` where every value is a number that is there."""
        names = [row[-1] for row in rows]
        texts = 4 * len(rows) - 4 * names.count(UNSET) - 2 * names.count(None)
        if not rows or quotes != self._quotes * len(rows) + texts:
            return None
        return Rows(unpack([self._pack(*row[:-1]) for row in rows]), tuple(name or "" for name in names))


def _as_it_is(value: Any) -> Any:  # noqa: ANN401
    return value


def _quotes_in(value: object) -> int:
    """How many quotes a value takes in JSON; none of a text is behind a backslash."""
    if isinstance(value, str):
        return 2
    return bytes(value).count(b'"') if isinstance(value, Raw) else 0
