"""The connection to a lab's cloud with openstacksdk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kollalab.stages.cloud import clouds_yaml
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system import activity
from pytest_kollalab.system.errors import StateError

if TYPE_CHECKING:
    from keystoneauth1.session import Session
    from openstack.connection import Connection


def connect(made: CloudMade) -> Connection:
    """Connect to a lab's cloud as its administrator.

    Only the lab's own clouds.yaml is read. OS_ variables, proxies and the user's files are ignored.

    Raises:
        StateError: The file is damaged.
    """
    import openstack.config
    import openstack.connection

    # The SDK calls it, so it need not be a class.
    constructor: Any = _without_proxies
    try:
        loader = openstack.config.OpenStackConfig(
            config_files=[str(made.clouds_yaml)],
            secure_files=[],
            vendor_files=[],
            load_envvars=False,
            # Connections that are made from this one use it as well.
            session_constructor=constructor,
        )
        region = loader.get_one(cloud=made.cloud)
    except clouds_yaml.unusable() as error:
        raise StateError(
            f"{made.clouds_yaml} is damaged",
            details=str(error).partition("\n")[0],
            hint="build the cloud anew: kollalab up --fresh cloud",
        ) from error
    return openstack.connection.Connection(config=region)


def _without_proxies(*args: Any, **options: Any) -> Session:
    """A session that ignores the proxies of the environment: no proxy leads to a lab."""
    from keystoneauth1.session import Session

    made = Session(*args, **options)
    made.session.trust_env = False
    made.session.hooks["response"].append(lambda *_, **__: activity.note())
    return made
