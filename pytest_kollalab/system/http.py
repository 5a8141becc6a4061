"""HTTP sessions that trust the host's certificate authorities, and the causes of their errors."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pytest_kollalab.system import activity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Session

# In seconds.
MIRROR_TIMEOUT = 10.0


def session(
    login: tuple[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    ca: str = "",
    proxies: bool = True,
) -> Session:
    """Make a session that trusts the host's certificate authorities.

    Args:
        login: User name and password for basic authentication.
        headers: Headers of every request.
        ca: A file with additional certificate authorities.
        proxies: Whether to use the proxies named in the environment.
    """
    import requests
    from requests.adapters import HTTPAdapter

    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)

    class Adapter(HTTPAdapter):
        """TLS with the host's certificate authorities.

        By default, requests trusts certifi's authorities and ignores those that an administrator
        added. REQUESTS_CA_BUNDLE also overrides the authorities of a session.
        """

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, ssl_context=context, **options)

        def cert_verify(self, *_: Any) -> None:
            """Add nothing to the context."""

    made = requests.Session()
    made.mount("https://", Adapter())
    # Without `auth`, requests uses a login from ~/.netrc, which even overrides a header.
    made.auth = login or _unchanged
    made.headers.update(headers or {})
    made.trust_env = proxies
    made.hooks["response"].append(lambda *_, **__: activity.note())
    return made


def root(error: BaseException) -> BaseException:
    """The original cause of an error of requests, such as `[Errno 111] Connection refused`."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def refusal(url: str, path: str, *, mirror: str, wanted: str) -> str | None:
    """Why the build of an image cannot get something from a mirror; None if it can.

    Args:
        url: The URL of the mirror, with its login if it has one.
        path: The path below it of what is wanted.
        mirror: What the mirror is, for the reason.
        wanted: What is wanted, for the reason.
    """
    import requests

    parts = urlsplit(url)
    shown = f"{mirror} {parts.hostname or parts.path}"
    if parts.scheme not in ("http", "https"):
        return f"{shown} is a folder of this host, which the build of an image does not see"
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        with session(login) as asking:
            answer = asking.get(f"{bare.rstrip('/')}/{path}", timeout=MIRROR_TIMEOUT)
    except requests.RequestException as error:
        return f"{shown} does not answer: {root(error)}"
    return None if answer.ok else f"{shown} does not have {wanted} ({answer.status_code})"


def _unchanged(request: PreparedRequest) -> PreparedRequest:
    return request
