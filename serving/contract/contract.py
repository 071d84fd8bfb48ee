"""What a model's transactions look like on the wire: made once, of its schema and the levels that it has learnt."""

from typing import TYPE_CHECKING, Any

from fraud.inputs.example import plain
from fraud.inputs.keys import KeyHasher
from fraud.inputs.levels import Levels
from fraud.rows import ID_COLUMN
from fraud.schema import Schema
from serving import refuse
from serving.contract.models import field_names, transaction_of, unlike
from serving.contract.wire import may_be_absent, wire_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fraud.store import Served


class Contract:
    """That of ``schema``; ``levels`` are the texts of categories that the model knows. ``hash_key`` is what keys are
    hashed with before anybody keeps them; without it nobody does.
    """

    def __init__(self, schema: Schema, levels: Levels, hash_key: KeyHasher | None = None) -> None:
        self.schema = schema
        self.hash_key = hash_key
        self.served: Served | None = None
        """The model, once it is loaded, by ``load``: rows carry the contract, so that no other model scores them."""
        self.columns = tuple(schema.columns)
        self.amount = schema.position(schema.roles.amount)
        """Where the amount stands in a row array."""
        self.id_name = schema.roles.id or unlike(ID_COLUMN, self.columns)
        """What the id is called in a request; in the answer it is always ``transaction_id``."""
        self.wires = {name: wire_of(schema.columns[name], levels.get(name, ())) for name in self.columns}
        self.fields = field_names((*self.columns, self.id_name))
        """What the columns, and at the end the id, are called in ``transaction``."""
        self.transaction: type[BaseModel] = transaction_of(schema, self.wires, self.id_name, self.fields)
        required = [name for name in self.columns if not self.may_be_absent(name)]
        self.one, self.row, self.batch = refuse.shapes_of(required or self.columns, required)
        self.invented: dict[str, Any] = plain(schema, levels)
        """A transaction that is valid, made of the schema alone."""

    def load(self, served: "Served") -> None:
        """Say which model it is, once and for all. Another one needs a contract of its own: rows are under way."""
        if self.served is not None and self.served.version != served.version:
            raise ValueError(f"rows of {self.served.version} are under way: {served.version} needs another contract")
        self.served = served

    def may_be_absent(self, name: str) -> bool:
        """Whether a column may be absent, or null."""
        return may_be_absent(self.schema.columns[name])
