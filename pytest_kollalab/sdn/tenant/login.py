"""The logins of a project's users, whatever its administrator logs in with."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pytest_kollalab.system.errors import NeedsAdminError

if TYPE_CHECKING:
    from openstack.connection import Connection

# What Keystone does not let an application credential do: change its project.
FIXED = "applicationcredential"


def as_user(admin: Connection, **auth: str) -> Connection:
    """Log in as another user with a password.

    `Connection.connect_as` keeps the type of the administrator's login, such as an application
    credential or a token, and its scope, such as the system.

    Args:
        admin: The administrator's connection; its region, certificates and so on are used.
        **auth: The user, password, project and domains.
    """
    import openstack.config
    import openstack.connection

    settings: dict[str, Any] = copy.deepcopy(admin.config.config)
    settings.pop("profile", None)
    url = settings.get("auth", {}).get("auth_url")
    if not url:
        raise NeedsAdminError(
            f"the settings of the cloud {admin.config.name} have no auth_url",
            details="so no other user can log in",
            hint="name the URL of Keystone in its clouds.yaml",
        )
    settings |= {"auth_type": "password", "auth": {"auth_url": url, **auth}}
    # Neither the files nor the variables of the administrator count.
    loader = openstack.config.OpenStackConfig(load_yaml_config=False, load_envvars=False)
    return openstack.connection.Connection(config=loader.get_one(**settings))


def is_fixed(admin: Connection) -> bool:
    """Whether the administrator's login is bound to one project."""
    return FIXED in str(admin.config.config.get("auth_type", ""))


def refused(admin: Connection, what: str, error: Exception) -> NeedsAdminError:
    """The message about a request that needs an administrator."""
    name = admin.config.name
    fixed = is_fixed(admin)
    return NeedsAdminError(
        f"the login of the cloud {name} may not {what}",
        details=str(error).partition("\n")[0],
        hint=f"the fixture `tenant` needs the role admin in Keystone: "
        f"{'make the application credential with it' if fixed else 'use such a login'}; "
        f"see `openstack --os-cloud {name} role assignment list --names`",
    )
