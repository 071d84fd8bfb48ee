"""Of the store of histories: whose it is, and of which histories. It is neither opened nor begun, as both write."""

import json
import re
from contextlib import closing
from pathlib import Path

from fraud.errors import HistoryError, system_words
from fraud.history.address import is_remote, shown
from fraud.history.files.filesystem import check_local
from fraud.history.files.folder import FACTS, SCHEME, url_of
from fraud.history.files.place import FORMAT, fingerprints
from fraud.settings import Settings
from training.doctor.part import Part

_FINGERPRINT = re.compile(r"[\w.-]{1,64}")
_NEARLY_FULL = 0.9
_NETWORK_SECONDS = 5.0


def is_set(settings: Settings) -> bool:
    """Whether a store is named, or the one that nobody named is there."""
    return settings.history_url is not None or _folder(url_of(settings)).exists()


def look(part: Part, settings: Settings) -> None:
    """The facts ``layouts`` and ``key_fingerprint`` are for who compares, where they could be seen."""
    url = url_of(settings)
    part.facts["store"] = shown(url)
    if is_remote(url):
        _remote(part, url)
    else:
        _files(part, _folder(url))


def _remote(part: Part, url: str) -> None:
    from fraud.history.remote import names, server
    from fraud.history.remote.client import connect, worded

    with worded(url), closing(connect(url, _NETWORK_SECONDS)) as client:
        used, allowed = server.memory(client)
        part.facts |= {"bytes": used, "bytes_allowed": allowed or None}
        part.findings += server.oddities(client, url)
        if allowed and used > _NEARLY_FULL * allowed:
            part.find(
                f"{shown(url)}: {used} of {allowed} bytes are used: raise its maxmemory; a full one takes no histories"
            )
        facts, there = client.get(names.FACTS), client.smembers(names.LAYOUTS)
        part.facts["key_fingerprint"] = server.key_fingerprint(facts, url) if facts else None
        part.facts["layouts"] = sorted(one.decode() for one in there) if facts else []


def _folder(url: str) -> Path:
    return Path(url.removeprefix(SCHEME))


def _files(part: Part, folder: Path) -> None:
    check_local(folder)
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
        part.facts["bytes"] = sum(512 * path.stat().st_blocks for path in files)
        facts = json.loads((folder / FACTS).read_text())
        if facts["format"] != FORMAT:
            part.find(f"{folder}: a store of format {facts['format']!r}, this code has {FORMAT}")
            return
        part.facts["key_fingerprint"] = _FINGERPRINT.fullmatch(facts["key_fingerprint"])[0]  # type: ignore[index]
        part.facts["layouts"] = sorted(fingerprints(folder))
    except FileNotFoundError:
        part.facts |= {"key_fingerprint": None, "layouts": []}
    except OSError as error:
        raise HistoryError(f"{folder}: cannot be read ({system_words(error)})") from None
    except (ValueError, LookupError, TypeError):
        part.find(f"{folder / FACTS} is damaged: the service sets the store aside, and begins anew")
