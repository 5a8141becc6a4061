"""Reading: the settings of a run, from the file, the environment, and whoever says more."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.settings.config import FILE, Config, Invocation, Options, check
from pytest_kollalab.settings.convert import Place, fill, parse
from pytest_kollalab.settings.declare import plain_settings, settings
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

# The table of the file that has the Options.
RUN = "run"

# What somebody said of settings, by their names, each with the place where it was said.
Layer = Mapping[str, tuple[Any, Place]]


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes:
        config: What the lab is.
        options: How the run behaves.
        file: The configuration file, if there is one.
        origins: Who said it, for each setting that somebody gave: by its name as in the file, or
            by that of its table.
    """

    config: Config
    options: Options
    file: Path | None = None
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def said_by(self, name: str) -> str:
        """Who gave a setting, for messages: an option or a variable, or else the configuration."""
        origin = self.origins.get(name, "")
        return "the configuration" if origin in ("", str(self.file)) else origin


def read(file: Path | None, *layers: Layer) -> Settings:
    """Read the settings of a run.

    Args:
        file: The `kollalab.toml`; without one the packaged defaults are the first layer.
        layers: What else says something, such as options. A later layer wins.

    Raises:
        ConfigError: The file is no TOML, a key is not known, a value is wrong, or options do not
            fit together. Tables of features and providers are read by who knows them.
    """
    table = _load(file) if file is not None else {}
    place = Place(str(file), folder=file.parent.resolve() if file is not None else None)
    run = table.pop(RUN, {})
    if not isinstance(run, dict):
        raise ConfigError(f"{file}: {RUN} must be a table", hint=f"write it as [{RUN}]")
    origins = dict.fromkeys([*_dotted(table), *_dotted(run, f"{RUN}.")], place.source)
    tables = {k: v for k, v in table.items() if isinstance(v, dict) and k not in settings(Config)}
    for name in table.keys() - tables.keys() - settings(Config).keys():
        raise ConfigError(
            f"{file}: unknown key {name}",
            details=f"settings of a feature or a provider are a table, such as [{name}]",
            hint=nearest(name, settings(Config)),
        )
    config = fill(Config, {k: v for k, v in table.items() if k not in tables}, place)
    config = dataclasses.replace(config, tables=tables, file=file)
    options = fill(Options, run, place.inside(RUN))
    for layer in layers:
        config, options = _over(config, options, layer, origins)
    return Settings(config, check(options), file, origins)


def environment() -> dict[str, tuple[Any, Place]]:
    """What the environment says; an empty variable says nothing."""
    here = Path.cwd()
    return {
        name: (os.environ[each.variable], Place(each.variable, folder=here))
        for name, each in plain_settings(Config, Options, Invocation).items()
        if each.about.variable and os.environ.get(each.variable)
    }


def options(*layers: Mapping[str, Any]) -> Options:
    """Make Options from values, later ones win; None says nothing. Raises ConfigError."""
    known = plain_settings(Options)
    values: dict[str, Any] = {}
    for layer in layers:
        given = {name: value for name, value in layer.items() if value is not None}
        values |= {name: parse(known[name], value, Place(name)) for name, value in given.items()}
    return check(Options(**values))


def check_tables(
    config: Config, known: Mapping[str, type[Any]], *, details: str = "", hint: str = ""
) -> None:
    """Check what the file says in the tables of features and providers.

    Args:
        config: What was read.
        known: The classes of settings, by the names of the features and providers.
        details: Whose else a table may be, for the error.
        hint: What to do about a table whose name is similar to none.

    Raises:
        ConfigError: A table is nobody's, with the nearest one, or what it says is wrong.
    """
    names = [*settings(Config), RUN, *known]
    for name in config.tables:
        if name not in known:
            raise ConfigError(
                f"{config.file or FILE}: unknown table [{name}]",
                details=details,
                hint=nearest(name, names, hint),
            )
        config.table(name, known[name])


def keyed(table: Any) -> dict[str, Any]:
    """What of the settings of a feature or provider enters a key."""
    found = {}
    for name, each in settings(type(table)).items():
        value = getattr(table, name)
        if each.about.key:
            found[name] = keyed(value) if each.table else list(value) if each.many else value
    return found


def _over(
    config: Config, options: Options, layer: Layer, origins: dict[str, str]
) -> tuple[Config, Options]:
    of_config, of_options = plain_settings(Config), plain_settings(Options)
    for name, (value, place) in layer.items():
        if name in of_options:
            given = {name: parse(of_options[name], value, place)}
            options = dataclasses.replace(options, **given)
            origins[f"{RUN}.{name}"] = place.source
        elif name in of_config:
            table, given = of_config[name].inside, {name: parse(of_config[name], value, place)}
            if table:
                given = {table: dataclasses.replace(getattr(config, table), **given)}
            config = dataclasses.replace(config, **given)
            origins[f"{table}.{name}" if table else name] = place.source
    return config, options


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no configuration file {file}", hint="name one that is there"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read", details=str(error), hint="name a file that can be read"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file} is not valid TOML", details=str(error), hint="save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file} is not valid TOML", details=str(error), hint="correct the line that it names"
        ) from error


def _dotted(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in table.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, dict):
            found += _dotted(value, f"{prefix}{name}.")
    return found
