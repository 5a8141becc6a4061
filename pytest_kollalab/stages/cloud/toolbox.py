"""Ansible modules in Kolla's toolbox without an ansible-runner for each.

Kolla-Ansible's module `kolla_toolbox` has another module run in the container of that name: it
makes a folder there, runs ansible-runner, which runs ansible-playbook, which runs the module, and
reads the events that are left. A deploy does so some sixty times, and the module itself, which asks
Keystone or MariaDB one thing, is the least of it. Here a process in the container waits for such
modules (`on_nodes/toolbox_server.py`), and runs each as Ansible does, in a process of its own and
as the same user. What it cannot run goes the stock way.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files


def on_nodes(name: str) -> str:
    """The text of a file that runs on nodes."""
    return files("pytest_kollalab.stages.cloud.on_nodes").joinpath(name).read_text(encoding="utf-8")


def client_text() -> str:
    """The text of the module_utils that ask, with the server in it."""
    server, text = on_nodes("toolbox_server.py"), on_nodes("toolbox_client.py")
    name = hashlib.sha256(server.encode()).hexdigest()[:8]
    return text.replace('SERVER = ""', f"SERVER = {server!r}").replace(
        'NAME = ""', f'NAME = "kollalab-{name}"'
    )
