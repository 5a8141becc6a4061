"""The environment of child processes: a known one, and what is passed on of this process's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from pytest_kollalab.system import process

# What children get of this process's environment: patterns of names, and what they are for.
# Everything else is dropped. A shell profile may hold settings that break a program, for example
# ANSIBLE_SSH_ARGS, PYTHONPATH, or a locale that is not generated.
PASSED: Mapping[tuple[str, ...], str] = {
    ("PATH", "LD_LIBRARY_PATH"): "where programs and their libraries are",
    ("HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TZ", "XDG_*"): "the user's session",
    ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"): "proxies, in lower or "
    "upper case; the addresses of the lab are added to `no_proxy`",
    ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"): "certificate "
    "authorities",
    ("PIP_*", "UV_*", "NETRC"): "pip and uv, for example `PIP_INDEX_URL`",
    ("GO*",): "Go, for example `GOPROXY`",
    ("DOCKER_*",): "which docker daemon is used, and docker's own configuration",
    ("LIBVIRT_*",): "libvirt",
    ("SSH_AUTH_SOCK", "KRB5*", "DBUS_SESSION_BUS_ADDRESS"): "logins of the session, for daemons "
    "on other hosts and for keyrings",
    ("AWS_*", "AZURE_*", "CLOUDSDK_*", "GOOGLE_*"): "logins of cloud providers, for credential "
    "helpers",
    ("KOLLALAB_*",): "this plugin",
}
# Ansible needs a UTF-8 locale. This one is part of the C library and need not be generated.
LOCALE = {"LC_ALL": "C.UTF-8"}
_PATTERNS = tuple(pattern for names in PASSED for pattern in names)


def of_children(direct: Iterable[str] = ()) -> dict[str, str]:
    """The environment of child processes.

    Args:
        direct: Addresses and networks that must be reached without a proxy.
    """
    passed = {name: value for name, value in os.environ.items() if is_passed(name)}
    return {**passed, **LOCALE, **process.environment(), **no_proxy(direct)}


def is_passed(name: str) -> bool:
    """Whether children get this variable of this process."""
    names = (name, name.lower()) if name.endswith("_PROXY") else (name,)
    return any(fnmatchcase(each, pattern) for each in names for pattern in _PATTERNS)


def no_proxy(direct: Iterable[str]) -> dict[str, str]:
    """The variables that exclude these addresses from proxies, beside those that are excluded."""
    added = list(direct)
    if not added:
        return {}
    told = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    # `*` excludes all addresses, but only if it stands alone.
    value = "*" if told.strip() == "*" else ",".join([*filter(None, [told]), *added])
    return {"no_proxy": value, "NO_PROXY": value}
