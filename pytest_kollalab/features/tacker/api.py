"""Calls of Tacker's API, which openstacksdk does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from openstack.connection import Connection

SERVICE = "nfv-orchestration"
# Both versions of the API's part for VNFs are at the same endpoint; version 2 asks for this.
VERSION = {"Version": "2.0.0"}
PACKAGES, VNFS = "/vnfpkgm/v1/vnf_packages", "/vnflcm/v2/vnf_instances"
OCCURRENCES = "/vnflcm/v2/vnf_lcm_op_occs"
NOT_FOUND, FIRST_ERROR = 404, 400
TIMEOUT = 60


class TackerError(KollalabError):
    """Tacker did not do what a request asked for. The details have its reason."""


def call(
    cloud: Connection,
    verb: str,
    path: str,
    body: Mapping[str, Any] | bytes | None = None,
    *,
    missing: bool = False,
) -> Any:
    """Call the API as the user of a connection.

    Args:
        cloud: The connection.
        verb: The method of the request.
        path: The path, which begins with a slash.
        body: A JSON document, or the bytes of an archive.
        missing: Whether a resource that is not there is no error.

    Returns:
        The answer.

    Raises:
        TackerError: The answer is an error.
    """
    sent: dict[str, Any] = {}
    if isinstance(body, bytes):
        sent = {"data": body, "headers": {**VERSION, "Content-Type": "application/zip"}}
    elif body is not None:
        sent = {"json": body}
    answer: Any = cloud.session.request(
        path,
        verb,
        endpoint_filter={
            "service_type": SERVICE,
            "interface": cloud.config.get_interface(),
            "region_name": cloud.config.get_region_name(),
        },
        raise_exc=False,
        timeout=TIMEOUT,
        **{"headers": VERSION, **sent},
    )
    if answer.status_code >= FIRST_ERROR and not (missing and answer.status_code == NOT_FOUND):
        raise TackerError(
            f"Tacker answers {answer.status_code} to {verb} {path}", details=reason(answer.text)
        )
    return answer


def reason(text: str) -> str:
    """The reason in the body of an error, or the body if it has none."""
    import json

    try:
        told = json.loads(text)
    except ValueError:
        return text
    if not isinstance(told, dict):
        return text
    # Version 1 puts the message into an object named after the error.
    inner = [value for value in told.values() if isinstance(value, dict)]
    for each in (told, *inner):
        for name in ("detail", "message", "title"):
            if each.get(name):
                return str(each[name])
    return text
