"""The store of histories that is set, of whichever kind: in files of this machine, or in Redis."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from fraud.history.address import is_remote
from fraud.history.files.folder import url_of
from fraud.history.files.place import Limits
from fraud.history.layout import Layout
from fraud.history.store import Store
from fraud.settings import Settings

if TYPE_CHECKING:
    from fraud.history.remote.store import RemoteStore

AnyStore: TypeAlias = "Store | RemoteStore"

_NETWORK_SECONDS = 2.0


def open_store(layouts: Sequence[Layout], key_fingerprint: str, read: Settings, wait_seconds: float = 10.0) -> AnyStore:
    """Open it, or begin one: a ``Store``, or a ``RemoteStore`` of the same methods. Raises HistoryError."""
    url = url_of(read)
    if not is_remote(url):
        return Store.open(url, layouts, key_fingerprint, Limits.of(read), wait_seconds)
    from fraud.history.remote.store import RemoteStore

    return RemoteStore.open(url, layouts, key_fingerprint, read.history_ids_seconds, _NETWORK_SECONDS)
