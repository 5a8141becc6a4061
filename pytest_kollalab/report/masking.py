"""The redactor: masks passwords, tokens and private keys of a lab in everything that is shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_kollalab.features.passwords import secrets as texts_in
from pytest_kollalab.stages.cloud.clouds_yaml import auth_secrets
from pytest_kollalab.system.run import MASK

# Patterns of secrets that are in no file of the lab, such as users' passwords and tokens. Group 1
# of each pattern is kept: the name of a header, or the user in a URL.
# A key may be in one line, with escaped line ends, and may be cut off.
KEY_BEGINS = r"()-----BEGIN [A-Z ]*PRIVATE KEY-----"
# openstacksdk and Keystone log some tokens as {SHA256} and a digest.
HEADER = r"(X-(?:Auth|Subject|Service|Storage)-Token\\?[\"'\s]*[:=,]\s*[bu]?\\?[\"']?)"
NAMED = (
    r"((?:password|passwd|admin_?pass|secret_?key|shared_?secret|auth_?key)"
    r"\\?[\"']?\s*(?:[:=]|=>)\s*[bu]?\\?[\"']?)"
)
PATTERNS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (KEY_BEGINS + r"(?:(?s:.{0,20000}?)-----END [A-Z ]*PRIVATE KEY-----|[\w+/=\s\\:,-]*)", 0),
        # Fernet tokens begin with the version 0x80 and the upper bytes of a time.
        (r"()gAAAA[\w-]{12,}(?:=|%3D){0,2}", 0),
        (r"()\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*", 0),
        (HEADER + r"(?:\{\w+\})?[^\s\"'\\,}]+", re.I),
        (r"(Authorization[\"'\s]*[:=,]\s*[bu]?[\"']?(?:Basic|Bearer|Token)\s+)[^\s\"',}]+", re.I),
        (r"(Set-Cookie[\"'\s]*[:=]\s*[\"']?[^=\s]+=)[^;\s\"']+", re.I),
        (r"((?:://|,)[\w.+%-]*:)[^/\s@\"',]+(?=@)", 0),
        (NAMED + r"(?!None\b|null\b|\*{3})[^\s\"'\\,;})\]&]{6,}", re.I),
        (r"(IDENTIFIED BY (?:PASSWORD )?')[^']+", re.I),
    )
)
# The texts of built-in exceptions that are in no dictionary.
OF_ERRORS = ("args", "filename", "filename2", "strerror", "msg", "text")


class Redactor:
    """Masks the given texts, also in JSON, URL, Python and Base64 spelling, and known patterns."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Longest first, so that a secret that contains another one is masked as a whole.
        spellings = {spelt for secret in secrets if secret for spelt in _spellings(secret)}
        self._texts = sorted(spellings, key=lambda text: (-len(text), text))
        # pytest has what a test printed in the report of each of its phases.
        self._masked = lru_cache(maxsize=64)(self._mask)

    def __call__(self, text: str) -> str:
        """The text with its secrets masked; masking it again changes nothing."""
        return self._masked(text)

    def known(self, text: str) -> str:
        """The text with the given secrets masked; what only looks like a secret stays."""
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def data(self, value: Any) -> Any:
        """Mask all texts in lists, tuples and dicts, which may be a test's own: in a copy.

        Returns:
            The value itself if it has no secret.
        """
        return _copy(value, self)

    def error(self, error: BaseException | None) -> None:
        """Mask the texts in an exception, and in those that it stands for, in place."""
        self._error(error, set())

    def _error(self, error: BaseException | None, seen: set[int]) -> None:
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            for name in (*OF_ERRORS, *getattr(error, "__dict__", ())):
                # Some are properties: of an exception of anybody, which may do anything.
                with suppress(Exception):
                    value = getattr(error, name, None)
                    if (masked := self.data(value)) is not value:
                        setattr(error, name, masked)
            if isinstance(error, BaseExceptionGroup):
                for each in error.exceptions:
                    self._error(each, seen)
            error = error.__cause__ or error.__context__

    def tree(self, value: Any) -> Any:
        """Mask all texts in an object of a reporter, in place where possible.

        It visits lists, tuples, dicts and the attributes of objects, such as pytest's
        representation of an exception.

        Returns:
            The value, or the one that replaces it.
        """
        return _walk(value, self, set())

    def _mask(self, text: str) -> str:
        text = self.known(text)
        for pattern in PATTERNS:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        return text


def lab_secrets(folder: Path) -> tuple[str, ...]:
    """All secrets in the files of a lab's state folder: passwords, clouds.yaml, private keys."""
    found: list[str] = []
    for path in secret_files(folder):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # removed meanwhile, so its secrets are no longer in use
        if path.name == "passwords.yml":
            found += texts_in(_yaml(text))
        elif path.name in ("clouds.yaml", "secure.yaml"):
            found += cloud_passwords(_yaml(text))
        else:
            found += texts_in({path.name: text})
    return tuple(dict.fromkeys(found))


def secret_files(folder: Path) -> list[Path]:
    """The files with secrets that exist in a lab's state folder."""
    candidates = [
        folder / "cloud" / "etc" / "passwords.yml",
        folder / "cloud" / "clouds.yaml",
        folder / "nodes" / "id_ed25519",
        *(path for path in folder.glob("nodes/host_keys/*") if path.suffix != ".pub"),
    ]
    return [path for path in candidates if path.is_file()]


def cloud_passwords(document: Mapping[str, Any]) -> list[str]:
    """The passwords, secrets and tokens of every cloud in a clouds.yaml."""
    clouds = document.get("clouds") or {}
    return [text for cloud in clouds.values() for text in auth_secrets(cloud.get("auth") or {})]


def _yaml(text: str) -> dict[str, object]:
    import yaml

    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return {}  # being written, or cut short by a full disk
    return loaded if isinstance(loaded, dict) else {}


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield repr(secret)[1:-1]
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _copy(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        masked = mask(value)
        return value if masked == value else masked
    items: list[Any]
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list | tuple):
        items = list(value)
    else:
        return value
    copied = [_copy(item, mask) for item in items]
    if all(a is b for a, b in zip(copied, items, strict=True)):
        return value
    if isinstance(value, dict):
        return dict(zip(value, copied, strict=True))
    return copied if isinstance(value, list) else tuple(copied)


def _walk(value: Any, mask: Callable[[str], str], seen: set[int]) -> Any:
    if isinstance(value, str):
        masked = mask(value)
        return value if masked == value else masked
    if value is None or isinstance(value, int | float | bytes | Path | type) or id(value) in seen:
        return value
    if isinstance(value, tuple):
        walked = [_walk(item, mask, seen) for item in value]
        return value if all(a is b for a, b in zip(walked, value, strict=True)) else tuple(walked)
    seen.add(id(value))
    if isinstance(value, list):
        value[:] = [_walk(item, mask, seen) for item in value]
    elif isinstance(value, dict):
        for key in list(value):
            value[key] = _walk(value[key], mask, seen)
    elif hasattr(value, "__dict__"):
        for name, inner in list(vars(value).items()):
            after = _walk(inner, mask, seen)
            if after is not inner:
                setattr(value, name, after)
    return value
