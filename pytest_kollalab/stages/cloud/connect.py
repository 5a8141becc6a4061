"""The connection to a lab's cloud with openstacksdk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.stages.cloud.made import CloudMade

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(made: CloudMade) -> Connection:
    """Connect to a lab's cloud as its administrator.

    Only the lab's own clouds.yaml is read. OS_ variables and the user's files are ignored.
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
