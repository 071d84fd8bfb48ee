"""The errors a user can meet. A class exists only where somebody catches it apart.

FraudError                   a stated error: one clear line, exit code 1
├── DataError                the transactions given cannot be used
├── SettingsError            a FRAUD_* variable is unknown or has a bad value
├── ModelError               a model is missing, damaged, or not exact
└── RegistryError            S3 refused, failed, or holds something else than expected
    └── ConflictError        somebody else changed the champion first
"""


class FraudError(Exception):
    """Root of the tree. The message says what was expected, what came, and what to do."""


class DataError(FraudError):
    """The transactions given cannot be used."""


class SettingsError(FraudError):
    """A ``FRAUD_*`` environment variable is unknown or has a bad value."""


class ModelError(FraudError):
    """A model is missing, damaged, or its scorer is not exact."""


class SchemaError(ModelError):
    """A model was made for another transaction schema than this code's."""


class RegistryError(FraudError):
    """S3 refused, failed, or holds something else than expected."""


class ConflictError(RegistryError):
    """Somebody else changed the champion between our read and our write."""


class DamagedError(RegistryError):
    """An object in S3 is not what our code writes."""


def one_line(error: BaseException) -> str:
    """What a library said, for a message of ours."""
    return " ".join(str(error).split()) or type(error).__name__
