"""What a transaction is: its columns, their kinds and roles, declared in one TOML file.

Checks, features, documents and the log follow from it, so no other module names a column. A model carries its schema
whole; ``fraud/schemas/creditcard.toml`` is the one for commands that have neither a model nor ``--schema``.
"""

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from fraud.errors import SchemaError, one_line, system_words
from fraud.history import declared as histories
from fraud.history.declared import History, Name
from fraud.inputs import derived, times, wording

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"
LONGEST_TEXT = 256  # characters of a category: more is no level, and a file of it would fill the memory
FLOAT32_MOST = 3.4028234663852886e38
"""The largest float32: a forest's inputs are such."""
NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What stands for a missing number, boolean or time in a file where the schema says nothing; of texts the first."""

Kind = Literal["number", "boolean", "category", "time", "key", "ignored"]
_MAY: Mapping[str, frozenset[str]] = {
    "number": frozenset({"minimum", "maximum", "missing", "decimals"}),
    "boolean": frozenset({"missing"}),
    "category": frozenset({"levels", "missing"}),
    "time": frozenset({"minimum", "maximum", "missing", "derive", "format", "zone"}),
    "key": frozenset({"missing"}),
    "ignored": frozenset(),
}
"""What may be said of a column of each kind, besides its description."""
PARSED_KINDS = frozenset({"number", "boolean", "time"})  # numbers are made of their cells: a word may be no value
INPUT_KINDS = PARSED_KINDS | {"category"}  # what a row array holds


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Column(_Declared):
    """One column."""

    kind: Kind
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    missing: bool = Field(False, description="Whether a value may be null, or absent.")
    decimals: int | None = Field(None, ge=0, le=6, description="Of an amount that [[history]] sums.")
    levels: tuple[str, ...] | None = Field(None, description="The only ones there may be; else they are learnt.")
    derive: tuple[derived.Name, ...] = ()
    format: str | None = Field(None, description="How a time is written, for strptime; else ISO 8601, or seconds.")
    zone: str | None = Field(None, description="Of times without one, and of local hours.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        said = self.model_fields_set - {"kind", "description"} - _MAY[self.kind]
        if said:
            may = ", ".join(sorted(_MAY[self.kind])) or "nothing but a description"
            raise ValueError(f"a column of kind {self.kind} has no {sorted(said)[0]}; it may have {may}")
        low, high = self.bounds
        if low > high:
            raise ValueError(f"the minimum {low:g} is above the maximum {high:g}")
        if self.levels is not None and (not self.levels or len(set(self.levels)) < len(self.levels)):
            raise ValueError("levels should be a list of different texts, one at least")
        if max(abs(low), abs(high)) > FLOAT32_MOST:
            raise ValueError(f"bounds beyond {FLOAT32_MOST:g} are beyond what a forest takes: leave them out")
        times.check(self.zone, self.format)
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value, in the column's own unit; the calendar's or float32's where none is declared."""
        low, high = times.CALENDAR if self.kind == "time" else (-FLOAT32_MOST, FLOAT32_MOST)
        return low if self.minimum is None else self.minimum, high if self.maximum is None else self.maximum


class Roles(_Declared):
    """Which column is what; each may be absent."""

    label: Name | None = Field(None, description="What was found out.")
    fraud: tuple[str, ...] | None = Field(
        None, description="Its values that mean fraud, where it is neither 0/1 nor boolean."
    )
    id: Name | None = Field(None, description="Comes back with the answer, and joins labels.")
    time: Name | None = None
    amount: Name | None = None


class Schema(_Declared):
    """A declared schema. ``SchemaError`` where one cannot be read."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    roles: Roles = Roles()
    missing_values: tuple[str, ...] | None = Field(None, description="What stands for a missing value in files.")
    columns: dict[Name, Column]
    history: tuple[History, ...] = Field((), max_length=16)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        roles = self.roles
        if roles.time in self.columns and self.columns[roles.time].missing:
            raise ValueError(
                f"[columns.{wording.key(roles.time)}] is the time: each transaction has one, leave `missing` out"
            )
        for role, kind in (("time", "time"), ("amount", "number")):
            name = getattr(roles, role)
            if name is not None and (name not in self.columns or self.columns[name].kind != kind):
                added = f"add [columns.{wording.key(name)}]"
                raise ValueError(f"[roles] {role} = {name!r} should be a column of kind {kind}: {added}")
        for role in ("label", "id"):
            if (name := getattr(roles, role)) in self.columns:
                alone = "it stands in [roles] alone, leave the table out"
                raise ValueError(f"[columns.{wording.key(name)}] is the {role}: {alone}")
        if roles.label is not None and roles.label == roles.id:
            raise ValueError(f"[roles] label and id are both {roles.label!r}")
        if roles.fraud is not None and (roles.label is None or not roles.fraud):
            raise ValueError("[roles] fraud lists values of the label that mean fraud: name the label, and one value")
        decimals = {name: one.decimals for name, one in self.columns.items() if one.kind == "number"}
        histories.check(self.history, decimals, self.of_kind("key"), roles.time)
        twice = [name for name, count in Counter(self.features).items() if count > 1]
        if twice:
            raise ValueError(f"two features would be called {twice[0]!r}: rename the column, or leave its `derive` out")
        if not self.features:
            raise ValueError(
                "no column gives the model an input: a number, a boolean, a category, or a time with `derive`"
            )
        return self

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Columns that a row array holds, in their order; a model sees them, or what is derived from them."""
        return tuple(name for name, column in self.columns.items() if column.kind in INPUT_KINDS)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the model's inputs: numbers, booleans and categories, what is derived of times, histories."""
        plain = [name for name in self.inputs if self.columns[name].kind != "time"]
        return (*plain, *(name for name, _, _ in self.derived), *self.histories)

    @cached_property
    def histories(self) -> tuple[str, ...]:
        """Features of histories; a row array that holds them has them behind the inputs, in this order."""
        return tuple(made.name for one in self.history for made in one.made)

    @cached_property
    def derived(self) -> tuple[tuple[str, str, derived.Name], ...]:
        """Feature, column it is made of, and how; of the time role by the short name, ``hour``."""
        found = []
        for column in self.inputs:
            for how in self.columns[column].derive:
                short = column == self.roles.time and how not in self.columns
                found.append((how if short else f"{column}_{how}", column, how))
        return tuple(found)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The columns of kind category."""
        return self.of_kind("category")

    def of_kind(self, *kinds: Kind) -> tuple[str, ...]:
        """Columns of these kinds, in their order."""
        return tuple(name for name, column in self.columns.items() if column.kind in kinds)

    def position(self, name: str | None) -> int | None:
        """Where a column stands in a row array; None for no name."""
        return None if name is None else self.inputs.index(name)

    def stands_for_missing(self, kind: Kind) -> tuple[str, ...]:
        """The texts that mean no value in a column of this kind."""
        if self.missing_values is not None:
            return self.missing_values
        return NULLS if kind in PARSED_KINDS else NULLS[:1]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names, kinds, roles, bounds, missing, declared levels, derived features and histories.

        Two schemas that differ in it must not meet; how files spell things is no part of it.
        """
        columns = [(name, column.model_dump(exclude=_SPELLINGS)) for name, column in self.columns.items()]
        decimals = {name: column.decimals for name, column in self.columns.items() if column.decimals is not None}
        facts: dict[str, Any] = {"roles": self.roles.model_dump(exclude={"fraud"}), "columns": columns}
        if self.history:
            facts |= {"history": [one.model_dump() for one in self.history], "decimals": decimals}
        found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return _plain_hash(self) if found == _ULB else found

    def document(self) -> dict[str, Any]:
        """As a manifest holds it: what was declared."""
        return self.model_dump(mode="json", exclude_defaults=True)


_SPELLINGS = {"description", "format", "decimals"}
_ULB = "6ee70f4902f9cb3e976c0928c4e8dbcaf9b2e8381bf6c8859e3d633727866d5f"
"""The hash of the default schema as above."""


def _plain_hash(schema: Schema) -> str:
    """What models of the default schema have had since before schemas were declared: columns and bounds."""
    facts = [[name, *schema.columns[name].bounds] for name in schema.inputs]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read(path: Path) -> Schema:
    """Read a schema file. Raises SchemaError that names the file, the table and what was expected."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = f"cannot be read: {system_words(error)}; expected a TOML file that declares columns"
        raise SchemaError(f"{path}: {why}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Schema:
    """The schema of a TOML text. Raises SchemaError."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError(f"{where}: not TOML: {one_line(error)}") from None
    return of_document(document, where)


def of_document(document: Mapping[str, Any], where: str) -> Schema:
    """The schema that ``document`` declares. Raises SchemaError."""
    try:
        return Schema.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        problems = [wording.worded(problem) for problem in error.errors(include_url=False)]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise SchemaError(f"{where}: {problems[0]}{more}") from None


@cache
def default() -> Schema:
    """The schema of the public credit-card data."""
    return parse((files("fraud") / "schemas" / "creditcard.toml").read_text("utf-8"), "creditcard.toml")
