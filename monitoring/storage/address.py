"""The address of the database, looked at before anything of it is used or shown.

Where a password holds a sign that stands between the parts of an address, a part of the password would be taken for the
name of a host: it would stand in the log, and be asked for in the DNS.
"""

import re

from sqlalchemy import URL, exc, make_url

from fraud.errors import SettingsError
from fraud.settings import DATABASE_URL_FORM

_POSTGRES = re.compile(
    r"""postgresql(?:\+\w+)?://
    (?:[^@:/?\#\s]* (?: :[^@]*)? @)?                # user and password: a second @ could end either
    (?:\[[0-9A-Fa-f:.]+(?:%\w+)?\] | [\w.-]+(?:,[\w.-]+)*)?  # an IPv6 address, a host, several, or none: a socket
    (?: :\d*)?
    (?: /[^@:/?\#\s]*)?                             # the name of the database
    (?: \?[^@]*)?
    """,
    re.VERBOSE,
)


def check(url: str) -> URL:
    """The address that ``url`` is. Raises SettingsError, which shows nothing of it, where it is none, or unclear."""
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise _no_address() from None
    if address.get_backend_name() == "postgresql" and not _POSTGRES.fullmatch(url):
        raise _no_address()
    return address


def _no_address() -> SettingsError:
    return SettingsError(
        f"FRAUD_DATABASE_URL is no address of a database: expected {DATABASE_URL_FORM}, in which each of @ : / ? # % "
        "of a user or password is written in percent (%40 is @); its value is not shown"
    )
