"""The plugin's options and ini values, and the settings of a session that result from them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_kollalab.settings.config import FILE, Config, Invocation, Options
from pytest_kollalab.settings.convert import Place, parse
from pytest_kollalab.settings.declare import Setting, plain_settings, settings
from pytest_kollalab.settings.read import Layer, Settings, environment, read

KINDS = (Invocation, Config, Options)


def add(parser: pytest.Parser) -> None:
    """Add an option and an ini value for each setting that can be written as text."""
    group = parser.getgroup("kollalab", "OpenStack lab")
    for each in plain_settings(*KINDS).values():
        kwargs: dict[str, Any] = {"metavar": each.metavar, "action": "store"}
        if each.many:
            kwargs["action"] = "append"
        elif each.kind is bool:
            kwargs = {"action": "store_const", "const": True}
        group.addoption(each.flag, dest=each.ini, default=None, help=each.help, **kwargs)
        # A type of its own: pytest 9.2 takes classes as well, and mypy this expression for one.
        listed: Literal["args", "string"] = "args" if each.many else "string"
        parser.addini(each.ini, each.help, type=listed, default=None)


def settings_of(config: pytest.Config) -> Settings:
    """Read the settings of a session. Raises ConfigError."""
    layers = (ini(config), environment(), given(config))
    said = {name: each for layer in layers for name, each in layer.items()}
    return read(_file(config, said), *layers)


def is_asked(config: pytest.Config, name: str) -> bool:
    """Whether the option `plan` or `destroy` is set. Raises ConfigError."""
    said = {**ini(config), **given(config)}.get(name)
    return said is not None and bool(parse(settings(Invocation)[name], *said))


def replayed(config: pytest.Config) -> tuple[str, ...]:
    """The features whose playbooks are replayed. Raises ConfigError."""
    said = {**ini(config), **given(config)}.get("replay")
    return tuple(parse(settings(Invocation)["replay"], *said)) if said is not None else ()


def given(config: pytest.Config) -> Layer:
    """The settings on the command line."""
    folder = config.invocation_params.dir
    found = {name: getattr(config.option, each.ini) for name, each in _all().items()}
    return {
        name: (value, Place(_all()[name].flag, folder=folder))
        for name, value in found.items()
        if value is not None
    }


def ini(config: pytest.Config) -> Layer:
    """The settings in the ini file; empty values are ignored."""
    file = config.inipath
    folder = file.parent if file is not None else config.invocation_params.dir
    found = {each.ini: (name, _ini(config, each.ini)) for name, each in _all().items()}
    return {
        name: (value, Place(str(file or "--override-ini"), key, folder))
        for key, (name, value) in found.items()
        if value not in (None, "", [])
    }


def _all() -> dict[str, Setting]:
    return plain_settings(*KINDS)


def _ini(config: pytest.Config, name: str) -> Any:
    try:
        return config.getini(name)
    except TypeError:
        # pytest 9 has typed values, and refuses to return one whose type is not the registered one,
        # such as a number. So it is read from the file.
        assert config.inipath is not None
        table = tomllib.loads(config.inipath.read_text(encoding="utf-8"))
        own = config.inipath.name in {"pytest.toml", ".pytest.toml"}
        return (table if own else table["tool"])["pytest"][name]


def _file(config: pytest.Config, said: Layer) -> Path | None:
    if "config" in said:
        return Path(parse(settings(Invocation)["config"], *said["config"]))
    root = config.rootpath.resolve()
    for argument in config.args:
        folder = Path(config.invocation_params.dir, str(argument).split("::")[0]).resolve()
        for each in (folder, *folder.parents):
            if (each / FILE).is_file():
                return each / FILE
            if each == root:
                break
    return None
