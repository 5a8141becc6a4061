"""The connection to a lab's cloud with openstacksdk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.stages.cloud.made import CloudMade

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(made: CloudMade) -> Connection:
    """A connection as administrator, from what the stage `cloud` made.

    Only the lab's own clouds.yaml is read: neither OS_ variables nor the user's files count.
    """
    import openstack.config
    import openstack.connection

    loader = openstack.config.OpenStackConfig(
        config_files=[str(made.clouds_yaml)],
        secure_files=[],
        vendor_files=[],
        load_envvars=False,
    )
    region = loader.get_one(cloud=made.cloud)
    return openstack.connection.Connection(config=region)
