"""All parts, one after the other, and then what disagrees between them."""

from collections.abc import Mapping

from fraud.remote.resolve import registry_if_set
from training.doctor import agreement, database, histories, local_store, registry, settings
from training.doctor.part import Part, bounded, noting


def examine(environ: Mapping[str, str], seconds: float) -> list[Part]:
    """Look at what ``environ`` configures, at each part for at most ``seconds``."""
    declared = Part("settings")
    usable, clean = settings.look(declared, environ)
    store = bounded(Part("store"), lambda part: local_store.look(part, usable), seconds)
    remote = registry_if_set(usable)
    s3 = Part("s3", is_set=remote is not None)
    if remote is not None:
        s3 = bounded(s3, lambda part: registry.look(part, remote), seconds)
    log = Part("database", is_set=usable.database_url is not None)
    if log.is_set:
        with noting(log):
            database.look(log, clean, seconds)
    known = Part("histories")
    with noting(known):
        known.is_set = histories.is_set(usable)
    if known.is_set and not known.findings:
        known = bounded(known, lambda part: histories.look(part, usable), seconds)
    seen = [declared, store, s3, log, known]
    together = Part("agreement")
    with noting(together):
        agreement.look(together, usable, {part.name: part for part in seen})
    return [*seen, together]
