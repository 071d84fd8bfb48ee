"""The errors a user can meet, in one tree. A class exists only where somebody catches it apart.

FraudError                   a stated error: one clear line, exit code 1
├── DataError                the transactions given cannot be used
├── SettingsError            a FRAUD_* variable is unknown, missing or has a bad value
├── ModelError               a model is missing, damaged, or not exact
│   └── SchemaError          it was made for another transaction schema than this code's
├── RegistryError            S3 refused, failed, or holds something else than expected
│   ├── ConflictError        somebody else changed the champion first
│   ├── UnsupportedError     the server lacks what this needs
│   └── DamagedError         an object is not what our code writes
├── HistoryError             the history store cannot be used now
│   ├── FullHistoryError     it has no room for new keys
│   ├── RefusedHistoryError  it will not take what it was given, however often it is tried
│   └── DamagedHistoryError  it holds something else than was written, and is set aside
└── DatabaseError            the database is away or refuses; in ``monitoring.database``

A message that is needed in more than one place is built from its facts in one: here, or in the room that it belongs to.
``serving.refuse.RefusedError`` is not of this tree: it is an HTTP answer to a caller, and so a BentoMLException.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Self

SET_IT = "set it, or name its file in FRAUD_KEY_SECRET_FILE (`python -m fraud key --secret` makes one)"
"""What to do without ``FRAUD_KEY_SECRET``."""
SET_THAT_ONE = "set that one, or name its file in FRAUD_KEY_SECRET_FILE"
"""The same, where keys were hashed with one already: a new one would find none of them."""


class FraudError(Exception):
    """Root of the tree. The message says what was expected, what came, and what to do."""

    @classmethod
    def not_writable(cls, what: object, error: OSError) -> Self:
        """A file or folder that the system does not let us write."""
        return cls(f"{what}: cannot be written ({system_words(error)})")

    @classmethod
    def not_shipped(cls, program: str, error: ModuleNotFoundError) -> Self:
        """A verb that works in a checkout only, called in a Bento or an image."""
        return cls(f"{program}: this needs {error.name}, which does not ship with the service; call it in a checkout")

    @classmethod
    def there_already(cls, what: object, remedy: str) -> Self:
        """What would be replaced, and must not be just so."""
        return cls(f"{what} is there already; {remedy}")

    @classmethod
    def no_secret(cls, schema: str, fingerprint: str | None = None) -> Self:
        """Histories are kept by the hashes of keys, and nothing hashes them; ``fingerprint``: of the model's secret."""
        theirs = f"; the model was trained with the one of fingerprint {fingerprint}"
        return cls(
            f"the schema {schema} has [[history]], which is kept by hashes of keys, and FRAUD_KEY_SECRET is not set"
            + (f"{theirs}: {SET_THAT_ONE}" if fingerprint else f": {SET_IT}")
        )


class DataError(FraudError):
    """The transactions given cannot be used."""

    @classmethod
    def no_folder(cls, folder: Path) -> Self:
        """Where a file is to be written there is no folder."""
        return cls(f"{folder}: no such folder; make it first")

    @classmethod
    def wrong_suffix(cls, path: Path, *suffixes: str) -> Self:
        """The name of a file to write does not say a format that we write."""
        return cls(f"{path}: expected a name that ends in {' or '.join(suffixes)}")

    @classmethod
    def too_little(cls, problem: str, or_else: str = "") -> Self:
        """There are not enough rows, or frauds among them, for what was asked."""
        return cls(f"{problem}; give more data{or_else and f' or {or_else}'}")


class SettingsError(FraudError):
    """A ``FRAUD_*`` environment variable is unknown, missing or has a bad value."""


class ModelError(FraudError):
    """A model is missing, damaged, or its scorer is not exact."""

    @classmethod
    def not_sound(cls, name: object, problem: str) -> Self:
        """A file of a model is not what was saved."""
        return cls(f"{name}: {problem}; delete it with `bentoml models delete`, then pull or train the model again")

    @classmethod
    def changed(cls, name: object, files: str) -> Self:
        """Files of a model are not those that were saved."""
        return cls.not_sound(name, f"{files} is not the file that was saved")

    @classmethod
    def not_saved(cls, home: Path, temporary: str, error: OSError) -> Self:
        """The system did not let us write it; ``temporary`` is the folder where it is put together."""
        return cls(
            f"BENTOML_HOME {home}: the model was not saved there ({system_words(error)}), and nothing is left "
            f"of it; it takes room there and in {temporary}: see that there is some, then run this again"
        )

    @classmethod
    def not_whole(cls, error: Exception) -> Self:
        """BentoML stumbles over an entry of the model store, and so over all of them."""
        problem = f"the model store holds an entry that is not whole ({one_line(error)})"
        return cls(f"{problem}; `python -m training doctor` names it")


class SchemaError(ModelError):
    """A model was made for another transaction schema than this code's."""


class RegistryError(FraudError):
    """S3 refused, failed, or holds something else than expected."""

    @classmethod
    def no_champion(cls, uri: str) -> Self:
        """Nobody serves yet."""
        return cls(f"{uri}: there is no champion yet; publish or promote a model")

    @classmethod
    def gate_refused(cls, name: str, remedy: str) -> Self:
        """A version that may not serve."""
        return cls(f"{name}: the gate refused this version; {remedy}")

    @classmethod
    def champion_already(cls, version: str, since: str, why: str) -> Self:
        """A reason is given for a change that is none."""
        return cls(
            f"{version} is the champion already, since {since} ({why}); nothing changes, and a reason is kept with a "
            "change alone: leave it out"
        )


class ConflictError(RegistryError):
    """Somebody else changed the champion between our read and our write."""


class UnsupportedError(RegistryError):
    """The S3 server lacks what this needs."""


class DamagedError(RegistryError):
    """An object in S3 is not what our code writes."""


class HistoryError(FraudError):
    """The history store cannot be used now: it is full, held by another, or of another installation."""


class FullHistoryError(HistoryError):
    """There is no room for keys that it does not hold yet; for those that it holds there is."""

    @classmethod
    def of(cls, most: int) -> Self:
        """``most``: how many keys there may be."""
        return cls(
            f"the history store holds {most:,} keys of one history, which is all it may: raise FRAUD_HISTORY_MAX_KEYS"
        )


class RefusedHistoryError(HistoryError):
    """The history store will not take what it was given, however often it is tried: that is not to be tried again."""


class DamagedHistoryError(HistoryError):
    """The history store holds something else than was written."""


def one_line(error: BaseException) -> str:
    """What a library said, for a message of ours."""
    return " ".join(str(error).split()) or type(error).__name__


def named(name: object, problem: object) -> str:
    """The problem of a file after its name, which it may begin with already."""
    said = str(problem)
    return said if said.startswith(f"{name}:") else f"{name}: {said}"


def system_words(error: BaseException) -> str:
    """What the system said, without the name of the file: for messages that name it already.

    Of an error that is not the system's, or has no number, what it says itself; of a folder that could not be copied
    what the system said of its first file.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, shutil.Error) and (said := re.search(r"\[Errno (\d+)\]", str(error))):
        number = int(said[1])
    return os.strerror(number) if isinstance(number, int) and number > 0 else one_line(error)
