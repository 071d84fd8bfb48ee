"""Variables that Kubernetes makes of Services whose name begins as our settings do: they are none of ours."""

import re
from collections.abc import Collection

_SERVICE = re.compile(r"(.+)_SERVICE_HOST")
_OF_SERVICE = r"_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
"""What Kubernetes adds to the name of a Service in the variables that it makes of it for every pod of the namespace."""


def of_services(names: Collection[str]) -> set[str]:
    """Those that belong to a Service of Kubernetes: of its shape, and its ``NAME_SERVICE_HOST`` is among them."""
    services = [match[1] for match in map(_SERVICE.fullmatch, names) if match]
    shapes = [re.compile(rf"{re.escape(service)}(?:{_OF_SERVICE})") for service in services]
    return {name for name in names if any(shape.fullmatch(name) for shape in shapes)}
