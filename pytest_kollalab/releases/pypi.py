"""Where Python packages come from: what this host tells pip, passed on to uv and into images."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.run import run

# uv resolves and unpacks in seconds what takes pip minutes; pip is used to get it.
UV = "uv==0.13.9"


@dataclass(frozen=True)
class Index:
    """Where pip looks for packages; empty where it uses its defaults."""

    url: str = ""
    extra_urls: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    cert: str = ""

    def environment(self) -> dict[str, str]:
        """The same for uv, as environment variables."""
        wanted = {
            "UV_DEFAULT_INDEX": self.url,
            "UV_INDEX": " ".join(self.extra_urls),
            "UV_INSECURE_HOST": " ".join(self.trusted_hosts),
            "UV_FIND_LINKS": ",".join(self.find_links),
            "SSL_CERT_FILE": self.cert,
        }
        return {name: value for name, value in wanted.items() if value}

    def files(self) -> dict[str, str]:
        """The same for pip and uv in an image, as files by path; links of this host left out."""
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
    """What pip of this Python is told by its files and by the environment."""
    listed = run([python, "-m", "pip", "config", "list"], check=False).stdout
    return parse(listed)


def parse(listed: str) -> Index:
    """Read what `pip config list` prints: `global.index-url='...'`, a line each."""
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
