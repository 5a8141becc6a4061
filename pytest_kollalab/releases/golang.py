"""Go's settings on this host, for builds in images, and checks of the Go module proxy."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pytest_kollalab.system import http
from pytest_kollalab.system.run import run

# The variables that name module proxies and checksum databases.
VARIABLES = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")
# The build argument of images that are built with Go.
ARGUMENT = "GO_SETTINGS"
UPPER = re.compile(r"[A-Z]")


def settings() -> dict[str, str]:
    """Go's settings of this user, from the environment and from Go's own file."""
    named = os.environ.get("GOENV", "")
    file = Path(named or "~/.config/go/env")
    text = ""
    with suppress(OSError, RuntimeError):
        # There is no file, or no home folder.
        text = file.expanduser().read_text(encoding="utf-8", errors="replace")
    told = parse(text) | {name: value for name, value in os.environ.items() if value}
    return {name: told[name] for name in VARIABLES if name in told}


def parse(text: str) -> dict[str, str]:
    """The settings in the text of Go's environment file."""
    rows = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, equals, value in rows if equals}


def argument(told: Mapping[str, str]) -> str:
    """The settings as the value of the build argument.

    Commas become semicolons, because kolla-build ends a value at a comma.
    """
    return " ".join(f"{name}={value}" for name, value in told.items()).replace(",", ";")


def proxies(told: Mapping[str, str]) -> list[str]:
    """The entries of GOPROXY, in order: URLs, `direct` and `off`.

    If it is not set, the default of the installed Go. Empty if Go is not installed either.
    """
    value = told.get("GOPROXY", "")
    if not value and shutil.which("go") is not None:
        value = run(["go", "env", "GOPROXY"], check=False).stdout
    return [entry.strip() for entry in re.split(r"[,|]", value) if entry.strip()]


def unsupported_reason(module: str, version: str) -> str | None:
    """Why a build cannot get a module from the proxy, or None if it can or that is unknown."""
    entries = proxies(settings())
    reasons = []
    for entry in entries:
        if "://" not in entry:
            continue
        reason = http.refusal(
            entry,
            path(module, version),
            mirror="the Go module proxy",
            wanted=f"{module} {version}",
        )
        if reason is None:
            return None
        reasons.append(reason)
    if not reasons and "off" in entries:
        return "GOPROXY=off: Go may fetch nothing on this host"
    return "; ".join(reasons) or None


def path(module: str, version: str) -> str:
    """The path at which a proxy describes a version of a module. Go escapes a capital X as !x."""
    escaped = UPPER.sub(lambda found: f"!{found[0].lower()}", module)
    return f"{escaped}/@v/{version}.info"
