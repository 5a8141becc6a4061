"""A registry as a place for golden states: all of them in one repository, so that they share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urljoin

from pytest_kollalab.stages.golden.artifact import CHUNK, MANIFEST, Blob, digest_of
from pytest_kollalab.stages.golden.place import Moved, Place
from pytest_kollalab.stages.images import upstream
from pytest_kollalab.stages.images.upstream import PASSWORD, USERNAME, Upstream
from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

SETTING = "golden_registry"
# The repository below the namespace.
REPOSITORY = "golden"
Right = Literal["pull", "pull,push"]
# In seconds: to connect and between two answers, and between attempts.
TIMEOUT = (10.0, 60.0)
PAUSES = (1.0, 3.0)
NOT_NOW = (HTTPStatus.TOO_MANY_REQUESTS, *(code for code in HTTPStatus if code >= 500))


class Remote(Place):
    """The repository `golden` of a namespace in a registry.

    Requests that fail for a reason that may pass are made three times. Threads may share it.

    Args:
        registry: The registry, its namespace and the login.
        pauses: The seconds to wait before each further attempt.
    """

    def __init__(self, registry: Upstream, pauses: tuple[float, ...] = PAUSES) -> None:
        self.registry = registry
        self.pauses = pauses
        self.repository = registry.repository(REPOSITORY)
        self._session = upstream.open_session(registry, (MANIFEST,))
        self._allowed: dict[Right, str] = {}
        self._asking = threading.Lock()

    def __str__(self) -> str:
        return f"{self.registry.host}/{self.repository}"

    def manifest(self, tag: str) -> bytes | None:
        """Ask for the manifest with a tag."""

        def ask() -> bytes | None:
            with self._ask("GET", f"manifests/{tag}") as answer:
                if answer.status_code == HTTPStatus.NOT_FOUND:
                    return None
                self._check(answer, tag)
                return answer.content

        return self._patiently(ask)

    def has(self, blob: Blob) -> bool:
        """Ask whether the repository has a blob."""

        def ask() -> bool:
            with self._ask("HEAD", f"blobs/{blob.digest}", right="pull,push") as answer:
                if answer.status_code != HTTPStatus.NOT_FOUND:
                    self._check(answer, blob.digest)
                return answer.ok

        return self._patiently(ask)

    def get(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Ask for the rest of a blob; a registry that knows no ranges sends all of it."""

        def ask() -> None:
            there = path.stat().st_size if path.exists() else 0
            if there >= blob.size:
                return
            headers = {"Range": f"bytes={there}-"} if there else {}
            with self._ask("GET", f"blobs/{blob.digest}", headers=headers, stream=True) as answer:
                self._check(answer, blob.digest)
                partial = answer.status_code == HTTPStatus.PARTIAL_CONTENT
                if there and not partial:
                    moved(-there)
                with path.open("ab" if partial else "wb") as file:
                    for data in answer.iter_content(CHUNK):
                        file.write(data)
                        moved(len(data))
            if path.stat().st_size < blob.size:
                raise _AgainError(f"{self.registry.host} ended in the middle of {blob.digest}")

        self._patiently(ask)

    def put(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Upload a blob in one piece."""

        def ask() -> None:
            with self._ask("POST", "blobs/uploads/", right="pull,push") as answer:
                self._check(answer, blob.digest)
                base = str(answer.url)
                location = urljoin(base, answer.headers["Location"])
            with path.open("rb") as file:
                counted = _Counted(file, blob.size, moved)
                try:
                    self._upload(location, blob, counted)
                except BaseException:
                    moved(-counted.gone)
                    raise

        self._patiently(ask)

    def tag(self, tag: str, manifest: bytes) -> None:
        """Upload the manifest."""

        def ask() -> None:
            headers = {"Content-Type": MANIFEST}
            with self._ask(
                "PUT", f"manifests/{tag}", right="pull,push", headers=headers, data=manifest
            ) as answer:
                self._check(answer, tag)
                told = answer.headers.get("Docker-Content-Digest", digest_of(manifest))
                if told != digest_of(manifest):
                    raise StageError(f"{self} has made another manifest of {tag}: {told}")

        self._patiently(ask)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _upload(self, location: str, blob: Blob, data: _Counted) -> None:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(blob.size),
            **self._authorization("pull,push"),
        }
        answer = self._session.put(
            location, params={"digest": blob.digest}, data=data, headers=headers, timeout=TIMEOUT
        )
        with answer:
            self._check(answer, blob.digest)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        right: Right = "pull",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Response:
        scheme = "https" if self.registry.tls else "http"
        url = f"{scheme}://{self.registry.host}/v2/{self.repository}/{path}"
        used = self._authorization(right)
        answer = self._send(method, url, headers={**(headers or {}), **used}, **more)
        if answer.status_code != HTTPStatus.UNAUTHORIZED:
            return answer
        answer.close()
        if not self._authorize(answer, right, used.get("Authorization", "")):
            return answer
        return self._send(
            method, url, headers={**(headers or {}), **self._authorization(right)}, **more
        )

    def _send(self, method: str, url: str, **more: Any) -> Response:
        return self._session.request(method, url, timeout=TIMEOUT, **more)

    def _authorization(self, right: Right) -> dict[str, str]:
        allowed = self._allowed.get(right, "")
        return {"Authorization": allowed} if allowed else {}

    def _authorize(self, answer: Response, right: Right, used: str) -> bool:
        """Get what the registry asks for; a token may have ended. Returns whether there is one."""
        with self._asking:
            if self._allowed.get(right, "") != used:
                return True  # another thread was faster
            challenge = answer.headers.get("WWW-Authenticate", "")
            scope = f"repository:{self.repository}:{right}"
            found = upstream.authorize(self._session, self.registry, challenge, scope)
            self._allowed[right] = found
            return bool(found) and found != used

    def _check(self, answer: Response, what: str) -> None:
        if answer.ok:
            return
        if answer.status_code in NOT_NOW:
            raise _AgainError(
                f"{self.registry.host} answers {answer.status_code}, asked for {what}"
            )
        host = self.registry.host
        if answer.status_code in upstream.REFUSALS:
            who = "with the login found for it" if self.registry.login else "without a login"
            raise StageError(
                f"{host} refuses {answer.request.method} in {self.repository}",
                details=f"it answered {answer.status_code} {who}",
                hint=f"docker login {host}, or set {USERNAME} and {PASSWORD}",
            )
        raise StageError(
            f"{host} answers {answer.status_code}",
            details=f"asked for {what} in {self.repository}\n{answer.text[:500]}",
            hint=f"try again later, or name another {SETTING} in kollalab.toml",
        )

    def _patiently(self, ask: Callable[[], T]) -> T:
        import requests

        for pause in (*self.pauses, None):
            try:
                return ask()
            except (requests.RequestException, _AgainError) as error:
                if pause is None:
                    raise upstream.unreachable(self.registry, error, SETTING) from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


class _AgainError(Exception):
    """An answer that may be another one in a moment."""


class _Counted:
    """A file that tells how much of it was read; requests sends it with its length."""

    def __init__(self, file: IO[bytes], size: int, moved: Moved) -> None:
        self._file = file
        self._size = size
        self._moved = moved
        self.gone = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.gone += len(data)
        self._moved(len(data))
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(CHUNK):
            yield data
