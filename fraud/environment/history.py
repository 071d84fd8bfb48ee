"""Settings of the store of histories: what keys did before. The first of ``fraud.settings.Settings``."""

from pydantic import BaseModel, ConfigDict, Field

_USER = r"([^/?#\s]*@)?"
_PORT = r"(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
_HOST = rf"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:{_PORT})?/?\d*"
_TLS = (
    r"ssl_((ca_certs|ca_path|certfile|keyfile)=[^&@#]+|cert_reqs=(none|optional|required)|check_hostname=(true|false))"
)
STORE_URL = (
    r"^(file:///.+"
    rf"|redis://{_USER}{_HOST}"
    rf"|rediss://{_USER}{_HOST}(\?{_TLS}(&{_TLS})*)?"
    rf"|unix://{_USER}/[^?@#]+(\?db=\d+)?)$"
)
"""Nothing that Redis' library would refuse later, and no password whose signs could end it: a part of it would be taken
for a host, stand in the log, and be asked for in the DNS."""


class HistorySettings(BaseModel):
    """Each ``x`` is the environment variable ``FRAUD_X``; of no effect where the schema has no ``[[history]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_url: str | None = Field(
        None,
        repr=False,
        pattern=STORE_URL,
        description="Where histories are kept: file:///FOLDER on a disk of this machine (by default in BENTOML_HOME), "
        "or redis://HOST:PORT/NUMBER, which replicas share.",
    )
    history_deadline_ms: float = Field(
        20.0, ge=0, le=10_000, description="A transaction waits no longer for its history: it is scored without."
    )
    history_skew_seconds: float = Field(
        300.0, ge=0, le=86_400, description="A transaction from further in the future is scored without history."
    )
    history_max_keys: int = Field(1_000_000, ge=1, le=1_000_000_000, description="Most keys kept of each history.")
    history_max_ids: int = Field(
        200_000, ge=1, le=1_000_000_000, description="Most transaction ids kept, to tell what was sent again."
    )
    history_ids_seconds: float = Field(
        600.0, ge=1, le=31_536_000, description="How long Redis keeps transaction ids, to tell what was sent again."
    )
    history_max_pending: int = Field(
        100_000, ge=1, le=10_000_000, description="Most transactions a worker keeps waiting for the store."
    )
