"""A declared schema: what follows from it, the hash that tells schemas apart, and what is said of a bad file."""

import re

import pytest

from fraud import schema
from fraud.errors import SchemaError
from tests.shop_schema import SCHEMA, TEXT
from tests.ulb import COLUMNS, bounds


def refused(text):
    """What is said of a text."""
    with pytest.raises(SchemaError) as caught:
        schema.parse(text, "shop.toml")
    return str(caught.value)


def changed(before, after):
    """The shop's schema with one place changed."""
    assert TEXT.count(before) == 1
    return schema.parse(TEXT.replace(before, after), "shop.toml")


def test_columns():
    """There are 30 input columns: Time, V1 to V28, Amount, in this order; the id is none of them."""
    assert list(COLUMNS) == ["Time", *(f"V{number}" for number in range(1, 29)), "Amount"]


@pytest.mark.parametrize(("column", "expected"), [("Time", (0, 1e11)), ("V1", (-1e6, 1e6)), ("Amount", (0, 1e9))])
def test_bounds(column, expected):
    """They are what the documentation of the fields says."""
    assert bounds(column) == expected


@pytest.mark.parametrize("text", ["a", "7", "A-b_c.d:e/f", "x" * 64, "2024-01-01T00:00:00"])
def test_ids_that_pass(text):
    """Letters, digits and - _ . : / after a first letter or digit, up to 64 in all."""
    assert re.fullmatch(schema.ID_PATTERN, text)


def test_the_default_keeps_the_hash_of_its_models():
    """Models and log rows of before schemas were declared hold this value."""
    assert schema.default().hash == "6964e738c2b5ace5a3300060b92f1b3f71047a02a8119ea16bc36ebcf9baaeba"


def test_what_a_row_and_a_model_see():
    """Inputs are numbers, booleans, categories and times; features leave out the times and add what is derived."""
    assert SCHEMA.inputs == ("bought_at", "total", "age", "country", "channel", "returning")
    assert SCHEMA.features == ("total", "age", "country", "channel", "returning", "hour", "weekday")
    assert SCHEMA.categories == ("country", "channel")
    assert SCHEMA.position(SCHEMA.roles.amount) == 1
    assert SCHEMA.position(None) is None


def test_what_is_derived_of_another_time_bears_its_name():
    """The short name is the time role's, unless a column has it."""
    two = changed("[columns.total]", '[columns.opened]\nkind = "time"\nderive = ["weekday"]\n[columns.total]')
    assert two.features[-3:] == ("hour", "weekday", "opened_weekday")
    taken = changed("[columns.age]", "[columns.hour]")
    assert taken.features[-2:] == ("bought_at_hour", "weekday")


def test_a_number_without_bounds_has_float32s():
    """A forest's inputs are float32: nothing larger could be told apart."""
    assert SCHEMA.columns["age"].bounds == (-schema.FLOAT32_MOST, schema.FLOAT32_MOST)


def test_what_stands_for_missing():
    """Of texts the empty one alone: NA is a country. What is declared holds for all."""
    assert SCHEMA.stands_for_missing("category") == ("",)
    assert "NA" in SCHEMA.stands_for_missing("number")
    said = changed('name = "shop"', 'name = "shop"\nmissing_values = ["?"]')
    assert said.stands_for_missing("category") == said.stands_for_missing("number") == ("?",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[columns.age]", "[columns.years]"),
        ('[columns.customer]\nkind = "key"', '[columns.customer]\nkind = "ignored"'),
        ('id = "order"\n', ""),
        ('amount = "total"\n', ""),
        ('label = "fraudulent"', 'label = "bad"'),
        ("maximum = 10000", "maximum = 10001"),
        ("minimum = 0\n", ""),
        ('[columns.age]\nkind = "number"\nmissing = true', '[columns.age]\nkind = "number"'),
        ('levels = ["app", "shop", "web"]', 'levels = ["app", "shop"]'),
        ('levels = ["app", "shop", "web"]', ""),
        ('derive = ["hour", "weekday"]', 'derive = ["hour"]'),
        ('zone = "Europe/Berlin"', 'zone = "Europe/London"'),
        ('[columns.comment]\nkind = "ignored"\n', ""),
        (
            '[columns.customer]\nkind = "key"\n\n[columns.comment]\nkind = "ignored"',
            '[columns.comment]\nkind = "ignored"\n\n[columns.customer]\nkind = "key"',
        ),
    ],
    ids=[
        *(
            "name",
            "kind",
            "id",
            "amount",
            "label",
            "bound",
            "no bound",
            "missing",
            "levels",
            "learnt levels",
            "derived",
        ),
        *("zone", "one fewer", "order"),
    ],
)
def test_the_hash_tells_what_a_model_depends_on(before, after):
    """Names, kinds, roles, bounds, missing, declared levels, derived features, and their order."""
    assert changed(before, after).hash != SCHEMA.hash


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('description = "In euros."', 'description = "Euros."'),
        ('description = "In euros."\n', ""),
        ('name = "shop"', 'name = "store"'),
        ('name = "shop"', 'name = "shop"\nmissing_values = ["?"]'),
        ('fraud = ["Y"]', 'fraud = ["Y", "yes"]'),
        ("minimum = 0", "minimum = 0.0"),
        ('zone = "Europe/Berlin"', 'zone = "Europe/Berlin"\nformat = "%d.%m.%Y %H:%M"'),
        ("[roles]", "# a comment\n[roles]"),
    ],
    ids=["words", "no words", "name", "missing", "fraud", "number", "format", "comment"],
)
def test_the_hash_passes_over_words_and_spellings(before, after):
    """Descriptions, the schema's name and how files write things: the same rows come of them."""
    assert changed(before, after).hash == SCHEMA.hash


@pytest.mark.parametrize(
    ("before", "after"), [('["hour"]', "[]"), ("maximum = 1e9", "maximum = 2e9"), ('id = "transaction_id"\n', "")]
)
def test_the_default_changed_has_another_hash(before, after):
    """Its own value is for it alone."""
    text = (schema.files("fraud") / "schemas" / "creditcard.toml").read_text("utf-8")
    assert schema.parse(text.replace(before, after), "t").hash != schema.default().hash


@pytest.mark.parametrize("one", [SCHEMA, schema.default()], ids=lambda one: one.name)
def test_a_document_gives_the_schema_back(one):
    """What a manifest holds is the schema, whole."""
    again = schema.of_document(one.document(), "here")
    assert (again, again.hash) == (one, one.hash)


def test_a_file_is_read(tmp_path):
    """With a byte-order mark, as some editors write one."""
    path = tmp_path / "shop.toml"
    path.write_text(TEXT, "utf-8-sig")
    assert schema.read(path) == SCHEMA


@pytest.mark.parametrize("content", [None, "Zürich".encode("latin-1")], ids=["none", "latin-1"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    """With what was expected."""
    path = tmp_path / "shop.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SchemaError, match=r"shop\.toml: cannot be read: .*expected a TOML file that declares columns"):
        schema.read(path)


PLAIN = '[columns.x]\nkind = "number"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "shop.toml: not TOML: Invalid value (at end of document)"),
        (PLAIN, "shop.toml: name is required"),
        ('name = "a"', "shop.toml: columns is required"),
        ('name = "A b"\n' + PLAIN, "name should match pattern"),
        ('name = "a"\ncolor = 1\n' + PLAIN, "shop.toml: color is not known here"),
        ('name = "a"\n[roles]\nlable = "y"\n' + PLAIN, "shop.toml: [roles] lable is not known here"),
        ('name = "a"\n[roles]\nlabel = 7\n' + PLAIN, "shop.toml: [roles] label should be text, in quotes"),
        ('name = "a"\n[columns.x]\n', "shop.toml: [columns.x] kind is required"),
        ('name = "a"\n[columns.x]\nkind = "text"\n', "shop.toml: [columns.x] kind should be 'number', 'boolean'"),
        ('name = "a"\n' + PLAIN + "minimum = true\n", "[columns.x] minimum should be a valid number"),
        ('name = "a"\n' + PLAIN + "maximum = inf\n", "[columns.x] maximum should be a"),
        ('name = "a"\n' + PLAIN + "size = 1\n", "shop.toml: [columns.x] size is not known here"),
        ('name = "a"\n' + PLAIN + "size = 1\ncolor = 2\n", "size is not known here (and 1 more)"),
        (
            'name = "a"\n' + PLAIN + 'levels = ["a"]\n',
            "shop.toml: [columns.x] a column of kind number has no levels; it may have decimals, maximum,",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "ignored"\nmissing = true\n',
            "[columns.x] a column of kind ignored has no missing; it may have nothing but a description",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "boolean"\nderive = ["hour"]\n',
            "[columns.x] a column of kind boolean has no derive; it may have missing",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "key"\nzone = "UTC"\n',
            "a column of kind key has no zone; it may have missing",
        ),
        (
            'name = "a"\n' + PLAIN + "minimum = 2\nmaximum = 1\n",
            "shop.toml: [columns.x] the minimum 2 is above the maximum 1",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "category"\nlevels = []\n',
            "[columns.x] levels should be a list of different texts, one at least",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "category"\nlevels = ["a", "a"]\n',
            "[columns.x] levels should be a list of different texts, one at least",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "time"\nderive = ["hour"]\nzone = "Europe/Bonn"\n',
            "[columns.x] zone 'Europe/Bonn' is not known; expected one such as Europe/Berlin, America/New_York or UTC",
        ),
        (
            'name = "a"\n[columns.x]\nkind = "time"\nderive = ["month"]\n',
            "should be 'hour', 'weekday', 'weekend' or 'night'",
        ),
        (
            'name = "a"\n[roles]\ntime = "when"\n' + PLAIN,
            "shop.toml: [roles] time = 'when' should be a column of kind time: add [columns.when]",
        ),
        ('name = "a"\n[roles]\ntime = "x"\n' + PLAIN, "[roles] time = 'x' should be a column of kind time"),
        (
            'name = "a"\n[roles]\namount = "to pay"\n' + PLAIN,
            "[roles] amount = 'to pay' should be a column of kind number: add [columns.\"to pay\"]",
        ),
        (
            'name = "a"\n[roles]\nlabel = "x"\n' + PLAIN,
            "shop.toml: [columns.x] is the label: it stands in [roles] alone, leave the table out",
        ),
        ('name = "a"\n[roles]\nid = "x"\n' + PLAIN, "[columns.x] is the id: it stands in [roles] alone"),
        ('name = "a"\n[roles]\nid = "y"\nlabel = "y"\n' + PLAIN, "shop.toml: [roles] label and id are both 'y'"),
        ('name = "a"\n[roles]\nfraud = ["Y"]\n' + PLAIN, "[roles] fraud lists values of the label that mean fraud"),
        ('name = "a"\n[roles]\nlabel = "y"\nfraud = []\n' + PLAIN, "name the label, and one value"),
        (
            'name = "a"\n[roles]\ntime = "t"\n[columns.t]\nkind = "time"\nmissing = true\n' + PLAIN,
            "shop.toml: [columns.t] is the time: each transaction has one, leave `missing` out",
        ),
        (
            'name = "a"\n[columns.t]\nkind = "time"\n',
            "shop.toml: no column gives the model an input: a number, a boolean, a category, or a time with `derive`",
        ),
        ('name = "a"\n[columns]\n', "no column gives the model an input"),
    ],
)
def test_a_bad_schema_is_told(text, said):
    """In one line: the file, the table, and what was expected."""
    told = refused(text)
    assert said in told
    assert told.startswith("shop.toml: ")
    assert "\n" not in told


@pytest.mark.parametrize(
    "columns",
    [
        '[columns.t]\nkind = "time"\nderive = ["hour", "hour"]',
        '[columns.t]\nkind = "time"\nderive = ["hour"]\n[columns.t_hour]\nkind = "number"',
    ],
)
def test_no_two_features_have_one_name(columns):
    """One would be read where the other was meant."""
    with pytest.raises(SchemaError, match="two features would be called 't_hour'"):
        schema.parse(f'name = "a"\n{columns}', "a.toml")


@pytest.mark.parametrize("zone", ["Europe.Berlin", "", "..", "zone.tab", "../../etc/passwd", "Europe"])
def test_a_zone_is_one_of_the_database(zone):
    """And no name of a module, or of a file that lies there."""
    with pytest.raises(SchemaError, match="is not known; expected one such as Europe/Berlin"):
        schema.parse(f'name = "a"\n[columns.t]\nkind = "time"\nderive = ["hour"]\nzone = "{zone}"', "a.toml")


@pytest.mark.parametrize("form", ["%H:%M", "(", "%d.%m.%d", "%s", "%d.%m.%Y %Z", ""])
def test_a_format_says_a_day(form):
    """And is one that can be read; a zone by its name is not."""
    with pytest.raises(SchemaError, match="is none of a day and a time, such as"):
        schema.parse(f'name = "a"\n[columns.t]\nkind = "time"\nderive = ["hour"]\nformat = "{form}"', "a.toml")


def test_bounds_are_those_of_a_forest():
    """What is beyond float32 would be infinite there."""
    with pytest.raises(SchemaError, match="are beyond what a forest takes"):
        schema.parse('name = "a"\n[columns.x]\nkind = "number"\nmaximum = 1e308', "a.toml")


def test_a_deep_file_is_no_schema(tmp_path):
    """One line, and no end of the stack."""
    with pytest.raises(SchemaError, match="not TOML"):
        schema.parse(f"q = {'[' * 5000}", "a.toml")


@pytest.mark.parametrize("name", ["a-", ".a", "A", "a b", "", "x" * 64])
def test_a_name_is_a_label_of_the_model_store(name):
    """BentoML takes no other: a model would be lost when it is saved."""
    with pytest.raises(SchemaError, match="name should match pattern"):
        schema.parse(f'name = "{name}"\n[columns.x]\nkind = "number"', "a.toml")
    assert schema.parse(f'name = "{"x" * 63}"\n[columns.x]\nkind = "number"', "a.toml").name
