"""The choice of a place for golden states, by what the configuration says."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.settings.convert import PLACES
from pytest_kollalab.stages.golden.layout import Archive, Folder
from pytest_kollalab.stages.golden.place import Place
from pytest_kollalab.stages.golden.remote import SETTING, Remote
from pytest_kollalab.stages.images import upstream
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import expanded

FOLDER, ARCHIVE = PLACES


def place_at(text: str, ca: str = "") -> Place:
    """The place that a setting names. Nothing is asked or read.

    Args:
        text: A registry and a namespace in it, `oci:` and a folder, or `oci-archive:` and a file.
        ca: A file with certificate authorities of the registry.

    Raises:
        ConfigError: It is none of these.
        StageError: Docker's login for the registry cannot be read.
    """
    if not text:
        raise ConfigError(
            f"no {SETTING} is configured",
            hint=f'set {SETTING} under [run] in kollalab.toml, as in "registry.example/kollalab"',
        )
    if text.startswith(FOLDER):
        return Folder(_path(text.removeprefix(FOLDER), text))
    if text.startswith(ARCHIVE):
        return Archive(_path(text.removeprefix(ARCHIVE), text))
    return Remote(upstream.reach(text, ca, SETTING))


def check(text: str) -> None:
    """Raise ConfigError unless a setting names a place or nothing."""
    if text.startswith(FOLDER):
        _path(text.removeprefix(FOLDER), text)
    elif text.startswith(ARCHIVE):
        _path(text.removeprefix(ARCHIVE), text)
    elif text:
        upstream.parse(text, setting=SETTING)


def _path(path: str, text: str) -> Path:
    if not path:
        raise ConfigError(f"{SETTING}: {text!r} names no path", hint=f"write {FOLDER}DIR")
    return expanded(path).absolute()
