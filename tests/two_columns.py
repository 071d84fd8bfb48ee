"""The smallest schema with something to learn of texts: a category that may be missing, and a number."""

from fraud.schema import parse

SCHEMA = parse(
    """
    name = "two"
    [roles]
    label = "bad"
    [columns.shop]
    kind = "category"
    missing = true
    [columns.size]
    kind = "number"
    """,
    "two.toml",
)
