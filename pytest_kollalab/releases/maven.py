"""Maven's settings on this host: where builds in images get what is on Maven Central."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from xml.etree import ElementTree

from pytest_kollalab.system import http

# The build argument of images that are built with Maven.
ARGUMENT = "MAVEN_MIRROR"
CENTRAL = "central"
# Patterns of `mirrorOf` that Maven Central matches, beside its name.
ALL = ("*", "external:*")
VARIABLE = re.compile(r"\$\{env\.(\w+)\}")


def mirror() -> str:
    """The URL, with its login, of the mirror of Maven Central in this user's settings.

    Empty if there is none; Maven then asks Maven Central itself.
    """
    try:
        text = Path("~/.m2/settings.xml").expanduser().read_text(encoding="utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError):
        return ""  # there is no file, or no home folder
    return parse(text, os.environ)


def unsupported_reason(artifact: str) -> str | None:
    """Why a build cannot get an artifact from the mirror; None if it can or there is no mirror.

    Args:
        artifact: The path of the artifact below the URL of the mirror.
    """
    url = mirror()
    if not url:
        return None
    wanted = artifact.rpartition("/")[2]
    return http.refusal(url, artifact, mirror="the mirror of Maven Central", wanted=wanted)


def parse(text: str, environment: Mapping[str, str]) -> str:
    """The URL of the mirror of Maven Central in the text of Maven's settings.

    Args:
        text: The settings; what is no XML has no mirror.
        environment: The variables that the settings may name as `${env.NAME}`.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return ""

    def value(element: ElementTree.Element, name: str) -> str:
        found = (element.findtext(f"{{*}}{name}") or "").strip()
        return VARIABLE.sub(lambda match: environment.get(match[1], match[0]), found)

    mirrors = [
        each
        for each in root.findall("{*}mirrors/{*}mirror")
        if mirrors_central(value(each, "mirrorOf")) and value(each, "blocked") != "true"
    ]
    if not mirrors:
        return ""
    # Maven takes a mirror that is named for the repository alone before all others.
    chosen = next((each for each in mirrors if value(each, "mirrorOf") == CENTRAL), mirrors[0])
    url = value(chosen, "url")
    for server in root.findall("{*}servers/{*}server"):
        user, password = value(server, "username"), value(server, "password")
        # One in braces is encrypted, with a key that only Maven reads.
        if value(server, "id") == value(chosen, "id") and user and not password.startswith("{"):
            return with_login(url, user, password)
    return url


def mirrors_central(pattern: str) -> bool:
    """Whether Maven Central matches the field `mirrorOf` of a mirror."""
    names = [name.strip() for name in pattern.split(",")]
    return f"!{CENTRAL}" not in names and any(name in (CENTRAL, *ALL) for name in names)


def with_login(url: str, user: str, password: str) -> str:
    """The URL with user name and password in it."""
    parts = urlsplit(url)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))
