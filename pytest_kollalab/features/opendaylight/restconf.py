"""OpenDaylight's RESTCONF: requests, and what an answer says when it is an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.features import passwords
from pytest_kollalab.features.opendaylight.feature import PASSWORD, PORT, USER
from pytest_kollalab.system import http
from pytest_kollalab.system.errors import KollalabError, StageError

TIMEOUT = 60.0
# The tag of the error for what is not there. While it starts, everything is answered by a bare 404.
MISSING = "data-missing"


class RestconfError(KollalabError):
    """OpenDaylight answers a request with an error.

    Attributes:
        absent: Whether it says that what was asked for is not there.
    """

    absent = False


class Restconf:
    """A client of OpenDaylight's RESTCONF.

    Args:
        url: The address of the server.
        user: The user name.
        password: The password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        accept = {"Accept": "application/json"}
        self._session = http.session((user, password), headers=accept, proxies=False)

    def __repr__(self) -> str:
        return f"Restconf({self.url})"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request.

        Args:
            method: The HTTP method.
            path: The path below `/rests/data/`.
            body: The JSON body.

        Returns:
            The JSON of the answer, None if it is empty.

        Raises:
            RestconfError: The answer is an error.
            KollalabError: There is no answer.
        """
        import requests

        try:
            answer = self._session.request(
                method, f"{self.url}/rests/data/{path}", json=body, timeout=TIMEOUT
            )
        except requests.RequestException as error:
            raise KollalabError(
                f"OpenDaylight does not answer at {self.url}", details=str(http.root(error))
            ) from error
        if not answer.ok:
            refused = RestconfError(
                f"OpenDaylight answers {answer.status_code} to {method} {path}",
                details=messages(answer.text),
            )
            refused.absent = MISSING in answer.text
            raise refused
        return answer.json() if answer.content else None

    def look(self, path: str, *, config: bool = False, fields: str = "") -> Mapping[str, Any]:
        """What is at a path; empty if there is nothing.

        Args:
            path: The path below `/rests/data/`.
            config: Whether to look at the configuration instead of the state.
            fields: The part that is wanted (RFC 8040, 4.8.3).

        Raises:
            KollalabError: There is no answer, or it is another error.
        """
        query = f"content={'config' if config else 'nonconfig'}"
        query += f"&fields={fields}" if fields else ""
        try:
            found = self.ask("GET", f"{path}?{query}")
        except RestconfError as error:
            if error.absent:
                return {}
            raise
        return found if isinstance(found, dict) else {}


def messages(text: str) -> str:
    """The messages in the JSON of an error (RFC 8040, 7.1), or the text as it is."""
    try:
        document = json.loads(text)
        (errors,) = document.values()
        found = [each.get("error-message", each.get("error-tag", "")) for each in errors["error"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return text.strip()
    return "\n".join(str(each) for each in found)


def of_lab(address: str, secrets: Path) -> Restconf:
    """The RESTCONF of a lab's OpenDaylight.

    Args:
        address: The address of the controller.
        secrets: The file with the lab's passwords.

    Raises:
        StageError: The lab has no OpenDaylight.
    """
    known = passwords.read(secrets)
    if PASSWORD not in known:
        raise StageError("this lab has no OpenDaylight", hint="kollalab up --feature opendaylight")
    return Restconf(f"http://{address}:{PORT}", USER, str(known[PASSWORD]))
