"""Passes pip's settings of this host on to uv and into images."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.run import run

# uv installs packages in seconds for which pip needs minutes. pip is used only to install uv.
UV = "uv==0.13.9"


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

    def files(self) -> dict[str, str]:
        """The settings as files for pip and uv in an image, by path. Local links are left out."""
        pip, uv = [], []
        if self.url:
            pip.append(f"index-url = {self.url}")
            uv.append(f'index-url = "{self.url}"')
        if self.extra_urls:
            pip.append("extra-index-url = " + " ".join(self.extra_urls))
            uv.append("extra-index-url = [" + _quoted(self.extra_urls) + "]")
        if self.trusted_hosts:
            pip.append("trusted-host = " + " ".join(self.trusted_hosts))
            uv.append("allow-insecure-host = [" + _quoted(self.trusted_hosts) + "]")
        if not pip:
            return {}
        return {
            "etc/pip.conf": "\n".join(["[global]", *pip]) + "\n",
            "etc/uv/uv.toml": "\n".join(uv) + "\n",
        }


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


def _words(found: Mapping[str, str], option: str) -> tuple[str, ...]:
    return tuple(found.get(option, "").split())


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{value}"' for value in values)
