"""Runs Ansible modules in Kolla's toolbox without an ansible-runner for each of them.

Kolla-Ansible's module `kolla_toolbox` runs another module in the container `kolla_toolbox`. For
each call it starts ansible-runner, which starts ansible-playbook, which runs the module. A deploy
has about sixty such calls, and most of their time is spent on starting these programs. Here a
server in the container (`on_nodes/toolbox_server.py`) receives the modules. It runs each in a
process of its own and as the same user, as Ansible does. Modules that it cannot run use the stock
way.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files


def on_nodes(name: str) -> str:
    """Return the text of a file in `on_nodes`."""
    return files("pytest_kollalab.stages.cloud.on_nodes").joinpath(name).read_text(encoding="utf-8")


def client_text() -> str:
    """Return the text of the client, an Ansible module_utils file that contains the server."""
    server, text = on_nodes("toolbox_server.py"), on_nodes("toolbox_client.py")
    name = hashlib.sha256(server.encode()).hexdigest()[:8]
    return text.replace('SERVER = ""', f"SERVER = {server!r}").replace(
        'NAME = ""', f'NAME = "kollalab-{name}"'
    )
