"""Passes pip's settings of this host on to uv and into images."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Mapping
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.system.run import run
from pytest_kollalab.system.urls import login, without_login

# uv installs packages in seconds for which pip needs minutes. pip is used only to install uv.
UV = "uv==0.13.9"
# Shorter ones could be common words.
SHORTEST_SECRET = 6


@dataclass(frozen=True)
class Index:
    """The places where pip looks for packages. Empty values stand for pip's defaults."""

    url: str = ""
    extra_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    cert: str = ""

    def environment(self) -> dict[str, str]:
        """The settings as environment variables for uv."""
        wanted = {
            "UV_DEFAULT_INDEX": self.url,
            "UV_INDEX": " ".join(self.extra_urls),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "UV_FIND_LINKS": ",".join(self.find_links),
            "SSL_CERT_FILE": self.cert,
        }
        return {name: value for name, value in wanted.items() if value}

    def arguments(self) -> dict[str, str]:
        """The settings as environment variables for builds of images, without local links."""
        wanted = {
            "PIP_INDEX_URL": self.url,
            "PIP_EXTRA_INDEX_URL": " ".join(self.extra_urls),
            "PIP_TRUSTED_HOST": " ".join(self.trusted_hosts),
            "UV_DEFAULT_INDEX": self.url,
            "UV_INDEX": " ".join(self.extra_urls),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
        }
        return {name: value for name, value in wanted.items() if value}

    @property
    def public(self) -> dict[str, Any]:
        """The addresses without logins, as JSON. Empty for pip's defaults."""
        extra = [without_login(url) for url in self.extra_urls]
        found = {"url": without_login(self.url), "extra": extra}
        return {name: value for name, value in found.items() if value}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The logins in the addresses, and the parts of them that are secret."""
        logins = [login(url) for url in (self.url, *self.extra_urls, *self.find_links)]
        parts = [part for each in logins for part in (each, *each.split(":"))]
        return tuple(dict.fromkeys(part for part in parts if len(part) >= SHORTEST_SECRET))


def configured(python: Path | str = sys.executable) -> Index:
    """The settings of this Python's pip, from its files and the environment."""
    listed = run([python, "-m", "pip", "config", "list"], check=False).stdout
    return parse(listed)


def parse(listed: str) -> Index:
    """Parse the output of `pip config list`, which has lines like `global.index-url='...'`."""
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for line in listed.splitlines():
        name, equals, value = line.partition("=")
        section, _, option = name.rpartition(".")
        rank = {"global": 1, "install": 2, ":env:": 3}.get(section, 0)
        if not equals or rank < ranks.get(option, 1):
            continue
        try:
            text = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
        found[option], ranks[option] = text.strip(), rank
    return Index(
        url=found.get("index-url", ""),
        extra_urls=_words(found, "extra-index-url"),
        trusted_hosts=_words(found, "trusted-host"),
        find_links=_words(found, "find-links"),
        cert=found.get("cert", ""),
    )


def of_images() -> Index:
    """The settings for builds of images: those of this host and user, without a Python's own.

    Only files are read, because every plan asks for them.
    """
    named = os.environ.get("PIP_CONFIG_FILE", "")
    files = [*system_files(), *user_files()] if named != os.devnull else []
    lines: list[str] = []
    for path in [*files, *([Path(named)] if named else [])]:
        parser = RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (ConfigParserError, OSError, UnicodeDecodeError):
            continue  # pip itself says so, when the tools are installed.
        for section in parser.sections():
            for name, value in parser.items(section):
                lines.append(f"{section}.{name.replace('_', '-')}={value!r}")
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            option = name.removeprefix("PIP_").lower().replace("_", "-")
            lines.append(f":env:.{option}={value!r}")
    return parse("\n".join(lines))


def system_files() -> list[Path]:
    """The files of pip on this host, the least important first."""
    folders = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    found = [Path(folder, "pip", "pip.conf") for folder in folders.split(":")]
    return [*reversed(found), Path("/etc/pip.conf")]


def user_files() -> list[Path]:
    """The files of pip of this user, the least important first."""
    home = os.environ.get("HOME", "")
    folder = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [Path(home, ".pip", "pip.conf"), Path(folder, "pip", "pip.conf")]


def _words(found: Mapping[str, str], option: str) -> tuple[str, ...]:
    return tuple(found.get(option, "").split())
