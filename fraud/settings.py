"""``FRAUD_*`` environment variables, read when asked for and never at import."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from fraud import keys
from fraud.environment import secret_files
from fraud.environment.history import HistorySettings
from fraud.environment.services import of_services
from fraud.errors import SettingsError
from fraud.inputs.keys import KeyHasher

PREFIX = "FRAUD_"
BARE = ("RETRAIN_APPROVAL",)
"""Also taken without it, as the variables of a repository are called: who sets it so means it."""
MODEL_NAME = "fraud_detector"
DATABASE_URL_FORM = "sqlite:////folder/fraud.sqlite or postgresql://user@host/name"
HISTORY_URL_FORM = (
    "file:///FOLDER, redis://USER:PASSWORD@HOST:6379/0 (rediss: TLS) or unix:///SOCKET, with @ : / ? # % in percent"
)
INDEX_VARIABLES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"),
    *("UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST"),
)
"""Where pip and uv take packages from; a build of the image may be told as arguments of these names."""
CERTIFICATE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""What names a file of certificates to pip and uv; a build may be told of one in the Bento."""
SECRETS = {
    "FRAUD_API_KEYS": keys.FORM,
    "FRAUD_METRICS_KEYS": keys.FORM,
    "FRAUD_KEY_SECRET": "at least 32 characters, as `python -m fraud key --secret` prints them",
    "FRAUD_DATABASE_URL": DATABASE_URL_FORM,
    "FRAUD_HISTORY_URL": HISTORY_URL_FORM,
}
"""What is expected of variables whose value is never shown, and which may stand in a file: ``NAME_FILE`` names it."""
_WORDS = {
    "FRAUD_MODEL": f"{MODEL_NAME}:VERSION in lower case, such as {MODEL_NAME}:latest",
    "FRAUD_S3_URI": "s3://bucket/prefix, such as s3://my-bucket/fraud; a bucket's name has 3 to 63 lower-case letters, "
    "digits, dots, hyphens and underscores, and begins and ends with a letter or digit",
}
"""What is expected of variables that a pattern checks: nobody reads those."""
_NEEDED = {"FRAUD_S3_URI": "s3://bucket/prefix", "FRAUD_DATABASE_URL": DATABASE_URL_FORM}
"""What is expected of variables that some commands cannot do without."""


def _keys(text: str) -> str:
    """``text`` where it is a list of keys' hashes. Raises ValueError."""
    keys.named(text)
    return text


def _metrics_keys(text: str) -> str:
    """``text`` where it is such a list, of keys without a kind. Raises ValueError."""
    if any(key.kinds != frozenset(keys.KINDS) for key in keys.listed(text).values()):
        raise ValueError("keys without a kind: each reads metrics and nothing else")
    return text


_Keys = Annotated[str, AfterValidator(_keys)]
_MetricsKeys = Annotated[str, AfterValidator(_metrics_keys)]


class Settings(HistorySettings):
    """Frozen settings; a field ``x`` is the environment variable ``FRAUD_X``."""

    model: str | None = Field(
        None,
        pattern=rf"^{MODEL_NAME}:[a-z0-9][a-z0-9._-]*$",
        description="Tag of the model to serve, from the BentoML model store; by default the chosen, or newest.",
    )
    s3_uri: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/.*)?$",
        description="Where models and data are published, as s3://bucket/prefix.",
    )
    actor: str | None = Field(
        None, max_length=200, description="Who changes the champion, for the history of promotions."
    )
    retrain_approval: Literal["auto", "manual"] = Field(
        "auto", description="Whether a challenger that passed is promoted at once, or waits for `promote`."
    )
    schema_file: str | None = Field(
        None,
        alias="schema",
        description="TOML file that declares what a transaction is, for commands without a model.",
    )
    workers: int = Field(2, ge=1, le=256, description="Server processes.")
    max_batch_size: int = Field(128, ge=2, le=10_000, description="Most /predict calls scored as one batch.")
    max_latency_ms: int = Field(
        1000, ge=10, le=60_000, description="A /predict call that would be answered later is refused with 503."
    )
    max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=4096, le=256 * 1024 * 1024, description="Largest /predict_batch body."
    )
    max_batch_rows: int = Field(10_000, ge=1, le=1_000_000, description="Most rows in one /predict_batch call.")
    max_batch_calls: int = Field(
        4, ge=1, le=1024, description="Most /predict_batch calls under way in one worker; more get 429."
    )
    request_timeout_seconds: float = Field(
        30.0, gt=0, le=3600, description="A call not answered within this time gets 504."
    )
    max_header_bytes: int = Field(
        65_536, ge=1024, le=1024 * 1024, description="Most bytes of a request line and its headers."
    )
    max_headers: int = Field(100, ge=8, le=10_000, description="Most headers of a call.")
    header_timeout_seconds: float = Field(
        10.0, gt=0, le=3600, description="A connection that brings no whole request head in this time is closed."
    )
    keep_alive_seconds: float = Field(
        75.0, gt=0, le=86_400, description="An idle connection is closed after this time."
    )
    max_connections: int = Field(10_000, ge=16, le=1_000_000, description="Most connections a worker holds.")
    drain_seconds: float = Field(
        5.0, ge=0, le=3600, description="How long a server that was told to end still answers, as not ready."
    )
    hang_seconds: float = Field(
        30.0, ge=0, le=3600, description="A worker that stands still for so long is replaced; 0: never."
    )
    rate_window_seconds: int = Field(300, ge=2, le=86_400, description="Window of the fraud_rate gauge.")

    short_cut: bool = Field(True, description="Whether /predict takes the short way past BentoML's middleware.")
    batching: bool = Field(True, description="Whether /predict calls that arrive together are scored together.")
    api_keys: _Keys | None = Field(
        None,
        repr=False,
        description="SHA-256 of each key that may call, or NAME:SHA-256, or NAME[KIND]:SHA-256, separated by commas "
        "or line breaks.",
    )
    metrics_keys: _MetricsKeys | None = Field(
        None,
        repr=False,
        description="SHA-256 of each key that may read /metrics, and nothing else; without it everybody may.",
    )
    require_keys: bool = Field(False, description="Whether a start without FRAUD_API_KEYS is refused.")
    key_secret: str | None = Field(
        None,
        min_length=32,
        repr=False,
        description="What columns of kind `key` are hashed with; without it they are not kept.",
    )
    database_url: str | None = Field(
        None,
        pattern=r"^[a-z0-9+]+://",
        repr=False,
        description="Where predictions and labels are kept: sqlite:////... or postgresql://...",
    )
    log_features: bool = Field(True, description="Whether the log keeps what was sent, and the features as scored.")
    log_max_pending: int = Field(
        100_000, ge=1, le=10_000_000, description="Most predictions a worker keeps waiting for the database."
    )
    label_delay_days: float = Field(
        7.0, ge=0, le=3650, description="A prediction is judged when it is older than this: labels come late."
    )
    live_window_days: float = Field(30.0, gt=0, le=3650, description="How many days of predictions are judged.")
    unlabelled: Literal["legitimate", "unknown"] = Field(
        "legitimate", description="What a prediction is that has no label when it is judged."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of each line of the service's log.")
    log_refused: bool = Field(False, description="Whether the service's log has a line for each refused call.")

    @property
    def key_names(self) -> dict[bytes, str]:
        """What each of ``api_keys`` is called, by its digest of 32 bytes."""
        return self.names_of()

    def names_of(self, *kinds: str) -> dict[bytes, str]:
        """The same, of those that are good for all ``kinds``."""
        listed = keys.listed(self.api_keys) if self.api_keys else {}
        return {digest: key.name for digest, key in listed.items() if key.kinds.issuperset(kinds)}

    @property
    def tells_keys_apart(self) -> bool:
        """Whether there is a key that is not good for everything."""
        return self.names_of(*keys.KINDS) != self.names_of()

    @property
    def metrics_key_names(self) -> dict[bytes, str]:
        """What each of ``metrics_keys`` is called, by its digest of 32 bytes."""
        return keys.named(self.metrics_keys) if self.metrics_keys else {}

    @property
    def key_hasher(self) -> KeyHasher | None:
        """What hashes the values of columns of kind ``key``; None without a secret: they are not kept then."""
        return KeyHasher(self.key_secret) if self.key_secret else None

    @property
    def asks_for_keys(self) -> str | None:
        """The first variable by which a call may need a key; None when none does."""
        names = {"FRAUD_API_KEYS": self.api_keys, "FRAUD_METRICS_KEYS": self.metrics_keys}
        return next((name for name, value in names.items() if value), None)

    @property
    def logs_features(self) -> bool:
        """Whether what was sent and what the model looked at are kept."""
        return self.database_url is not None and self.log_features

    @property
    def takes_feedback(self) -> bool:
        """Whether there is ``POST /feedback``: somewhere to keep labels, and keys to tell who may write them."""
        return self.api_keys is not None and self.database_url is not None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings from ``environ`` (the process environment by default).

        White space around a value is none of it, and an empty value means the default. A secret may stand in a file,
        and a setting of BARE without the prefix.
        What Kubernetes makes of a Service whose name begins with ``fraud`` is not ours. Raises SettingsError for an
        unknown name or a bad value.
        """
        source = os.environ if environ is None else environ
        given = {PREFIX + name: source[name].strip() for name in BARE if source.get(name, "").strip()}
        given |= {name: value.strip() for name, value in source.items() if name.startswith(PREFIX)}
        foreign = of_services(given) - set(cls.env_names())
        ours = {name: value for name, value in given.items() if value and name not in foreign}
        variables = secret_files.read(ours, SECRETS)
        try:
            return cls(**{name.removeprefix(PREFIX).lower(): value for name, value in variables.items()})
        except ValidationError as error:
            raise SettingsError("; ".join(_problem(details) for details in error.errors())) from None

    @classmethod
    def env_names(cls) -> list[str]:
        """The environment variables there are, in the order of the fields; a secret's file follows the secret."""
        own = [PREFIX + (field.alias or name).upper() for name, field in cls.model_fields.items()]
        files = {name: name + secret_files.SUFFIX for name in SECRETS}
        return [each for name in own for each in (name, files.get(name)) if each]


def not_set(name: str) -> SettingsError:
    """The error of a command that needs a variable which is not set."""
    return SettingsError(f"{name} is not set; set it to {_NEEDED[name]}")


def _problem(details: Mapping[str, Any]) -> str:
    location = details["loc"]
    name = PREFIX + str(location[0]).upper() if location else PREFIX
    if details["type"] == "extra_forbidden":
        near = get_close_matches(name, Settings.env_names(), 1, 0.85)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{name} is not a setting; there are {', '.join(Settings.env_names())}{meant}"
    if name in SECRETS:
        expected = details["ctx"]["error"] if details["type"] == "value_error" else SECRETS[name]
        return f"{name}: expected {expected}; its value is not shown"
    words = f"expected {_WORDS[name]}" if name in _WORDS else details["msg"]
    return f"{name}={details['input']!r}: {words}"
