"""The modules that installed packages name in the entry point group `kollalab`."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from pytest_kollalab.extensions.hookspecs import GROUP
from pytest_kollalab.system.errors import ConfigError

if TYPE_CHECKING:
    import pluggy

# A package may use one name in this group and in pytest's; a plugin manager has each name once.
PREFIX = f"entry point {GROUP}:"
# What pluggy says of a module that an installed package brings and a conftest.py names as well.
TWICE = re.compile(r"Plugin already registered under a different name: ([\w.]+)=")


def load(manager: pluggy.PluginManager) -> None:
    """Register the modules that installed packages name in the entry point group `kollalab`.

    A module that is registered already is left as it is.

    Raises:
        ConfigError: A module cannot be imported.
    """
    for point in metadata.entry_points(group=GROUP):
        name = f"{PREFIX}{point.name}"
        if manager.has_plugin(name) or manager.is_blocked(point.name):
            continue
        try:
            plugin = point.load()
        except Exception as error:
            package = point.dist.name if point.dist else "a package"
            raise ConfigError(
                f"{point.value}, an extension that {package} brings, cannot be imported",
                details=f"{type(error).__name__}: {error}",
                hint=f"fix or uninstall {package}",
            ) from error
        if not manager.is_registered(plugin):
            manager.register(plugin, name)


def named_twice(error: ValueError) -> ConfigError | None:
    """The error of a conftest.py that names a module of an installed package; None for others."""
    found = TWICE.match(str(error))
    if found is None:
        return None
    return ConfigError(
        f"{found[1]} is named in pytest_plugins, and an installed package brings it as well",
        hint=f"take {found[1]!r} out of pytest_plugins in conftest.py, or uninstall the package",
    )
