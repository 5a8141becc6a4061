"""HTTP: sessions of requests that trust what this host trusts, and the reason of their errors."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Session


def session(
    login: tuple[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    ca: str = "",
    proxies: bool = True,
) -> Session:
    """A session with the defaults of this host.

    Args:
        login: user name and password for basic authentication.
        headers: of each request.
        ca: a file with certificate authorities, beside those that the host trusts.
        proxies: whether the proxies of the environment are used.
    """
    import requests
    from requests.adapters import HTTPAdapter

    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)

    class Adapter(HTTPAdapter):
        """TLS with what the host trusts.

        requests alone trusts certifi's authorities, without those that an administrator added, and
        REQUESTS_CA_BUNDLE in place of what a session is told to verify by.
        """

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **options)

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            return super().proxy_manager_for(*args, ssl_context=context, **options)

        def cert_verify(self, *_: Any) -> None:
            """Add nothing to the context."""

    made = requests.Session()
    made.mount("https://", Adapter())
    # Without a login of its own requests takes one of ~/.netrc, even before a header.
    made.auth = login or _unchanged
    made.headers.update(headers or {})
    made.trust_env = proxies
    return made


def root(error: BaseException) -> BaseException:
    """The error at the bottom of one of requests, such as `[Errno 111] Connection refused`."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _unchanged(request: PreparedRequest) -> PreparedRequest:
    return request
