"""Resolves the tags of prebuilt images in another registry, the upstream, to digests."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from pytest_kollalab.system import http
from pytest_kollalab.system.errors import ConfigError, StageError

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = 30.0
AT_ONCE = 8
USERNAME, PASSWORD = "KOLLALAB_REGISTRY_USERNAME", "KOLLALAB_REGISTRY_PASSWORD"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Login:
    """A user name and a password. Both are left out of its `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The credentials of HTTP basic authentication, which docker's config.json also uses."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Upstream:
    """A namespace in another registry, and how to reach it.

    Attributes:
        host: The host of the registry, with its port if it is not the default.
        namespace: The namespace of the images.
        ca: A file with additional certificate authorities.
        login: The login, if there is one.
    """

    host: str
    namespace: str
    ca: Path | None = None
    login: Login | None = None

    @property
    def tls(self) -> bool:
        """Whether to use TLS. False only for a loopback host without `ca`."""
        return self.ca is not None or not is_loopback(self.host)

    def repository(self, image: str) -> str:
        """The repository of an image, without the host."""
        return f"{self.namespace}/{image}"


def parse(source: str, ca: str = "", setting: str = "images.source") -> tuple[str, str]:
    """Split a source into registry and namespace.

    Args:
        source: The source.
        ca: A file with additional certificate authorities.
        setting: The setting that names it, for messages.

    Raises:
        ConfigError: The source is not of this form, or the file `ca` does not exist.
    """
    host, _, namespace = source.strip("/").partition("/")
    named = "." in host or ":" in host or host == "localhost"
    if not namespace or not named or "://" in source:
        raise ConfigError(
            f"{setting}: {source!r} is not a registry and a namespace",
            hint='write it as in "quay.io/openstack.kolla", or "registry.example:5000/kolla"',
        )
    if ca and not Path(ca).is_file():
        raise ConfigError(
            f"run.registry_ca: there is no file {ca}",
            hint="name a file with certificates in PEM format",
        )
    return host, namespace


def reach(source: str, ca: str = "", setting: str = "images.source") -> Upstream:
    """The upstream of a configuration, with this user's login for it, given what `parse` is."""
    host, namespace = parse(source, ca, setting)
    return Upstream(host, namespace, Path(ca) if ca else None, find_login(host))


def open_session(upstream: Upstream, accepted: Iterable[str] = MANIFESTS) -> Session:
    """A session for requests to a registry: its authorities, and proxies but for the loopback.

    Args:
        upstream: The registry.
        accepted: The media types of manifests.
    """
    return http.session(
        headers={"Accept": ", ".join(accepted)},
        ca=str(upstream.ca or ""),
        proxies=not is_loopback(upstream.host),
    )


def unreachable(upstream: Upstream, error: Exception, setting: str) -> StageError:
    """The error for a registry that cannot be reached.

    Args:
        upstream: The registry.
        error: The error of a request.
        setting: The setting that names the registry.
    """
    reason = http.root(error)
    return StageError(
        f"the registry {upstream.host} cannot be reached",
        details=str(reason),
        hint="name its certificate authority as registry_ca under [run] in kollalab.toml"
        if isinstance(reason, ssl.SSLCertVerificationError)
        else f"check the network, proxies, and {setting} in kollalab.toml",
    )


def is_loopback(host: str) -> bool:
    """Whether the address of a registry is a loopback address."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def find_login(host: str) -> Login | None:
    """The login from the environment, or from docker's configuration and credential helpers.

    Raises:
        StageError: Docker's login cannot be read.
    """
    if os.environ.get(USERNAME):
        return Login(os.environ[USERNAME], os.environ.get(PASSWORD, ""))
    from docker import auth
    from docker.errors import DockerException

    try:
        found = auth.load_config().resolve_authconfig(host)
    except DockerException as error:
        raise StageError(
            f"docker's login for {host} cannot be read",
            details=str(error),
            hint=f"docker login {host}, or set {USERNAME} and {PASSWORD}",
        ) from error
    if not found or not found.get("username"):
        return None
    return Login(str(found["username"]), str(found.get("password", "")))


def resolve(upstream: Upstream, images: Iterable[str], tag: str) -> dict[str, str]:
    """Resolve a tag to the digest of each image. Images without this tag are left out.

    Raises:
        StageError: The registry does not answer, refuses the login, or has none of the images.
    """
    names = list(images)
    # The threads share a session, so that its connections are reused. None of them changes it.
    with open_session(upstream) as session, ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda name: _digest(session, upstream, name, tag), names))
    digests = {name: digest for name, (digest, _) in zip(names, found, strict=True) if digest}
    refused = next((status for digest, status in found if status in REFUSALS), None)
    if not digests and names:
        who = "with the login found for it" if upstream.login else "without a login"
        raise StageError(
            f"{upstream.host} refuses to give images" if refused
            else f"{upstream.host}/{upstream.namespace} has no image with tag {tag}",
            details=f"it answered {refused} {who}" if refused else f"asked for {', '.join(names)}",
            hint=f"docker login {upstream.host}, or set {USERNAME} and {PASSWORD}" if refused
            else "check images.source, images.tag and release in kollalab.toml",
        )  # fmt: skip
    return digests


def _digest(session: Session, upstream: Upstream, image: str, tag: str) -> tuple[str, int]:
    scheme = "https" if upstream.tls else "http"
    repository = upstream.repository(image)
    url = f"{scheme}://{upstream.host}/v2/{repository}/manifests/{quote(tag)}"
    answer = _head(session, upstream, url)
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        challenge = answer.headers.get("WWW-Authenticate", "")
        scope = f"repository:{repository}:pull"
        if allowed := authorize(session, upstream, challenge, scope):
            answer = _head(session, upstream, url, {"Authorization": allowed})
    if answer.status_code == HTTPStatus.OK:
        return answer.headers.get("Docker-Content-Digest", ""), answer.status_code
    if answer.status_code in (*REFUSALS, HTTPStatus.NOT_FOUND):
        return "", answer.status_code
    raise StageError(
        f"{upstream.host} answers {answer.status_code}",
        details=f"asked for {repository}:{tag}",
        hint="try again later, or name another images.source in kollalab.toml",
    )


def _head(
    session: Session, upstream: Upstream, url: str, headers: Mapping[str, str] | None = None
) -> Response:
    import requests

    try:
        return session.head(url, headers=headers, timeout=TIMEOUT, allow_redirects=True)
    except requests.RequestException as error:
        raise unreachable(upstream, error, "images.source") from error


def authorize(session: Session, upstream: Upstream, challenge: str, scope: str) -> str:
    """The header `Authorization` that a registry asks for, or an empty text without a way.

    Args:
        session: A session for requests to the registry.
        upstream: The registry.
        challenge: The header `WWW-Authenticate` of its refusal.
        scope: What is asked for, such as `repository:NAME:pull`, if the refusal does not say.
    """
    import requests

    kind = challenge.partition(" ")[0].lower()
    said = dict(CHALLENGE.findall(challenge))
    basic = f"Basic {upstream.login.basic}" if upstream.login is not None else ""
    if kind == "basic":
        return basic
    if kind != "bearer" or "realm" not in said:
        return ""
    # Never send a login without TLS, even if the registry asks for it.
    if basic and not said["realm"].startswith("https://") and upstream.tls:
        return ""
    wanted = {"service": said.get("service", ""), "scope": said.get("scope", scope)}
    headers = {"Authorization": basic} if basic else None
    try:
        answer = session.get(said["realm"], params=wanted, headers=headers, timeout=TIMEOUT)
        answer.raise_for_status()
        told = answer.json()
    except requests.RequestException:
        return ""
    token = told.get("token") or told.get("access_token") or ""
    return f"Bearer {token}" if token else ""
