"""URLs with a login, such as `https://user:token@host/`."""

from __future__ import annotations

import re

WEB = re.compile(r"https?://[^\s/]+")
LOGIN = re.compile(r"\w+://([^\s/]+)@")


def login(url: str) -> str:
    """The login in a URL, as it is written there. Empty if there is none."""
    found = LOGIN.match(url)
    return found[1] if found is not None else ""


def without_login(url: str) -> str:
    """The URL without user name and password."""
    told = login(url)
    return url.replace(f"{told}@", "", 1) if told else url
