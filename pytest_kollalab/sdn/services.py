"""The services that a cloud has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openstack.connection import Connection


def offered(cloud: Connection) -> frozenset[str]:
    """The types of the services in the catalogue of a cloud, such as `network`.

    openstacksdk's `has_service` logs a warning for each service that is not there, which pytest
    shows with the failure of a test.
    """
    return frozenset(str(service["type"]) for service in cloud.service_catalog)
