"""Of the settings: those that are none, or have a bad value, or name a file that cannot be read; each by itself."""

from collections.abc import Mapping
from pathlib import Path

from fraud import schema
from fraud.environment.services import of_services
from fraud.errors import SettingsError
from fraud.settings import PREFIX, Settings
from training.doctor.part import Part, noting


def look(part: Part, environ: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """The settings that can be read, and an environment of these alone: one that is wrong hides no other part."""
    names = sorted(name for name in environ if name.startswith(PREFIX))
    foreign = of_services(names) - set(Settings.env_names())
    usable: dict[str, str] = {}
    for name in (name for name in names if name not in foreign):
        try:
            Settings.from_env({**usable, name: environ[name]})
        except SettingsError as error:
            part.find(str(error))
        else:
            usable[name] = environ[name]
    settings = Settings.from_env(usable)
    part.facts["set"] = [name for name, value in usable.items() if value.strip()]
    if settings.schema_file:
        with noting(part):
            part.facts["schema_hash"] = schema.read(Path(settings.schema_file)).hash
    others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    return settings, {**others, **usable}
