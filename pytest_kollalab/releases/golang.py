"""The Go module proxy: what this host tells Go, for builds in images, and whether it answers."""

from __future__ import annotations

import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

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
    parts = urllib.parse.urlsplit(proxy)
    shown = f"the Go module proxy {parts.hostname or parts.path}"
    if parts.scheme not in ("http", "https"):
        return f"{shown} is a folder of this host, which the build of an image does not see"
    request = urllib.request.Request(address(proxy, module, version))
    if parts.username:
        import base64

        login = base64.b64encode(f"{parts.username}:{parts.password or ''}".encode()).decode()
        bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        request = urllib.request.Request(
            address(bare, module, version), headers={"Authorization": f"Basic {login}"}
        )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"{shown} does not have {module} {version} ({error.code})"
    except (OSError, ValueError) as error:
        return f"{shown} does not answer: {getattr(error, 'reason', error)}"
