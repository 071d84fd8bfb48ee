"""Short names of the default schema, for tests."""

from fraud.schema import default

FEATURES = default().features
COLUMNS = default().inputs
LABEL = default().roles.label
ID_COLUMN = default().roles.id


def bounds(column):
    """Lowest and highest value."""
    return default().columns[column].bounds
