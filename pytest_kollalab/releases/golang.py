"""The Go module proxy: what this host tells Go, for builds in images, and whether it answers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pytest_kollalab.system import http
from pytest_kollalab.system.run import run

TIMEOUT = 10.0
# Which modules may come from where, and who vouches for them.
VARIABLES = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")
# The one build argument of an image that is built with Go.
ARGUMENT = "GO_SETTINGS"
UPPER = re.compile(r"[A-Z]")


def settings() -> dict[str, str]:
    """What the host's user tells Go, by the environment or by Go's own file; empty: nothing."""
    named = os.environ.get("GOENV", "")
    path = Path(named) if named else Path.home() / ".config" / "go" / "env"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    told = parse(text) | {name: value for name, value in os.environ.items() if value}
    return {name: told[name] for name in VARIABLES if name in told}


def parse(text: str) -> dict[str, str]:
    """The settings in the text of Go's environment file."""
    rows = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in rows if equals}


def argument(told: Mapping[str, str]) -> str:
    """The settings as one word, for the build argument; a comma would end kolla-build's value."""
    return " ".join(f"{name}={value}" for name, value in told.items()).replace(",", ";")


def proxies(told: Mapping[str, str]) -> list[str]:
    """The entries of GOPROXY, in order: addresses, `direct` and `off`.

    Without one, the default of the Go that is installed here; empty when there is no Go either.
    """
    value = told.get("GOPROXY", "")
    if not value and shutil.which("go") is not None:
        value = run(["go", "env", "GOPROXY"], check=False).stdout
    return [entry.strip() for entry in re.split(r"[,|]", value) if entry.strip()]


def unsupported_reason(module: str, version: str) -> str | None:
    """Why a build cannot have a module from the proxy; None when it can, or when nobody knows."""
    entries = proxies(settings())
    reasons = []
    for entry in entries:
        if "://" not in entry:
            continue
        reason = _refusal(entry, module, version)
        if reason is None:
            return None
        reasons.append(reason)
    if not reasons and "off" in entries:
        return "GOPROXY=off: Go may fetch nothing on this host"
    return "; ".join(reasons) or None


def address(proxy: str, module: str, version: str) -> str:
    """Where a proxy tells of a version of a module; Go writes a capital X as !x."""
    escaped = UPPER.sub(lambda found: f"!{found[0].lower()}", module)
    return f"{proxy.rstrip('/')}/{escaped}/@v/{version}.info"


def _refusal(proxy: str, module: str, version: str) -> str | None:
    parts = urlsplit(proxy)
    shown = f"the Go module proxy {parts.hostname or parts.path}"
    if parts.scheme not in ("http", "https"):
        return f"{shown} is a folder of this host, which the build of an image does not see"
    import requests

    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        with http.session(login) as session:
            answer = session.get(address(bare, module, version), timeout=TIMEOUT)
    except requests.RequestException as error:
        return f"{shown} does not answer: {http.root(error)}"
    if not answer.ok:
        return f"{shown} does not have {module} {version} ({answer.status_code})"
    return None
